"""A session through the real daemon while everything that can go wrong does, one fault per bar.

Afterwards every bar must be settled once, decided or skipped with a reason; the ledger must add up; and the session made again
in one go must equal what was traded.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.adapters.clock import ReplayClock
from aurora_pipeline.adapters.feeds import pump
from aurora_pipeline.adapters.feeds.replayer import Replayer
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.lake import atomic_text
from aurora_pipeline.adapters.live_market import LiveMarket
from aurora_pipeline.errors import LakeError
from aurora_pipeline.live.decision_log import decision_log, session_folder
from aurora_pipeline.live.homes import make_replay
from aurora_pipeline.live.parity import parity
from aurora_pipeline.live.service import Service
from aurora_pipeline.live.session_opening import BOOK, opening_of
from aurora_pipeline.live.webserver_client import READS, WebserverClient, WebserverError

FAULTS = (
    "kill_run", "kill_daemon", "kill_code_server", "ui_reads", "truncated_file", "duplicate_bars", "late_bars",
    "corrected_bars", "failing_model", "clock_skew", "disk_full",
)  # fmt: skip
_PATIENCE = 240.0
_CENT = 0.01


class Harm:
    """Does harm to one replay home.

    Parameters
    ----------
    home : Home
    session : date
    service : Service
    feed : Replayer
    """

    def __init__(self, home: Home, session: date, service: Service, feed: Replayer) -> None:
        self.home = home
        self.session = session
        self.service = service
        self.feed = feed
        self.market = LiveMarket(home)
        self.clock = ReplayClock(home.path / "live" / "replay-clock.json")
        self.client = WebserverClient(service.port)
        self.counts: Counter[str] = Counter()
        place = opening_of(home, session).champions.directories
        family = sorted(place)[0]
        self._model = home.models / place[family]

    def bar(self, end: datetime, fault: str | None) -> None:
        """Tell a bar, with a fault on the way."""
        self.counts[fault or "none"] += 1
        before = self.market.session_bars(self.session)
        self.clock.set(end - timedelta(minutes=4) if fault == "clock_skew" else end)
        if fault == "truncated_file":
            (self.market.inbox.folder / f"bars-broken-{end:%H%M}.parquet").write_bytes(b"PAR1truncated")
        if fault == "failing_model":
            self._model.rename(self._model.with_suffix(".away"))
        if fault == "disk_full":
            self._reserve(10**9)
        if fault in {"duplicate_bars", "late_bars", "corrected_bars"} and not before.is_empty():
            self.market.inbox.drop("bars", self._repeated(before, fault))
        if fault == "kill_run":
            # The run of the bar before may still be reporting; the one to be killed is this bar's.
            self.service.wait(lambda: not self._runs(), 60.0)
        pump([self.feed], self.market.inbox, end)
        if fault == "kill_run":
            self.service.wait(lambda: bool(self._runs()), 30.0)
            for process in self._runs():
                _kill(process)
        if fault in {"kill_daemon", "kill_code_server"}:
            _kill(self.service.process_id(fault.removeprefix("kill_").replace("_", " ")))
        if fault == "clock_skew":
            self.service.wait(lambda: False, 3.0)
            self.clock.set(end)
        log = decision_log(self.home.path / "live", self.session)

        def settled() -> bool:
            if fault == "ui_reads":
                for query in READS:
                    with suppress(WebserverError):
                        self.client.ask(query)
            return log.get(end) is not None

        if not self.service.wait(settled, _PATIENCE):
            self._skip(end, fault)
        if fault == "failing_model":
            self._model.with_suffix(".away").rename(self._model)
        if fault == "disk_full":
            self._reserve(self.home.settings().live.disk_reserve_mb)

    def _runs(self) -> list[int]:
        return _runs_of(self.service.process_id("code server"))

    def _reserve(self, megabytes: int) -> None:
        """Ask for so much free space that the disk counts as full; the session's settings lie in its opening."""
        path = session_folder(self.home.path / "live", self.session) / "opening" / "opening.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        record["settings"]["live"]["disk_reserve_mb"] = megabytes
        atomic_text(path, json.dumps(record, indent=1) + "\n")

    def _repeated(self, rows: pl.DataFrame, fault: str) -> pl.DataFrame:
        newest = rows.filter(pl.col("bar_start") == rows["bar_start"].max())
        if fault == "duplicate_bars":
            return newest
        if fault == "late_bars":
            # Versions of the first bar, as a vendor sends what it had held back.
            return (
                rows.filter(pl.col("bar_start") == rows["bar_start"].min()).head(3).with_columns(pl.col("volume") + 1.0)
            )
        return newest.head(3).with_columns(pl.col("close") * 1.0001, pl.col("high") * 1.001)

    def _skip(self, end: datetime, fault: str | None) -> None:
        """What an operator does with a bar that nobody settles."""
        from aurora_pipeline.live.tick import TickRunner

        TickRunner(Home(self.home.path), self.session).skip(end, f"stalled: not settled after {fault}")


def run_soak(
    source: Home,
    session: date,
    work: Path,
    bars: int | None,
    port: int,
    seed: int,
    told: Callable[[str], None],
    *,
    faults: bool,
) -> dict[str, Any]:
    """Replay a session with faults.

    Returns
    -------
    dict
        Counts by fault and status, restarts, seconds per bar, growth of resident memory, differences, and `wrong`: what must not
        be, empty if all is well.
    """
    home = make_replay(source, session, work)
    feed = Replayer(source.folder(), session)
    ends = home.calendar.bar_ends(session)[:bars]
    random = np.random.default_rng(seed)
    kinds = [FAULTS[k] for k in random.permutation(np.arange(len(ends)) % len(FAULTS))]
    memory: list[int] = []
    with Service(home, port, "replay").running() as service:
        if not service.wait(service.ready, 120.0):
            raise LakeError(f"the webserver did not come up; look at {home.path / 'live' / 'logs'}")
        harm = Harm(home, session, service, feed)
        for position, (end, kind) in enumerate(zip(ends, kinds, strict=True)):
            began = time.monotonic()
            fault = kind if faults and position > 0 else None
            harm.bar(end, fault)
            settled = decision_log(home.path / "live", session).get(end)
            outcome = f"{settled.status} {settled.reason}" if settled is not None else "open"
            told(f"{end:%H:%M}  {fault or '-':16}  {outcome}  {time.monotonic() - began:.1f} s")
            memory.append(_resident(service))
        restarts = dict(service.restarts)
    return _report(home, session, ends, harm.counts, restarts, memory, faults=faults)


def _report(
    home: Home,
    session: date,
    ends: list[datetime],
    counts: Counter[str],
    restarts: dict[str, int],
    memory: list[int],
    *,
    faults: bool,
) -> dict[str, Any]:
    log = {settled.bar_end: settled for settled in decision_log(home.path / "live", session)}
    found = parity(home, session)
    account = home.lake.read("portfolio", session, session, book=BOOK).sort("decision_time")
    gap = (account["nav"].diff() - account["gross_pnl"] + account["cost"]).abs().max()
    quarter = max(1, len(memory) // 4)
    growth = float(np.median(memory[-quarter:]) / np.median(memory[:quarter]) - 1.0)
    wrong = [f"{end:%H:%M} UTC was never settled" for end in ends if end not in log]
    wrong += [
        f"{end:%H:%M} UTC was skipped without a reason"
        for end, each in log.items()
        if each.status == "skipped" and not each.reason
    ]
    wrong += [f"{found.height} value(s) differ from the session made in one go"] if found.height else []
    wrong += [f"the account does not add up by {gap} USD"] if isinstance(gap, float) and gap > _CENT else []
    wrong += [] if faults or growth <= 0.05 else [f"resident memory grew by {100 * growth:.1f} %"]
    reasons = Counter(each.reason.partition(":")[0] for each in log.values() if each.status == "skipped")
    return {
        "session": session.isoformat(),
        "bars": len(ends),
        "faults": dict(counts),
        "decided": sum(each.status == "decided" for each in log.values()),
        "skipped": dict(reasons),
        "restarts": restarts,
        "memory_growth": round(growth, 4),
        "differences": found.height,
        "wrong": wrong,
    }


def _runs_of(code_server: int | None) -> list[int]:
    """Process ids of the runs a code server has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                command = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == code_server and b"spawn_main" in command:
                    found.append(int(entry.name))
    return found


def _kill(process: int | None) -> None:
    if process is not None:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _resident(service: Service) -> int:
    """Resident memory of the service's processes, KB."""
    total = 0
    for name in ("code server", "daemon", "webserver"):
        process = service.process_id(name)
        if process is not None:
            done = subprocess.run(["ps", "-o", "rss=", "-p", str(process)], capture_output=True, text=True, check=False)
            total += int(done.stdout.strip() or 0)
    return total
