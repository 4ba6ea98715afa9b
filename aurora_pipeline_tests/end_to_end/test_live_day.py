"""Preflight, the end of a day and pruning on a tiny market."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from aurora_pipeline.adapters.book.book_store import BookStore
from aurora_pipeline.adapters.clock import clock_of
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.lifecycle_log import LifecycleLog
from aurora_pipeline.cli import app
from aurora_pipeline.defs.graph import build_definitions
from aurora_pipeline.defs.instances import instance_of
from aurora_pipeline.defs.retention import remove_tick_runs
from aurora_pipeline.defs.session_jobs import close_day, train_fold
from aurora_pipeline.live.alerting import kept_alerts
from aurora_pipeline.live.decision_log import decision_log
from aurora_pipeline.live.parity import parity
from aurora_pipeline.live.preflight import run_preflight
from aurora_pipeline.live.prune import prune
from aurora_pipeline.live.session_opening import opening_of
from aurora_pipeline.monitoring.lifecycle_decisions import LifecycleDecision
from aurora_pipeline_tests.end_to_end.test_live_tick import Loop

pytestmark = pytest.mark.usefixtures("restored_environment")


@pytest.fixture(scope="module")
def closed(tiny_home, tmp_path_factory):
    """A session of which some bars were decided, closed; with the report."""
    loop = Loop(tiny_home, tmp_path_factory.mktemp("day") / "replay")
    for bar in (0, 1, 3):
        loop.feed(2) if bar == 3 else None
        loop.tick(bar)
    for bar in range(4, len(loop.ends)):
        loop.feed(bar)
    loop.report = close_day(Home(loop.home.path), loop.session)
    loop.home = Home(loop.home.path)
    return loop


def test_every_bar_of_a_closed_session_is_decided_or_skipped_with_a_reason(closed):
    assert (closed.report["decided"], closed.report["skipped"]) == (3, len(closed.ends) - 3)
    assert closed.report["reasons"] == {"missed": len(closed.ends) - 3}
    assert closed.report["computation_ms"]["p50"] > 0


def test_the_session_made_again_and_the_backfill_of_the_assets_equal_it(closed):
    assert closed.report["differences"] == 0
    assert closed.report["backfill_differences"] == 0
    assert json.loads((closed.home.path / f"live/sessions/{closed.session}/close.json").read_text()) == closed.report


def test_the_account_reaches_the_last_bar_and_the_next_session_goes_on_from_it(closed):
    rows = closed.home.lake.read("portfolio", book="live")
    assert rows["decision_time"].max() == closed.ends[-1]
    held = closed.home.lake.read("positions", book="live").filter(pl.col("decision_time") == closed.ends[-1])
    assert held.height > 0
    following = closed.home.calendar.shift(closed.session, 1)
    checks = {check.name: check for check in run_preflight(closed.home, following, train_fold)}
    assert checks["book"].passed
    assert f"{held.height} positions" in checks["book"].found
    assert all(check.passed for check in checks.values()), checks


def test_labels_have_matured_through_the_close(closed):
    labels = closed.home.lake.read("labels")
    assert not labels.filter(pl.col("matured_at") == closed.ends[-1]).is_empty()


def test_closing_again_by_the_job_changes_nothing_and_tells_of_the_books_partition(closed):
    before = closed.home.lake.read("targets", book="live")
    config = {"ops": {"close_session": {"config": {"session": closed.session.isoformat()}}}}
    job = build_definitions(closed.home).resolve_job_def("end_of_day")
    with instance_of(closed.home) as instance:
        result = job.execute_in_process(instance=instance, run_config=config)
        told = {event.asset_key.to_user_string() for event in result.all_events if event.is_step_materialization}
        assert told == {"target_positions", "orders", "fills", "portfolio"}
        assert closed.session.isoformat() in instance.get_materialized_partitions(dg.AssetKey("calibrated_signals"))
    report = json.loads((closed.home.path / f"live/sessions/{closed.session}/close.json").read_text())
    assert (report["decided"], report["differences"], report["backfill_differences"]) == (3, 0, 0)
    assert closed.home.lake.read("targets", book="live").equals(before)


def test_tick_runs_are_removed_with_their_events_and_files_and_others_stay(tiny_home, tmp_path):
    loop = Loop(tiny_home, tmp_path / "replay")
    home = Home(loop.home.path)
    definitions = build_definitions(home)
    loop.feed(0)
    with instance_of(home) as instance:
        ticked = definitions.resolve_job_def("tick").execute_in_process(instance=instance).run_id
        other = definitions.resolve_job_def("empty_run").execute_in_process(instance=instance).run_id
        assert list(home.path.rglob(f"{ticked}.db"))
        assert remove_tick_runs(home, datetime(2000, 1, 1, tzinfo=UTC)) == 0
        assert remove_tick_runs(home, datetime(2100, 1, 1, tzinfo=UTC)) == 1
        assert [run.run_id for run in instance.get_runs()] == [other]
    assert not list(home.path.rglob(f"{ticked}.db"))
    assert list(home.path.rglob(f"{other}.db"))
    assert loop.status() == ["decided"]


def test_a_session_that_was_tampered_with_is_told_of(tiny_home, tmp_path):
    loop = Loop(tiny_home, tmp_path / "replay")
    for bar in range(2):
        loop.tick(bar)
    rows = loop.home.lake.read("signals", loop.session, loop.session)
    changed = rows.with_columns(pl.col("expected_return") + 1e-9)
    loop.home.lake.write("signals", changed, loop.session.isoformat(), fingerprint="live")
    found = parity(loop.home, loop.session)
    assert set(found["table"]) == {"signals"}
    assert set(found["column"]) == {"expected_return"}


def test_preflight_names_what_is_wrong(tiny_home, tmp_path):
    loop = Loop(tiny_home, tmp_path / "replay", "live.disk_reserve_mb=100000000")
    place = loop.home.models / loop.runner.opening.champions.directories["ridge"]
    file = place / next(iter(json.loads((place / "manifest.json").read_text())["files"]))
    file.unlink()
    before = loop.home.calendar.shift(loop.session, -1)
    loop.home.lake.remove("data_quality", before.isoformat())
    checks = {check.name: check for check in run_preflight(loop.home, loop.session, train_fold)}
    failed = {name for name, check in checks.items() if not check.passed}
    assert failed == {"disk", "models", "data"}
    assert "MB free" in checks["disk"].found
    assert file.name in checks["models"].found
    assert str(before) in checks["data"].found
    assert {row["key"] for row in kept_alerts(loop.home)} == {f"preflight:{name}" for name in failed}


def test_preflight_of_a_day_without_trading_says_so(tiny_home, tmp_path):
    loop = Loop(tiny_home, tmp_path / "replay")
    days = (loop.session + timedelta(days=offset) for offset in range(1, 9))
    closed = next(day for day in days if not loop.home.calendar.is_session(day))
    (wrong,) = [check for check in run_preflight(loop.home, closed, train_fold) if not check.passed]
    assert wrong.name == "calendar"
    assert "not a session" in wrong.found


def test_what_a_person_decides_between_preflight_and_open_holds_from_that_open(tiny_home, tmp_path):
    loop = Loop(tiny_home, tmp_path / "replay")
    home, opens = loop.home, loop.home.calendar.open(loop.session)
    assert "ridge" in loop.runner.opening.champions.members
    words = ["models", "retire", "ridge", "--reason", "its feed was dropped", "--home", str(home.path)]
    loop.runner.clock.set(opens - timedelta(minutes=30))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert f"holds from the open of {loop.session} on" in done.output
    assert "made anew" in done.output
    loop.restart()
    assert "ridge" not in loop.runner.opening.champions.members
    assert loop.tick(0).settled.status == "decided"
    assert parity(home, loop.session).is_empty()
    done = CliRunner().invoke(app, ["models", "retire", "xgboost", *words[3:]])
    assert f"holds from the open of {home.calendar.shift(loop.session, 1)} on" in done.output
    assert "made anew" not in done.output
    assert "xgboost" in opening_of(Home(home.path), loop.session).champions.members


def test_preflight_before_the_open_fixes_what_is_there_by_then(tiny_home, tmp_path):
    loop = Loop(tiny_home, tmp_path / "replay")
    before = loop.runner.opening.weights
    LifecycleLog(loop.home).append(LifecycleDecision(loop.session, "retire", "ridge", "kim", "its feed was dropped"))
    run_preflight(loop.home, loop.session, train_fold)
    assert opening_of(loop.home, loop.session).weights.equals(before), "the session has begun"
    loop.runner.clock.set(loop.home.calendar.open(loop.session) - timedelta(minutes=30))
    run_preflight(loop.home, loop.session, train_fold)
    assert set(before["model"]) - set(opening_of(loop.home, loop.session).weights["model"]) == {"ridge"}


def test_a_session_the_service_was_down_for_is_settled_before_the_next_and_positions_stay(closed, tmp_path):
    shutil.copytree(closed.home.path, tmp_path / "home")
    settings = closed.home.settings()
    missed, following = (closed.home.calendar.shift(closed.session, count) for count in (1, 2))
    home = Home(tmp_path / "home")
    home.record_market(home.market().model_copy(update={"directory": home.path / "markets" / "live"}))
    home.save_settings(settings.model_copy(update={"market": settings.market.model_copy(update={"directory": None})}))
    clock_of(home.path / "live").set(home.calendar.open(following) - timedelta(hours=1))
    checks = {check.name: check for check in run_preflight(Home(home.path), following, train_fold)}
    assert str(missed) in checks["missed sessions"].found
    assert "no bars" in checks["data"].found
    assert checks["book"].passed
    assert {settled.reason for settled in decision_log(home.path / "live", missed)} == {"missed: the session ended"}
    positions = home.lake.read("positions", book="live").sort("instrument_id")
    before = positions.filter(pl.col("decision_time") == closed.ends[-1])["shares"].to_list()
    pending = json.loads((home.path / f"books/live/{closed.session}.json").read_text())["state"]
    assert not json.loads(pending)["pending"]
    after = positions.filter(pl.col("decision_time") == home.calendar.close(missed))["shares"].to_list()
    assert before == after != []


def test_a_session_whose_last_commit_was_cut_off_is_committed_again_before_the_next(closed, tmp_path):
    shutil.copytree(closed.home.path, tmp_path / "home")
    home, before = Home(tmp_path / "home"), closed.home.lake.read("portfolio", book="live")
    path = home.path / f"books/live/{closed.session}.json"
    content = json.loads(path.read_text())
    # The state of the last bar, the tables of the one before.
    cut = before.filter(pl.col("decision_time") < closed.ends[-1])
    own = cut.filter(pl.col("session") == closed.session)
    home.lake.write("portfolio", own, closed.session.isoformat(), fingerprint="live-earlier", book="live")
    assert not BookStore(home.lake, "live").ends(closed.session)
    checks = {
        check.name: check
        for check in run_preflight(Home(home.path), closed.home.calendar.shift(closed.session, 1), train_fold)
    }
    assert checks["book"].passed
    assert home.lake.read("portfolio", book="live").equals(before)
    assert json.loads(path.read_text()) == content


def test_pruning_keeps_the_newest_sessions_and_every_book_row(closed):
    root = closed.home.path / "live" / "sessions"
    for name in ("2024-01-02", "2024-01-03"):
        (root / name / "decisions").mkdir(parents=True)
        (root / name / "opening").mkdir()
        (root / name / "close.json").write_text("{}")
    rows = closed.home.lake.read("targets", book="live").height
    settings = closed.home.settings(["live.tick_sessions=2"])
    assert prune(closed.home, settings, remove_tick_runs)["sessions"] == 1
    assert not (root / "2024-01-02" / "decisions").exists()
    assert (root / "2024-01-03" / "decisions").exists()
    assert (root / closed.session.isoformat() / "decisions").exists()
    assert closed.home.lake.read("targets", book="live").height == rows
