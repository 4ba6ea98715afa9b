"""Returns per session, from the bars' residual returns, as they were known at any moment.

A session's sum is recomputed for every moment at which one of its rows became known late or was withdrawn, so the result is a
table of versions like any other and `as_known_at` gives the view of a session's open. Sums run over the bars in time order, one
by one: the same bits whatever range is aggregated at once.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.market.point_in_time import as_known_at

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
        `residual_return` (fractions), and the session's `beta_market` and `beta_sector`; one row per version. `quarantined_at`
        is when nothing of the session stood any more, null as long as something does.
    """
    rows = residual_returns.select([*_GROUP, "bar_end", "known_at", "quarantined_at", *SUMMED, *KEPT])
    versioned = (pl.col("known_at") > pl.col("bar_end")) | pl.col("quarantined_at").is_not_null()
    late_groups = rows.filter(versioned).select(_GROUP).unique()
    parts = [_summed(rows.join(late_groups, on=_GROUP, how="anti"))]
    late = rows.join(late_groups, on=_GROUP, how="semi").sort([*_GROUP, "bar_end", "known_at"])
    for group in late.partition_by(_GROUP, maintain_order=True):
        on_time = group.get_column("bar_end").max()
        told = pl.concat([group.get_column("known_at"), group.get_column("quarantined_at").drop_nulls()])
        versions: list[pl.DataFrame] = []
        for moment in sorted({on_time, *told.filter(told > on_time).to_list()}):
            newest = as_known_at(group, moment, ["instrument_id", "bar_end"])
            if not newest.is_empty():
                known = "known_at" if moment == on_time else pl.lit(moment, TIMESTAMP)
                versions.append(_summed(newest).with_columns(known_at=known))
            elif versions and versions[-1].get_column("quarantined_at").item() is None:
                versions[-1] = versions[-1].with_columns(pl.lit(moment, TIMESTAMP).alias("quarantined_at"))
        parts += versions
    return pl.concat(parts).sort([*_GROUP, "known_at"])


def _summed(rows: pl.DataFrame) -> pl.DataFrame:
    """Sum rows with one version per bar."""
    ordered = rows.sort([*_GROUP, "bar_end"])
    groups = ordered.group_by(_GROUP, maintain_order=True).agg(
        pl.col("known_at").max(), pl.len().alias("count"), *(pl.col(name).first() for name in KEPT)
    )
    ends = np.cumsum(groups.get_column("count").to_numpy().astype(np.int64))
    sums = [pl.Series(name, _segment_sums(ordered.get_column(name).to_numpy(), ends)) for name in SUMMED]
    standing = pl.lit(None, TIMESTAMP).alias("quarantined_at")
    return groups.with_columns(sums).select([*_GROUP, "known_at", standing, *SUMMED, *KEPT])


@njit(cache=True)  # type: ignore[untyped-decorator]
def _segment_sums(values: NDArray[np.float64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    sums = np.zeros(ends.size)
    start = 0
    for segment in range(ends.size):
        for index in range(start, ends[segment]):
            sums[segment] += values[index]
        start = ends[segment]
    return sums
