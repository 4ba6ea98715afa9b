"""Which bar in the inbox nobody has asked a tick for yet, without taking anything out of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from aurora_pipeline.adapters.clock import Clock
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.inbox import UNREADABLE, Inbox, InboxFile
from aurora_pipeline.calendar import BAR_MINUTES
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.live.decision_log import decision_log
from aurora_pipeline.live.last_settings import last_settings

RETRY_SECONDS = 45.0
"""A bar that is not settled this long after its tick was asked for gets another: a run may have been killed."""
ATTEMPTS = 4


@dataclass(frozen=True)
class Arrival:
    """A bar that arrived.

    Attributes
    ----------
    session : date
    bar_end : datetime
    attempt : int
        1 for the first tick asked for, more where one died without settling the bar.
    cursor : str
        What to come back with.
    visible : float
        When the newest of its entries was left in the inbox, seconds since 1970.
    """

    session: date
    bar_end: datetime
    attempt: int
    cursor: str
    visible: float


class ArrivalWatch:
    """Looks at one home's inbox.

    Parameters
    ----------
    home : Home
    clock : Clock
        Bars ahead of it do not count yet.
    """

    def __init__(self, home: Home, clock: Clock) -> None:
        self.home = home
        self.clock = clock
        self.inbox = Inbox(home.path / "inbox")
        self.skew = timedelta(seconds=last_settings(home).live.clock_skew_seconds)
        self.reason = "nothing in the inbox"
        self._ends: dict[str, datetime | None] = {}

    def newest_bar(self, cursor: str | None) -> Arrival | None:
        """Return the newest bar of the inbox, if it is newer than the cursor and not settled; None, with a reason, if not.

        Parameters
        ----------
        cursor : str or None
            Of the :class:`Arrival` returned last. An earlier bar than its own is a replay and counts as new.
        """
        pending = self.inbox.pending()
        ends = [*self.inbox.closed_bars(), *(end for file in pending if (end := self._end(file)) is not None)]
        now = self.clock.now()
        due = sorted(end for end in ends if end <= now + self.skew)
        if not due:
            self.reason = f"no new bar; {len(pending)} file(s) wait" if pending else "nothing in the inbox"
            return None
        newest = due[-1]
        session = self.home.calendar.session_of(newest)
        if self.home.calendar.open(session) > newest or newest not in self.home.calendar.bar_ends(session):
            self.reason = f"{newest:%Y-%m-%d %H:%M} UTC is not the end of a bar of {self.home.calendar.code}"
            return None
        settled = decision_log(self.home.path / "live", session).newest()
        if settled is not None and newest <= settled:
            self.reason = f"{len(pending)} file(s) of settled bars wait for the next tick"
            return None
        attempt = self._attempt(cursor, newest)
        if attempt is None:
            self.reason = f"a tick of {newest:%H:%M} UTC has been asked for"
            return None
        asked = {"bar_end": newest.isoformat(), "attempt": attempt, "asked": time.time()}
        return Arrival(session, newest, attempt, json.dumps(asked), self._visible(newest))

    def _visible(self, bar_end: datetime) -> float:
        """When the newest entry of a bar was left; now, if all of them have just been taken."""
        files = [file.path for file in self.inbox.pending() if self._end(file) == bar_end]
        left = [path.stat().st_mtime for path in [*files, self.inbox.mark(bar_end)] if path.exists()]
        return max(left, default=time.time())

    def _attempt(self, cursor: str | None, bar_end: datetime) -> int | None:
        """Which attempt at a bar is due; None while the one before may still be at work."""
        if cursor is None:
            return 1
        asked = json.loads(cursor)
        if asked["bar_end"] != bar_end.isoformat():
            return 1
        due = time.time() - asked["asked"] >= RETRY_SECONDS and asked["attempt"] < ATTEMPTS
        return asked["attempt"] + 1 if due else None

    def _end(self, file: InboxFile) -> datetime | None:
        """End of the newest bar of a file; None of a feed's file, and of one that cannot be read."""
        if file.kind != "bars":
            return None
        name = file.path.name
        if name not in self._ends:
            try:
                with self.inbox.reading(file):
                    start = pl.scan_parquet(file.path, glob=False).select(pl.col("bar_start").max()).collect().item()
            except (MarketDataError, *UNREADABLE):
                start = None
            self._ends[name] = start + timedelta(minutes=BAR_MINUTES) if isinstance(start, datetime) else None
        return self._ends[name]
