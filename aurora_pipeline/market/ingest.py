"""Market folder to lake tables: feeds as a whole, bars session by session.

:func:`ingest_feeds` validates every feed once. :func:`ingest_bars` turns the raw bars of some sessions into the session tables:

1. rows that are wrong at sight are refused (:mod:`.bar_validation`);
2. rows that other bars or the daily bar contradict are refused or withdrawn (:mod:`.bar_verdicts`);
3. the universe is drawn from closes known before each session (:mod:`.universe`);
4. session bars and data quality are summed up (:mod:`.session_bars`, :mod:`.data_quality`).

What a session gives does not depend on which other sessions are in the call: whatever looks back does so over
`LOOKBACK_SESSIONS`, be they passed as `recent` or part of the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP, SessionCalendar
from aurora_pipeline.contracts import TABLES, empty
from aurora_pipeline.market.bar_validation import judged_bars
from aurora_pipeline.market.bar_verdicts import judge_bars
from aurora_pipeline.market.columns import BARS
from aurora_pipeline.market.data_quality import bar_time_violations, grid_violations, summarise_sessions
from aurora_pipeline.market.feed_tables import (
    UNEXPLAINED_SPLIT,
    FeedTables,
    ingest_feeds,
    known_before_event,
    known_splits,
    stored_feeds,
)
from aurora_pipeline.market.manifest import MarketManifest
from aurora_pipeline.market.quarantine import quarantine_rows
from aurora_pipeline.market.rules import PRICE_COLUMNS
from aurora_pipeline.market.session_bars import aggregate_sessions
from aurora_pipeline.market.universe import LOOKBACK_SESSIONS, close_history, listed_on, universe_on
from aurora_pipeline.settings import Settings

__all__ = [
    "LOOKBACK_SESSIONS",
    "BarTables",
    "FeedTables",
    "bar_time_violations",
    "grid_violations",
    "ingest_bars",
    "ingest_feeds",
    "known_before_event",
    "stored_feeds",
]

_CLOSES = ["instrument_id", "session", "known_at", "quarantined_at"]


@dataclass(frozen=True)
class BarTables:
    """Tables of some sessions, each in contract form."""

    universe: pl.DataFrame
    bars: pl.DataFrame
    session_bars: pl.DataFrame
    quarantine: pl.DataFrame
    data_quality: pl.DataFrame


def ingest_bars(
    raw: pl.DataFrame,
    sessions: Sequence[date],
    feeds: FeedTables,
    manifest: MarketManifest,
    calendar: SessionCalendar,
    recent: pl.DataFrame,
    settings: Settings,
    until: datetime | None = None,
) -> BarTables:
    """Turn raw bars into the tables of their sessions.

    Parameters
    ----------
    raw : polars.DataFrame
        From :meth:`MarketFolder.read_bars` for exactly these sessions.
    sessions : sequence of date
        Sorted sessions without a gap.
    feeds : FeedTables
    manifest : MarketManifest
        `frequency` and `price_adjustment` count.
    calendar : SessionCalendar
    recent : polars.DataFrame
        Contract `bars` of the `LOOKBACK_SESSIONS` sessions before; empty at the market's start.
    settings : Settings
        Section `quality`.
    until : datetime, optional
        Only bars that end by then are expected: the newest bar end of a session that is still going on.

    Returns
    -------
    BarTables
        At frequency `session` the bars are the accepted daily bars; their quarantine is the feed's.
    """
    listed = listed_on(sessions, feeds.intervals)
    grid = calendar.grid(sessions, manifest.frequency)
    if manifest.frequency == "session":
        bars = _daily_as_bars(feeds["daily_bars"], grid)
        quarantine = empty("quarantine")
        faults = _refused_daily(raw, bars, grid)
        history = feeds.seasoning(settings.quality.eligibility_sessions)
    else:
        bars, quarantine = _intraday(raw, sessions, listed, feeds, manifest, calendar, recent, settings)
        faults = quarantine
        lasting = feeds.seasoning(settings.quality.eligibility_sessions)
        history = pl.concat([lasting, _intraday_history(recent, bars, calendar)])
    closes = pl.DataFrame(
        {"session": list(sessions), "session_close": [calendar.close(day) for day in sessions]},
        schema={"session": pl.Date, "session_close": TIMESTAMP},
    )
    expected = grid if until is None else grid.filter(pl.col("bar_end") <= until)
    return BarTables(
        universe=universe_on(sessions, feeds.intervals, history, settings.quality),
        bars=bars,
        session_bars=aggregate_sessions(bars, closes),
        quarantine=quarantine,
        data_quality=summarise_sessions(listed, expected, bars, faults),
    )


def _intraday(
    raw: pl.DataFrame,
    sessions: Sequence[date],
    listed: pl.DataFrame,
    feeds: FeedTables,
    manifest: MarketManifest,
    calendar: SessionCalendar,
    recent: pl.DataFrame,
    settings: Settings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    symbols = feeds.intervals["symbol"].unique().sort().to_list()
    rows = judged_bars(raw, sessions, calendar, listed, symbols)
    faulty = rows.filter(pl.col("reason").is_not_null())
    sound = rows.filter(pl.col("reason").is_null()).drop("reason", "detail")
    splits = known_splits(feeds["corporate_actions"], manifest.price_adjustment)
    verdicts = judge_bars(
        sound.drop("known_at").rename({"known": "known_at"}),
        recent,
        feeds["daily_bars"],
        splits,
        sessions,
        calendar,
        settings.quality,
    )
    broken = sound.join(verdicts.refused, on="row").with_columns(pl.lit(UNEXPLAINED_SPLIT).alias("reason"))
    withdrawn = sound.join(verdicts.withdrawn, on="row")
    at_once = pl.coalesce(pl.max_horizontal("known_at", pl.min_horizontal("bar_end", "session_close")), "session_open")
    columns = [*BARS.columns, "session", "row_time", "reason", "detail", "known_at_verdict"]
    listed_rows = [
        frame.with_columns(pl.col("bar_start").alias("row_time"), moment.alias("known_at_verdict")).select(columns)
        for frame, moment in ((faulty, at_once), (broken, pl.col("known")), (withdrawn, pl.col("quarantined_at")))
    ]
    quarantine = quarantine_rows(pl.concat(listed_rows), "bars", list(BARS.columns))
    return _bar_form(verdicts.standing(sound).with_columns(pl.col("known").alias("known_at"))), quarantine


def _bar_form(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select(list(TABLES["bars"].schema.columns())).sort(TABLES["bars"].key)


def _daily_as_bars(daily: pl.DataFrame, grid: pl.DataFrame) -> pl.DataFrame:
    """Return the daily bars of the sessions as bars from open to close."""
    still = pl.all_horizontal(pl.col(name) == pl.col("open") for name in PRICE_COLUMNS)
    asked = daily.filter(pl.col("session").is_in(grid["session"].implode()))
    bars = asked.join(grid.select("session", "bar_start", "bar_end"), on="session").with_columns(
        pl.lit(None, pl.Float64).alias("vwap"),
        pl.lit(None, pl.Float64).alias("trade_count"),
        ((pl.col("volume") == 0.0) & still).alias("flat"),
    )
    return _bar_form(bars)


def _refused_daily(raw: pl.DataFrame, bars: pl.DataFrame, grid: pl.DataFrame) -> pl.DataFrame:
    """Name the symbol-sessions whose daily bar the feed's validation refused."""
    rows = raw.join(grid.select("session", "bar_start"), on="bar_start")
    return rows.join(bars.select("symbol", "bar_start"), on=["symbol", "bar_start"], how="anti").select(
        "session", "symbol", pl.col("bar_start").alias("row_time"), pl.lit("refused_in_daily_bars").alias("reason")
    )


def _intraday_history(recent: pl.DataFrame, bars: pl.DataFrame, calendar: SessionCalendar) -> pl.DataFrame:
    """Closes of intraday bars, which count over the look-back.

    A session counts while at least one of its bars stands; one withdrawn bar does not undo it.
    """
    intraday = pl.concat([recent.select(_CLOSES), bars.select(_CLOSES)])
    withdrawn = pl.col("quarantined_at")
    standing = intraday.group_by("instrument_id", "session").agg(
        pl.col("known_at").min(),
        pl.when(withdrawn.is_null().any()).then(None).otherwise(withdrawn.max()).alias("quarantined_at"),
    )
    return close_history(standing, calendar, LOOKBACK_SESSIONS)
