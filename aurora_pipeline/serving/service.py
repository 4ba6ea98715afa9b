"""The supervised service of a home: code server, daemon and webserver, one set per home, each started again when it dies.

All of them listen on loopback only. What they print goes to `<home>/live/logs/`; what the supervisor sees goes to
`<home>/live/service.json`, which the dead-man check reads.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from aurora_pipeline.adapters.home import HOME_VARIABLE, SERVED_VARIABLE, Home
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.errors import AuroraError
from aurora_pipeline.live.alert import Alert
from aurora_pipeline.live.alerting import tell

LOOPBACK = "127.0.0.1"
LOCK = "service.lock"
"""File whose lock, held, says that a home is served."""
_BACKOFF = (0.5, 1.0, 2.0, 5.0, 15.0)
"""Seconds before a process that died is started again; the last for every further time within `_STABLE`."""
_STABLE = 60.0
_LOOK = 0.25


class ServiceError(AuroraError):
    """The service of a home cannot be started."""


@dataclass
class Supervised:
    """One supervised process: how it is started, and what became of it so far.

    Attributes
    ----------
    name : str
    command : list of str
    popen : subprocess.Popen or None
        While it runs.
    died : list of float
        Recent deaths, monotonic seconds.
    due : float
        When to start it again.
    """

    name: str
    command: list[str]
    popen: subprocess.Popen[bytes] | None = None
    died: list[float] = field(default_factory=list)
    due: float = 0.0


class Service:
    """Runs and watches the processes of one home.

    Parameters
    ----------
    home : Home
    port : int
        Of the webserver, on loopback.
    mode : {"live", "replay", "armed"}
        What is on from the start: armed schedule and arrival sensor; the sensor alone; or the sensor standing by for runs that
        somebody else arms.
    feeds : sequence of str
        Arguments of :mod:`aurora_pipeline.live.feed_pump`, such as ``"alpaca iex"``: a process each.
    """

    def __init__(self, home: Home, port: int, mode: str, feeds: Sequence[str] = ()) -> None:
        self.home = home
        self.feeds = tuple(feeds)
        self.port = port
        self.mode = mode
        self.folder = home.path / "live"
        self.restarts: dict[str, int] = {}
        self.supervised: list[Supervised] = []
        self._trouble = ""
        self._lock: IO[str] | None = None

    @contextmanager
    def running(self) -> Iterator[Service]:
        """Start everything, and end it on the way out.

        Raises
        ------
        ServiceError
            The home is served already.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ServiceError(f"home {self.home.path} is served already; one service per home") from error
            self._lock = lock
            self._end_orphans()
            self.supervised = self.processes()
            previous = signal.signal(signal.SIGTERM, _leave)
            try:
                for process in self.supervised:
                    self._start(process)
                yield self
            finally:
                self._lock = None
                self._end()
                signal.signal(signal.SIGTERM, previous)
                with suppress(OSError):
                    (self.folder / "service.json").unlink(missing_ok=True)

    def look(self) -> None:
        """Start again what died and say that the service is alive; call it several times a second.

        A disk that takes nothing more does not end the service: what runs goes on, and is looked after as soon as there is room.

        Raises
        ------
        ServiceError
            The home is not there any more, or another one lies in its place.
        """
        trouble = ""
        try:
            self._look()
        except OSError as error:
            trouble = f"service of {self.home.path}: {error}"
        if trouble and trouble != self._trouble:
            sys.stderr.write(f"{trouble}\n")
        self._trouble = trouble

    def _require_home(self) -> None:
        """Refuse to go on where a home was moved, removed or replaced: what is written under its path would be a second home."""
        if self._lock is None:
            return
        held, path = os.fstat(self._lock.fileno()), self.folder / LOCK
        try:
            found = path.stat()
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != (held.st_dev, held.st_ino):
            raise ServiceError(
                f"home {self.home.path} was moved, removed or replaced while it was served, so the service ends; "
                "start `aurora live` again where the home lies now"
            )

    def _look(self) -> None:
        self._require_home()
        now = time.monotonic()
        for process in self.supervised:
            popen = process.popen
            if popen is not None and popen.poll() is not None:
                process.popen = None
                process.died = [moment for moment in process.died if now - moment < _STABLE] + [now]
                process.due = now + _BACKOFF[min(len(process.died), len(_BACKOFF)) - 1]
                self.restarts[process.name] = self.restarts.get(process.name, 0) + 1
                text = f"{process.name} of home {self.home.path} ended with {popen.returncode} and is started again"
                tell(self.home, [Alert("warning", f"service:{process.name}", text)])
            if process.popen is None and now >= process.due:
                self._start(process)
        self._record()

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Look after the service until something holds or the time is over; returns whether it holds."""
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() >= deadline:
                return False
            self.look()
            time.sleep(_LOOK)
        return True

    def process_id(self, name: str) -> int | None:
        """Process id of `code server`, `daemon` or `webserver`; None while it is down."""
        found = next(process for process in self.supervised if process.name == name)
        return found.popen.pid if found.popen is not None else None

    def ready(self) -> bool:
        """Whether the webserver answers."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=0.2):
                return True
        except OSError:
            return False

    def processes(self) -> list[Supervised]:
        """Write the instance and workspace files, and return what is to be run."""
        from aurora_pipeline.defs.databases import make_databases

        make_databases(self.home)
        code_port = _free_port()
        workspace = self.folder / "workspace.yaml"
        lines = ["load_from:", "  - grpc_server:", f"      host: {LOOPBACK}", f"      port: {code_port}"]
        atomic_text(workspace, "\n".join([*lines, "      location_name: aurora_pipeline", ""]))
        python = [sys.executable, "-m"]
        module = ["-m", "aurora_pipeline.definitions", "--use-python-environment-entry-point"]
        return [
            Supervised(
                "code server", [*python, "dagster", "api", "grpc", "-h", LOOPBACK, "-p", str(code_port), *module]
            ),
            Supervised("daemon", [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-w", str(workspace)]),
            Supervised(
                "webserver",
                [
                    str(Path(sys.executable).with_name("dagster-webserver")),
                    "-h",
                    LOOPBACK,
                    "-p",
                    str(self.port),
                    "-w",
                    str(workspace),
                ],
            ),
            *(
                Supervised(f"feed {feed.split()[0]}", [*python, "aurora_pipeline.live.feed_pump", *feed.split()])
                for feed in self.feeds
            ),
        ]

    def _start(self, process: Supervised) -> None:
        environment = os.environ | {
            "DAGSTER_HOME": str(self.home.path),
            HOME_VARIABLE: str(self.home.path),
            SERVED_VARIABLE: self.mode,
            "PYTHONWARNINGS": "ignore",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        with _log(self.folder / "logs" / f"{process.name.replace(' ', '-')}.log") as log:
            process.popen = subprocess.Popen(
                process.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.home.path,
                start_new_session=True,
            )

    def _record(self) -> None:
        content: dict[str, Any] = {
            "alive_at": datetime.now(tz=UTC).isoformat(),
            "process": os.getpid(),
            "mode": self.mode,
            "port": self.port,
            "restarts": self.restarts,
            "processes": {process.name: process.popen.pid for process in self.supervised if process.popen is not None},
        }
        atomic_text(self.folder / "service.json", json.dumps(content, indent=1) + "\n")

    def _end_orphans(self) -> None:
        """End what a supervisor that was killed has left behind: two daemons of one home would both start ticks."""
        path = self.folder / "service.json"
        if not path.exists():
            return
        ours = f"DAGSTER_HOME={self.home.path}\0".encode()
        for process in json.loads(path.read_text(encoding="utf-8"))["processes"].values():
            with suppress(OSError):
                if ours in Path(f"/proc/{process}/environ").read_bytes():
                    os.kill(process, signal.SIGKILL)

    def _end(self) -> None:
        for process in reversed(self.supervised):
            if process.popen is not None and process.popen.poll() is None:
                process.popen.send_signal(signal.SIGTERM)
        for process in self.supervised:
            if process.popen is not None:
                try:
                    process.popen.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.popen.kill()
                    process.popen.wait()


def _leave(number: int, frame: object) -> None:
    """Leave through the normal way out, so that nothing is left behind."""
    raise SystemExit(128 + number)


def _log(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
