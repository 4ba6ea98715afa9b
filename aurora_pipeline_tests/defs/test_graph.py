from datetime import UTC, date, datetime

import dagster as dg
import pytest
import yaml

from aurora_pipeline.adapters.home import REPOSITORY, Home, MarketRecord
from aurora_pipeline.adapters.instance import instance_config, write_instance_config
from aurora_pipeline.contracts import table
from aurora_pipeline.defs.graph import build_definitions
from aurora_pipeline.defs.launcher import range_tags
from aurora_pipeline.defs.partitions import fold_partitions, session_partitions
from aurora_pipeline.errors import SettingsError
from aurora_pipeline.settings import load_settings, save_settings
from aurora_pipeline.stages import build_stages

FAMILIES = (
    "ridge", "lasso", "elastic_net", "random_forest", "lightgbm", "xgboost", "catboost", "ranker", "neural_network",
)  # fmt: skip
ASSETS = {
    "market_feeds", "universe", "bars", "session_bars", "quarantine", "data_quality", "residual_returns",
    "price_features", "sector_features", "microstructure_features", "fundamental_features", "alternative_features",
    "drift", "challengers", "shadow_predictions", "model_scores", "model_states",
    "feature_panel", "labels", "feature_audit", "ensemble_weights", "ensemble",
    "calibrated_signals", "target_positions", "orders", "fills", "portfolio", "report", "model_comparison",
    "model_tracking",
    *(f"{stage}/{family}" for stage in ("trained_model", "prediction") for family in FAMILIES),
    "signal_quality", "claims", "performance_dashboard", "model_contributions",
}  # fmt: skip
JOBS = {
    "market_feeds_job", "bars_to_labels", "train_fold", "predict", "predictions_to_signals", "trade_book_job",
    "trading_session", "evaluation_job", "report_job", "tick", "preflight", "end_of_day", "empty_run",
    "model_lifecycle", "train_challengers",
}  # fmt: skip
BLOCKING_CHECKS = {
    ("market_feeds", "known_after_event"), ("bars", "bar_grid"), ("bars", "bars_known_at"),
    *(("feature_panel", name) for name in ("truncation", "poison", "scale", "peers", "lagged_beta")),
    *(("labels", name) for name in ("maturity", "entry", "label_truncation", "label_poison")),
    ("model_states", "one_champion"), ("ensemble_weights", "weights"), ("calibrated_signals", "intervals"),
    ("ensemble_weights", "matured"), ("calibrated_signals", "matured"),
    ("target_positions", "limits"), ("portfolio", "nav_identity"),
    *((f"trained_model/{family}", "purge") for family in FAMILIES),
    *((f"prediction/{family}", "covers_universe") for family in FAMILIES),
}  # fmt: skip
# The audit tells what is wrong with a feature; it does not stop the models that can live without it. Nor does a family that sits
# a fold out stop the ensemble.
ADVISORY_CHECKS = {("feature_audit", "sound_features"), *((f"prediction/{family}", "served") for family in FAMILIES)}
SCHEDULES = {"five_minutes", "before_the_open", "after_the_close"}
SENSORS = {"bar_arrival", "failed_runs", "drift_asks_for_challenger"}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    return build_definitions(Home(tmp_path_factory.mktemp("home")))


def test_the_graph_has_the_assets_jobs_and_schedule_it_is_known_by(definitions):
    specs = list(definitions.resolve_all_asset_specs())
    assert {spec.key.to_user_string() for spec in specs} == ASSETS
    assert {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")} == JOBS
    assert {schedule.name for schedule in definitions.schedules} == SCHEDULES
    assert {sensor.name for sensor in definitions.sensors} == SENSORS
    assert definitions.resolve_schedule_def("five_minutes").cron_schedule == "4-59/5 * * * *"


def test_every_asset_says_what_it_is_whose_it_is_and_where_it_belongs(definitions):
    for spec in definitions.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.group_name in {"market", "features", "models", "lifecycle", "ensemble", "book", "report"}
        assert spec.owners, spec.key
        assert spec.kinds, spec.key


def test_an_asset_shows_its_table_with_types_units_and_key(definitions):
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    assert specs["target_positions"].metadata["dagster/table_name"] == "targets"
    shown = {column.name: column for column in specs["target_positions"].metadata["dagster/column_schema"].columns}
    assert list(shown) == list(table("targets").schema.columns())
    assert shown["target_weight"].description == "wanted after it (fraction of NAV)"
    assert (shown["decision_time"].type, "key" in shown["decision_time"].tags) == ("timestamp, UTC", True)
    assert (shown["expected_return"].constraints.nullable, "key" in shown["expected_return"].tags) == (True, False)
    assert specs["prediction/ridge"].metadata["dagster/table_name"] == "predictions"
    assert specs["feature_panel"].metadata["dagster/column_schema"].columns[-1].name == "..."
    assert "dagster/table_name" not in specs["trained_model/ridge"].metadata


def test_a_run_over_a_range_tells_it_where_the_list_of_runs_shows_it():
    assert range_tags("2024-11-26", "2024-12-02")["partitions"] == "2024-11-26 to 2024-12-02"
    assert range_tags("2024-11", "2024-11")["partitions"] == "2024-11"


def test_the_integrity_checks_are_there_and_block(definitions):
    graph = definitions.resolve_asset_graph()
    checks = {
        (key.asset_key.to_user_string(), key.name): graph.get_check_spec(key).blocking for key in graph.asset_check_keys
    }
    assert {name for name, blocks in checks.items() if blocks} == BLOCKING_CHECKS
    assert {name for name, blocks in checks.items() if not blocks} == ADVISORY_CHECKS


def test_the_edges_on_the_screen_cover_what_the_stages_read(definitions):
    writes = {
        "features": "feature_panel", "signals": "calibrated_signals", "targets": "target_positions", "market": "market_feeds",
        "daily_bars": "market_feeds", "corporate_actions": "market_feeds", "earnings": "market_feeds",
        "fundamentals": "market_feeds", "short_interest": "market_feeds", "etf_flows": "market_feeds",
        "options": "market_feeds", "borrow": "market_feeds",
    }  # fmt: skip
    deps = {
        spec.key.to_user_string(): {dep.asset_key.to_user_string() for dep in spec.deps}
        for spec in definitions.resolve_all_asset_specs()
    }
    made_by = {"session_data": "bars", "trade_book": "portfolio"}
    for stage in build_stages(dict.fromkeys(FAMILIES, ""), 3):
        asset = made_by.get(stage.name, stage.name)
        for read in stage.reads:
            if read.window in {"decisions", "configurations"}:
                continue  # files that persons and settings write, no assets
            upstream = writes.get(read.table, read.table)
            assert upstream in deps[asset], f"{asset} reads {read.table}"


def test_the_scorecard_comes_last(definitions):
    """A run that was cut off between the two would otherwise find its scorecard and never compare its models."""
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    assert "model_comparison" in {dep.asset_key.to_user_string() for dep in specs["report"].deps}


def test_sessions_are_partitions_without_weekends_and_holidays_and_end_with_the_market(tmp_path):
    keys = session_partitions(Home(tmp_path)).get_partition_keys()
    assert keys[0] == "2024-05-14"
    assert keys[-1] == "2024-12-31"
    assert len(keys) == 160
    assert "2024-11-28" not in keys


def test_a_live_market_has_a_partition_for_today(tmp_path):
    live = MarketRecord(name="live", first_session=date(2024, 11, 1), last_session=date(2024, 11, 26), live=True)
    Home(tmp_path).record_market(live)
    now = datetime(2024, 11, 29, 15, tzinfo=UTC)
    keys = session_partitions(Home(tmp_path)).get_partition_keys(current_time=now)
    assert keys[-2:] == ["2024-11-27", "2024-11-29"]


def test_at_frequency_session_partitions_are_months_and_folds_years(tmp_path):
    home = Home(tmp_path)
    home.record_market(
        MarketRecord(name="daily", frequency="session", first_session=date(2005, 1, 3), last_session=date(2006, 3, 6))
    )
    home = Home(tmp_path)
    months = session_partitions(home).get_partition_keys()
    assert (months[0], months[-1], len(months)) == ("2005-01", "2006-03", 15)
    assert fold_partitions(home).get_partition_keys() == ["2005", "2006"]


@pytest.mark.parametrize(
    ("moment", "outcome"),
    [
        (datetime(2024, 11, 26, 14, 34, tzinfo=UTC), "2024-11-26"),
        (datetime(2024, 11, 26, 20, 59, tzinfo=UTC), "2024-11-26"),
        (datetime(2024, 11, 26, 14, 29, tzinfo=UTC), "outside"),
        (datetime(2024, 11, 26, 21, 4, tzinfo=UTC), "outside"),
        (datetime(2024, 11, 28, 14, 59, tzinfo=UTC), "not a session"),
        (datetime(2024, 11, 29, 17, 59, tzinfo=UTC), "2024-11-29"),
        (datetime(2024, 11, 29, 18, 4, tzinfo=UTC), "outside"),
        (datetime(2024, 11, 1, 13, 34, tzinfo=UTC), "2024-11-01"),
        (datetime(2024, 11, 4, 13, 34, tzinfo=UTC), "outside"),
        (datetime(2025, 1, 2, 14, 59, tzinfo=UTC), "ends on"),
    ],
)
def test_the_schedule_runs_a_minute_ahead_of_bars_and_says_why_elsewhere(definitions, moment, outcome):
    schedule = definitions.resolve_schedule_def("five_minutes")
    with dg.build_schedule_context(scheduled_execution_time=moment) as context:
        (result,) = [schedule(context)]
    if isinstance(result, dg.SkipReason):
        assert outcome in str(result.skip_message)
    else:
        assert result.run_config["ops"]["decide"]["config"]["session"] == outcome


def test_the_shipped_dagster_yaml_is_the_default_homes_instance():
    from pathlib import Path

    shipped = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text(encoding="utf-8"))
    assert shipped == instance_config(Path("data"))


def test_year_and_month_that_are_not_over_have_partitions(tmp_path):
    today = date.today()
    home = Home(tmp_path)
    home.record_market(
        MarketRecord(name="now", frequency="session", first_session=date(today.year - 2, 1, 3), last_session=today)
    )
    assert fold_partitions(home).get_last_partition_key() == str(today.year)
    assert session_partitions(home).get_last_partition_key() == today.strftime("%Y-%m")


def test_the_instance_of_profile_cluster_names_its_secrets_and_knows_none(tmp_path, monkeypatch):
    monkeypatch.setenv("AURORA_DAGSTER_POSTGRES", "postgresql://user:word-to-hide@host/dagster")
    settings = load_settings(None, ["profile=cluster", "cluster.store=s3://b/p", "cluster.ray=http://ray:8265"], {})
    text = write_instance_config(tmp_path, settings).read_text(encoding="utf-8")
    assert "word-to-hide" not in text
    config = yaml.safe_load(text)
    assert config["storage"]["custom"]["config"]["postgres_url"] == {"env": "AURORA_DAGSTER_POSTGRES"}
    assert config["run_launcher"]["config"]["ray"] == {"address": "http://ray:8265", "num_cpus": 1}
    assert config["run_retries"] == {"enabled": True, "max_retries": 3, "retry_on_asset_or_op_failure": False}
    assert config["run_coordinator"]["config"]["max_concurrent_runs"] == settings.cluster.concurrent_runs


def test_the_live_book_is_refused_by_a_home_of_profile_cluster(tmp_path):
    pytest.importorskip("obstore")
    save_settings(
        load_settings(None, ["profile=cluster", "cluster.store=s3://b/p", "cluster.ray=http://ray:8265"], {}),
        tmp_path / "settings.yaml",
    )
    with pytest.raises(SettingsError, match="the live book stays on one machine"):
        Home(tmp_path).require_local("the live book")
    Home(tmp_path / "other").require_local("the live book")
