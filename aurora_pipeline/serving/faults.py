"""What can go wrong with a bar, done on purpose: one fault at a time, to one replay home behind the real daemon."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from aurora_pipeline.adapters.clock import ReplayClock
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.live_market import LiveMarket
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.live.decision_log import session_folder
from aurora_pipeline.live.session_opening import opening_of
from aurora_pipeline.live.tick import LOCK
from aurora_pipeline.live.waiting import waits_for
from aurora_pipeline.serving.service import Service
from aurora_pipeline.serving.webserver_client import READS, WebserverClient, WebserverError

FAULTS = (
    "kill_run", "kill_daemon", "kill_code_server", "ui_reads", "truncated_file", "duplicate_bars", "late_bars",
    "corrected_bars", "failing_model", "clock_skew", "disk_full",
)  # fmt: skip
BEFORE_ITS_RUN = frozenset({"failing_model"})
"""Faults that must be there when the bar's run starts: a run that waits has loaded its models."""
READ_AT_START = BEFORE_ITS_RUN | {"disk_full"}
"""Faults that another run which is still on its way to wait would meet, too."""
_REPEATED = frozenset({"duplicate_bars", "late_bars", "corrected_bars"})
_SKEW = timedelta(minutes=4)
_SKEWED_SECONDS = 3.0
_LONGEST_DECISION = 1.0
_RESTART_SECONDS = 30.0


class Harm:
    """Does harm to the bars of one session.

    Parameters
    ----------
    home : Home
        A replay home.
    session : date
    service : Service
    clock : ReplayClock
    """

    def __init__(self, home: Home, session: date, service: Service, clock: ReplayClock) -> None:
        self.home, self.session, self.service, self.clock = home, session, service, clock
        self.live = home.path / "live"
        self.market = LiveMarket(home)
        self.client = WebserverClient(service.port)
        directories = opening_of(home, session).champions.directories
        self.model = home.models / directories[min(directories)]
        self.away = self.model.with_suffix(".away")
        self.random = np.random.default_rng(session.toordinal())
        self.done: Counter[str] = Counter()
        self._victim: int | None = None

    def before_the_run(self, fault: str | None) -> None:
        """Do what a run meets when it starts."""
        if fault == "failing_model":
            self.model.rename(self.away)
            self.done[fault] += 1

    def before_the_bar(self, end: datetime, fault: str | None) -> None:
        """Do what the bar meets when it comes; sets the clock."""
        self.clock.set(end - _SKEW if fault == "clock_skew" else end)
        inbox = self.market.inbox
        self._victim = waits_for(self.live, end)
        if fault == "truncated_file":
            self.done[fault] += 1
            inbox.folder.mkdir(parents=True, exist_ok=True)
            (inbox.folder / f"bars-broken-{end:%H%M}.parquet").write_bytes(b"PAR1truncated")
        rows = self.market.session_bars(self.session)
        if fault in _REPEATED and not rows.is_empty():
            inbox.drop("bars", _repeated(rows, fault))
            self.done[fault] += 1
        if fault == "disk_full":
            self._reserve(10**9)
            self.done[fault] += 1
        if fault in {"kill_daemon", "kill_code_server"}:
            process = fault.removeprefix("kill_").replace("_", " ")
            self.service.wait(lambda: self.service.process_id(process) is not None, _RESTART_SECONDS)
            self.done[fault] += kill(self.service.process_id(process))

    def after_the_bar(self, end: datetime, fault: str | None) -> None:
        """Do what comes once the bar is there."""
        if fault == "kill_run":
            # The run that has been waiting is at work now: it is killed wherever it is.
            self.service.wait(lambda: False, float(self.random.uniform(0.0, _LONGEST_DECISION)))
            self.done[fault] += kill(self._victim)
        if fault == "clock_skew":
            self.done[fault] += 1
            self.service.wait(lambda: False, _SKEWED_SECONDS)
            self.clock.set(end)

    def while_it_is_decided(self, fault: str | None) -> None:
        """Do what goes on until the bar is settled."""
        if fault == "ui_reads":
            self.done[fault] += 1
            for query in READS:
                with suppress(WebserverError):
                    self.client.ask(query)

    def undo(self, fault: str | None) -> None:
        """Put back what a fault took away."""
        if fault == "failing_model" and self.away.exists():
            self.away.rename(self.model)
        if fault == "disk_full":
            self._reserve(self.home.settings().live.disk_reserve_mb)

    def _reserve(self, megabytes: int) -> None:
        """Ask for so much free space that the disk counts as full; the session's settings lie in its opening.

        Under the loop's lock, like whatever else writes an opening: a tick sees it before or after, never on the way.
        """
        path = session_folder(self.live, self.session) / "opening" / "opening.json"
        with self.home.locked(LOCK):
            record = json.loads(path.read_text(encoding="utf-8"))
            record["settings"]["live"]["disk_reserve_mb"] = megabytes
            atomic_text(path, json.dumps(record, indent=1) + "\n")


def kill(process: int | None) -> bool:
    """Kill a process at once; returns whether there was one."""
    if process is not None:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
            return True
    return False


def resident_kilobytes(processes: list[int]) -> int:
    """Resident memory of processes, KB; one that is gone counts nothing."""
    total = 0
    for process in processes:
        with suppress(OSError):
            status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
            total += int(next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")), "0"))
    return total


def _repeated(rows: pl.DataFrame, fault: str) -> pl.DataFrame:
    newest = rows.filter(pl.col("bar_start") == rows["bar_start"].max())
    if fault == "duplicate_bars":
        return newest
    if fault == "late_bars":
        # Versions of the first bar, as a vendor sends what it had held back.
        first = rows.filter(pl.col("bar_start") == rows["bar_start"].min()).head(3)
        return first.with_columns(pl.col("volume") + 1.0)
    return newest.head(3).with_columns(pl.col("close") * 1.0001, pl.col("high") * 1.001)


Faults = Callable[[int], str | None]
"""Which fault a bar meets, by its position; None for none."""
