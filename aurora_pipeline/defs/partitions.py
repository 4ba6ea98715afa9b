"""How time is cut in Dagster: by session (month at frequency `session`), and by fold for training.

A fold is keyed by its test month (year at frequency `session`). The mapping between folds and sessions is lineage only: an asset
picks the model version that serves a session itself and records it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from aurora_pipeline.adapters.home import Home

SESSION_FORMAT = "%Y-%m-%d"
MONTH_FORMAT = "%Y-%m"
YEAR_FORMAT = "%Y"


def session_partitions(home: Home) -> dg.TimeWindowPartitionsDefinition:
    """Partitions of every session asset: exchange sessions, or calendar months at frequency `session`."""
    record = home.market()
    if record.frequency == "session":
        return dg.TimeWindowPartitionsDefinition(
            start=record.first_session.strftime(MONTH_FORMAT), cron_schedule="0 0 1 * *", fmt=MONTH_FORMAT, end_offset=1
        )
    last = max(record.last_session, datetime.now(tz=UTC).date()) + timedelta(days=300)
    trading = set(home.calendar.sessions(record.first_session, last))
    days = (record.first_session + timedelta(days=offset) for offset in range((last - record.first_session).days + 1))
    closed = [_midnight(day) for day in days if day not in trading]
    return dg.TimeWindowPartitionsDefinition(
        start=record.first_session.isoformat(),
        cron_schedule="0 0 * * *",
        fmt=SESSION_FORMAT,
        end_offset=1,
        exclusions=closed,
    )


def fold_partitions(home: Home) -> dg.TimeWindowPartitionsDefinition:
    """Partitions of training: the test month of a fold, or its test year at frequency `session`."""
    record = home.market()
    if record.frequency == "session":
        return dg.TimeWindowPartitionsDefinition(
            start=record.first_session.strftime(YEAR_FORMAT), cron_schedule="0 0 1 1 *", fmt=YEAR_FORMAT, end_offset=1
        )
    return dg.TimeWindowPartitionsDefinition(
        start=record.first_session.strftime(MONTH_FORMAT), cron_schedule="0 0 1 * *", fmt=MONTH_FORMAT, end_offset=1
    )


def fold_mapping() -> dg.TimeWindowPartitionMapping:
    """Edge between folds and sessions that overlap in time."""
    return dg.TimeWindowPartitionMapping(start_offset=0, end_offset=0, allow_nonexistent_upstream_partitions=True)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
