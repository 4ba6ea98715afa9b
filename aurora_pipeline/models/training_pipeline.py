"""From features and labels to a stored model version, and from a stored version to predictions.

1. :func:`train_model` builds the fold's train block, fits one family, and measures it; :func:`train_on_block` does so on a
   block that several families share;
2. :func:`save_trained` writes the model's files and a manifest with their hashes, all or nothing;
3. :func:`load_trained` reads them back and refuses anything that was changed;
4. :func:`predict` scores every row of a features frame, with the model version in every row.

A version is named by what went into it (data, settings, seed, feature list), so training again gives the same name
and the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aurora_pipeline.contracts import empty
from aurora_pipeline.errors import ModelError
from aurora_pipeline.models.configuration import configuration
from aurora_pipeline.models.hyper_parameter_search import fit_family
from aurora_pipeline.models.importance import feature_importance, spread_rows
from aurora_pipeline.models.model_factory import Model, load_model
from aurora_pipeline.models.stored_model import MANIFEST
from aurora_pipeline.models.tail_choice import mean_rank_correlation
from aurora_pipeline.models.train_block import KEY, TrainBlock, build_train_block, feature_matrix
from aurora_pipeline.models.walk_forward import Fold
from aurora_pipeline.monitoring.information_coefficient import MINIMUM_NAMES
from aurora_pipeline.settings import Settings

IN_FOLD_DECISION_TIMES = 60
"""Decision times of the train block whose IC is reported, spread evenly."""


@dataclass(frozen=True)
class TrainedModel:
    """A fitted model and everything that identifies it.

    Attributes
    ----------
    model : Model
        Ready to predict.
    version : str
        ``<family>-<fold>-<12 hex digits>``.
    metrics : dict
        `rows`, `sessions`, `decision_times`, `in_fold_ic` (on rows it was fitted on, optimistic) and
        `validation_ic` (on the tail, by the fit that had not seen it).
    manifest : dict
        JSON-able: family, fold, spans, feature list with sha256, settings, description, metrics; file hashes once
        saved.
    seconds : float
        Time the fit took; not part of the manifest, which is the same for equal inputs.
    measuring_seconds : float
        Time in-fold IC and importance took.
    importance : polars.DataFrame
        Result of :func:`~aurora_pipeline.models.importance.feature_importance`; empty once loaded.
    train_rows : polars.DataFrame or None
        `session`, `symbol`, `decision_time`, `label`, `matured_at` of the train rows, for the purge check; None once
        loaded.
    """

    model: Model
    version: str
    metrics: dict[str, Any]
    manifest: dict[str, Any]
    seconds: float
    measuring_seconds: float
    importance: pl.DataFrame
    train_rows: pl.DataFrame | None

    @property
    def features_hash(self) -> str:
        """Sha256 of the feature list."""
        return str(self.manifest["features_sha256"])

    @property
    def parameters(self) -> dict[str, Any]:
        """Settings of the training and what the family chose, flat."""
        described = {key: value for key, value in self.manifest["model"].items() if not isinstance(value, dict | list)}
        own = self.manifest["model"].get("parameters", {})
        return {
            **self.manifest["settings"]["walk_forward"],
            "seed": self.manifest["settings"]["seed"],
            **own,
            **described,
        }


def train_model(
    family: str,
    fold: Fold,
    features: pl.DataFrame,
    labels: pl.DataFrame,
    settings: Settings,
    feature_names: Sequence[str] | None = None,
) -> TrainedModel:
    """Train one family for one fold.

    Parameters
    ----------
    family : str
        One of :data:`~aurora_pipeline.models.model_factory.FAMILIES`.
    fold : Fold
        Its train block is used.
    features : polars.DataFrame
        Table `features`, the train block's sessions at the decision times to train on, see
        :func:`~aurora_pipeline.models.train_block.sampled`.
    labels : polars.DataFrame
        Result of :func:`~aurora_pipeline.models.walk_forward.purged_labels`.
    settings : Settings
        Sections `walk_forward`, `models`; `seed`; `threads`, which changes the time only.
    feature_names : sequence of str, optional
        Columns of `features` to train on; all of them by default.

    Raises
    ------
    TrainingError
        Too little history, a constant target, infinite features, no usable feature, a constant prediction.
    LeakageError
        The labels were not purged.
    """
    if feature_names is None:
        feature_names = [name for name in features.columns if name not in KEY]
    block, rows = build_train_block(fold, features, labels, settings, feature_names)
    return train_on_block(family, fold, block, rows, settings)


def train_on_block(family: str, fold: Fold, block: TrainBlock, rows: pl.DataFrame, settings: Settings) -> TrainedModel:
    """Train one family on a block that is already built; the block is left as it is.

    Parameters
    ----------
    family, fold, settings
        As for :func:`train_model`.
    block, rows
        Result of :func:`~aurora_pipeline.models.train_block.build_train_block`.

    Raises
    ------
    TrainingError
        The prediction would be constant.
    """
    started = time.perf_counter()
    model, described = fit_family(family, settings, block)
    seconds = time.perf_counter() - started
    in_fold_ic = _in_fold_ic(model, block)
    importance = feature_importance(model, block, described.get("gain", {}), settings.seed)
    measuring_seconds = time.perf_counter() - started - seconds
    metrics = {
        "rows": len(block.target),
        "sessions": rows.get_column("session").n_unique(),
        "decision_times": rows.get_column("decision_time").n_unique(),
        "in_fold_ic": in_fold_ic,
        "validation_ic": described["validation_ic"],
    }
    relevant = settings.model_dump(mode="json", include={"seed", "walk_forward"})
    relevant["models"] = configuration(family, settings.models)
    version = f"{family}-{fold.key}-{_content_hash(family, block, relevant)[:12]}"
    matured_through: datetime = rows.get_column("matured_at").max()  # type: ignore[assignment]
    manifest = {
        "model_version": version,
        "family": family,
        "fold": fold.key,
        "train": [day.isoformat() for day in fold.train],
        "test_starts": fold.test[0].isoformat(),
        "matured_through": matured_through.isoformat(),
        "features": list(block.feature_names),
        "features_sha256": _list_hash(block.feature_names),
        "settings": relevant,
        "metrics": metrics,
        "model": described,
    }
    return TrainedModel(model, version, metrics, manifest, seconds, measuring_seconds, importance, rows)


def save_trained(
    trained: TrainedModel,
    directory: Path,
    extra: Mapping[str, Any] | None = None,
    documents: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write a model version into a directory of its own.

    Files go into a temporary sibling first, which then takes the directory's place: a reader finds the whole version
    or none.

    Parameters
    ----------
    trained : TrainedModel
        What to write.
    directory : Path
        Replaced if it exists.
    extra : mapping, optional
        Further entries of the manifest, JSON-able.
    documents : mapping of str to str, optional
        File name to text of what goes with the model for people to read; no prediction depends on it, so it is not hashed.

    Returns
    -------
    dict
        The manifest as written, with the sha256 of every file under `files`.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        trained.model.save(staging)
        files = {file.name: _file_hash(file) for file in sorted(staging.iterdir())}
        for name, text in (documents or {}).items():
            (staging / name).write_text(text, encoding="utf-8")
        manifest = trained.manifest | dict(extra or {}) | {"files": files}
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
        for file in staging.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        staging.chmod(0o755)
        if directory.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
            directory.replace(retired / "old")
            staging.replace(directory)
            shutil.rmtree(retired)
        else:
            staging.replace(directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def load_trained(directory: Path, threads: int = 1) -> TrainedModel:
    """Read a stored model version.

    Parameters
    ----------
    directory : Path
        Written by :func:`save_trained`.
    threads : int
        Threads a prediction may use; changes the time only.

    Raises
    ------
    ModelError
        The manifest or a file is missing, or a file or the feature list is not what the manifest's hashes say.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        names, version = manifest["features"], manifest["model_version"]
        files, listed = manifest["files"], manifest["features_sha256"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{directory / MANIFEST}: missing or unreadable ({error}); train the fold again") from error
    if _list_hash(names) != listed:
        raise ModelError(f"{directory / MANIFEST}: the feature list does not match its sha256; train the fold again")
    for name, expected in files.items():
        file = directory / name
        if not file.is_file():
            raise ModelError(f"{file}: missing, but the manifest of {version} lists it; train the fold again")
        found = _file_hash(file)
        if found != expected:
            raise ModelError(
                f"{file}: sha256 is {found[:12]}..., the manifest of {version} says {expected[:12]}...; "
                "train the fold again"
            )
    model = load_model(manifest["family"], directory, threads)
    return TrainedModel(model, version, manifest["metrics"], manifest, 0.0, 0.0, pl.DataFrame(), None)


def predict(trained: TrainedModel, features: pl.DataFrame) -> pl.DataFrame:
    """Score every row of a features frame.

    A row whose features are all missing gets no prediction: there is nothing to score, and a zero would look like one.

    Parameters
    ----------
    trained : TrainedModel
        The version that serves.
    features : polars.DataFrame
        Table `features`; columns the model does not know are ignored.

    Returns
    -------
    polars.DataFrame
        Table `predictions`, in the order of `features`.

    Raises
    ------
    ModelError
        A feature of the model is missing from the frame, a feature is infinite or NaN, or a score is not finite.
    """
    names = trained.manifest["features"]
    X = feature_matrix(features, names, trained.version, ModelError)
    seen: npt.NDArray[np.bool_] = np.any(~np.isnan(X), axis=1)
    scores = trained.model.predict(X[seen]) if seen.any() else np.empty(0, np.float32)
    rows = features.select(KEY).filter(seen)
    if not np.isfinite(scores).all():
        row = rows.row(int(np.flatnonzero(~np.isfinite(scores))[0]), named=True)
        raise ModelError(f"{trained.version}: score of {row['symbol']} at {row['decision_time']} is not finite")
    return rows.with_columns(
        pl.lit(trained.manifest["family"]).alias("model"),
        pl.lit(trained.version).alias("model_version"),
        pl.Series("score", scores, dtype=pl.Float32),
    ).select(empty("predictions").columns)


def prediction_violations(predictions: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
    """Rows that have features and no finite score, and decision times at which every score is the same.

    Parameters
    ----------
    predictions : polars.DataFrame
        Table `predictions` of one model.
    features : polars.DataFrame
        Table `features` of the same sessions.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol` (null where it is the whole decision time), `decision_time`, `reason`.
    """
    names = [name for name in features.columns if name not in KEY]
    expected = features.filter(pl.any_horizontal(pl.col(names).is_not_null())).select(KEY)
    finite = predictions.filter(pl.col("score").is_finite())
    unscored = expected.join(finite, on=["symbol", "decision_time"], how="anti")
    constant = (
        finite.group_by("session", "decision_time")
        .agg((pl.col("score").max() == pl.col("score").min()).alias("constant"), pl.len().alias("names"))
        .filter("constant", pl.col("names") >= MINIMUM_NAMES)
        .select("session", pl.lit(None, pl.String).alias("symbol"), "decision_time")
    )
    found = [(unscored, "no finite score"), (constant, "constant score")]
    return pl.concat(rows.with_columns(pl.lit(reason).alias("reason")) for rows, reason in found).sort(KEY)


def _in_fold_ic(model: Model, block: TrainBlock) -> float:
    rows = spread_rows(block.groups, IN_FOLD_DECISION_TIMES)
    return mean_rank_correlation(model.predict(block.X[rows]), block.target[rows], block.groups[rows])


def _content_hash(family: str, block: TrainBlock, relevant: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps([family, list(block.feature_names), relevant], sort_keys=True).encode())
    for array in (block.X, block.target, block.groups, block.weights, block.fit, block.validation):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _list_hash(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _file_hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
