"""The services of the profile `cluster` on loopback: PostgreSQL, an S3-compatible server behind a gate, Ray with two workers.

Everything lies in one temporary folder and is ended with the block, however that is left. The object store is moto's server,
which keeps objects in memory: to be away it is not stopped but made unreachable, by a gate in front of it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

BUCKET = "aurora-lake"
REGION = "us-east-1"
PROCESSES = 2
_START_SECONDS = 600.0
_NODE_SECONDS = 120.0
_NODE = "127.0.0.2"
"""Address of Ray's nodes on loopback: for 127.0.0.1 Ray takes the machine's own address instead."""
_STATE = "postgres"


class NoPostgresError(Exception):
    """There is no PostgreSQL, and none can be installed."""


def free_port() -> int:
    """Port of loopback nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(what: str, ready: Callable[[], bool], seconds: float = _START_SECONDS) -> None:
    """Wait for something, with a bound."""
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not there after {seconds:.0f} s")
        time.sleep(0.2)


def listening(port: int) -> bool:
    """Whether somebody answers on a port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Postgres:
    """Debian's PostgreSQL with a cluster of its own, run by the system user `postgres`."""

    def __init__(self, folder: Path) -> None:
        self.programs = _postgres_programs()
        self.folder, self.port, self.password = folder, free_port(), secrets.token_hex(16)
        self.data = folder / "data"

    def start(self) -> None:
        """Make the cluster and its two databases at the first call."""
        fresh = not self.data.exists()
        if fresh:
            self.folder.mkdir(parents=True)
            word = self.folder / "password"
            word.write_text(self.password, encoding="utf-8")
            if os.geteuid() == 0:
                shutil.chown(self.folder, "postgres")
                shutil.chown(word, "postgres")
            word.chmod(0o600)
            self._run("initdb", "-D", self.data, "-A", "scram-sha-256", "-U", "aurora", f"--pwfile={word}", "--no-sync")
            word.unlink()
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder}"
        self._run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-o", options, "-w", "start")
        if fresh:
            import psycopg2

            connection = psycopg2.connect(self.address("postgres"))
            connection.autocommit = True
            for name in ("dagster", "mlflow"):
                connection.cursor().execute(f"create database {name}")
            connection.close()

    def stop(self) -> None:
        """End it as a lost server would: open connections are cut."""
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def address(self, database: str) -> str:
        """Address with the password."""
        return f"postgresql://aurora:{self.password}@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.programs / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(
            command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/", timeout=120
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()}")


def _postgres_programs() -> Path:
    """Folder of `initdb` and `pg_ctl`; installs Debian's package where there is none."""
    for attempt in range(2):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if found:
            return found[-1].parent
        named = shutil.which("initdb")
        if named:
            return Path(named).resolve().parent
        if attempt == 0 and shutil.which("apt-get") and os.geteuid() == 0:
            for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "postgresql"]):
                subprocess.run(command, check=False, capture_output=True, timeout=600)
    raise NoPostgresError("no initdb here, and Debian's package postgresql could not be installed")


class Gate:
    """Passes connections on to a server, or refuses them: a server that is away and comes back as it was."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()

    def open(self) -> None:
        """Let connections through."""
        listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse new connections and cut those there are."""
        if self._listener is not None:
            # Only a shutdown wakes the thread that accepts.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.close()
                    continue
                self._open |= {client, server}
                for source, sink in ((client, server), (server, client)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            self._open.discard(end)


class Child:
    """A process with everything it starts, in a group of its own."""

    def __init__(self, arguments: list[str], log: Path, environment: Mapping[str, str]) -> None:
        with log.open("ab") as handle:
            self.process = subprocess.Popen(
                arguments, stdout=handle, stderr=handle, env=dict(environment), start_new_session=True, cwd=log.parent
            )

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the whole group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(15)


class Services:
    """What a test of the profile needs to know and to break.

    Parameters
    ----------
    folder : Path
        Holds all state and every log.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Postgres(folder / _STATE)
        self.key, self.secret = f"AURORA{secrets.token_hex(7).upper()}", secrets.token_hex(20)
        self.workers: dict[str, Child] = {}
        self._ports = {name: free_port() for name in ("s3", "gcs", "ray")}
        self.gate = Gate(self._ports["s3"])
        self._stack = ExitStack()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may be in no log."""
        return (self.postgres.password, self.secret)

    @property
    def settings(self) -> list[str]:
        """Settings of the profile."""
        return [
            "profile=cluster",
            f"cluster.store=s3://{BUCKET}/test",
            f"cluster.endpoint=http://127.0.0.1:{self.gate.port}",
            f"cluster.ray=http://127.0.0.1:{self._ports['ray']}",
            f"cluster.concurrent_runs={PROCESSES}",
        ]

    def environment(self, home: str) -> dict[str, str]:
        """Environment of one machine: its home, where the profile's store is, and the secrets."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AURORA_", "AWS_", "DAGSTER_"))
        }
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # a job of Ray is `dagster ...`
            "AURORA_HOME": str(self.folder / "homes" / home),
            "AURORA_PROFILE": "cluster",
            "AURORA_CLUSTER__STORE": f"s3://{BUCKET}/test",
            "AURORA_CLUSTER__ENDPOINT": f"http://127.0.0.1:{self.gate.port}",
            "AURORA_CLUSTER__RAY": f"http://127.0.0.1:{self._ports['ray']}",
            "AURORA_DAGSTER_POSTGRES": self.postgres.address("dagster"),
            "AURORA_MLFLOW_POSTGRES": self.postgres.address("mlflow"),
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "RAY_USAGE_STATS_ENABLED": "0",
            **_PATIENCE_OF_RAY,
            "PYTHONWARNINGS": "ignore",
        }

    def start(self) -> None:
        """Start everything but the daemon, one after the other."""
        self.postgres.start()
        self._stack.callback(self.postgres.stop)
        self._child("s3", ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._ports["s3"])])
        wait_until("the object store", lambda: listening(self._ports["s3"]))
        self.gate.open()
        self._stack.callback(self.gate.close)
        self._make_bucket()
        head = ["--head", *_node_ports(), f"--port={self._ports['gcs']}", "--include-dashboard=true", "--num-cpus=0"]
        self._child(
            "head",
            [
                *_RAY,
                *head,
                "--dashboard-host=127.0.0.1",
                f"--dashboard-port={self._ports['ray']}",
                f"--temp-dir={self.folder}/r",
            ],
        )
        wait_until("Ray", self._ray_answers)
        for number in range(PROCESSES):
            self.add_worker(f"worker{number + 1}")

    def add_worker(self, name: str) -> None:
        """Start one node of Ray with one processor, and a home of its own; two nodes that start at once wait for each other."""
        address = f"{_NODE}:{self._ports['gcs']}"
        self.workers[name] = self._child(name, [*_RAY, *_node_ports(), f"--address={address}", "--num-cpus=1"])
        wait_until(name, lambda: b"Ray runtime started" in (self.folder / f"{name}.log").read_bytes(), _NODE_SECONDS)

    def kill_worker(self, name: str) -> None:
        """Kill a node of Ray with everything that runs on it."""
        self.workers.pop(name).kill()
        _kill_those_with(f"AURORA_HOME={self.folder}/homes/{name}")

    def start_daemon(self, market: Path, settings: list[str]) -> None:
        """Start Dagster's daemon for the home `driver`."""
        options = [part for pair in settings for part in ("--set", pair)]
        self._child("daemon", ["-m", "aurora_pipeline.cli", "daemon", "--market", str(market), *options], "driver")

    def stop(self) -> None:
        """End everything, down to what Ray put into sessions of its own."""
        self._stack.close()
        _kill_those_with(f"AURORA_HOME={self.folder}/homes/")

    @contextmanager
    def keys(self) -> Iterator[None]:
        """Give this process the keys of the store."""
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(zip(names, (self.key, self.secret), strict=True))
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value

    def logs(self) -> list[Path]:
        """Every file that may hold what somebody logged: of the services, of Ray, of the homes."""
        skipped = self.folder / _STATE / "data"
        return [file for file in self.folder.rglob("*") if file.is_file() and skipped not in file.parents]

    def _child(self, name: str, arguments: list[str], home: str | None = None) -> Child:
        child = Child([sys.executable, *arguments], self.folder / f"{name}.log", self.environment(home or name))
        self._stack.callback(child.kill)
        return child

    def _ray_answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self._ports['ray']}/api/version", timeout=2):
            return True
        return False

    def _make_bucket(self) -> None:
        import boto3

        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.gate.port}",
            region_name=REGION,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
        )
        client.create_bucket(Bucket=BUCKET)


def _kill_those_with(start: str) -> None:
    """Kill the processes in whose environment a variable starts like this: those this script's own children started."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            environment = (process / "environ").read_bytes().split(b"\0")
            if any(_same(entry, start) for entry in environment):
                os.kill(int(process.name), signal.SIGKILL)


def _node_ports() -> list[str]:
    """Address and ports of a node of Ray; it would wait for its agents' choice of ports, and not for long."""
    names = (
        "dashboard-agent-grpc-port",
        "dashboard-agent-listen-port",
        "runtime-env-agent-port",
        "metrics-export-port",
    )
    return [f"--node-ip-address={_NODE}", *(f"--{name}={free_port()}" for name in names)]


def _same(entry: bytes, start: str) -> bool:
    return entry == start.encode() or (start.endswith("/") and entry.startswith(start.encode()))


# Ray gives a busy machine little time to start in, and takes a slow node for a dead one.
_PATIENCE_OF_RAY = {
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "600",
    "RAY_agent_register_timeout_ms": "600000",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_gcs_rpc_server_connect_timeout_s": "120",
    "RAY_py_gcs_connect_timeout_s": "120",
    "RAY_health_check_timeout_ms": "60000",
}
_RAY = ["-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", "--object-store-memory=100000000"]


@contextmanager
def services(folder: Path) -> Iterator[Services]:
    """Start the services; they are ended with the block, also on SIGTERM."""
    made = Services(folder)

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        signal.signal(signal.SIGTERM, before)
