"""Rows that arrive while a market is live: which are new, and from when on they may be used.

A row keeps the moment it says it was known, as long as no decision that could have used it has been taken. Once one has, the
row was not there: it counts from its arrival. So a late or corrected row never changes what a past decision knew, and a
backfill of the same rows sees at every decision time what the live pipeline saw.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from aurora_pipeline.calendar import BAR_MINUTES, TIMESTAMP
from aurora_pipeline.market.columns import BARS, FEEDS, RawFile

BAR_KEY = ("symbol", "bar_start")
_TICK = timedelta(microseconds=1)
_MOMENT = timedelta(milliseconds=1)
"""Versions told apart by instants lie within this of what they claimed."""


def arrived_bars(rows: pl.DataFrame, held: pl.DataFrame, now: datetime, decided: datetime | None) -> pl.DataFrame:
    """Bars to add to what the market holds.

    Parameters
    ----------
    rows : polars.DataFrame
        Contract columns of `bars/`, in the order of their arrival.
    held : polars.DataFrame
        The rows the market already has, same columns.
    now : datetime
        Moment of arrival.
    decided : datetime or None
        Newest decision time that has been settled, in whichever session: before the first bar of a day that of the day before.

    Returns
    -------
    polars.DataFrame
        New rows with `known_at` where it differs from the bar's end; a repetition is left out, a second version of a bar
        is a correction and known later than the first. A row that says it was known after a version that differs takes a
        correction back, even if it repeats an older version.
    """
    end = pl.col("bar_start") + timedelta(minutes=BAR_MINUTES)
    fresh = _fresh(rows, held, BARS, pl.max_horizontal("known_at", end))
    versions = held.group_by(BAR_KEY).agg(pl.max_horizontal("known_at", end).max().alias("_held"))
    fresh = fresh.join(versions, on=BAR_KEY, how="left", maintain_order="left", nulls_equal=True)
    claimed = pl.max_horizontal("known_at", end)
    late = (claimed <= pl.lit(decided, TIMESTAMP)).fill_null(value=False)
    arrival = pl.when(late).then(pl.lit(_after(now, decided), TIMESTAMP)).otherwise(claimed)
    # Versions of one bar are told apart by the moment they were known: each is later than the one before.
    nth = pl.int_range(pl.len()).over(BAR_KEY)
    base = pl.max_horizontal(arrival, pl.col("_held") + _TICK)
    known = base + pl.duration(microseconds=nth)
    return fresh.with_columns(
        pl.when(known > end).then(known).otherwise(None).cast(TIMESTAMP).alias("known_at")
    ).select(list(BARS.columns))


def arrived_rows(
    feed: str, rows: pl.DataFrame, held: pl.DataFrame, now: datetime, decided: datetime | None
) -> pl.DataFrame:
    """Rows to add to a feed; parameters as of :func:`arrived_bars`. Rows without `known_at` are left for the validation.

    A row that would be known at the moment at which another version of it is, is told an instant after all of them.
    """
    fresh = _fresh(rows, held, FEEDS[feed], pl.col("known_at"))
    late = (pl.col("known_at") <= pl.lit(decided, TIMESTAMP)).fill_null(value=False)
    stamped = pl.when(late).then(pl.lit(_after(now, decided), TIMESTAMP)).otherwise(pl.col("known_at"))
    fresh = fresh.with_columns(stamped.alias("known_at")).with_row_index("_row")
    key = list(FEEDS[feed].key)
    told = (
        fresh.select("_row", *key, "known_at")
        .join(held.select(*key, pl.col("known_at").alias("_held")), on=key, nulls_equal=True)
        .filter(pl.col("_held").is_between("known_at", pl.col("known_at") + _MOMENT))
        .group_by("_row")
        .agg(pl.col("_held").max())
    )
    known = pl.max_horizontal("known_at", pl.col("_held") + _TICK)
    nth = pl.int_range(pl.len()).over(*key, known)
    return (
        fresh.join(told, on="_row", how="left", maintain_order="left")
        .with_columns((known + pl.duration(microseconds=nth)).alias("known_at"))
        .select(list(FEEDS[feed].columns))
    )


def _fresh(rows: pl.DataFrame, held: pl.DataFrame, form: RawFile, claimed: pl.Expr) -> pl.DataFrame:
    """Rows that repeat nothing, in their order: neither a version held or told before, nor, if claimed later, the newest one."""
    content = [name for name in form.columns if name != "known_at"]
    key = list(form.key)
    told = rows.with_row_index("_row").with_columns(claimed.alias("_claimed"))
    told = told.unique([*content, "_claimed"], keep="first", maintain_order=True)
    newest = held.join(rows.select(key), on=key, how="semi", nulls_equal=True).with_columns(claimed.alias("_newest"))
    newest = newest.sort("_newest").unique(key, keep="last", maintain_order=True)
    told = told.join(newest.select(*key, "_newest"), on=key, how="left", nulls_equal=True)
    later = (pl.col("_claimed") > pl.col("_newest")).fill_null(value=pl.col("_newest").is_null())
    before = told.filter(~later).unique(content, keep="first", maintain_order=True)
    before = before.join(held, on=content, how="anti", nulls_equal=True)
    known = newest.select(
        pl.lit(None, told.schema["_row"]).alias("_row"), *content, pl.col("_newest").alias("_claimed")
    )
    after = pl.concat([known, told.filter(later).select(known.columns)]).sort(
        *key, "_claimed", "_row", nulls_last=False
    )
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in content)
    after = after.filter(differs | (pl.int_range(pl.len()) == 0), pl.col("_row").is_not_null())
    kept = pl.concat([before.select("_row"), after.select("_row")])
    return rows.with_row_index("_row").join(kept, on="_row", how="semi", maintain_order="left").drop("_row")


def _after(now: datetime, decided: datetime | None) -> datetime:
    return now if decided is None else max(now, decided + _TICK)
