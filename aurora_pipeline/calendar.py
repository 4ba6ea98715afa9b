"""Exchange sessions and the bar grid inside them, half-days and daylight saving included.

In goes an `exchange_calendars` code such as ``XNYS``; out come sessions as :class:`datetime.date` and moments as
timezone-aware UTC :class:`datetime.datetime`. A decision time is always the end of a bar: the end of each 5-minute bar at
frequency ``5min``, the session's close at frequency ``session``.
"""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.errors import MarketDataError

Frequency = Literal["5min", "session"]
BAR_MINUTES = 5
TIMESTAMP = pl.Datetime("us", "UTC")
_BAR_LENGTH = BAR_MINUTES * 60_000_000
BARS_PER_SESSION: dict[Frequency, int] = {"5min": 78, "session": 1}
"""Decision times of a session that is not cut short."""
SESSIONS_PER_YEAR = 252
"""What yearly rates and volatilities are stated over."""
_USUAL = 250
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

    def require_regular_bars(self) -> None:
        """Refuse an exchange whose day the five-minute pipeline does not know.

        Look-backs, horizons, time-of-day profiles and the schedule count on sessions of 78 bars that begin and end on one UTC
        day.

        Raises
        ------
        MarketDataError
            Its usual session is of another length or crosses midnight UTC.
        """
        _, opens, closes = self._schedule
        newest = list(zip(opens, closes, strict=True))[-_USUAL:]
        bars = statistics.mode((end - start) // timedelta(minutes=BAR_MINUTES) for start, end in newest)
        crossing = any(start.date() != end.date() for start, end in newest)
        if bars != BARS_PER_SESSION["5min"] or crossing:
            hours = "cross midnight UTC" if crossing else f"have {bars} bars of five minutes"
            raise MarketDataError(
                f"sessions of {self.code} {hours}; frequency 5min takes calendars of {BARS_PER_SESSION['5min']} bars a "
                "session within one UTC day, such as XNYS; frequency session takes any"
            )

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

    @cached_property
    def session_days(self) -> NDArray[np.int64]:
        """All sessions, days since 1970."""
        return np.array(self._schedule[0], dtype="datetime64[D]").astype(np.int64)

    @cached_property
    def open_moments(self) -> NDArray[np.int64]:
        """Openings of all sessions, microseconds since 1970."""
        return pl.Series(self._schedule[1], dtype=TIMESTAMP).to_physical().to_numpy()

    @cached_property
    def close_moments(self) -> NDArray[np.int64]:
        """Closes of all sessions, microseconds since 1970."""
        return pl.Series(self._schedule[2], dtype=TIMESTAMP).to_physical().to_numpy()

    def places(self, sessions: Sequence[date]) -> NDArray[np.int64]:
        """Positions of some sessions among all."""
        days = np.array(sessions, dtype="datetime64[D]").astype(np.int64)
        places = np.minimum(np.searchsorted(self.session_days, days), len(self.session_days) - 1)
        for wrong in np.flatnonzero(self.session_days[places] != days):
            raise MarketDataError(f"{sessions[int(wrong)]} is not a session of {self.code}")
        return places

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

    def running_session(self, now: datetime) -> date:
        """Session that is running at a moment, or the one that ended last before it."""
        sessions, opens, _ = self._schedule
        index = bisect.bisect_right(opens, now) - 1
        if index < 0:
            raise MarketDataError(f"the calendar {self.code} has no session before {now:%Y-%m-%d %H:%M}")
        return sessions[index]

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
        places = self.places(sessions)
        opened, closed = self.open_moments[places], self.close_moments[places]
        length = _BAR_LENGTH if frequency == "5min" else closed - opened
        counts = (closed - opened) // length
        index = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        start = np.repeat(opened, counts) + index * (length if frequency == "5min" else 0)
        end = start + (length if frequency == "5min" else np.repeat(length, counts))
        return pl.DataFrame(
            {
                "session": pl.Series(sessions, dtype=pl.Date).gather(np.repeat(np.arange(places.size), counts)),
                "bar_index": pl.Series(index, dtype=pl.Int32),
                "bar_start": pl.Series(start, dtype=pl.Int64).cast(TIMESTAMP),
                "bar_end": pl.Series(end, dtype=pl.Int64).cast(TIMESTAMP),
            }
        )


@lru_cache(maxsize=8)
def session_calendar(code: str = "XNYS") -> SessionCalendar:
    """Return the shared calendar of an exchange; its schedule is loaded once per process."""
    return SessionCalendar(code)
