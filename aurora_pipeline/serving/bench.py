"""How long a bar takes from the inbox to durable targets, through the real daemon, beside a run that does nothing.

Three ways, on the same replayed session: the computation alone in this process; through the arrival sensor; and armed, by a run
that has been started before its bar comes, as the schedule does. Seconds depend on the machine and what else runs on it; the
ratio to the empty runs, taken in between, says what the loop adds to Dagster. Beside the seconds there is the processor time
of the computation, which other work on the machine does not change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.adapters.clock import ReplayClock
from aurora_pipeline.adapters.feeds import pump
from aurora_pipeline.adapters.feeds.replayer import Replayer
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.inbox import Inbox
from aurora_pipeline.errors import LakeError
from aurora_pipeline.live.decision_log import Settled, decision_log
from aurora_pipeline.live.homes import make_replay
from aurora_pipeline.live.replay import ReplayStalledError, settled_at
from aurora_pipeline.live.session_opening import opening_of
from aurora_pipeline.live.tick import TickRunner
from aurora_pipeline.live.waiting import waits_for
from aurora_pipeline.serving.service import Service
from aurora_pipeline.serving.webserver_client import WebserverClient

EMPTY_JOB = "empty_run"
TICK_JOB = "tick"
ARMED_SECONDS = 120.0
"""How long an armed run may take until it waits for its bar."""
PATIENCE = 600.0
"""Seconds a bar may take before the bench gives up."""
_EMPTY_EVERY = 4
"""Ticks through the sensor between two empty runs."""
_IN_TICK = {"read": "read", "market": "features", "signals": "predict", "book": "policy"}
PARTS = ("arrival", "launch", "imports", "opening", "inbox", "read", "features", "predict", "policy", "ledger")
"""Parts of the way, in order: until the run was asked for (armed: until the waiting run took the bar up); queue and launch of its
process; interpreter, imports and Dagster up to the step; champions and look-back; lock and inbox; then the computation, the
record of the decision last."""


@dataclass(frozen=True)
class Measured:
    """Durations of one way.

    Attributes
    ----------
    name : str
    seconds : tuple of float
    parts : dict of str to tuple of float
        Seconds of each part, by bar.
    processor : tuple of float
        Processor seconds of this process by bar, where the way runs in it.
    """

    name: str
    seconds: tuple[float, ...]
    parts: dict[str, tuple[float, ...]] = field(default_factory=dict)
    processor: tuple[float, ...] = ()

    def percentile(self, rank: float) -> float:
        """Percentile of the durations, seconds."""
        return float(np.percentile(self.seconds, rank))

    def medians(self) -> dict[str, float]:
        """Median of each part, seconds."""
        return {part: float(np.median(values)) for part, values in self.parts.items()}


class TickBench:
    """A replay home behind the real daemon, told bar by bar.

    Parameters
    ----------
    source : Home
        A home that has been brought up to date.
    session : date
        Session to replay.
    work : Path
        Folder for the replay homes; made anew.
    port : int
        For the webserver.
    told : callable
        Told of progress.
    """

    def __init__(self, source: Home, session: date, work: Path, port: int, told: Callable[[str], None]) -> None:
        self.source, self.session, self.work, self.told = source, session, work, told
        self.home = make_replay(source, session, work / "daemon")
        self.feed = Replayer(source.folder(), session)
        self.clock = ReplayClock(self.home.path / "live" / "replay-clock.json")
        self.inbox = Inbox(self.home.path / "inbox")
        self.log = decision_log(self.home.path / "live", session)
        self.ends = iter(self.home.calendar.bar_ends(session))
        self.port = port
        self.client = WebserverClient(port)
        self.empty: list[float] = []

    def run(self, bars: int) -> list[Measured]:
        """Measure `bars` bars each way; the first of each way warms up and does not count.

        The sensor's bars come first in the session and the armed ones after them; the computation alone takes the bars of both,
        since a later bar has more of the session before it.
        """
        alone = computation(self.source, self.session, self.work / "computation", 2 * bars + 1, self.told)
        with self._served("replay"):
            sensor = self._ways("arrival sensor", bars, self._through_sensor)
        with self._served("armed"):
            armed = self._ways("armed", bars, self._armed)
        return [alone, Measured("empty run", tuple(self.empty[1:])), sensor, armed]

    @contextmanager
    def _served(self, mode: str) -> Iterator[None]:
        with Service(self.home, self.port, mode).running() as self.service:
            if not self.service.wait(lambda: self.service.ready() and _launches(self.client), 300.0):
                raise LakeError(f"the webserver did not come up; look at {self.home.path / 'live' / 'logs'}")
            yield

    def facts(self) -> dict[str, Any]:
        """What was the same for all ways."""
        opening = opening_of(self.home, self.session)
        newest = opening.universe.filter(pl.col("session") == pl.col("session").max())
        return {
            "session": self.session.isoformat(),
            "symbols": newest.filter("eligible").height,
            "families": sorted(opening.champions.members),
        }

    def _ways(self, name: str, bars: int, way: Callable[[datetime], tuple[float, dict[str, float]]]) -> Measured:
        taken = []
        for position in range(bars + 1):
            if position % _EMPTY_EVERY == 0:
                self.empty.append(self.client.duration(self.client.launch(EMPTY_JOB)))
            end = next(self.ends)
            taken.append(way(end))
            parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in taken[-1][1].items())
            self.told(f"{name}  {end:%H:%M}  {taken[-1][0]:.2f} s  ({parts})")
        seconds = tuple(duration for duration, _ in taken[1:])
        return Measured(name, seconds, {part: tuple(found[part] for _, found in taken[1:]) for part in taken[-1][1]})

    def _through_sensor(self, end: datetime) -> tuple[float, dict[str, float]]:
        visible, settled = self._tell(end)
        moments = settled.content["moments"]
        created = self.client.created(aurora__bar_end=f"{end.astimezone(UTC):%Y-%m-%dT%H:%M}")[0]
        marks = [visible, created, *(moments[name] for name in ("process", "step", "opened", "begun"))]
        parts = dict(zip(PARTS[:5], np.diff(marks).tolist(), strict=True))
        self.service.wait(lambda: False, 3.0)
        return settled_at(settled) - visible, parts | _of_computation(settled)

    def _armed(self, end: datetime) -> tuple[float, dict[str, float]]:
        config = {"ops": {"decide": {"config": {"session": self.session.isoformat(), "bar_end": end.isoformat()}}}}
        self.client.launch(TICK_JOB, config)
        live = self.home.path / "live"
        if not self.service.wait(lambda: waits_for(live, end) is not None, ARMED_SECONDS):
            raise ReplayStalledError(f"the armed run of {end:%H:%M} UTC did not come up within {ARMED_SECONDS:.0f} s")
        visible, settled = self._tell(end)
        return settled_at(settled) - visible, {
            "arrival": settled.content["moments"]["begun"] - visible
        } | _of_computation(settled)

    def _tell(self, end: datetime) -> tuple[float, Settled]:
        """Put a bar into the inbox; returns when it was visible, and what became of it."""
        self.clock.set(end)
        pump([self.feed], self.inbox, end)
        visible = time.time()
        if not self.service.wait(lambda: self.log.get(end) is not None, PATIENCE):
            raise ReplayStalledError(f"the bar that ends {end:%H:%M} UTC was not settled within {PATIENCE:.0f} s")
        settled = self.log.get(end)
        if settled is None or settled.status != "decided":
            raise ReplayStalledError(f"the bar that ends {end:%H:%M} UTC was not decided: {settled and settled.reason}")
        return visible, settled


def computation(source: Home, session: date, target: Path, bars: int, told: Callable[[str], None]) -> Measured:
    """Measure the computation in this process, without Dagster; parameters as in :class:`TickBench`."""
    home = make_replay(source, session, target)
    feed, runner = Replayer(source.folder(), session), TickRunner(home, session)
    clock = ReplayClock(home.path / "live" / "replay-clock.json")
    seconds, processor, parts = [], [], []
    for end in runner.bar_ends[: bars + 1]:
        clock.set(end)
        pump([feed], runner.market.inbox, end)
        began = time.process_time()
        outcome = runner.attempt(end)
        processor.append(time.process_time() - began)
        if outcome is None or outcome.settled.status != "decided":
            raise ReplayStalledError(f"{end:%H:%M} UTC was not decided: {outcome and outcome.settled.reason}")
        seconds.append(outcome.timings_ms["computation"] / 1000.0)
        parts.append(_of_computation(outcome.settled))
    told(f"computation  {len(seconds)} bars")
    by_part = {part: tuple(found[part] for found in parts[1:]) for part in parts[-1]}
    return Measured("computation", tuple(seconds[1:]), by_part, tuple(processor[1:]))


def _of_computation(settled: Settled) -> dict[str, float]:
    """Seconds of each part of a decision, the writing of its record last."""
    spans = settled.content["timings_ms"]
    parts = {name: spans[own] / 1000.0 for own, name in _IN_TICK.items()}
    rest = settled_at(settled) - settled.content["moments"]["begun"] - sum(parts.values())
    return parts | {"ledger": max(0.0, rest)}


def verdicts(found: Sequence[Measured]) -> list[tuple[str, str, str, bool]]:
    """What was promised: what, measured, required, and whether it holds."""
    by_name = {each.name: each for each in found}
    empty, sensor = by_name["empty run"].percentile(50), by_name["arrival sensor"].percentile(95)
    armed, alone = by_name["armed"].percentile(95), by_name["computation"].percentile(95)
    rows = [
        ("armed, p95", armed, 3.0, "s"),
        ("arrival sensor, p95", sensor, 6.0, "s"),
        ("arrival sensor, p95 over the median empty run", sensor / empty, 2.5, "times"),
        ("computation alone, p95", alone, 1.0, "s"),
    ]
    return [(what, f"{value:.2f} {unit}", f"at most {most} {unit}", value <= most) for what, value, most, unit in rows]


def _launches(client: WebserverClient) -> bool:
    """Whether the webserver has loaded the definitions."""
    try:
        client.launch(EMPTY_JOB)
    except Exception:  # not yet, for whatever reason
        return False
    return True
