"""Who trades a live session: a challenger that was promoted, files that are gone, nobody; as the backfill has it."""

import json
import shutil

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.champion_set import FILE, manifest_hash
from aurora_pipeline.adapters.models.lifecycle_log import LifecycleLog
from aurora_pipeline.adapters.models.zoo import NO_MODEL, champion_sets
from aurora_pipeline.defs.session_jobs import close_day, train_fold
from aurora_pipeline.live.alerting import kept_alerts
from aurora_pipeline.live.parity import parity
from aurora_pipeline.live.preflight import run_preflight
from aurora_pipeline.monitoring.lifecycle_decisions import LifecycleDecision
from aurora_pipeline_tests.end_to_end.test_live_tick import Loop

pytestmark = pytest.mark.usefixtures("restored_environment")


def decide(loop, kind, model):
    LifecycleLog(loop.home).append(LifecycleDecision(loop.session, kind, model, "kim", "test"))


def challenge(loop):
    """A challenger of ridge that has scored in shadow for two sessions and is promoted for this one."""
    home, calendar = loop.home, loop.home.calendar
    trained, first = calendar.shift(loop.session, -3), calendar.shift(loop.session, -2)
    name = f"ridge~{first}"
    place = home.champions()["lightgbm"][max(home.champions()["lightgbm"])]
    directory = home.models / name / first.isoformat()
    shutil.copytree(home.models / place, directory)
    manifest = json.loads((directory / "manifest.json").read_text()) | {
        "family": "lightgbm",
        "model_version": f"{name}-v1",
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))
    row = {
        "session": trained, "model": name, "family": "lightgbm", "first_session": first, "serves_from": first,
        "model_version": f"{name}-v1", "directory": f"{name}/{first}", "configuration": "{}", "reason": "test",
    }  # fmt: skip
    schema = home.lake.read("challengers").schema
    home.lake.write("challengers", pl.DataFrame([row], schema=schema), trained.isoformat(), fingerprint="x")
    for day in (first, calendar.shift(first, 1)):
        scores = home.lake.read("predictions", day, day, model="lightgbm")
        shadow = scores.with_columns(pl.lit(name).alias("model"), pl.lit(f"{name}-v1").alias("model_version"))
        home.lake.write("shadow_predictions", shadow, day.isoformat(), fingerprint="x")
    decide(loop, "promote", name)
    loop.challenger = name


@pytest.fixture(scope="module")
def challenged(tiny_home, tmp_path_factory):
    loop = Loop(tiny_home, tmp_path_factory.mktemp("challenged") / "replay", prepare=challenge)
    for bar in range(3):
        assert loop.tick(bar).settled.status == "decided"
    return loop


def test_a_promoted_challenger_trades_in_its_familys_place(challenged):
    loop = challenged
    champions = loop.runner.opening.champions
    assert champions.members["lightgbm"] == loop.challenger
    assert champions.directories["lightgbm"].startswith(f"{loop.challenger}/")
    assert loop.runner.models["lightgbm"].version == f"{loop.challenger}-v1"
    weights = loop.home.lake.read("ensemble_weights", loop.session, loop.session)
    assert set(weights["model"]) == set(loop.home.settings().models.families)
    shadows = loop.home.lake.read("shadow_predictions", loop.session, loop.session)
    assert set(shadows["model"]) == {loop.challenger}
    assert shadows["decision_time"].n_unique() == 3
    assert loop.home.lake.read("predictions", loop.session, loop.session, model="lightgbm").is_empty()
    assert parity(loop.home, loop.session).is_empty()


def test_live_and_backfill_take_the_same_champion_set_and_agree_to_the_last_bit(challenged):
    loop = challenged
    for bar in range(3, len(loop.ends)):
        loop.feed(bar)
    report = close_day(Home(loop.home.path), loop.session)
    assert (report["differences"], report["backfill_differences"], report["backfill_blocked"]) == (0, 0, ""), report
    states = loop.home.lake.read("model_states", loop.session, loop.session)
    ((_, members),) = champion_sets(states, [loop.session])
    assert members == loop.runner.opening.champions.members
    assert states.filter(pl.col("model") == "lightgbm")["state"].item() == "retired"


def test_without_any_champion_the_book_goes_flat_says_so_and_parity_holds(tiny_home, tmp_path):
    def retire(loop):
        for family in loop.home.settings().models.families:
            decide(loop, "retire", family)

    loop = Loop(tiny_home, tmp_path / "replay", prepare=retire)
    held = loop.home.lake.read("positions", book="live").height
    for bar in range(3):
        assert loop.tick(bar).settled.status == "decided"
    assert loop.runner.opening.champions.members == {}
    targets = loop.home.lake.read("targets", loop.session, book="live")
    assert held > 0
    assert targets.height > 0
    assert (targets["target_weight"].abs() <= targets["current_weight"].abs()).all()
    gross = loop.home.lake.read("portfolio", loop.session, book="live").sort("decision_time")["gross"]
    assert gross[-1] < gross[0]
    assert loop.home.lake.read("predictions", loop.session, loop.session).is_empty()
    events = loop.home.lake.read("events", loop.session, book="live").filter(pl.col("event") == "no_champion")
    assert events["times"].to_list() == [3]
    alert = next(row for row in kept_alerts(loop.home) if row["key"] == "no_champion")
    assert alert["severity"] == "critical"
    assert NO_MODEL.split()[0] in alert["text"]
    assert parity(loop.home, loop.session).is_empty()
    checks = {check.name: check for check in run_preflight(loop.home, loop.session, train_fold)}
    assert not checks["models"].passed
    assert "no model trades" in checks["models"].found


def test_a_champion_whose_files_are_gone_falls_back_to_the_last_good_one(tiny_home, tmp_path):
    def lose(loop):
        home, day = loop.home, loop.home.calendar.shift(loop.session, -1)
        place = home.models / home.champions()["ridge"][max(home.champions()["ridge"])]
        shutil.copytree(place, home.models / "ridge" / "before")
        manifest = json.loads((place / "manifest.json").read_text())
        earlier = {
            "model": "ridge", "version": "ridge-before", "directory": "ridge/before", "features": manifest["features"],
            "sha256": manifest_hash(home.models / "ridge" / "before"), "since": day.isoformat(),
        }  # fmt: skip
        (home.path / FILE).write_text(json.dumps({"session": str(day), "families": {"ridge": [earlier]}}))
        shutil.rmtree(place)
        lost = home.models / home.champions()["xgboost"][max(home.champions()["xgboost"])]
        file = lost / next(iter(json.loads((lost / "manifest.json").read_text())["files"]))
        file.unlink()

    loop = Loop(tiny_home, tmp_path / "replay", prepare=lose)
    champions = loop.runner.opening.champions
    assert champions.directories["ridge"] == "ridge/before"
    assert "xgboost" not in champions.members
    assert len(champions.problems) == 2
    outcome = loop.tick(0)
    assert outcome.settled.status == "decided"
    assert outcome.numbers["families"] == len(loop.home.settings().models.families) - 1
    told = {row["key"]: row["text"] for row in kept_alerts(loop.home)}
    assert "fell back to ridge-before" in told["champion:ridge"]
    assert "does not trade" in told["champion:xgboost"]
    assert parity(loop.home, loop.session).is_empty()
    checks = {check.name: check for check in run_preflight(loop.home, loop.session, train_fold)}
    assert "fell back" in checks["models"].found


def test_a_family_whose_training_failed_sits_the_fold_out_as_preflight_says(tiny_home, tmp_path):
    def fail(loop):
        home = loop.home
        champions = home.champions()
        fold = max(champions["ridge"])
        home.champions_file.write_text(json.dumps(champions | {"ridge": {"2024-11": champions["ridge"][fold]}}))
        LifecycleLog(home).append(LifecycleDecision(loop.session, "rollback", "xgboost", "kim", "test"))

    loop = Loop(tiny_home, tmp_path / "replay", prepare=fail)
    assert "ridge" not in loop.runner.opening.champions.members
    assert loop.tick(0).settled.status == "decided"
    assert parity(loop.home, loop.session).is_empty()
    told = {row["key"]: row["text"] for row in kept_alerts(loop.home)}
    assert "the family sits the fold out" in told["champion:ridge"]
    assert "rollback xgboost" in told["decision"]
    checks = {check.name: check for check in run_preflight(loop.home, loop.session, lambda *_: None)}
    assert "the family sits the fold out" in checks["models"].found


def test_where_no_family_was_trained_for_the_fold_all_trade_with_the_one_before_and_it_is_told(tiny_home, tmp_path):
    def earlier(loop):
        home = loop.home
        for family, folds in home.champions().items():
            (home.models / family / max(folds)).rename(home.models / family / "2024-11")
        kept = {family: {"2024-11": f"{family}/2024-11"} for family in home.champions()}
        home.champions_file.write_text(json.dumps(kept))

    loop = Loop(tiny_home, tmp_path / "replay", prepare=earlier)
    assert set(loop.runner.opening.champions.members) == set(loop.home.settings().models.families)
    told = {row["key"]: row["text"] for row in kept_alerts(loop.home)}
    assert f"the fold of {loop.session} has not been trained; trades with" in told["champion:ridge"]
    checks = {check.name: check for check in run_preflight(loop.home, loop.session, lambda *_: None)}
    assert not checks["models"].passed
