"""A session's open, high, low, close and volume from its intraday bars, as known at the close and at every later correction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl

from aurora_pipeline.contracts import TABLES
from aurora_pipeline.market.point_in_time import as_known_at

_KEY = ["instrument_id", "session"]


def aggregate_sessions(bars: pl.DataFrame, closes: pl.DataFrame) -> pl.DataFrame:
    """Aggregate bars to session bars.

    Parameters
    ----------
    bars : polars.DataFrame
        Contract `bars` of whole sessions.
    closes : polars.DataFrame
        `session`, `session_close`.

    Returns
    -------
    polars.DataFrame
        Contract `session_bars`: one row per instrument and session, known at the close; one more for each later moment at
        which an arrival, a correction or a withdrawal changes it. Where a withdrawal leaves nothing, the row's
        `quarantined_at` is that moment.
    """
    held = bars.join(closes, on="session", how="left")
    gone = pl.col("quarantined_at").is_not_null() & (pl.col("quarantined_at") <= pl.col("session_close"))
    known = held.filter(pl.col("known_at") <= pl.col("session_close"))
    newest = known.sort("known_at").unique(["instrument_id", "bar_end"], keep="last", maintain_order=True)
    first = _ohlcv(newest.filter(~gone)).with_columns(pl.lit(None, pl.Datetime("us", "UTC")).alias("quarantined_at"))
    first = first.join(closes, on="session", how="left").rename({"session_close": "known_at"})
    late = (pl.col("known_at") > pl.col("session_close")) | (pl.col("quarantined_at") > pl.col("session_close"))
    changed = held.filter(late.fill_null(value=False)).select(_KEY).unique()
    columns = list(TABLES["session_bars"].schema.columns())
    if changed.is_empty():
        return first.select(columns).sort("session", "symbol")
    # Late knowledge is rare: those sessions are followed moment by moment.
    versions = [
        _versions(group, first.schema)
        for _, group in held.join(changed, on=_KEY, how="semi").group_by(_KEY, maintain_order=True)
    ]
    plain = first.join(changed, on=_KEY, how="anti")
    return pl.concat([plain.select(columns), *(each.select(columns) for each in versions)]).sort(
        "session", "symbol", "known_at"
    )


def _ohlcv(bars: pl.DataFrame) -> pl.DataFrame:
    """Open of the first bar, extremes, close of the last, volume added up in time order."""
    return (
        bars.sort("instrument_id", "bar_end")
        .group_by(_KEY, maintain_order=True)
        .agg(
            pl.col("symbol").last(),
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
    )


def _versions(group: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    close: datetime = group["session_close"][0]
    told = [*group["known_at"].to_list(), *group["quarantined_at"].drop_nulls().to_list()]
    rows: list[dict[str, Any]] = []
    for moment in [close, *sorted({each for each in told if each > close})]:
        view = _ohlcv(as_known_at(group, moment, ["instrument_id", "bar_end"]))
        standing = rows[-1] if rows and rows[-1]["quarantined_at"] is None else None
        if view.is_empty():
            if standing is not None:
                standing["quarantined_at"] = moment
            continue
        now = view.row(0, named=True)
        if standing is None or any(now[name] != standing[name] for name in now):
            rows.append({**now, "known_at": moment, "quarantined_at": None})
    return pl.DataFrame(rows, schema=schema)
