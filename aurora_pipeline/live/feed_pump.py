"""A vendor's feed into the inbox of a live home: one process per vendor, started and watched by the service.

A vendor that is down, or refuses, is a stated pause: an alert says so, the others go on, and the vendor is asked again after a
pause that grows to a minute. Nothing is lost by it: a feed tells what it could not tell before as soon as it can, and late bars
count from their arrival.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from aurora_pipeline.adapters.clock import Clock, clock_of
from aurora_pipeline.adapters.feeds import Feed, pump
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.inbox import Inbox
from aurora_pipeline.errors import VendorError, VendorKeyError
from aurora_pipeline.live.alert import Alert, Severity
from aurora_pipeline.live.alerting import tell

LOOK_SECONDS = 1.0
LONGEST_PAUSE = 60.0


def run_pump(
    home: Home,
    feeds: Sequence[Feed],
    clock: Clock,
    *,
    running: Callable[[], bool] = lambda: True,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Ask feeds again and again, in order, and leave what they tell in the inbox.

    Parameters
    ----------
    home : Home
    feeds : sequence of Feed
        Those that go with bars before the bars.
    clock : Clock
    running : callable
        Asked before every round; False ends it.
    sleep : callable
        Waits so many seconds.
    """
    inbox = Inbox(home.path / "inbox")
    down: dict[str, tuple[float, float]] = {}
    while running():
        for feed in feeds:
            due, pause = down.get(feed.name, (0.0, 0.0))
            if time.monotonic() < due:
                continue
            try:
                pump([feed], inbox, clock.now())
            except VendorError as error:
                pause = min(max(2.0 * pause, LOOK_SECONDS), LONGEST_PAUSE)
                down[feed.name] = (time.monotonic() + pause, pause)
                severity: Severity = "critical" if isinstance(error, VendorKeyError) else "warning"
                tell(home, [Alert(severity, f"feed:{feed.name}", f"{error}; asked again until it answers")])
                continue
            if feed.name in down:
                del down[feed.name]
                tell(home, [Alert("info", f"feed:{feed.name}:back", f"{feed.name} answers again")])
        sleep(LOOK_SECONDS)


def main(name: str, tape: str) -> None:
    """Run the feeds of a vendor for the home of the environment until the process is ended."""
    from aurora_pipeline.adapters.feeds.vendors import vendor_feeds
    from aurora_pipeline.adapters.live_market import live_folder
    from aurora_pipeline.adapters.vendors.alpaca import known_tape
    from aurora_pipeline.market.folder import MarketFolder

    home = Home.default()
    clock = clock_of(home.path / "live")
    market = MarketFolder.open(live_folder(home))
    run_pump(home, vendor_feeds(name, market, clock.now(), known_tape(tape)), clock)


if __name__ == "__main__":
    main(*sys.argv[1:])
