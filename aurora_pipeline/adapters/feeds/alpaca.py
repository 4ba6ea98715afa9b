"""Live 5-minute bars of Alpaca: asked for after each bar's end, and again for a while, since late trades change a bar.

Alpaca's stream has bars of a minute; its bars of five minutes, the ones a market folder is fetched with, are asked for. A bar is
told as soon as the vendor has it and closed once every symbol has one or a wait is over: what does not trade has no bar. A
minute after a bar is closed the last ones are asked for once more; versions that differ are told without a claim about when they
were known, so the live market stamps them with their arrival. A vendor that is down is asked for everything since the last
closed bar as soon as it is back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from aurora_pipeline.adapters.feeds import Delivery
from aurora_pipeline.adapters.vendors.alpaca import AlpacaMarketData
from aurora_pipeline.calendar import BAR_MINUTES, SessionCalendar
from aurora_pipeline.market.columns import BARS

AGAIN_AFTER = timedelta(seconds=60)
_BAR = timedelta(minutes=BAR_MINUTES)


class AlpacaBars:
    """Bars that end after a moment.

    Parameters
    ----------
    data : AlpacaMarketData
    symbols : sequence of str
    calendar : SessionCalendar
    since : datetime
        Bars that end at or before this moment are not told.
    wait : timedelta
        How long after its end a bar is kept open for symbols that are missing.
    revisited : timedelta
        How far back bars are asked for again; Alpaca takes late trades in within half a minute.
    """

    def __init__(
        self,
        data: AlpacaMarketData,
        symbols: Sequence[str],
        calendar: SessionCalendar,
        since: datetime,
        *,
        wait: timedelta = timedelta(seconds=15),
        revisited: timedelta = timedelta(minutes=30),
    ) -> None:
        self.name = f"Alpaca, {data.tape}"
        self._data, self._symbols, self._calendar = data, tuple(symbols), calendar
        self._since, self._wait, self._revisited = since, wait, revisited
        self._closed = since
        self._asked = since
        self._again: datetime | None = None
        self._told = pl.DataFrame(schema=BARS.columns)

    def poll(self, now: datetime) -> Delivery:
        """Return bars and versions not told yet; see :class:`~aurora_pipeline.adapters.feeds.Feed`.

        Raises
        ------
        VendorError
            The vendor could not be asked; nothing counts as told, the next poll asks for it again.
        """
        if now <= self._asked:
            return Delivery()
        ended = [end for end in self._bar_ends(now) if end <= now]
        if not ended and (self._again is None or now < self._again):
            return Delivery()
        parts = []
        for first, last in self._stretches(now):
            rows = self._data.bars(self._symbols, first, last)
            parts.append(rows.filter(pl.col("bar_start") + _BAR <= now, pl.col("bar_start") + _BAR > self._since))
        seen = pl.concat([pl.DataFrame(schema=BARS.columns), *parts])
        fresh = seen.join(self._told, on=list(BARS.columns), how="anti", nulls_equal=True, maintain_order="left")
        counts = dict(seen.group_by(pl.col("bar_start") + _BAR).len().iter_rows())
        closed: list[datetime] = []
        for end in ended:
            if counts.get(end, 0) < len(self._symbols) and now < end + self._wait:
                break
            closed.append(end)
        self._asked = now
        if closed:
            self._closed, self._again = closed[-1], now + AGAIN_AFTER
        elif not ended:
            self._again = None
        kept = pl.col("bar_start") >= min(self._closed, now - self._revisited)
        self._told = pl.concat([self._told, fresh]).filter(kept)
        return Delivery({} if fresh.is_empty() else {"bars": fresh}, tuple(closed))

    def _bar_ends(self, now: datetime) -> list[datetime]:
        """Ends of bars after the last closed one, up to the running session's last."""
        first, last = self._calendar.session_of(self._closed), self._calendar.session_of(now)
        sessions = self._calendar.sessions(first, last)
        return [end for session in sessions for end in self._calendar.bar_ends(session) if end > self._closed]

    def _stretches(self, now: datetime) -> list[tuple[datetime, datetime]]:
        """What to ask for, session by session: from the first open bar, or a while before, to the newest ended one."""
        begin = max(self._since, min(self._closed, now - self._revisited))
        sessions = self._calendar.sessions(self._calendar.session_of(begin), self._calendar.session_of(now))
        spans = [
            (max(self._calendar.open(session), begin), min(self._calendar.close(session), now)) for session in sessions
        ]
        return [(first, last) for first, last in spans if first < last]
