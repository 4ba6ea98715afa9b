"""What is usually asked of a score: IC, IC by sector, returns by quantile, decay, turnover; one pass over a panel.

In goes a long frame with a score, a group and any number of outcomes (forward returns over several horizons, or labels of
later sessions); out come the five tables of :class:`ICSuite`. Definitions are those of alphalens (Quantopian, 2016), so that
numbers can be compared: quantiles are bounded by the linearly interpolated quantiles of the scores of a decision time, closed
on the right; quantile returns are demeaned within the decision time, averaged within quantile and time, then over times;
turnover is the share of a quantile's names that were not in it `lag` decision times before. They differ where alphalens is
silent: a rank correlation needs :data:`~aurora_pipeline.monitoring.information_coefficient.MINIMUM_NAMES` names, and a constant
score puts every name into the first quantile instead of failing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from aurora_pipeline.monitoring.information_coefficient import (
    MINIMUM_NAMES,
    average_ranks,
    mean_with_interval,
    rank_correlations,
)

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ICSuite:
    """Five views of one score.

    Attributes
    ----------
    ic : polars.DataFrame
        `decision_time`, `outcome`, `ic` (rank correlation; null where undefined).
    group_ic : polars.DataFrame
        The same within each group: `decision_time`, `group`, `outcome`, `ic`.
    quantile_returns : polars.DataFrame
        `quantile` (1 has the lowest scores), `outcome`, `mean` (fraction, relative to the decision time's mean),
        `standard_error` (over decision times), `decision_times`.
    decay : polars.DataFrame
        `outcome`, `mean`, `t`, `lower`, `upper` (95 %), in the order the outcomes were given. The interval is over decision
        times, each taken as one session.
    turnover : polars.DataFrame
        `decision_time`, `quantile_1` ... (share of new names), `rank_autocorrelation` (with `lag` decision times before).
    """

    ic: pl.DataFrame
    group_ic: pl.DataFrame
    quantile_returns: pl.DataFrame
    decay: pl.DataFrame
    turnover: pl.DataFrame


def ic_suite(
    panel: pl.DataFrame,
    outcomes: Sequence[str],
    score: str = "score",
    group: str = "sector",
    quantiles: int = 5,
    lag: int = 1,
) -> ICSuite:
    """Compute all five tables.

    Parameters
    ----------
    panel : polars.DataFrame
        `symbol`, `decision_time`, the score, the group and the outcomes; rows without a score are left out, an outcome
        that is null or NaN is left out of that outcome only.
    outcomes : sequence of str
        Columns the score is held against.
    score, group : str
        Columns.
    quantiles : int
        Number of quantiles.
    lag : int
        Decision times over which turnover and rank autocorrelation are taken.
    """
    present = panel.filter(pl.col(score).is_not_null() & pl.col(score).is_not_nan())
    times, time = _coded(present.get_column("decision_time"))
    labels, sector = _coded(present.get_column(group))
    names, name = _coded(present.get_column("symbol"))
    cell = time * len(labels) + sector
    order = np.argsort(cell * len(names) + name, kind="stable")
    time, cell, name = time[order], cell[order], name[order]
    scores = present.get_column(score).cast(pl.Float64).to_numpy()[order]
    cells, sector = np.unique(cell, return_inverse=True)
    groups = pl.DataFrame(
        {"decision_time": times.gather(cells // len(labels)), "group": labels.gather(cells % len(labels))}
    )
    bucket = _quantile_kernel(scores, _ends(time), np.linspace(0.0, 1.0, quantiles + 1)[1:-1])
    ics, group_ics, returns, decays = [], [], [], []
    for outcome in outcomes:
        values = present.get_column(outcome).cast(pl.Float64).fill_null(float("nan")).to_numpy()[order]
        ic = _correlations(scores, values, time, len(times))
        ics.append(pl.DataFrame({"decision_time": times, "outcome": outcome, "ic": pl.Series(ic).fill_nan(None)}))
        within = pl.Series("ic", _correlations(scores, values, sector, groups.height)).fill_nan(None)
        group_ics.append(groups.with_columns(pl.lit(outcome).alias("outcome"), within))
        returns.append(_quantile_returns(values, bucket, time, len(times), quantiles, outcome))
        estimate = mean_with_interval(ic[~np.isnan(ic)])
        decays.append((outcome, estimate.mean, estimate.t, estimate.lower, estimate.upper))
    moved, persistence = _turnover_kernel(
        scores, bucket, time, name, _ends(time), len(times), len(names), quantiles, lag
    )
    columns = {f"quantile_{k + 1}": pl.Series(moved[:, k]).fill_nan(None) for k in range(quantiles)}
    decay_schema = {"outcome": pl.String, **dict.fromkeys(("mean", "t", "lower", "upper"), pl.Float64)}
    return ICSuite(
        pl.concat(ics),
        pl.concat(group_ics),
        pl.concat(returns),
        pl.DataFrame(decays, schema=decay_schema, orient="row"),
        pl.DataFrame(
            {"decision_time": times, **columns, "rank_autocorrelation": pl.Series(persistence).fill_nan(None)}
        ),
    )


def _coded(values: pl.Series) -> tuple[pl.Series, Int64]:
    """Distinct values in order, and the position of each value among them."""
    distinct = values.unique().sort()
    if values.dtype == pl.String:
        known = distinct.drop_nulls()
        codes = values.cast(pl.Enum(known)).to_physical().cast(pl.Int64)
        # Missing is a value of its own, after all others.
        return pl.concat([known, distinct.filter(distinct.is_null())]), codes.fill_null(known.len()).to_numpy()
    return distinct, distinct.search_sorted(values).cast(pl.Int64).to_numpy()


def _ends(codes: Int64) -> Int64:
    """Row after the last one of each run of equal, ascending codes."""
    return np.append(np.flatnonzero(np.diff(codes)) + 1, len(codes)).astype(np.int64) if len(codes) else codes


def _correlations(scores: Float64, values: Float64, codes: Int64, count: int) -> Float64:
    """Rank correlation of each group of rows; NaN where undefined."""
    present = ~np.isnan(values)
    out = np.full(count, np.nan)
    kept = codes[present]
    if kept.size:
        ends = _ends(kept)
        out[kept[ends - 1]] = rank_correlations(scores[present], values[present], ends)
    return out


def _quantile_returns(
    values: Float64, bucket: Int64, time: Int64, times: int, quantiles: int, outcome: str
) -> pl.DataFrame:
    present = ~np.isnan(values)
    value, cell = values[present], time[present] * quantiles + bucket[present]
    count = np.bincount(time[present], minlength=times)
    mean = np.bincount(time[present], value, minlength=times) / np.maximum(count, 1)
    size = np.bincount(cell, minlength=times * quantiles)
    total = np.bincount(cell, value - mean[time[present]], minlength=times * quantiles)
    cells = np.where(size > 0, total / np.maximum(size, 1), np.nan).reshape(times, quantiles)
    seen = (~np.isnan(cells)).sum(axis=0)
    level = np.where(seen > 0, np.nansum(cells, axis=0) / np.maximum(seen, 1), np.nan)
    squares = np.nansum((cells - level) ** 2, axis=0)
    error = np.where(seen > 1, np.sqrt(squares / np.maximum(seen - 1, 1) / np.maximum(seen, 1)), np.nan)
    return pl.DataFrame(
        {
            "quantile": np.arange(1, quantiles + 1),
            "outcome": [outcome] * quantiles,
            "mean": pl.Series(level).fill_nan(None),
            "standard_error": pl.Series(error).fill_nan(None),
            "decision_times": seen.astype(np.int64),
        }
    )


@njit(cache=True)  # type: ignore[untyped-decorator]
def _quantile_kernel(scores: Any, ends: Any, shares: Any) -> Any:
    """Quantile of each row within its decision time, from 0; bounds interpolated linearly, closed on the right."""
    bucket = np.empty(len(scores), np.int64)
    edges = np.empty(len(shares), np.float64)
    start = 0
    for stop in ends:
        ordered = np.sort(scores[start:stop])
        for k in range(len(shares)):
            position = shares[k] * (stop - start - 1)
            low = int(np.floor(position))
            high = min(low + 1, stop - start - 1)
            part, gap = position - low, ordered[high] - ordered[low]
            # The two forms of numpy's interpolation: exact at either end.
            edges[k] = ordered[high] - gap * (1.0 - part) if part >= 0.5 else ordered[low] + gap * part
        for i in range(start, stop):
            place = 0
            while place < len(edges) and edges[place] < scores[i]:
                place += 1
            bucket[i] = place
        start = stop
    return bucket


@njit(cache=True)  # type: ignore[untyped-decorator]
def _turnover_kernel(
    scores: Any, bucket: Any, time: Any, name: Any, ends: Any, times: int, names: int, quantiles: int, lag: int
) -> Any:
    """Share of new names by quantile, shape (times, quantiles), and correlation of ranks with `lag` times before."""
    place = np.full((times, names), -1, np.int64)
    rank = np.full((times, names), np.nan)
    start = 0
    for stop in ends:
        ranks = average_ranks(scores[start:stop])
        for i in range(start, stop):
            place[time[i], name[i]] = bucket[i]
            rank[time[i], name[i]] = ranks[i - start]
        start = stop
    moved = np.full((times, quantiles), np.nan)
    persistence = np.full(times, np.nan)
    for t in range(lag, times):
        members = np.zeros(quantiles)
        before = np.zeros(quantiles)
        fresh = np.zeros(quantiles)
        count, a, b = 0, 0.0, 0.0
        for n in range(names):
            now, then = place[t, n], place[t - lag, n]
            if then >= 0:
                before[then] += 1
            if now >= 0:
                members[now] += 1
                fresh[now] += now != then
            if now >= 0 and then >= 0:
                count += 1
                a += rank[t, n]
                b += rank[t - lag, n]
        for k in range(quantiles):
            if members[k] > 0 and before[k] > 0:
                moved[t, k] = fresh[k] / members[k]
        if count < MINIMUM_NAMES:
            continue
        ab, aa, bb = 0.0, 0.0, 0.0
        for n in range(names):
            if place[t, n] >= 0 and place[t - lag, n] >= 0:
                da, db = rank[t, n] - a / count, rank[t - lag, n] - b / count
                ab += da * db
                aa += da * da
                bb += db * db
        if aa > 0.0 and bb > 0.0:
            persistence[t] = ab / np.sqrt(aa * bb)
    return moved, persistence
