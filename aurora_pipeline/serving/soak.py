"""Whether the loop can be relied on: sessions on end through the real daemon, first undisturbed, then with a fault per bar.

Every session is one of a live home's days: preflight, bars, close. The runs are armed ahead of their bars and the sensor stands
by (:mod:`.armed_replay`). Afterwards every bar must be settled once, decided or skipped with a reason; the ledger must add up;
the session made again in one go and by the graph's assets must equal what was traded; resident memory must not have grown.
A backfill can run beside the undisturbed part.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from aurora_pipeline.adapters.book.journal_broker import JournalBroker
from aurora_pipeline.adapters.feeds.replayer import Replayer
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.defs.session_jobs import close_day, train_fold
from aurora_pipeline.errors import LakeError
from aurora_pipeline.live.decision_log import decision_log, session_folder
from aurora_pipeline.live.homes import make_replay
from aurora_pipeline.live.paper_broker import JOURNAL
from aurora_pipeline.live.preflight import run_preflight
from aurora_pipeline.live.session_opening import BOOK
from aurora_pipeline.serving.armed_replay import ArmedReplay, ToldBar
from aurora_pipeline.serving.faults import FAULTS, resident_kilobytes
from aurora_pipeline.serving.service import Service
from aurora_pipeline.stages import FULL_SESSION_BARS, label_reach

SERVED = ("code server", "daemon", "webserver")
MOST_GROWTH = 0.05
LATEST_BESIDE_BACKFILL = 15.0
_WARM_UP = 0.1
"""Share of the undisturbed bars before memory is looked at: caches fill first."""
_CENT = 0.01


@dataclass(frozen=True)
class SoakPlan:
    """What to do.

    Attributes
    ----------
    session : date
        First session; as many follow as the bars need.
    undisturbed, disturbed : int
        Bars of each part.
    backfill : int
        Sessions of a backfill that runs beside the undisturbed part; 0 for none.
    seed : int
        Which bar meets which fault.
    """

    session: date
    undisturbed: int
    disturbed: int
    backfill: int = 0
    seed: int = 1


@dataclass
class SoakResult:
    """What was seen.

    Attributes
    ----------
    bars : list of ToldBar
        Undisturbed ones first.
    plan : SoakPlan
    closes : list of dict
        Report of each session's close.
    memory : list of int
        Resident memory of code server, daemon and webserver after each undisturbed bar, KB.
    faults : Counter
        How often each fault was really done.
    restarts : dict of str to int
        Processes the service started again.
    ledger_gap : float
        Largest amount by which a bar's account does not add up, USD.
    orders_twice : int
        Order ids sent more than once.
    backfill : str
        How the backfill ended; empty if none ran.
    backfill_seconds : float
    late_beside_backfill : float
        Longest a bar took while the backfill ran, seconds.
    seconds : float
        Whole duration.
    """

    plan: SoakPlan
    bars: list[ToldBar] = field(default_factory=list)
    closes: list[dict[str, Any]] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    restarts: dict[str, int] = field(default_factory=dict)
    ledger_gap: float = 0.0
    orders_twice: int = 0
    backfill: str = ""
    backfill_seconds: float = 0.0
    late_beside_backfill: float = 0.0
    seconds: float = 0.0

    def part(self, *, disturbed: bool) -> list[ToldBar]:
        """Bars of one part."""
        return self.bars[self.plan.undisturbed :] if disturbed else self.bars[: self.plan.undisturbed]

    @property
    def memory_growth(self) -> float:
        """Median of the last quarter over that of the first, less 1, after warming up."""
        seen = self.memory[math.ceil(_WARM_UP * len(self.memory)) :]
        quarter = max(1, len(seen) // 4)
        return float(np.median(seen[-quarter:]) / np.median(seen[:quarter]) - 1.0) if seen else 0.0

    def wrong(self) -> list[str]:
        """What must not be; empty if all is well."""
        found = [
            f"{bar.end:%Y-%m-%d %H:%M} UTC was {bar.settled.status} without a fault: {bar.settled.reason}"
            for bar in self.part(disturbed=False)
            if bar.settled.status != "decided"
        ]
        found += [
            f"{bar.end:%Y-%m-%d %H:%M} UTC was skipped without a reason"
            for bar in self.bars
            if bar.settled.status == "skipped" and not bar.settled.reason
        ]
        wanted = self.plan.disturbed // (len(FAULTS) + 1)
        few = {fault: self.faults[fault] for fault in FAULTS if self.faults[fault] < min(20, wanted)}
        found += [f"faults done too rarely: {few}"] if few else []
        for close in self.closes:
            gaps = close["differences"], close["backfill_differences"], close["backfill_blocked"]
            if any(gaps):
                found.append(f"{close['session']}: {gaps[0]} and {gaps[1]} value(s) differ; {gaps[2]}")
        if self.memory_growth > MOST_GROWTH:
            found.append(f"resident memory grew by {100 * self.memory_growth:.1f} %")
        found += [f"the account does not add up by {self.ledger_gap} USD"] if self.ledger_gap > _CENT else []
        found += [f"{self.orders_twice} order(s) sent twice"] if self.orders_twice else []
        if self.plan.backfill and (self.backfill != "succeeded" or self.late_beside_backfill > LATEST_BESIDE_BACKFILL):
            found.append(f"backfill {self.backfill}; a bar beside it took {self.late_beside_backfill:.1f} s")
        return found


class Soak:
    """Runs a plan on a replay home of its own.

    Parameters
    ----------
    source : Home
        A home that has been brought up to date.
    plan : SoakPlan
    work : Path
        Folder for the replay home; made anew.
    port : int
        Of the webserver, on loopback.
    told : callable
        Told of every bar.
    """

    def __init__(self, source: Home, plan: SoakPlan, work: Path, port: int, told: Callable[[str], None]) -> None:
        self.source, self.plan, self.port, self.told = source, plan, port, told
        self.home = make_replay(source, plan.session, work)
        self.result = SoakResult(plan)
        self.sessions = [day for day in source.sessions(source.settings()) if day >= plan.session]
        self._backfill: subprocess.Popen[bytes] | None = None

    def run(self) -> SoakResult:
        """Do it."""
        began = time.monotonic()
        with Service(self.home, self.port, "armed").running() as service:
            if not service.wait(service.ready, 180.0):
                raise LakeError(f"the webserver did not come up; look at {self.home.path / 'live' / 'logs'}")
            sessions = iter(self.sessions)
            self._part(service, sessions_of(self.home, sessions, self.plan.undisturbed), disturbed=False)
            if self._backfill is not None:
                self._see_backfill(wait=True)
            self._part(service, sessions_of(self.home, sessions, self.plan.disturbed), disturbed=True)
            self.result.restarts = dict(service.restarts)
        self.result.seconds = time.monotonic() - began
        return self.result

    def _part(self, service: Service, parts: Sequence[tuple[date, int]], *, disturbed: bool) -> None:
        random = np.random.default_rng(self.plan.seed)
        for session, count in parts:
            checks = run_preflight(Home(self.home.path), session, train_fold)
            if wrong := [f"{check.name}: {check.found}" for check in checks if not check.passed]:
                raise LakeError(f"preflight of {session}: {'; '.join(wrong)}")
            if self.plan.backfill and self._backfill is None and not disturbed:
                self._start_backfill()
            home = Home(self.home.path)
            replay = ArmedReplay(home, session, service, Replayer(self.source.folder(), session))
            # A day's first bar is left alone.
            order = random.permutation(np.arange(count - 1) % len(FAULTS))
            kinds = [None, *(FAULTS[k] if disturbed else None for k in order)]
            for bar in replay.bars(count, kinds.__getitem__):
                self._see(bar, service, disturbed=disturbed)
            self.result.faults += replay.harm.done
            replay.rest()
            self._close(home, session)

    def _see(self, bar: ToldBar, service: Service, *, disturbed: bool) -> None:
        self.result.bars.append(bar)
        outcome = f"{bar.settled.status} {bar.settled.reason}".strip()
        self.told(f"{bar.end:%Y-%m-%d %H:%M}  {bar.fault or '-':16}  {bar.seconds:5.1f} s  {outcome}")
        if self._backfill is not None and self._backfill.poll() is None:
            self.result.late_beside_backfill = max(self.result.late_beside_backfill, bar.seconds)
        if not disturbed:
            processes = [service.process_id(name) for name in SERVED]
            self.result.memory.append(resident_kilobytes([process for process in processes if process is not None]))
            self._see_backfill(wait=False)

    def _close(self, home: Home, session: date) -> None:
        """End the day, and look at the ledger."""
        report = close_day(home, session)
        self.result.closes.append(report)
        account = home.lake.read("portfolio", session, session, book=BOOK).sort("decision_time")
        gap = (account["nav"].diff() - account["gross_pnl"] + account["cost"]).abs().max()
        self.result.ledger_gap = max(self.result.ledger_gap, float(gap or 0.0))  # type: ignore[arg-type]
        journal = session_folder(home.path / "live", session) / JOURNAL
        lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
        self.result.orders_twice += len(lines) - len(JournalBroker(journal, {}, 1.0).journal)
        settled = list(decision_log(home.path / "live", session))
        self.told(
            f"{session} closed: {report['decided']} decided, {report['skipped']} skipped, {len(settled)} settled, "
            f"{report['differences'] + report['backfill_differences']} value(s) differ"
        )

    def _start_backfill(self) -> None:
        """Make bars, features and labels of sessions before the first again, in the same home, beside the ticks."""
        settings = self.home.settings()
        reach = label_reach(settings.purge_bars(self.home.frequency), FULL_SESSION_BARS)
        # Labels look ahead; those of the newest sessions would look into the one that is running.
        before = [day for day in self.home.sessions(settings) if day < self.plan.session][:-reach]
        first, last = before[-self.plan.backfill :][0].isoformat(), before[-1].isoformat()
        command = [sys.executable, "-m", "aurora_pipeline.cli", "backfill", "--job", "bars_to_labels"]
        self._started = time.monotonic()
        with (self.home.path / "live" / "logs" / "backfill.log").open("wb") as log:
            self._backfill = subprocess.Popen(
                [*command, "--from", first, "--to", last, "--home", str(self.home.path)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.told(f"backfill of {first} to {last} started")

    def _see_backfill(self, *, wait: bool) -> None:
        if self._backfill is None or self.result.backfill:
            return
        code = self._backfill.wait() if wait else self._backfill.poll()
        if code is not None:
            self.result.backfill = "succeeded" if code == 0 else f"failed with {code}"
            self.result.backfill_seconds = time.monotonic() - self._started
            self.told(f"backfill {self.result.backfill} after {self.result.backfill_seconds:.0f} s")


def sessions_of(home: Home, sessions: Any, bars: int) -> list[tuple[date, int]]:
    """Take sessions until there are enough bars; returns each with how many of its bars are wanted.

    Raises
    ------
    LakeError
        The market ends before.
    """
    parts = []
    while bars > 0:
        session = next(sessions, None)
        if session is None:
            raise LakeError(f"the market ends {bars} bars too early; choose an earlier --session, or fewer bars")
        count = min(bars, len(home.calendar.bar_ends(session)))
        parts.append((session, count))
        bars -= count
    return parts
