import json
import re
import shutil

import dagster as dg
import duckdb
import polars as pl
import pytest

from aurora_pipeline import open_home
from aurora_pipeline.contracts import TABLES, validated
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.models.model_factory import FAMILIES
from aurora_pipeline.reports.claim_report import is_reported
from aurora_pipeline_tests.end_to_end.conftest import SHORT, aurora, aurora_here, lake_hashes, settings

FILLED = set(TABLES) - {
    "orders", "fills", "positions", "attribution", "events", "quarantine", "challengers", "shadow_predictions",
    "borrow",
}  # fmt: skip


def test_a_run_fills_every_table_within_its_contract(tiny_home):
    home = open_home(tiny_home)
    for name in TABLES:
        frame = home.read(name)
        assert not frame.is_empty() or name not in FILLED, name
        if TABLES[name].partitioning == "none":
            validated(name, frame)


def test_every_session_after_the_warm_up_is_scored_by_every_family(tiny_home):
    home = open_home(tiny_home)
    predictions = home.read("predictions")
    sessions = home.sessions(home.settings())
    assert predictions.get_column("session").unique().sort().to_list() == sessions[14:]
    assert sorted(predictions.get_column("model").unique()) == sorted(FAMILIES)
    features = home.read("features", start=sessions[14]).select("symbol", "decision_time")
    for model in FAMILIES:
        scored = predictions.filter(pl.col("model") == model).select("symbol", "decision_time")
        assert scored.sort("symbol", "decision_time").equals(features.sort("symbol", "decision_time"))


def test_the_scorecard_and_the_manifest_say_what_was_run(tiny_home):
    card = json.loads((tiny_home / "scorecard.json").read_text())
    assert card["run"]["synthetic"] is True
    assert set(card["signal"]["family_ic"]) == set(FAMILIES)
    assert card["signal"]["correlation_with_truth"] is not None
    (manifest,) = (tiny_home / "runs").glob("*.json")
    content = json.loads(manifest.read_text())
    assert set(content["outputs"]) <= set(TABLES)
    assert content["settings"]["warm_up_sessions"] == 14
    assert {"revision", "dirty"} == set(content["git"])


@pytest.mark.slow
def test_views_of_a_copied_home_show_its_own_lake_after_a_run_with_nothing_to_do(tiny_home, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(tiny_home, copied)
    aurora("run", "--home", copied)
    with duckdb.connect(str(copied / "aurora.duckdb"), read_only=True) as connection:
        shown = connection.sql("select sql from duckdb_views() where view_name in ('bars', 'portfolio')").fetchall()
    assert len(shown) == 2
    assert all(f"'{copied}/lake/" in sql for (sql,) in shown)


def test_dagster_shows_what_the_command_line_made(tiny_home, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tiny_home))
    with dg.DagsterInstance.get() as instance:
        home = open_home(tiny_home)
        days = [day.isoformat() for day in home.sessions(home.settings())]
        assert sorted(instance.get_materialized_partitions(dg.AssetKey("feature_panel"))) == days
        assert sorted(instance.get_materialized_partitions(dg.AssetKey("portfolio"))) == days[14:]
        event = instance.get_latest_materialization_event(dg.AssetKey("bars"))
        assert event is not None
        assert {"rows", "nulls", "latency_ms"} <= set(event.asset_materialization.metadata)
        assert all(run.status == dg.DagsterRunStatus.SUCCESS for run in instance.get_runs())


def test_mlflow_holds_one_registered_version_per_family_and_fold(tiny_home):
    from aurora_pipeline.adapters.models.model_registry import ModelRegistry

    client = ModelRegistry(tiny_home / "mlflow").client
    folds = len(open_home(tiny_home).champions()["ridge"])
    for family in FAMILIES:
        versions = client.search_model_versions(f"name='aurora-{family}'")
        assert len(versions) == folds
        run = client.get_run(versions[0].run_id)
        assert {"lake_fingerprint", "code_version", "code_sha256", "features_sha256", "fold"} <= set(run.data.tags)
        assert {"train_first", "train_last", "test_first", "test_last", "purge_bars", "seed"} <= set(run.data.params)
        assert {"in_fold_ic", "validation_ic", "out_of_fold_ic", "fit_seconds"} <= set(run.data.metrics)
        assert versions[0].tags["out_of_fold_ic"] == f"{run.data.metrics['out_of_fold_ic']:.5f}"
        stored = {item.path for item in client.list_artifacts(run.info.run_id, "model")}
        assert {"model/manifest.json", "model/model_card.md", "model/importance.csv"} <= stored
        assert set(client.get_registered_model(f"aurora-{family}").aliases) == {
            "champion",
            f"fold-{versions[0].tags['fold']}",
        }


def test_running_again_recomputes_nothing(tiny_home):
    before = {path: path.stat().st_mtime_ns for path in (tiny_home / "lake").rglob("data.parquet")}
    aurora("run", "--home", tiny_home)
    assert {path: path.stat().st_mtime_ns for path in (tiny_home / "lake").rglob("data.parquet")} == before


def test_changing_a_book_setting_redoes_the_book_only(tiny_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(tiny_home, home)
    before = lake_hashes(home)
    aurora("run", "--home", home, "--set", "book.name_cap=0.005")
    after = lake_hashes(home)
    changed = {name.partition("/")[0] for name in after if before.get(name) != after[name]}
    book = {name for name in TABLES if "book" in TABLES[name].branches}
    reports = {"claims", "signal_quality", "reliability", "model_comparison"}
    assert changed <= book | reports
    assert {"targets", "portfolio"} <= changed


def test_sql_reads_and_does_not_write(tiny_home):
    done = aurora_here("sql", "select count(*) as n from signals", "--home", tiny_home)
    assert str(open_home(tiny_home).read("signals").height) in done.stdout
    for statement in ("drop view signals", "select 1; select 2", "copy signals to 'x.csv'", "selec 1"):
        refused = aurora_here("sql", statement, "--home", tiny_home, check=False)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr


def test_export_and_views_answer_the_same(tiny_home, tmp_path):
    aurora_here("export", "--duckdb", tmp_path / "copy.duckdb", "--home", tiny_home)
    query = "select count(*), min(nav), max(nav) from portfolio"
    with duckdb.connect(str(tmp_path / "copy.duckdb"), read_only=True) as copy:
        exported = copy.execute(query).fetchone()
    with duckdb.connect(str(tiny_home / "aurora.duckdb"), read_only=True) as views:
        assert views.execute(query).fetchone() == exported


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--market", "/no/such/folder"], "no such folder"),
        (["run", "--set", "book.name_cap=7"], "book.name_cap = 7"),
        (["run", "--set", "no.such=1"], "unknown key 'no.such'"),
        (["check", "/no/such/folder"], "no such folder"),
        (["backfill", "--from", "2031-01-01", "--to", "2031-01-05"], "no session"),
    ],
)
def test_user_errors_are_one_line_and_exit_code_2(arguments, message, tmp_path):
    extra = [] if arguments[0] == "check" else ["--home", str(tmp_path / "home")]
    done = aurora_here(*arguments, *extra, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_impossible_span_is_refused_before_any_work(tiny_market, tmp_path):
    done = aurora(
        "run",
        "--market",
        tiny_market,
        "--home",
        tmp_path / "h",
        "--start",
        "2019-01-02",
        "--end",
        "2019-02-01",
        check=False,
    )
    assert done.returncode == 2
    assert "none of them from 2019-01-02 to 2019-02-01" in " ".join(done.stderr.split())
    assert not (tmp_path / "h" / "settings.yaml").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--start", "2030-01-01"), "change market.start"),
        (("--set", "models.families=[lasso]"), "models.families no longer names"),
    ],
)
def test_what_is_refused_is_not_kept_in_the_home(tiny_home, options, message):
    before = (tiny_home / "settings.yaml").read_bytes()
    done = aurora_here("run", "--home", tiny_home, *settings(*SHORT), *options, check=False)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert (tiny_home / "settings.yaml").read_bytes() == before


def test_too_short_a_market_says_how_much_is_missing(tiny_market, tmp_path):
    done = aurora_here("run", "--market", tiny_market, "--home", tmp_path / "h", check=False)
    assert done.returncode == 2
    assert "26" in done.stderr
    assert "warm_up_sessions" in done.stderr


def test_a_home_refuses_another_market(tiny_home, tmp_path):
    other = tmp_path / "other"
    simulate_market(other, preset="small", seed=4, sessions=20, symbols=8)
    before = {name: (tiny_home / name).read_bytes() for name in ("settings.yaml", "market.json")}
    done = aurora_here("run", "--market", other, "--home", tiny_home, check=False)
    assert done.returncode == 2
    assert "holds market" in done.stderr
    assert {name: (tiny_home / name).read_bytes() for name in before} == before


def test_models_are_compared_in_the_run_and_again_by_hand(tiny_home, tmp_path):
    stored = open_home(tiny_home).read("model_comparison")
    assert {"ridge", "lightgbm", "xgboost", "ensemble", "mean_score", "zero", "families"} <= set(stored["model"])
    assert stored.filter(measure="ic", model="ridge", dimension="all")["value"].is_not_null().all()
    home = tmp_path / "home"
    shutil.copytree(tiny_home, home)
    done = aurora_here("report", "models", "--home", home)
    assert "Models on synthetic market" in done.stdout
    # What it cost to fit is read from the event log.
    assert re.search(r"ridge .*[0-9]\.[0-9]{3} +│ [0-9]\.[0-9]{3} +│\n", done.stdout)
    assert open_home(home).read("model_comparison").equals(stored)
    assert (home / "reports" / "model_comparison.png").read_bytes()[:4] == b"\x89PNG"
    assert "## IC by sector" in (home / "reports" / "model_comparison.md").read_text()


def test_the_ledger_holds_the_plan_against_what_is_stored(tiny_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(tiny_home, home)
    claims = open_home(home).read("claims")
    verdicts = dict(claims.select("claim_id", "verdict").iter_rows())
    assert verdicts["features"] == "met"
    assert verdicts["model_families"] == "met"
    assert verdicts["drawdown"] in {"not testable", "not met"}  # too few sessions to be met
    assert set(claims["market_kind"]) <= {"synthetic", "any"}
    shutil.rmtree(home / "reports")
    done = aurora_here("claims", "--home", home)
    assert "SYNTHETIC" in done.stdout
    assert "not testable" in done.stdout
    assert open_home(home).read("claims").equals(claims)
    assert (home / "reports" / "claims.md").exists()
    assert "<table>" in (home / "reports" / "claims.html").read_text()


def test_a_report_cut_off_before_its_end_is_made_again(tiny_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(tiny_home, home)
    opened = open_home(home)
    assert is_reported(opened)
    opened.lake.restamp("claims", fingerprint="of another day")
    assert not is_reported(opened)
    shutil.rmtree(home / "lake" / "claims")
    assert not is_reported(opened)
    assert not is_reported(open_home(tmp_path / "empty"))
