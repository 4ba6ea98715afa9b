"""The same graph on daily bars: partitions are months, folds years."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aurora_pipeline import open_home
from aurora_pipeline.contracts import TABLES
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline_tests.end_to_end.conftest import aurora, settings
from aurora_pipeline_tests.end_to_end.test_main_job import FILLED

DAILY = (
    "warm_up_sessions=120",
    "walk_forward.minimum_train_sessions=60",
    "models.families=[ridge, xgboost]",
    "models.tree_rounds=40",
)


@pytest.fixture(scope="module")
def daily_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home after a run on a synthetic market of daily bars."""
    root = tmp_path_factory.mktemp("daily")
    simulate_market(root / "market", preset="reference-long", seed=3, sessions=200, symbols=16)
    aurora("run", "--market", root / "market", "--home", root / "home", *settings(*DAILY))
    return root / "home"


def test_a_run_on_daily_bars_fills_every_table(daily_home):
    home = open_home(daily_home)
    assert home.frequency == "session"
    for name in FILLED & set(TABLES):
        assert not home.read(name).is_empty(), name
    sessions = home.sessions(home.settings())
    assert home.read("predictions").get_column("session").unique().sort().to_list()[-1] == sessions[-1]


def test_the_audit_of_daily_bars_says_what_they_cannot_give(daily_home):
    audit = open_home(daily_home).read("feature_audit")
    told = audit.drop_nulls("unavailable").get_column("unavailable")
    assert told.str.contains("frequency `session`").any()
    newest = audit.filter(audit["fold"] == audit["fold"].max())
    faults = newest.drop_nulls("fault").get_column("fault")
    assert not faults.is_in(["constant", "infinite", "all missing"]).any(), faults


def test_running_again_recomputes_nothing(daily_home):
    before = {path: path.stat().st_mtime_ns for path in (daily_home / "lake").rglob("data.parquet")}
    aurora("run", "--home", daily_home)
    assert {path: path.stat().st_mtime_ns for path in (daily_home / "lake").rglob("data.parquet")} == before
    card = json.loads((daily_home / "scorecard.json").read_text())
    assert card["signal"]["sessions_scored"] > 0
