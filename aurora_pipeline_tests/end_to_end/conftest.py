"""Whole runs on small synthetic markets, through the command line and real Dagster, MLflow, DuckDB and files."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def settings(*pairs: str) -> list[str]:
    return [part for pair in pairs for part in ("--set", pair)]


def lake_hashes(home: Path) -> dict[str, str]:
    """sha256 of every file of the lake."""
    root = home / "lake"
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("data.parquet"))
    }


@pytest.fixture(scope="session")
def tiny_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic market of 16 stocks and 26 sessions, for runs that take seconds."""
    directory = tmp_path_factory.mktemp("markets") / "tiny"
    simulate_market(directory, preset="small", seed=3, sessions=26, symbols=16)
    return directory


@pytest.fixture(scope="session")
def tiny_home(tiny_market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home after an undisturbed run on the tiny market; tests must not change it."""
    home = tmp_path_factory.mktemp("homes") / "tiny"
    aurora("run", "--market", tiny_market, "--home", home, *settings(*SHORT))
    return home


@pytest.fixture(scope="session")
def two_fold_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic market of 12 stocks and 40 sessions: with the short settings it has two walk-forward folds."""
    directory = tmp_path_factory.mktemp("markets") / "two-folds"
    simulate_market(directory, preset="small", seed=4, sessions=40, symbols=12)
    return directory


@pytest.fixture(scope="session")
def two_fold_home(two_fold_market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home after an undisturbed backfill, two folds side by side, one thread each; tests must not change it."""
    home = tmp_path_factory.mktemp("homes") / "two-folds"
    aurora("backfill", "--market", two_fold_market, "--home", home, *settings(*FEW))
    return home
