"""A past session told into the inbox of a replay home, bar by bar, waiting wherever the pipeline is behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date, datetime

from aurora_pipeline.adapters.clock import ReplayClock
from aurora_pipeline.adapters.feeds import Feed, pump
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.inbox import Inbox
from aurora_pipeline.calendar import BAR_MINUTES
from aurora_pipeline.errors import AuroraError
from aurora_pipeline.live.decision_log import Settled, decision_log

Waiter = Callable[[Callable[[], bool], float], bool]
"""Waits until something holds or seconds have passed, looking after whatever has to be looked after; says whether it holds."""


class ReplayStalledError(AuroraError):
    """The pipeline did not settle a bar in time."""


def replay_session(
    home: Home,
    session: date,
    feeds: Sequence[Feed],
    wait: Waiter,
    *,
    speed: float = 30.0,
    patience: float = 120.0,
    bars: int | None = None,
    told: Callable[[Settled, float], None] | None = None,
) -> list[Settled]:
    """Tell a session.

    Parameters
    ----------
    home : Home
        A replay home.
    session : date
    feeds : sequence of Feed
        Where the rows come from.
    wait : callable
        How to wait.
    speed : float
        Minutes of the session per minute; a bar is never told before the one before it has been settled.
    patience : float
        Seconds after which a bar that nobody settles ends the replay.
    bars : int, optional
        Only the first so many bars.
    told : callable, optional
        Called with each settled bar and the seconds from the bar's being in the inbox to its being settled.

    Raises
    ------
    ReplayStalledError
        A bar was not settled in time.
    """
    live = home.path / "live"
    clock, inbox, log = ReplayClock(live / "replay-clock.json"), Inbox(home.path / "inbox"), decision_log(live, session)
    settled: list[Settled] = []
    for end in home.calendar.bar_ends(session)[:bars]:
        began = time.monotonic()
        clock.set(end)
        pump(feeds, inbox, end)
        dropped = time.time()
        if not wait(lambda end=end: log.get(end) is not None, patience):  # type: ignore[misc]
            raise ReplayStalledError(
                f"the bar that ends {end:%H:%M} UTC has not been settled for {patience:.0f} s; look at the runs in the UI and at "
                f"{live / 'logs'}"
            )
        found = log.get(end)
        if found is not None:
            settled.append(found)
            if told is not None:
                told(found, settled_at(found) - dropped)
        wait(lambda: False, max(0.0, BAR_MINUTES * 60.0 / speed - (time.monotonic() - began)))
    return settled


def settled_at(settled: Settled) -> float:
    """Moment a bar was settled, seconds since 1970."""
    return datetime.fromisoformat(settled.content["settled_at"]).timestamp()
