"""Whole runs on small synthetic markets, through the command line and real Dagster, MLflow, DuckDB and files."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import pytest

from aurora_pipeline.adapters.instance import write_instance_config
from aurora_pipeline.cli import main
from aurora_pipeline.market.simulation import simulate_market

REAL_MARKETS = Path(__file__).resolve().parents[3] / "shared" / "markets"
SHORT = (
    "warm_up_sessions=14",
    "walk_forward.minimum_train_sessions=8",
    "models.tree_rounds=40",
    "models.catboost_rounds=20",
    "models.ranker_rounds=20",
    "models.forest_trees=20",
    "calibration.minimum_sessions=2",
    "ensemble.minimum_sessions=2",
    "quality.eligibility_sessions=5",
)

FEW = (*SHORT, "models.families=[ridge,lightgbm,xgboost]")


def free_port() -> int:
    """A port nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def restored_environment():
    """Opening a home's Dagster instance names the home in the environment; put that back."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def aurora(*arguments: str, check: bool = True, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does: a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AURORA_")}
    done = subprocess.run(
        [sys.executable, "-m", "aurora_pipeline.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=environment,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def aurora_here(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process: what only reads or refuses is done before another one has imported everything."""
    output, errors = io.StringIO(), io.StringIO()
    words = ["aurora", *map(str, arguments)]
    before = dict(os.environ)
    for name in [name for name in before if name.startswith("AURORA_")]:
        del os.environ[name]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
        patch.setattr(sys, "argv", words)
        try:
            main()
            code: int | str | None = 0
        except SystemExit as end:
            code = end.code
        finally:
            os.environ.clear()
            os.environ.update(before)
    done = subprocess.CompletedProcess(words, int(code or 0), output.getvalue(), errors.getvalue())
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def settings(*pairs: str) -> list[str]:
    return [part for pair in pairs for part in ("--set", pair)]


def lake_hashes(home: Path) -> dict[str, str]:
    """sha256 of every file of the lake."""
    root = home / "lake"
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("data.parquet"))
    }


def made_once(name: str, make: Callable[[Path], object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that the first process to ask for it makes and the others wait for; nobody may change it.

    Runs of pytest that have the same ``TESTED_HOMES`` in their environment share what is made; it must be a new folder for every
    state of the code.
    """
    own = tmp_path_factory.getbasetemp()
    of_this_run = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    root = Path(os.environ.get("TESTED_HOMES", of_this_run)) / "made-once"
    root.mkdir(parents=True, exist_ok=True)
    folder, done = root / name, root / f"{name}.done"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def tiny_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic market of 16 stocks and 26 sessions, for runs that take seconds."""
    simulate = partial(simulate_market, preset="small", seed=3, sessions=26, symbols=16)
    return made_once("tiny-market", simulate, tmp_path_factory)


@pytest.fixture(scope="session")
def tiny_home(tiny_market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home after an undisturbed run on the tiny market, this process's copy; tests must not change its tables."""
    run = partial(aurora, "run", "--market", tiny_market, *settings(*SHORT), "--home")
    home = tmp_path_factory.mktemp("homes") / "tiny"
    shutil.copytree(made_once("tiny-home", run, tmp_path_factory), home)
    write_instance_config(home)
    return home


@pytest.fixture(scope="session")
def two_fold_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic market of 12 stocks and 40 sessions: with the short settings it has two walk-forward folds."""
    simulate = partial(simulate_market, preset="small", seed=4, sessions=40, symbols=12)
    return made_once("two-fold-market", simulate, tmp_path_factory)


@pytest.fixture(scope="session")
def two_fold_home(two_fold_market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home after an undisturbed backfill, two folds side by side, one thread each; tests must not change it."""
    backfill = partial(aurora, "backfill", "--market", two_fold_market, *settings(*FEW), "--home")
    return made_once("two-fold-home", backfill, tmp_path_factory)
