"""The profile `cluster` beside the profile `local` on loopback: equal tables, a worker killed, store and database away.

    .venv/bin/python benchmarks/cluster.py --folder DIR                 services away for 60 s each
    .venv/bin/python benchmarks/cluster.py --folder DIR --away 10       the short form of .ci/cluster

Needs the extras `cluster` and `cluster-test` (constraints-cluster.txt) and PostgreSQL, which is installed by apt-get where it is
missing. One market, two homes: first `aurora run` in profile local; then the same in profile cluster on PostgreSQL, an
S3-compatible server and two workers of Ray, each with a home of its own. During the second, the worker that trains a fold is
killed with everything it runs; the object store goes away while signals are made, and the database while the book is traded.
Exit code 1 if anything differs, is lost, is there twice, or if a secret is in any file but PostgreSQL's own; 3 where there is no
PostgreSQL to be had.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from cluster_services import NoPostgresError, Services, services, wait_until

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.storage.lake import Lake
from aurora_pipeline.adapters.storage.object_storage import ObjectStorage
from aurora_pipeline.contracts import TABLES
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.settings import load_settings

SHORT = (
    "warm_up_sessions=14",
    "walk_forward.minimum_train_sessions=8",
    "models.tree_rounds=40",
    "models.families=[ridge,lightgbm]",
    "calibration.minimum_sessions=2",
    "ensemble.minimum_sessions=2",
    "quality.eligibility_sessions=5",
    "threads=1",
    "training.processes=1",
)
FOLDS = 2
TRAINING, SIGNALS, BOOK = "train_fold", "predictions_to_signals", "trade_book_job"
RUN_SECONDS = 3600.0
LAST_LINES = 12
_started = time.monotonic()


class FailedError(Exception):
    """What was promised does not hold."""


def say(text: str) -> None:
    """Print with the seconds since the start."""
    print(f"{time.monotonic() - _started:6.0f} s  {text}", flush=True)


def require(holds: bool, what: str) -> None:
    """Print what holds; end where it does not."""
    if not holds:
        raise FailedError(what)
    say(f"holds: {what}")


def arguments(pairs: list[str]) -> list[str]:
    """Settings for the command line."""
    return [part for pair in pairs for part in ("--set", pair)]


def run_local(market: Path, home: Path) -> None:
    """`aurora run` in profile local."""
    command = [sys.executable, "-m", "aurora_pipeline.cli", "run", "--market", str(market), "--home", str(home)]
    done = subprocess.run(
        [*command, *arguments(list(SHORT))], check=False, capture_output=True, text=True, timeout=RUN_SECONDS
    )
    require(done.returncode == 0, f"profile local runs {done.stderr[-2000:] if done.returncode else ''}".strip())


class Database:
    """What Dagster has recorded, read with SQL."""

    def __init__(self, running: Services) -> None:
        self.address = running.postgres.address("dagster")

    def rows(self, query: str) -> list[tuple[str, ...]]:
        """Answer of a query."""
        import psycopg2

        connection = psycopg2.connect(self.address)
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def runs(self, job: str, status: str) -> list[str]:
        """Ids of the runs of a job that have a status."""
        return [
            row[0] for row in self.rows(f"select run_id from runs where pipeline_name='{job}' and status='{status}'")
        ]

    def retries(self) -> int:
        """Runs that Dagster started as a further attempt."""
        return len(self.rows("select run_id from run_tags where key='dagster/retry_number'"))


def worker_of(running: Services, run_id: str) -> str | None:
    """Worker whose processor runs a Dagster run, by the home in its process's environment."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if run_id.encode() not in (process / "cmdline").read_bytes():
                continue
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        for name in running.workers:
            if f"AURORA_HOME={running.folder}/homes/{name}\0".encode() in environment:
                return name
    return None


@contextmanager
def cluster_run(running: Services, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`aurora run` in profile cluster, from a machine of its own."""
    command = [sys.executable, "-m", "aurora_pipeline.cli", "run"]
    with log.open("wb") as handle:
        process = subprocess.Popen(command, env=running.environment("driver"), stdout=handle, stderr=handle)
        try:
            yield process
        finally:
            process.kill()


def disturb(running: Services, process: subprocess.Popen[bytes], away: float) -> int:
    """Kill a worker while it trains, take the object store away, then the database; returns the run's exit code."""
    database = Database(running)

    def started(job: str) -> bool:
        if process.poll() is not None:
            raise FailedError(f"the run ended with {process.returncode} before {job} began")
        return bool(database.runs(job, "STARTED"))

    wait_until(TRAINING, lambda: started(TRAINING), RUN_SECONDS)
    killed = None
    while killed is None:
        if len(database.runs(TRAINING, "SUCCESS")) == FOLDS:
            raise FailedError("every fold was trained before a worker could be killed")
        killed = next((name for run in database.runs(TRAINING, "STARTED") if (name := worker_of(running, run))), None)
    running.kill_worker(killed)
    say(f"killed {killed} while it trained a fold")
    running.add_worker("worker3")
    wait_until(SIGNALS, lambda: started(SIGNALS), RUN_SECONDS)
    require(
        (len(database.runs(TRAINING, "SUCCESS")), len(database.runs(TRAINING, "FAILURE")), database.retries())
        == (FOLDS, 1, 1),
        f"the killed worker cost one attempt: {FOLDS} folds trained, 1 run failed, 1 retry",
    )
    running.gate.close()
    say(f"object store away for {away:.0f} s")
    time.sleep(away)
    running.gate.open()
    say("object store back")
    wait_until(BOOK, lambda: started(BOOK), RUN_SECONDS)
    running.postgres.stop()
    say(f"database away for {away:.0f} s")
    time.sleep(away)
    running.postgres.start()
    say("database back")
    code = process.wait(RUN_SECONDS)
    say(f"further attempts in all: {database.retries()}")
    return code


def go_on(running: Services, folder: Path) -> None:
    """Give the command again after it ended with an error, and require that it goes on to the end.

    A database that is away is waited for wherever a connection is made. A statement that was under way when it went ends its run
    with an error, and the promise is the other one: the same command goes on.
    """
    said = (folder / "driver.log").read_text(encoding="utf-8", errors="replace").splitlines()
    say("the run ended with an error when the database went:\n  " + "\n  ".join(said[-LAST_LINES:]))
    require(any("psycopg2" in line for line in said[-LAST_LINES:]), "the error is that of a statement the database cut")
    with cluster_run(running, folder / "driver-again.log") as process:
        require(process.wait(RUN_SECONDS) == 0, "the same command went on to the end")


def compare(local: Lake, cluster: Lake) -> None:
    """Compare every table, file by file; what differs is all named before it ends."""
    same = other = 0
    differences = []
    for name in TABLES:
        files, theirs = set(local.files(name)), set(cluster.files(name))
        if files != theirs:
            differences.append(f"{name}: only local {sorted(files - theirs)}, only cluster {sorted(theirs - files)}")
        else:
            say(f"holds: {name}: the same {len(files)} partition(s)")
        for key in sorted(files & theirs):
            if local.storage.content(key) == cluster.storage.content(key):
                same += 1
                continue
            other += 1
            frame, other_frame = local.storage.read([key], None), cluster.storage.read([key], None)
            if not frame.equals(other_frame):
                differences.append(f"{key}: {differing(frame, other_frame)}")
    if differences:
        raise FailedError("\n".join(differences))
    require(True, f"every table equal: {same} files to the byte, {other} in every value")


def differing(ours: pl.DataFrame, theirs: pl.DataFrame) -> str:
    """Name what differs between two frames."""
    if ours.shape != theirs.shape:
        return f"shapes {ours.shape} and {theirs.shape}"
    columns = [name for name in ours.columns if not ours.get_column(name).equals(theirs.get_column(name))]
    return f"column(s) {', '.join(columns)} differ: {ours.select(columns).head(3)} {theirs.select(columns).head(3)}"


def nothing_twice(running: Services, local: Home) -> None:
    """Compare what is recorded in MLflow."""
    import psycopg2

    connection = psycopg2.connect(running.postgres.address("mlflow"))
    with connection.cursor() as cursor:
        cursor.execute("select name, count(*) from model_versions group by name order by name")
        found = dict(cursor.fetchall())
    connection.close()
    client = local.registry().client
    wanted = {
        model.name: len(client.search_model_versions(f"name = '{model.name}'"))
        for model in client.search_registered_models()
    }
    require(found == wanted, f"registered model versions as in profile local: {found}")


def no_secret(running: Services) -> None:
    """Look for the secrets in every file the services, Ray and the homes have written."""
    files = running.logs()
    for file in files:
        content = file.read_bytes()
        for secret in running.secrets:
            if secret.encode() in content:
                raise FailedError(f"{file} holds a secret")
    require(len(files) > 50, f"no secret in any of {len(files)} files")


def main() -> int:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="temporary folder with a short path")
    parser.add_argument("--away", type=float, default=60.0, help="seconds store and database are away")
    parser.add_argument("--sessions", type=int, default=40)
    parser.add_argument("--symbols", type=int, default=12)
    options = parser.parse_args()
    folder = options.folder.absolute()
    market, local = folder / "market", folder / "local"
    (folder / "services" / "homes").mkdir(parents=True)
    for place in (folder, folder / "services"):
        place.chmod(0o755)  # PostgreSQL's user passes through
    simulate_market(market, preset="small", seed=4, sessions=options.sessions, symbols=options.symbols)
    run_local(market, local)
    try:
        with services(folder / "services") as running:
            say("services answer: PostgreSQL, object store, Ray with two workers")
            running.start_daemon(market, [*SHORT, *running.settings])
            wait_until("Dagster's daemon", lambda: daemon_beats(running))
            say("daemon at work")
            with cluster_run(running, folder / "services" / "driver.log") as process:
                code = disturb(running, process, options.away)
            if code:
                go_on(running, folder / "services")
            say("holds: profile cluster ran to its end")
            held = Home(local)
            stored = load_settings(None, running.settings, {}).cluster
            with running.keys():
                compare(held.lake, Lake(folder, held.frequency, ObjectStorage(stored, "lake")))
            nothing_twice(running, held)
            no_secret(running)
    except NoPostgresError as error:
        say(f"skipped: {error}")
        return 3
    except (FailedError, TimeoutError) as error:
        say(f"FAILED: {error}")
        return 1
    print(json.dumps({"seconds": round(time.monotonic() - _started, 1), "away_seconds": options.away}))
    return 0


def daemon_beats(running: Services) -> bool:
    """Whether the daemon that takes runs from the queue has said so."""
    import psycopg2

    try:
        return bool(
            Database(running).rows("select 1 from daemon_heartbeats where daemon_type='QUEUED_RUN_COORDINATOR'")
        )
    except psycopg2.Error:
        return False


if __name__ == "__main__":
    sys.exit(main())
