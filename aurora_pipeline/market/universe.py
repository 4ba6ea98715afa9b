"""Who could be traded on a session, from what was known before it opened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP, SessionCalendar
from aurora_pipeline.contracts import TABLES
from aurora_pipeline.settings import QualitySettings

_HISTORY = {"instrument_id": pl.String, "session": pl.Date, "usable_from": pl.Date, "usable_to": pl.Date}
LOOKBACK_SESSIONS = 25
"""Sessions of bars before a session that its universe and level checks may look at.

An instrument without daily bars can show no more sound sessions than this: `quality.eligibility_sessions` beyond it keeps
such instruments out for good.
"""


def inside_interval(day: str) -> pl.Expr:
    """Whether the date column `day` lies inside [`valid_from`, `valid_to`), either end open where null."""
    begun = pl.col("valid_from").is_null() | (pl.col("valid_from") <= pl.col(day))
    return begun & (pl.col("valid_to").is_null() | (pl.col(day) < pl.col("valid_to")))


def listed_on(sessions: Sequence[date], intervals: pl.DataFrame) -> pl.DataFrame:
    """Return the interval in force of every symbol listed on each session.

    Parameters
    ----------
    sessions : sequence of date
    intervals : polars.DataFrame
        `symbol`, `instrument_id`, `kind`, `sector`, `valid_from` (inclusive, null: ever), `valid_to` (exclusive, null: open).

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `instrument_id`, `kind`, `sector`.
    """
    days = pl.DataFrame({"session": list(sessions)}, schema={"session": pl.Date})
    both = days.join(intervals, how="cross").filter(inside_interval("session"))
    return both.select("session", "symbol", "instrument_id", "kind", "sector").sort("session", "symbol")


def close_history(closes: pl.DataFrame, calendar: SessionCalendar, back: int | None = None) -> pl.DataFrame:
    """Turn closes into the sessions at whose open each counts as sound history.

    Parameters
    ----------
    closes : polars.DataFrame
        `instrument_id`, `session`, `known_at`, `quarantined_at`: at least one row per instrument and session.
    calendar : SessionCalendar
    back : int, optional
        A close counts for this many sessions after its own only; for ever if omitted.

    Returns
    -------
    polars.DataFrame
        One row per instrument and session: `usable_from` (first session that may count it) and `usable_to` (first that may
        not any more, null if none).
    """
    per_session = closes.group_by("instrument_id", "session").agg(
        pl.col("known_at").min(), pl.col("quarantined_at").min()
    )
    if per_session.is_empty():
        return pl.DataFrame(schema=_HISTORY)
    earliest: date = per_session["session"].min()  # type: ignore[assignment]
    moments = per_session.select(pl.max_horizontal(pl.col("known_at").max(), pl.col("quarantined_at").max())).item()
    latest = calendar.shift(calendar.session_of(moments), (back or 0) + 1)
    days = calendar.sessions(earliest, latest)
    opens = pl.Series([calendar.open(day) for day in days], dtype=TIMESTAMP)
    sessions = pl.Series(days, dtype=pl.Date)
    begins = opens.search_sorted(per_session["known_at"], side="right")
    gone = opens.search_sorted(per_session["quarantined_at"].fill_null(opens[-1]), side="left")
    gone = pl.select(pl.when(per_session["quarantined_at"].is_not_null()).then(sessions.gather(gone))).to_series()
    if back is not None:
        window = sessions.search_sorted(per_session["session"]).cast(pl.Int64) + back + 1
        gone = pl.select(pl.min_horizontal(gone, sessions.gather(window))).to_series()
    return per_session.select(
        "instrument_id", "session", sessions.gather(begins).alias("usable_from"), gone.alias("usable_to")
    )


def universe_on(
    sessions: Sequence[date], intervals: pl.DataFrame, history: pl.DataFrame, settings: QualitySettings
) -> pl.DataFrame:
    """Universe of each session.

    Parameters
    ----------
    sessions : sequence of date
    intervals : polars.DataFrame
        Universe intervals with `instrument_id`.
    history : polars.DataFrame
        From :func:`close_history`; closes that count for ever and closes that count for a while are counted apart, and either
        kind alone can make an instrument eligible.
    settings : QualitySettings
        `eligibility_sessions`: sound sessions needed before a stock is eligible.

    Returns
    -------
    polars.DataFrame
        Rows of the `universe` table: one per session and listed symbol.
    """
    listed = listed_on(sessions, intervals)
    needed = settings.eligibility_sessions
    lasting = history.filter(pl.col("usable_to").is_null())
    since = (
        lasting.group_by("instrument_id")
        .agg(pl.col("usable_from").bottom_k(needed).max().alias("since"), pl.len().alias("closes"))
        .filter(pl.col("closes") >= needed)
        .select("instrument_id", "since")
    )
    passing = (
        history.filter(pl.col("usable_to").is_not_null())
        .join(pl.DataFrame({"day": list(sessions)}, schema={"day": pl.Date}), how="cross")
        .filter(pl.col("day").is_between("usable_from", "usable_to", closed="left"))
        .group_by("instrument_id", pl.col("day").alias("session"))
        .agg(pl.len().alias("recent"))
    )
    seasoned = (pl.col("since") <= pl.col("session")).fill_null(value=False) | (pl.col("recent").fill_null(0) >= needed)
    reason = (
        pl.when(pl.col("kind") == "etf")
        .then(pl.lit("etf"))
        .when(pl.col("sector").is_null())
        .then(pl.lit("sector_unknown"))
        .when(~seasoned)
        .then(pl.lit("too_few_sound_sessions"))
    )
    return (
        listed.join(since, on="instrument_id", how="left")
        .join(passing, on=["instrument_id", "session"], how="left")
        .with_columns(reason.alias("reason"))
        .with_columns(pl.col("reason").is_null().alias("eligible"))
        .select(list(TABLES["universe"].schema.columns()))
        .sort("session", "symbol")
    )
