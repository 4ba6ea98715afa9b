"""Statistics of many features over many decision times at once: on dense arrays of their ranks.

Rows are (decision time, symbol) pairs, those of a decision time side by side; columns are features. Ranks are taken within each
decision time, centred and brought to unit variance, missing ones are zero: every mean product is then a rank correlation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from aurora_pipeline.monitoring.information_coefficient import MINIMUM_NAMES, average_ranks
from aurora_pipeline.one_thread import one_thread

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class RankedPanel:
    """Standardised ranks of features and labels.

    Attributes
    ----------
    features : list of str
        Column axis.
    ranks : ndarray of float32 of shape (rows, features)
        Zero where missing.
    present : ndarray of bool of shape (rows, features)
    label : ndarray of float32 of shape (rows,)
        Standardised ranks of the label; zero where missing.
    labelled : ndarray of bool of shape (rows,)
    starts : ndarray of int of shape (decision times + 1,)
        First row of each decision time; the last entry is the number of rows.
    session : ndarray of int of shape (decision times,)
        Days since 1970.
    symbol : ndarray of int of shape (rows,)
        Code of each row's symbol.
    """

    features: list[str]
    ranks: Matrix
    present: NDArray[np.bool_]
    label: Matrix
    labelled: NDArray[np.bool_]
    starts: NDArray[np.int64]
    session: NDArray[np.int64]
    symbol: NDArray[np.int64]


def ranked_panel(features: pl.DataFrame, labels: pl.DataFrame, names: list[str]) -> RankedPanel:
    """Rank features and labels within each decision time.

    Parameters
    ----------
    features : polars.DataFrame
        `session`, `symbol`, `decision_time` and `names`.
    labels : polars.DataFrame
        `symbol`, `decision_time`, `label`.
    names : list of str
        Features wanted.
    """
    rows = features.join(
        labels.select("symbol", "decision_time", "label"), on=["symbol", "decision_time"], how="left"
    ).sort("decision_time", "symbol")
    times = rows.get_column("decision_time").to_physical().to_numpy()
    starts = np.append(np.flatnonzero(np.diff(times, prepend=np.iinfo(np.int64).min)), times.size).astype(np.int64)
    symbols = rows.get_column("symbol").unique().sort()
    ranks = np.zeros((rows.height, len(names)), dtype=np.float32)
    present = np.zeros((rows.height, len(names)), dtype=np.bool_)
    for place, name in enumerate(names):
        ranks[:, place], present[:, place] = standard_ranks(_numbers(rows, name), starts)
    label, labelled = standard_ranks(_numbers(rows, "label"), starts)
    return RankedPanel(
        features=names,
        ranks=ranks,
        present=present,
        label=label,
        labelled=labelled,
        starts=starts,
        session=rows.get_column("session").to_physical().cast(pl.Int64).to_numpy()[starts[:-1]],
        symbol=rows.get_column("symbol").cast(pl.Enum(symbols)).to_physical().cast(pl.Int64).to_numpy(),
    )


def _numbers(rows: pl.DataFrame, name: str) -> Floats:
    return rows.get_column(name).cast(pl.Float64).fill_null(np.nan).to_numpy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def standard_ranks(values: Floats, starts: NDArray[np.int64]) -> tuple[Matrix, NDArray[np.bool_]]:
    """Ranks within each decision time, centred and of unit variance; zero where missing or where all are equal.

    Returns
    -------
    ranks : ndarray of float32 of shape (rows,)
    present : ndarray of bool of shape (rows,)
        Where there is a value.
    """
    out = np.zeros(values.size, dtype=np.float32)
    present = np.isfinite(values)
    for group in range(starts.size - 1):
        where = np.flatnonzero(present[starts[group] : starts[group + 1]]) + starts[group]
        if where.size < 2:
            continue
        ranks = average_ranks(values[where])
        ranks = ranks - ranks.mean()
        deviation = np.sqrt((ranks**2).mean())
        if deviation > 0.0:
            out[where] = ranks / deviation
    return out, present


def time_correlations(panel: RankedPanel, scores: Matrix, present: NDArray[np.bool_]) -> Floats:
    """Rank correlation of scores with the label at each decision time.

    Parameters
    ----------
    panel : RankedPanel
        Labels.
    scores : ndarray of float32 of shape (rows, columns)
        Standardised ranks, or scores that are correlated as they are.
    present : ndarray of bool of shape (rows, columns)
        Where there is a score.

    Returns
    -------
    ndarray of shape (decision times, columns)
        NaN where undefined.
    """
    found: Floats = _time_correlations(scores, present, panel.label, panel.labelled, panel.starts)
    return found


@njit(cache=True)  # type: ignore[untyped-decorator]
def _time_correlations(
    scores: Matrix, present: NDArray[np.bool_], label: Matrix, labelled: NDArray[np.bool_], starts: NDArray[np.int64]
) -> Floats:
    columns = scores.shape[1]
    out = np.full((starts.size - 1, columns), np.nan)
    sums = np.zeros((6, columns))
    for group in range(starts.size - 1):
        sums[:] = 0.0
        for row in range(starts[group], starts[group + 1]):
            if not labelled[row]:
                continue
            y = np.float64(label[row])
            for column in range(columns):
                if present[row, column]:
                    x = np.float64(scores[row, column])
                    sums[0, column] += 1.0
                    sums[1, column] += x
                    sums[2, column] += y
                    sums[3, column] += x * y
                    sums[4, column] += x * x
                    sums[5, column] += y * y
        for column in range(columns):
            count, x_sum, y_sum = sums[0, column], sums[1, column], sums[2, column]
            cross, x_square, y_square = sums[3, column], sums[4, column], sums[5, column]
            if count < MINIMUM_NAMES:
                continue
            spread = (x_square - x_sum * x_sum / count) * (y_square - y_sum * y_sum / count)
            scale = np.sqrt(spread) if spread > 0.0 else 0.0
            if scale > 1e-9:
                out[group, column] = (cross - x_sum * y_sum / count) / scale
    return out


def session_series(panel: RankedPanel, values: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Mean of each session's decision times; undefined ones are left out.

    Returns
    -------
    sessions : ndarray of int of shape (sessions,)
    means : ndarray of shape (sessions, columns)
        NaN where no decision time is defined.
    """
    sessions, at = np.unique(panel.session, return_index=True)
    known = ~np.isnan(values)
    count = np.add.reduceat(known.astype(np.float64), at, axis=0)
    total = np.add.reduceat(np.where(known, values, 0.0), at, axis=0)
    return sessions, np.where(count > 0, total / np.maximum(count, 1.0), np.nan)


@one_thread()
def mean_products(panel: RankedPanel) -> Floats:
    """Mean rank correlation of every pair of features over the rows where both are there; shape (features, features)."""
    ranks, present = panel.ranks, panel.present.astype(np.float32)
    products = ranks.T.astype(np.float64) @ ranks.astype(np.float64)
    counts = present.T @ present
    spread = np.sqrt(np.maximum((ranks.astype(np.float64) ** 2).T @ present.astype(np.float64), 1e-12))
    # Over the rows both have; the square sums of a side are those where the other is there too.
    correlation = products / (spread * spread.T)
    return np.where(counts > 0, correlation, 0.0)


def persistence(panel: RankedPanel) -> Floats:
    """Rank correlation of each feature with itself a session before, same symbols, last decision time of each session."""
    last = np.flatnonzero(np.diff(panel.session, append=np.iinfo(np.int64).max))
    size = int(panel.symbol.max(initial=-1)) + 1
    total, count = np.zeros(len(panel.features)), np.zeros(len(panel.features))
    before = None
    for time in last:
        rows = slice(int(panel.starts[time]), int(panel.starts[time + 1]))
        ranks, there = np.zeros((size, len(panel.features))), np.zeros((size, len(panel.features)), dtype=np.bool_)
        ranks[panel.symbol[rows]], there[panel.symbol[rows]] = panel.ranks[rows], panel.present[rows]
        if before is not None:
            both = there & before[1]
            left, right = np.where(both, before[0], 0.0), np.where(both, ranks, 0.0)
            scale = np.sqrt((left**2).sum(axis=0) * (right**2).sum(axis=0))
            known = scale > 0.0
            total[known] += (left * right).sum(axis=0)[known] / scale[known]
            count[known] += 1.0
        before = (ranks, there)
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)
