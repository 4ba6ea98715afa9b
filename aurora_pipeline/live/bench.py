"""How long a bar takes from the inbox to durable targets, through the real daemon, beside a run that does nothing.

Three ways, on the same replayed session: the computation alone in this process; through the arrival sensor; and armed, by a run
that has been started before its bar comes. Seconds depend on the machine and what else runs on it; the ratio to the empty run,
taken in between, says what the loop adds to Dagster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from aurora_pipeline.adapters.clock import ReplayClock
from aurora_pipeline.adapters.feeds import pump
from aurora_pipeline.adapters.feeds.replayer import Replayer
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.errors import LakeError
from aurora_pipeline.live.decision_log import Settled, decision_log
from aurora_pipeline.live.homes import make_replay
from aurora_pipeline.live.replay import ReplayStalledError, settled_at
from aurora_pipeline.live.service import Service
from aurora_pipeline.live.tick import TickRunner
from aurora_pipeline.live.webserver_client import WebserverClient

EMPTY_JOB = "empty_run"
TICK_JOB = "tick"
ARMED_SECONDS = 8.0
"""How long before its bar an armed run is started."""
_EMPTY_RUNS = 5


@dataclass(frozen=True)
class Measured:
    """Durations of one way, seconds.

    Attributes
    ----------
    name : str
    seconds : tuple of float
    parts_ms : dict of str to float
        Median of each part of the computation, milliseconds.
    """

    name: str
    seconds: tuple[float, ...]
    parts_ms: dict[str, float]

    def percentile(self, rank: float) -> float:
        """Percentile of the durations, seconds."""
        return float(np.percentile(self.seconds, rank))


def bench_tick(
    source: Home, session: date, work: Path, bars: int, port: int, told: Callable[[str], None]
) -> list[Measured]:
    """Measure `bars` bars each way; the first of each way warms up and does not count.

    Parameters
    ----------
    source : Home
        A home that has been brought up to date.
    session : date
        Session to replay.
    work : Path
        Folder for the replay homes.
    bars : int
    port : int
        For the webserver.
    told : callable
        Told of progress.
    """
    found = [_computation(source, session, work / "computation", bars, told)]
    home = make_replay(source, session, work / "daemon")
    feed = Replayer(source.folder(), session)
    clock = ReplayClock(home.path / "live" / "replay-clock.json")
    log, ends = decision_log(home.path / "live", session), home.calendar.bar_ends(session)
    with Service(home, port, "replay").running() as service:
        if not service.wait(service.ready, 120.0):
            raise LakeError(f"the webserver did not come up; look at {home.path / 'live' / 'logs'}")
        client = WebserverClient(port)
        service.wait(lambda: _launches(client), 60.0)
        empty = [client.duration(client.launch(EMPTY_JOB)) for _ in range(_EMPTY_RUNS)]
        inbox = TickRunner(home, session).market.inbox

        def tell(end: datetime) -> tuple[float, Settled]:
            clock.set(end)
            pump([feed], inbox, end)
            visible = time.time()
            if not service.wait(lambda: log.get(end) is not None, 180.0):
                raise ReplayStalledError(f"the bar that ends {end:%H:%M} UTC was not settled within three minutes")
            settled = log.get(end)
            assert settled is not None
            return settled_at(settled) - visible, settled

        through_sensor = []
        for end in ends[: bars + 1]:
            through_sensor.append(tell(end))
            told(f"sensor  {end:%H:%M}  {through_sensor[-1][0]:.2f} s")
            service.wait(lambda: False, 5.0)
        empty += [client.duration(client.launch(EMPTY_JOB)) for _ in range(_EMPTY_RUNS)]
        armed = []
        for end in ends[bars + 1 : 2 * bars + 2]:
            config = {"ops": {"decide": {"config": {"session": session.isoformat(), "bar_end": end.isoformat()}}}}
            client.launch(TICK_JOB, config)
            service.wait(lambda: False, ARMED_SECONDS)
            armed.append(tell(end))
            told(f"armed   {end:%H:%M}  {armed[-1][0]:.2f} s")
    found.append(Measured("empty run", tuple(empty), {}))
    found += [_measured("arrival sensor", through_sensor), _measured("armed", armed)]
    return found


def _computation(source: Home, session: date, target: Path, bars: int, told: Callable[[str], None]) -> Measured:
    home = make_replay(source, session, target)
    feed, runner = Replayer(source.folder(), session), TickRunner(home, session)
    clock = ReplayClock(home.path / "live" / "replay-clock.json")
    taken: list[tuple[float, Settled]] = []
    for end in runner.bar_ends[: bars + 1]:
        clock.set(end)
        pump([feed], runner.market.inbox, end)
        outcome = runner.attempt(end)
        if outcome is None or outcome.settled.status != "decided":
            raise ReplayStalledError(
                f"the bar that ends {end:%H:%M} UTC was not decided: {outcome and outcome.settled.reason}"
            )
        taken.append((outcome.timings_ms["computation"] / 1000.0, outcome.settled))
    told(f"computation  {len(taken)} bars")
    return _measured("computation", taken)


def _measured(name: str, taken: Sequence[tuple[float, Settled]]) -> Measured:
    counted = taken[1:]
    parts: dict[str, list[Any]] = {}
    for _, settled in counted:
        for part, value in settled.content.get("timings_ms", {}).items():
            parts.setdefault(part, []).append(value)
    medians = {part: float(np.median(values)) for part, values in parts.items()}
    return Measured(name, tuple(seconds for seconds, _ in counted), medians)


def _launches(client: WebserverClient) -> bool:
    """Whether the webserver has loaded the definitions."""
    try:
        client.launch(EMPTY_JOB)
    except Exception:  # not yet, for whatever reason
        return False
    return True
