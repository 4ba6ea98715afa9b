"""Publishes a trained model: files, MLflow run and registered version, champion entry, and last the fingerprint.

Killed anywhere in between, the model has no fingerprint and is trained again; every step finds what it did before.
"""

from __future__ import annotations

import json
from statistics import median

from aurora_pipeline import __version__
from aurora_pipeline.adapters.code_version import git_state
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.model_registry import FoldRecord, ModelRegistry
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.fingerprints import code_hash
from aurora_pipeline.lineage import Lineage
from aurora_pipeline.models.model_card import model_card
from aurora_pipeline.models.stored_model import stamp_fingerprint
from aurora_pipeline.models.training_pipeline import TrainedModel, save_trained
from aurora_pipeline.models.walk_forward import Fold
from aurora_pipeline.stage import Stage

FIT_COST = "fit_cost.json"


def publish_model(
    home: Home, registry: ModelRegistry, trained: TrainedModel, fold: Fold, lineage: Lineage, stage: Stage
) -> str:
    """Store, track, register and name champion a model that passed its checks; returns the MLflow run id.

    Parameters
    ----------
    home : Home
        The installation.
    registry : ModelRegistry
        Its MLflow.
    trained : TrainedModel
        Just trained.
    fold : Fold
        What for.
    lineage : Lineage
        Made after what was read was stored.
    stage : Stage
        The family's training.
    """
    family = stage.name.partition("/")[2]
    directory = home.models / family / fold.key
    tags = training_facts(lineage, stage, fold) | {"features_sha256": trained.features_hash}
    save_trained(
        trained,
        directory,
        documents={
            "model_card.md": model_card(trained.manifest, trained.importance, tags),
            "importance.csv": trained.importance.write_csv(),
            FIT_COST: fit_cost(trained),
        },
    )
    run_id = registry.record_fold(
        FoldRecord(
            family,
            fold.key,
            trained.version,
            directory,
            parameters={
                **trained.parameters,
                "train_first": fold.train[0],
                "train_last": fold.train[1],
                "test_first": fold.test[0],
                "test_last": fold.test[1],
                "matured_through": trained.manifest["matured_through"],
                "purge_bars": lineage.settings.purge_bars(home.frequency),
            },
            metrics={**trained.metrics, "fit_seconds": trained.seconds},
            tags=tags,
            description=f"{family}, fold {fold.key}, trained on {fold.train[0]} to {fold.train[1]}; card in `model/`",
        )
    )
    home.share_model(f"{family}/{fold.key}")
    name_champion(home, family, fold.key)
    stamp_fingerprint(directory, lineage.actual(stage, fold.key))
    home.share_model(f"{family}/{fold.key}")
    return run_id


def fit_cost(trained: TrainedModel) -> str:
    """Content of a version's `fit_cost.json`, which is no part of what identifies it: time differs between equal fits."""
    return json.dumps({"fit_seconds": trained.seconds}) + "\n"


def fit_seconds(home: Home, model: str) -> float | None:
    """Median time a fit of the model took over its stored versions, seconds; None where none is kept."""
    kept = [json.loads(file.read_text(encoding="utf-8")) for file in (home.models / model).glob(f"*/{FIT_COST}")]
    return median(one["fit_seconds"] for one in kept) if kept else None


def training_facts(lineage: Lineage, stage: Stage, fold: Fold) -> dict[str, str]:
    """What identifies a training beside its settings: hash of the lake's content it reads, and the code."""
    state = git_state()
    revision = (
        f"{state['revision'][:12]}{' with uncommitted changes' if state['dirty'] else ''}" if state["revision"] else "-"
    )
    return {
        "lake_fingerprint": lineage.content(stage, fold.key),
        "code_version": f"{__version__} {revision}",
        "code_sha256": code_hash(stage.code),
    }


def name_champion(home: Home, family: str, fold: str) -> None:
    """Enter a model into the manifest of a family's own models, by fold; who trades with them is for the lifecycle to say."""
    with home.locked("champions"):
        champions = home.champions()
        champions.setdefault(family, {})[fold] = f"{family}/{fold}"
        _write(home, champions)


def withdraw_champion(home: Home, family: str, fold: str) -> None:
    """Take a model out of the champion manifest: what it was trained on is not what the home holds now."""
    with home.locked("champions"):
        champions = home.champions()
        if champions.get(family, {}).pop(fold, None) is not None:
            _write(home, champions)


def _write(home: Home, champions: dict[str, dict[str, str]]) -> None:
    atomic_text(home.champions_file, json.dumps(champions, indent=1, sort_keys=True) + "\n")
