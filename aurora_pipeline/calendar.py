"""Exchange sessions and the bar grid inside them, half-days and daylight saving included.

In goes an `exchange_calendars` code such as ``XNYS``; out come sessions as :class:`datetime.date` and moments as
timezone-aware UTC :class:`datetime.datetime`. A decision time is always the end of a bar: the end of each 5-minute bar at
frequency ``5min``, the session's close at frequency ``session``.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Literal

import polars as pl

from aurora_pipeline.errors import MarketDataError

Frequency = Literal["5min", "session"]
BAR_MINUTES = 5
TIMESTAMP = pl.Datetime("us", "UTC")
_FIRST_SESSION = "1998-01-02"


@dataclass(frozen=True)
class SessionCalendar:
    """Sessions of one exchange.

    Parameters
    ----------
    code : str
        `exchange_calendars` code, such as ``XNYS``.
    """

    code: str = "XNYS"

    @cached_property
    def _schedule(self) -> tuple[list[date], list[datetime], list[datetime]]:
        import exchange_calendars

        try:
            calendar = exchange_calendars.get_calendar(self.code, start=_FIRST_SESSION)
        except exchange_calendars.errors.InvalidCalendarName as error:
            raise MarketDataError(
                f"unknown exchange calendar {self.code!r}; expected an exchange_calendars code such as 'XNYS'"
            ) from error
        sessions = [stamp.date() for stamp in calendar.sessions]
        opens = [stamp.to_pydatetime().astimezone(UTC) for stamp in calendar.opens]
        closes = [stamp.to_pydatetime().astimezone(UTC) for stamp in calendar.closes]
        return sessions, opens, closes

    def _index(self, session: date) -> int:
        sessions = self._schedule[0]
        index = bisect.bisect_left(sessions, session)
        if index == len(sessions) or sessions[index] != session:
            raise MarketDataError(f"{session} is not a session of {self.code}")
        return index

    def is_session(self, day: date) -> bool:
        """Whether the exchange trades on `day`."""
        sessions = self._schedule[0]
        index = bisect.bisect_left(sessions, day)
        return index < len(sessions) and sessions[index] == day

    def sessions(self, start: date, end: date) -> list[date]:
        """Sessions from `start` to `end`, both inclusive; either need not be a session."""
        sessions = self._schedule[0]
        return sessions[bisect.bisect_left(sessions, start) : bisect.bisect_right(sessions, end)]

    def open(self, session: date) -> datetime:
        """Opening moment of a session, UTC."""
        return self._schedule[1][self._index(session)]

    def close(self, session: date) -> datetime:
        """Closing moment of a session, UTC; early on half-days."""
        return self._schedule[2][self._index(session)]

    def shift(self, session: date, count: int) -> date:
        """Return the session `count` sessions after (before, if negative) a session."""
        sessions = self._schedule[0]
        index = self._index(session) + count
        if not 0 <= index < len(sessions):
            raise MarketDataError(f"the calendar {self.code} has no session {count} sessions from {session}")
        return sessions[index]

    def session_of(self, moment: datetime) -> date:
        """Return the first session whose close is at or after `moment`: where a row known then can first be used."""
        closes = self._schedule[2]
        index = bisect.bisect_left(closes, moment)
        if index == len(closes):
            raise MarketDataError(f"{moment} lies after the last session the calendar {self.code} knows")
        return self._schedule[0][index]

    def bar_ends(self, session: date, frequency: Frequency = "5min") -> list[datetime]:
        """Return the decision times of a session: each bar's end in UTC (at 5min 78, on half-days 42; at `session` 1)."""
        close = self.close(session)
        if frequency == "session":
            return [close]
        first = self.open(session)
        count = int((close - first) / timedelta(minutes=BAR_MINUTES))
        return [first + timedelta(minutes=BAR_MINUTES * (k + 1)) for k in range(count)]

    def grid(self, sessions: Sequence[date], frequency: Frequency = "5min") -> pl.DataFrame:
        """Bar grid of several sessions.

        Returns
        -------
        polars.DataFrame
            One row per bar in time order: `session` (Date), `bar_index` (Int32, 0-based within its session),
            `bar_start` and `bar_end` (UTC).
        """
        rows_session: list[date] = []
        rows_index: list[int] = []
        rows_start: list[datetime] = []
        rows_end: list[datetime] = []
        for session in sessions:
            previous = self.open(session)
            for index, end in enumerate(self.bar_ends(session, frequency)):
                rows_session.append(session)
                rows_index.append(index)
                rows_start.append(previous)
                rows_end.append(end)
                previous = end
        return pl.DataFrame(
            {"session": rows_session, "bar_index": rows_index, "bar_start": rows_start, "bar_end": rows_end},
            schema={"session": pl.Date, "bar_index": pl.Int32, "bar_start": TIMESTAMP, "bar_end": TIMESTAMP},
        )


@lru_cache(maxsize=8)
def session_calendar(code: str = "XNYS") -> SessionCalendar:
    """Return the shared calendar of an exchange; its schedule is loaded once per process."""
    return SessionCalendar(code)
