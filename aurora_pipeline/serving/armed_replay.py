"""A replayed session whose runs are started ahead of their bars, as the schedule does, with harm on the way.

Two runs wait while a third decides, so that bars follow each other as fast as the machine allows. The arrival sensor stands by:
where a run is killed, it starts another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from aurora_pipeline.adapters.clock import ReplayClock
from aurora_pipeline.adapters.feeds import Feed, pump
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.live.decision_log import Settled, decision_log
from aurora_pipeline.live.tick import TickRunner
from aurora_pipeline.live.waiting import waits_for
from aurora_pipeline.serving.faults import BEFORE_ITS_RUN, READ_AT_START, Faults, Harm
from aurora_pipeline.serving.service import Service
from aurora_pipeline.serving.webserver_client import WebserverClient, WebserverError

TICK_JOB = "tick"
AHEAD = 2
"""Runs that wait for bars to come."""
_START_SECONDS = 60.0
"""How long a run may take until it waits; the bar is told all the same then, and left to the sensor."""
PATIENCE = 240.0


@dataclass(frozen=True)
class ToldBar:
    """A bar that was told, and what became of it.

    Attributes
    ----------
    end : datetime
    fault : str or None
    settled : Settled
    seconds : float
        From the bar in the inbox to its settling.
    """

    end: datetime
    fault: str | None
    settled: Settled
    seconds: float


class ArmedReplay:
    """Tells a session to a replay home that is served in mode `armed`.

    Parameters
    ----------
    home : Home
    session : date
    service : Service
        Of the home.
    feed : Feed
        Where the rows come from.
    """

    def __init__(self, home: Home, session: date, service: Service, feed: Feed) -> None:
        self.home, self.session, self.service, self.feed = home, session, service, feed
        self.live = home.path / "live"
        self.clock = ReplayClock(self.live / "replay-clock.json")
        self.log = decision_log(self.live, session)
        self.client = WebserverClient(service.port)
        self.harm = Harm(home, session, service, self.clock)
        self._launched: set[datetime] = set()

    def bars(self, count: int | None, faults: Faults) -> Iterator[ToldBar]:
        """Tell the first bars of the session, all by default, one after the other."""
        ends = self.home.calendar.bar_ends(self.session)[:count]
        for position, end in enumerate(ends):
            alone = faults(position) in READ_AT_START
            if alone:
                self._until_waiting([other for other in self._launched if other > end])
            for ahead in range(position, position + 1 if alone else min(position + AHEAD + 1, len(ends))):
                fault = faults(ahead)
                if ahead == position or fault not in BEFORE_ITS_RUN:
                    self._launch(ends[ahead], fault)
            yield self._tell(end, faults(position))

    def rest(self) -> None:
        """Leave what the session still has in the inbox, for its close; nothing of it is decided."""
        close = self.home.calendar.close(self.session)
        self.clock.set(close)
        pump([self.feed], self.harm.market.inbox, close)

    def _launch(self, end: datetime, fault: str | None) -> None:
        """Start the run of a bar, once; while the code server is down it is tried again."""
        if end in self._launched:
            return
        self.harm.before_the_run(fault)
        config = {"ops": {"decide": {"config": {"session": self.session.isoformat(), "bar_end": end.isoformat()}}}}
        self.service.wait(lambda: self._try(config), _START_SECONDS)
        self._launched.add(end)

    def _until_waiting(self, ends: list[datetime]) -> None:
        """Let runs that are on their way arrive, so that what is done to the next bar's run does not meet them."""
        self.service.wait(lambda: all(waits_for(self.live, end) is not None for end in ends), _START_SECONDS)

    def _try(self, config: dict[str, Any]) -> bool:
        try:
            self.client.launch(TICK_JOB, config)
        except WebserverError:
            return False
        return True

    def _tell(self, end: datetime, fault: str | None) -> ToldBar:
        self.service.wait(lambda: waits_for(self.live, end) is not None, _START_SECONDS)
        self.harm.before_the_bar(end, fault)
        pump([self.feed], self.harm.market.inbox, end)
        visible = time.time()
        self.harm.after_the_bar(end, fault)

        def settled() -> bool:
            self.harm.while_it_is_decided(fault)
            return self.log.get(end) is not None

        if not self.service.wait(settled, PATIENCE):
            # What an operator does with a bar that nobody settles.
            TickRunner(Home(self.home.path), self.session).skip(
                end, f"stalled: not settled after {fault or 'no fault'}"
            )
        self.harm.undo(fault)
        found = self.log.get(end)
        assert found is not None
        return ToldBar(end, fault, found, time.time() - visible)


Told = Callable[[ToldBar], None]
