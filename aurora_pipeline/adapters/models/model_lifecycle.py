"""Writes what the lifecycle decided into MLflow: aliases `champion` and `challenger`, and tags with state and evidence.

A version's tag `history` holds every change of its model's state with the evidence it rested on, and `trained_because` what asked
for a challenger, so that neither is lost when the state changes again.

MLflow is told, not asked: nothing that trades waits for it. A registry that cannot be reached is reported and told the next
time; states, the champion set and the book do not depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.model_registry import PUBLISHED, ModelRegistry
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.monitoring.served_states import state_changes

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
HISTORY = "history"
_EVIDENCE = (
    "state",
    "since",
    "reason",
    "decided_by",
    "trial",
    "matured_sessions",
    "information_coefficient",
    "skill_evidence",
    "retirement_evidence",
    "retirement_threshold",
    "gain_evidence",
    "promotion_threshold",
    "evidence_through",
)


def record_challenger(registry: ModelRegistry, home: Home, trained: pl.DataFrame) -> str | None:
    """Register trained challengers under their family, without giving them the champion's alias.

    Parameters
    ----------
    registry : ModelRegistry
        MLflow.
    home : Home
        Where the versions lie.
    trained : polars.DataFrame
        Rows of table `challengers`.

    Returns
    -------
    str or None
        Why it could not be done.
    """
    if trained.is_empty():
        return None
    try:
        for row in trained.iter_rows(named=True):
            _register(registry.client, home, row)
    except (
        Exception
    ) as error:  # whatever MLflow, its database or its disk raise: the files and the table are what counts
        return f"unreachable: {type(error).__name__}: {error}"
    return None


def publish_states(registry: ModelRegistry, home: Home, states: pl.DataFrame) -> str | None:
    """Bring aliases and tags of every model's newest version in line with the newest session's states.

    The version is the one whose files the home holds, whichever was registered last; a challenger that could not be registered
    when it was trained is registered now.

    Parameters
    ----------
    registry : ModelRegistry
        MLflow.
    home : Home
        Keeps what was published last, so that an unchanged state costs nothing.
    states : polars.DataFrame
        Table `model_states`, all sessions.

    Returns
    -------
    str or None
        Why it could not be done, or which models the registry does not know; they are tried again the next time.
    """
    newest = states.filter(pl.col("session") == pl.col("session").max()).sort("model")
    wanted = {
        row["model"]: [row["state"], row["since"].isoformat(), row["reason"], _held_version(home, row["model"])]
        for row in newest.iter_rows(named=True)
    }
    histories = {
        str(key[0]): "\n".join(
            f"{row['session']} {row['state']}, by {row['decided_by']}: {row['reason']}"
            for row in rows.iter_rows(named=True)
        )
        for key, rows in state_changes(states).partition_by("model", as_dict=True).items()
    }
    record = home.mlflow / PUBLISHED
    if record.exists() and json.loads(record.read_text(encoding="utf-8")) == wanted:
        return None
    unknown: list[str] = []
    try:
        for family in newest.partition_by("family", maintain_order=True):
            rows = [row | {HISTORY: histories.get(row["model"], "")} for row in family.to_dicts()]
            unknown += _publish(registry.client, home, rows)
    except Exception as error:  # as above
        return f"unreachable: {type(error).__name__}: {error}"
    if unknown:
        return f"not registered: {', '.join(unknown)}"
    atomic_text(record, json.dumps(wanted, indent=1, sort_keys=True) + "\n")
    return None


def _held_version(home: Home, model: str) -> str | None:
    """Newest version whose files the home holds: a refit, or a fold that was trained again, has to be told its state."""
    found = max((home.models / model).glob("*/manifest.json"), key=lambda path: path.parent.name, default=None)
    return None if found is None else str(json.loads(found.read_text(encoding="utf-8"))["model_version"])


def _publish(client: MlflowClient, home: Home, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Tag the newest version of each model of one family, and let the aliases say who trades and who was admitted last.

    Returns the models with files that the registry has no version of.
    """
    name = f"aurora-{rows[0]['family']}"
    held = {row["model"]: _held_version(home, row["model"]) for row in rows}
    challengers = home.lake.read("challengers").filter(pl.col("model_version").is_in(list(held.values())))
    for row in challengers.iter_rows(named=True):
        _register(client, home, row)
    versions = {model: _registered_version(client, name, model, version) for model, version in held.items()}
    told = [row for row in rows if versions[row["model"]] is not None]
    for row in told:
        for key in (*_EVIDENCE, HISTORY):
            client.set_model_version_tag(name, versions[row["model"]], key, str(row[key]))
    if told:
        waiting = [row for row in told if row["state"] in {"candidate", "shadow"}]
        newest = max(waiting, key=lambda row: row["trial"], default=None)
        serving = next((row for row in told if row["serves"]), None)
        for alias, bearer in ((CHAMPION, serving), (CHALLENGER, newest)):
            if bearer is not None:
                client.set_registered_model_alias(name, alias, versions[bearer["model"]])
            elif alias in client.get_registered_model(name).aliases:
                client.delete_registered_model_alias(name, alias)
    return [model for model, version in held.items() if version is not None and versions[model] is None]


def _registered_version(client: MlflowClient, name: str, model: str, held: str | None) -> str | None:
    """Number of the version a home holds of a model; where it holds none, of the one that serves latest.

    Versions the training registers carry no `model` tag and are the family's own. Folds are trained side by side and again, so
    the number of a version does not say which one is newest.
    """
    family = name.removeprefix("aurora-")
    own = [
        version
        for version in client.search_model_versions(f"name='{name}'")
        if version.tags.get("model", family) == model and held in (None, version.tags.get("model_version"))
    ]
    newest = max(
        own,
        key=lambda version: (version.tags.get("serves_from") or version.tags.get("fold", ""), int(version.version)),
        default=None,
    )
    return None if newest is None else str(newest.version)


def _register(client: MlflowClient, home: Home, row: dict[str, Any]) -> None:
    name = f"aurora-{row['family']}"
    known = [version.tags.get("model_version") for version in client.search_model_versions(f"name='{name}'")]
    if row["model_version"] in known:
        return
    experiment = client.get_experiment_by_name(f"aurora/{row['family']}")
    if experiment is None:
        return
    tags = {"model": row["model"], "model_version": row["model_version"], "trained_because": row["reason"]}
    run = client.create_run(experiment.experiment_id, run_name=f"{row['model']} {row['serves_from']}", tags=tags)
    client.log_artifacts(run.info.run_id, str(home.models / row["directory"]), "model")
    created = client.create_model_version(
        name,
        source=f"{run.info.artifact_uri}/model",
        run_id=run.info.run_id,
        tags=tags | {"serves_from": str(row["serves_from"])},
    )
    client.set_registered_model_alias(name, CHALLENGER, created.version)
    client.set_terminated(run.info.run_id)
