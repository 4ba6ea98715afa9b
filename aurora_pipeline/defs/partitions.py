"""How time is cut in Dagster: by session (month at frequency `session`), and by fold for training.

A fold is keyed by its test month (year at frequency `session`). The mapping between folds and sessions is lineage only: an asset
picks the model version that serves a session itself and records it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from aurora_pipeline.adapters.home import Home, MarketRecord

SESSION_FORMAT = "%Y-%m-%d"
MONTH_FORMAT = "%Y-%m"
YEAR_FORMAT = "%Y"
LIVE_DAYS = 300
"""How far ahead holidays of a live market are known to its partitions; definitions load more often than that."""


def session_partitions(home: Home) -> dg.TimeWindowPartitionsDefinition:
    """Partitions of every session asset: exchange sessions, or calendar months at frequency `session`."""
    record = home.market()
    if record.frequency == "session":
        return _windows(record, MONTH_FORMAT, "0 0 1 * *")
    last = record.last_session
    if record.live:
        last = max(last, datetime.now(tz=UTC).date()) + timedelta(days=LIVE_DAYS)
    trading = set(home.calendar.sessions(record.first_session, last))
    days = (record.first_session + timedelta(days=offset) for offset in range((last - record.first_session).days + 1))
    return _windows(record, SESSION_FORMAT, "0 0 * * *", [_midnight(day) for day in days if day not in trading])


def fold_partitions(home: Home) -> dg.TimeWindowPartitionsDefinition:
    """Partitions of training: the test month of a fold, or its test year at frequency `session`."""
    record = home.market()
    if record.frequency == "session":
        return _windows(record, YEAR_FORMAT, "0 0 1 1 *")
    return _windows(record, MONTH_FORMAT, "0 0 1 * *")


def fold_mapping() -> dg.TimeWindowPartitionMapping:
    """Edge between folds and sessions that overlap in time."""
    return dg.TimeWindowPartitionMapping(start_offset=0, end_offset=0, allow_nonexistent_upstream_partitions=True)


def _windows(
    record: MarketRecord, pattern: str, cron: str, closed: Sequence[datetime] = ()
) -> dg.TimeWindowPartitionsDefinition:
    """Windows from the market's first session on: to its last, or, for a live market, to the one that holds today.

    Dagster leaves out a window that is not over yet, such as the year of a market that ended in March; the offset adds it.
    """
    ended: dict[str, Any] = {"end_offset": 1}
    if not record.live:
        days = {SESSION_FORMAT: 1, MONTH_FORMAT: 31, YEAR_FORMAT: 366}[pattern]
        beyond = record.last_session.replace(day=1, month=1) if pattern == YEAR_FORMAT else record.last_session
        beyond = beyond.replace(day=1) if pattern == MONTH_FORMAT else beyond
        ended |= {"end": (beyond + timedelta(days=days)).strftime(pattern)}
    return dg.TimeWindowPartitionsDefinition(
        start=record.first_session.strftime(pattern),
        cron_schedule=cron,
        fmt=pattern,
        exclusions=list(closed) or None,
        **ended,
    )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
