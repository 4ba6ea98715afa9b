"""Scores beside the outcomes of the same names and times, decision time by decision time.

A join of two long frames on name and time costs more than everything that is then computed from it. Here names, times and groups
become small integers, outcomes a grid of times by names, and pairs are counted into their groups: neither side is sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class PairedScores:
    """Pairs of score and outcome, those of a group side by side.

    Attributes
    ----------
    groups : polars.DataFrame
        `session`, the further grouping columns, `decision_time`, `names` (pairs present, at least one) and, if the outcomes
        have it, `matured_at` (latest of the pairs), sorted by the further columns and time.
    scores, outcomes : ndarray of shape (n_pairs,)
        Without NaN. The order of names within a group is that of the scores.
    ends : ndarray of shape (n_groups,)
        Row after the last one of each group.
    """

    groups: pl.DataFrame
    scores: Floats
    outcomes: Floats
    ends: Integers


def pair_scores(
    scores: pl.DataFrame, outcomes: pl.DataFrame, score: str, outcome: str, by: Sequence[str] = ()
) -> PairedScores:
    """Pair scores with outcomes; rows where either is null or NaN are left out.

    Parameters
    ----------
    scores : polars.DataFrame
        `session`, `symbol`, `decision_time`, the score column and the columns of `by`.
    outcomes : polars.DataFrame
        `symbol`, `decision_time`, the outcome column and, optionally, `matured_at`.
    score, outcome : str
        Columns to pair.
    by : sequence of str
        Further grouping columns of `scores`.

    Raises
    ------
    ValueError
        The outcomes hold a name and time twice, a decision time of the scores lies in two sessions, or a key is null.
    """
    keys = ["session", *by, "decision_time"]
    if scores.select(pl.any_horizontal(pl.col(keys).is_null().any())).item():
        raise ValueError(f"scores have a null among {', '.join(keys)}")
    names = _distinct(outcomes.get_column("symbol"))
    moments = _distinct(outcomes.get_column("decision_time"))
    matured = outcomes.get_column("matured_at").to_physical() if "matured_at" in outcomes.columns else None
    grid, latest, twice = _laid_out(
        _positions(outcomes.get_column("decision_time"), moments),
        _positions(outcomes.get_column("symbol"), names),
        _floats(outcomes, outcome),
        np.full(outcomes.height, _NEVER) if matured is None else matured.fill_null(_NEVER).to_numpy(),
        len(moments),
        len(names),
    )
    if twice:
        raise ValueError(f"outcomes hold {twice} names and times more than once")
    times = _distinct(scores.get_column("decision_time"))
    time = _positions(scores.get_column("decision_time"), times)
    session, torn = _first_of(time, scores.get_column("session").to_physical().to_numpy(), len(times))
    if torn:
        raise ValueError(f"{torn} scores have the decision time of another session")
    groups, group = pl.DataFrame({"decision_time": times}), time
    groups = groups.with_columns(pl.Series("session", session).cast(scores.schema["session"]))
    for column in reversed(by):
        values = _distinct(scores.get_column(column))
        group = group + groups.height * _positions(scores.get_column(column), values)
        groups = pl.DataFrame({column: values}).join(groups, how="cross", maintain_order="left_right")
    x, y, counts, newest = _counted(
        group,
        _positions(groups.get_column("decision_time"), moments),
        _positions(scores.get_column("symbol"), names),
        _floats(scores, score),
        grid,
        latest,
    )
    some = counts > 0
    found = groups.select(keys).filter(pl.Series(some))
    found = found.with_columns(pl.Series("names", counts[some]))
    if matured is not None:
        newest_known = pl.Series("matured_at", newest[some]).replace(_NEVER, None)
        found = found.with_columns(newest_known.cast(outcomes.schema["matured_at"]))
    return PairedScores(found, x, y, np.cumsum(counts[some]))


def _distinct(column: pl.Series) -> pl.Series:
    """Distinct values of a column in ascending order, null left out."""
    return column.drop_nulls().unique().sort()


def _positions(column: pl.Series, values: pl.Series) -> Integers:
    """Where each value of a column stands among sorted ones, -1 where it does not."""
    if column.dtype == pl.String:
        codes = column.cast(pl.Enum(values), strict=False).to_physical()
        return codes.cast(pl.Int64).fill_null(-1).to_numpy()
    plain = column.to_physical().cast(pl.Int64).fill_null(_NEVER).to_numpy()
    return np.asarray(_places(plain, values.to_physical().cast(pl.Int64).to_numpy()))


def _floats(frame: pl.DataFrame, column: str) -> Floats:
    return frame.get_column(column).cast(pl.Float64).fill_null(np.nan).to_numpy()


@njit(cache=True)  # type: ignore[untyped-decorator]
def _places(values: Any, among: Any) -> Any:
    """Where values stand among sorted ones, -1 where they do not; the next place of the value before is tried first."""
    places = np.empty(len(values), np.int64)
    place = -1
    for row in range(len(values)):
        for guess in (place, place + 1):
            if 0 <= guess < len(among) and among[guess] == values[row]:
                place = guess
                break
        else:
            place = np.searchsorted(among, values[row])
            if place == len(among) or among[place] != values[row]:
                place = -1
        places[row] = place
    return places


@njit(cache=True)  # type: ignore[untyped-decorator]
def _first_of(group: Any, values: Any, groups: int) -> Any:
    """First value of each group, and how many rows have another one."""
    first = np.zeros(groups, values.dtype)
    seen = np.zeros(groups, np.bool_)
    others = 0
    for row in range(len(values)):
        g = group[row]
        if not seen[g]:
            seen[g] = True
            first[g] = values[row]
        others += first[g] != values[row]
    return first, others


@njit(cache=True)  # type: ignore[untyped-decorator]
def _laid_out(time: Any, name: Any, value: Any, matured: Any, times: int, names: int) -> Any:
    """Grids of value and maturity, shape (times, names), and how many cells were given more than once."""
    grid = np.full((times, names), np.nan)
    latest = np.full((times, names), _NEVER)
    given = np.zeros((times, names), np.bool_)
    twice = 0
    for row in range(len(value)):
        t, s = time[row], name[row]
        if s >= 0:
            twice += given[t, s]
            given[t, s] = True
            grid[t, s] = value[row]
            latest[t, s] = matured[row]
    return grid, latest, twice


@njit(cache=True)  # type: ignore[untyped-decorator]
def _counted(group: Any, time_of_group: Any, name: Any, score: Any, grid: Any, latest: Any) -> Any:
    """Pairs group by group, pairs in each group, and the latest maturity of each group."""
    counts = np.zeros(len(time_of_group), np.int64)
    newest = np.full(len(time_of_group), _NEVER)
    for row in range(len(score)):
        g = group[row]
        t, s = time_of_group[g], name[row]
        if t >= 0 and s >= 0 and not np.isnan(score[row]) and not np.isnan(grid[t, s]):
            counts[g] += 1
            newest[g] = max(newest[g], latest[t, s])
    following = np.cumsum(counts) - counts
    x, y = np.empty(counts.sum()), np.empty(counts.sum())
    for row in range(len(score)):
        g = group[row]
        t, s = time_of_group[g], name[row]
        if t >= 0 and s >= 0 and not np.isnan(score[row]) and not np.isnan(grid[t, s]):
            x[following[g]] = score[row]
            y[following[g]] = grid[t, s]
            following[g] += 1
    return x, y, counts, newest
