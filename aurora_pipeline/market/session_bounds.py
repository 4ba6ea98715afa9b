"""Which session a raw row belongs to, stray rows included.

A session owns every moment from midway between the previous close and its open to midway between its close and the next
open. So a bar after an early close, on a weekend or on a holiday is looked at, and refused, exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP, SessionCalendar


def owned_from(calendar: SessionCalendar, session: date) -> datetime:
    """Return the first moment a session owns."""
    close = calendar.close(calendar.shift(session, -1))
    return close + (calendar.open(session) - close) / 2


def stretches(calendar: SessionCalendar, sessions: Sequence[date]) -> list[tuple[date, date]]:
    """Group sorted sessions into runs without a gap, as (first, last)."""
    runs: list[tuple[date, date]] = []
    for day in sessions:
        if runs and calendar.shift(runs[-1][1], 1) == day:
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs


def with_session(rows: pl.DataFrame, moment: str, sessions: Sequence[date], calendar: SessionCalendar) -> pl.DataFrame:
    """Add `session`, the owner of each row's `moment` among sorted sessions; rows before the first go to the first."""
    bounds = pl.DataFrame(
        {"_from": [owned_from(calendar, day) for day in sessions], "session": list(sessions)},
        schema={"_from": TIMESTAMP, "session": pl.Date},
    )
    owner = bounds["_from"].search_sorted(rows[moment].fill_null(bounds["_from"][0]), side="right")
    position = (owner.cast(pl.Int64) - 1).clip(0, len(sessions) - 1)
    return rows.with_columns(bounds["session"].gather(position).alias("session"))
