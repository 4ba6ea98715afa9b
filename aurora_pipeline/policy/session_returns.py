"""Returns per session, from the bars' residual returns, as they were known at any moment.

A session's sum is recomputed for every moment at which one of its rows became known late, so the result is a table of
versions like any other and `as_known_at` gives the view of a session's open. Sums run over the bars in time order, one by
one: the same bits whatever range is aggregated at once.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

SUMMED = ("bar_return", "market_return", "sector_return", "residual_return")
KEPT = ("beta_market", "beta_sector")
_GROUP = ["instrument_id", "session"]


def session_returns(residual_returns: pl.DataFrame) -> pl.DataFrame:
    """Aggregate residual returns per session and instrument.

    Parameters
    ----------
    residual_returns : polars.DataFrame
        Rows of the table `residual_returns`, versions included.

    Returns
    -------
    polars.DataFrame
        `instrument_id`, `session`, `known_at`, the sums of `bar_return`, `market_return`, `sector_return` and
        `residual_return` (fractions), and the session's `beta_market` and `beta_sector`; one row per version.
    """
    rows = residual_returns.select([*_GROUP, "bar_end", "known_at", *SUMMED, *KEPT])
    late_groups = rows.filter(pl.col("known_at") > pl.col("bar_end")).select(_GROUP).unique()
    parts = [_summed(rows.join(late_groups, on=_GROUP, how="anti"))]
    late = rows.join(late_groups, on=_GROUP, how="semi").sort([*_GROUP, "bar_end", "known_at"])
    for group in late.partition_by(_GROUP, maintain_order=True):
        on_time = group.get_column("bar_end").max()
        later = group.filter(pl.col("known_at") > on_time).get_column("known_at")
        for moment in sorted({on_time, *later.to_list()}):
            known = group.filter(pl.col("known_at") <= moment)
            newest = known.unique(subset=["bar_end"], keep="last", maintain_order=True)
            parts.append(_summed(newest))
    return pl.concat(parts).sort([*_GROUP, "known_at"])


def _summed(rows: pl.DataFrame) -> pl.DataFrame:
    """Sum rows with one version per bar."""
    ordered = rows.sort([*_GROUP, "bar_end"])
    groups = ordered.group_by(_GROUP, maintain_order=True).agg(
        pl.col("known_at").max(), pl.len().alias("count"), *(pl.col(name).first() for name in KEPT)
    )
    ends = np.cumsum(groups.get_column("count").to_numpy().astype(np.int64))
    sums = [pl.Series(name, _segment_sums(ordered.get_column(name).to_numpy(), ends)) for name in SUMMED]
    return groups.with_columns(sums).select([*_GROUP, "known_at", *SUMMED, *KEPT])


@njit(cache=True)  # type: ignore[untyped-decorator]
def _segment_sums(values: NDArray[np.float64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    sums = np.zeros(ends.size)
    start = 0
    for segment in range(ends.size):
        for index in range(start, ends[segment]):
            sums[segment] += values[index]
        start = ends[segment]
    return sums
