"""The rows a model is trained on: matrix, rank target, decision times, weights, and the purged validation tail.

1. :func:`sampled`: every k-th decision time of a session (sessions carry information, extra decision times hardly do), so
   that only these are read;
2. :func:`feature_matrix`: Float32 matrix of the declared features, NaN where a feature is missing;
3. :func:`rank_target`: label to rank within each decision time;
4. :func:`build_train_block`: the above for one fold, rows in order of decision time and symbol;
5. :func:`blocked_splits`: every stretch of the block once as the part to choose on, for families whose fits are cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from aurora_pipeline.errors import AuroraError, LeakageError, TrainingError
from aurora_pipeline.models.combinatorial_splits import combinatorial_splits, split_labels
from aurora_pipeline.models.walk_forward import Fold, inner_split
from aurora_pipeline.monitoring.information_coefficient import average_ranks
from aurora_pipeline.settings import Settings

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
KEY = ["session", "symbol", "decision_time"]


@dataclass(frozen=True)
class TrainBlock:
    """Rows of one train block, ordered by decision time and symbol.

    Attributes
    ----------
    feature_names : tuple of str
        Columns of `X`.
    X : ndarray of shape (n_rows, n_features), float32
        NaN where a feature is missing.
    target : ndarray of shape (n_rows,), float32
        Rank of the label within its decision time, scaled to unit variance.
    groups : ndarray of shape (n_rows,), int64
        Decision time of each row, microseconds since the epoch, ascending.
    weights : ndarray of shape (n_rows,), float32
        Recency weight, mean 1.
    fit, validation : ndarray of int64
        Rows of the inner split: the tail, and what had matured before its first decision.
    splits : tuple of (ndarray of int64, ndarray of int64)
        Rows to fit and to judge, every stretch of the block judged once by a fit on the others, purged and embargoed.
    """

    feature_names: tuple[str, ...]
    X: Float32
    target: Float32
    groups: Int64
    weights: Float32
    fit: Int64
    validation: Int64
    splits: tuple[tuple[Int64, Int64], ...]

    @property
    def unusable_features(self) -> list[str]:
        """Features without any value in the block: they are ignored, at prediction too."""
        present = np.any(~np.isnan(self.X), axis=0)
        return [name for name, seen in zip(self.feature_names, present.tolist(), strict=True) if not seen]


def build_train_block(
    fold: Fold, features: pl.DataFrame, labels: pl.DataFrame, settings: Settings, feature_names: Sequence[str]
) -> tuple[TrainBlock, pl.DataFrame]:
    """Join features and labels of a fold's train block.

    Parameters
    ----------
    fold : Fold
        Whose train block.
    features : polars.DataFrame
        Table `features`, the train block's sessions at the decision times to train on, see :func:`sampled`.
    labels : polars.DataFrame
        Result of :func:`~aurora_pipeline.models.walk_forward.purged_labels`.
    settings : Settings
        Sections `walk_forward` and `models`.
    feature_names : sequence of str
        Columns to train on.

    Returns
    -------
    block : TrainBlock
        Matrices.
    rows : polars.DataFrame
        `session`, `symbol`, `decision_time`, `label`, `matured_at` of the block's rows, for the purge check.

    Raises
    ------
    TrainingError
        Too few sessions or rows, a constant target, infinite features, no usable feature, an unknown feature.
    LeakageError
        The labels were not purged.
    """
    walk_forward = settings.walk_forward
    train = labels.filter(pl.col("session").is_between(*fold.train))
    unpurged = train.filter(pl.col("matured_at").dt.date() >= fold.test[0])
    if not unpurged.is_empty():
        row = unpurged.row(0, named=True)
        raise LeakageError(
            f"fold {fold.key}: the label of {row['symbol']} at {row['decision_time']} matures at {row['matured_at']}, "
            f"inside the test block from {fold.test[0]}; train on purged_labels"
        )
    inside = features.filter(pl.col("session").is_between(*fold.train))
    rows = train.join(inside.select("symbol", "decision_time"), on=["symbol", "decision_time"], how="semi")
    rows = rows.select(*KEY, "label", "matured_at").sort("decision_time", "symbol")
    sessions = rows.get_column("session").n_unique()
    if sessions < walk_forward.minimum_train_sessions:
        raise TrainingError(
            f"fold {fold.key}: {sessions} session(s) have matured labels and features, "
            f"walk_forward.minimum_train_sessions asks for {walk_forward.minimum_train_sessions}; "
            "use a longer span or lower the setting"
        )
    joined = rows.join(inside, on=["symbol", "decision_time"], how="left", maintain_order="left")
    X = feature_matrix(joined, feature_names, f"fold {fold.key}", TrainingError)
    if np.isnan(X).all():
        raise TrainingError(f"fold {fold.key}: all {len(feature_names)} features are null in the train block")
    groups = rows.get_column("decision_time").to_physical().to_numpy()
    target = rank_target(rows.get_column("label").to_numpy(), groups)
    if not np.any(target):
        raise TrainingError(
            f"fold {fold.key}: the target is constant within every decision time; check labels and residual_returns"
        )
    numbered = rows.with_row_index("row")
    fit, validation = inner_split(numbered, fold, walk_forward.validation_share)
    block = TrainBlock(
        tuple(feature_names),
        X,
        target,
        groups,
        _recency_weights(rows.get_column("session"), settings.models.recency_half_life_sessions),
        _places(fit),
        _places(validation),
        blocked_splits(numbered, walk_forward.cross_validation_blocks),
    )
    return block, rows


def blocked_splits(rows: pl.DataFrame, blocks: int) -> tuple[tuple[Int64, Int64], ...]:
    """Cut a train block into stretches of time; each is judged by a fit on the others.

    The tail alone is a fifth of a block that may be short, and the best of a few penalties on it is mostly the luckiest;
    judging every stretch uses all rows. Later rows may judge and teach earlier ones, since all of them had matured before
    the test block.

    Parameters
    ----------
    rows : polars.DataFrame
        `row`, `session`, `decision_time`, `matured_at`.
    blocks : int
        Stretches wanted; fewer where there are fewer sessions.

    Returns
    -------
    tuple of (ndarray of int64, ndarray of int64)
        Rows to fit (purged and embargoed as in :mod:`~aurora_pipeline.models.combinatorial_splits`) and to judge;
        stretches that leave nothing to fit are left out.
    """
    sessions = rows.get_column("session").unique().sort().to_list()
    parts = [split_labels(rows, split) for split in combinatorial_splits(sessions, min(blocks, len(sessions)), 1)]
    return tuple((_places(train), _places(judged)) for train, judged in parts if not train.is_empty())


def _places(rows: pl.DataFrame) -> Int64:
    return rows.get_column("row").cast(pl.Int64).to_numpy()


def sampled(features: pl.DataFrame, every: int) -> pl.DataFrame:
    """Every k-th decision time of each session, starting in the middle of the first stride.

    A session shorter than half a stride, such as the single decision time at frequency `session`, gives its last one.
    """
    times = features.select("session", "decision_time").unique().sort("decision_time")
    index = pl.int_range(pl.len()).over("session")
    first = pl.min_horizontal(pl.lit(every // 2), pl.len().over("session").cast(pl.Int64) - 1)
    return times.filter((index >= first) & ((index - first) % every == 0)).select("decision_time")


def feature_matrix(
    features: pl.DataFrame, feature_names: Sequence[str], where: str, error: type[AuroraError]
) -> Float32:
    """Float32 matrix of shape (n_rows, n_features), NaN for null.

    Raises
    ------
    AuroraError
        Of the given type: a feature is not a column, or has a NaN or an infinite value; the first one is named.
    """
    present = set(features.columns)
    missing = [name for name in feature_names if name not in present]
    if missing:
        raise error(f"{where}: feature(s) {', '.join(missing)} are not in the features table; rebuild it or train anew")
    chosen = features.select(feature_names).cast(pl.Float32)
    matrix = np.ascontiguousarray(chosen.to_numpy(), dtype=np.float32)  # missing values become NaN
    nulls = sum(column.null_count() for column in chosen.iter_columns())
    if np.count_nonzero(np.isfinite(matrix)) + nulls < matrix.size:
        faults = chosen.select((pl.all().is_nan() | pl.all().is_infinite()).any())
        for name in (name for name in feature_names if faults.get_column(name).item()):
            bad = features.filter(pl.col(name).is_nan() | pl.col(name).is_infinite()).row(0, named=True)
            raise error(
                f"{where}: feature {name} is {bad[name]} for {bad['symbol']} at {bad['decision_time']}; "
                "features must be finite, or null where missing"
            )
    return matrix


def rank_target(label: Float64, groups: Int64) -> Float32:
    """Rank of the label within each decision time, centred and scaled to unit variance.

    Ranks bound what a single outlier can teach, so nothing is clipped; evaluation uses the label itself.

    Parameters
    ----------
    label : ndarray of shape (n_rows,)
        Residual returns over the horizon.
    groups : ndarray of shape (n_rows,)
        Decision time of each row; equal values side by side.

    Returns
    -------
    ndarray of shape (n_rows,), float32
        ``sqrt(12) * (rank - (n + 1) / 2) / n`` with mean ranks for ties; 0 where a decision time has no variation.
    """
    target: Float32 = _ranked(label, group_ends(groups)).astype(np.float32)
    return target


def group_ends(groups: Int64) -> Int64:
    """Row after the last one of each run of equal values."""
    return np.append(np.flatnonzero(np.diff(groups)) + 1, len(groups)).astype(np.int64)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _ranked(values: Any, ends: Any) -> Any:
    out = np.empty(len(values), np.float64)
    start = 0
    for stop in ends:
        size = stop - start
        out[start:stop] = np.sqrt(12.0) * (average_ranks(values[start:stop]) - (size + 1) / 2.0) / size
        start = stop
    return out


def _recency_weights(sessions: pl.Series, half_life: float) -> Float32:
    age = sessions.rank("dense").cast(pl.Float64).to_numpy()
    weights = 0.5 ** ((age.max() - age) / half_life)
    scaled: Float32 = (weights / weights.mean()).astype(np.float32)
    return scaled
