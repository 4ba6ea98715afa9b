"""Schedule and sensor with pinned times and files, and the tick's job in process."""

import json
import os
import time
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from aurora_pipeline.adapters.clock import ReplayClock
from aurora_pipeline.adapters.home import SERVED_VARIABLE, Home, MarketRecord
from aurora_pipeline.adapters.inbox import Inbox
from aurora_pipeline.defs.day import failure_sensor
from aurora_pipeline.defs.graph import build_definitions
from aurora_pipeline.defs.live import TICK_JOB, asset_tables
from aurora_pipeline.defs.sensors import arrival_sensor
from aurora_pipeline.live.alerting import kept_alerts
from aurora_pipeline.live.arrival_watch import ATTEMPTS, RETRY_SECONDS
from aurora_pipeline.live.decision_log import decision_log
from aurora_pipeline_tests.market.tiny import CALENDAR, bar_rows

SESSION = date(2024, 11, 26)
ENDS = CALENDAR.bar_ends(SESSION)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.record_market(
        MarketRecord(name="tiny", directory=tmp_path, first_session=date(2024, 11, 1), last_session=SESSION, live=True)
    )
    ReplayClock(tmp_path / "live" / "replay-clock.json").set(ENDS[0])
    return Home(tmp_path)


def look(home, cursor=None, standby_seconds=0.0):
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, cursor=cursor) as context,
    ):
        return arrival_sensor(home, poll_seconds=0.0, standby_seconds=standby_seconds)(context)


def test_where_runs_are_armed_the_sensor_leaves_a_new_bar_to_them_for_a_while(home):
    drop(home, ENDS[0])
    assert isinstance(look(home, standby_seconds=30.0), dg.SkipReason)
    (file,) = Inbox(home.path / "inbox").pending()
    earlier = time.time() - 31.0
    os.utime(file.path, (earlier, earlier))
    (request,) = look(home, standby_seconds=30.0).run_requests
    assert request.run_key == f"{SESSION} {ENDS[0]:%H:%M}"


def drop(home, *ends):
    rows = [{"symbol": "AAA", "bar_start": end - timedelta(minutes=5)} for end in ends]
    Inbox(home.path / "inbox").drop("bars", bar_rows(rows))


@pytest.mark.parametrize(
    ("moment", "outcome"),
    [
        (datetime(2024, 11, 26, 14, 35, tzinfo=UTC), "2024-11-26 14:35"),
        (datetime(2024, 11, 26, 21, 0, tzinfo=UTC), "2024-11-26 21:00"),
        (datetime(2024, 11, 29, 18, 0, tzinfo=UTC), "2024-11-29 18:00"),  # half-day
        (datetime(2024, 11, 29, 18, 5, tzinfo=UTC), None),
        (datetime(2024, 11, 1, 13, 35, tzinfo=UTC), "2024-11-01 13:35"),  # summer time
        (datetime(2024, 11, 4, 13, 35, tzinfo=UTC), None),  # winter time
        (datetime(2024, 11, 4, 14, 35, tzinfo=UTC), "2024-11-04 14:35"),
        (datetime(2025, 3, 10, 13, 35, tzinfo=UTC), "2025-03-10 13:35"),
        (datetime(2024, 11, 28, 15, 0, tzinfo=UTC), None),
        (datetime(2024, 11, 30, 15, 0, tzinfo=UTC), None),
    ],
)
def test_the_armed_schedule_of_a_live_home_asks_a_minute_ahead_for_the_bar_that_ends(home, moment, outcome):
    schedule = build_definitions(home).resolve_schedule_def("five_minutes")
    assert schedule.cron_schedule == "4-59/5 * * * *"
    with dg.build_schedule_context(scheduled_execution_time=moment - timedelta(minutes=1)) as context:
        result = schedule(context)
    if outcome is None:
        assert isinstance(result, dg.SkipReason)
    else:
        assert result.run_key == outcome
        assert result.run_config["ops"]["decide"]["config"]["bar_end"] == moment.isoformat()
        assert result.tags["dagster/max_runtime"]


@pytest.mark.parametrize(
    ("name", "moment", "outcome"),
    [
        ("before_the_open", datetime(2024, 11, 26, 13, 15, tzinfo=UTC), None),
        ("before_the_open", datetime(2024, 11, 26, 13, 30, tzinfo=UTC), "preflight 2024-11-26"),
        ("before_the_open", datetime(2024, 11, 26, 14, 15, tzinfo=UTC), "preflight 2024-11-26"),
        ("before_the_open", datetime(2024, 11, 26, 14, 30, tzinfo=UTC), None),
        ("before_the_open", datetime(2024, 11, 1, 13, 15, tzinfo=UTC), "preflight 2024-11-01"),  # summer time
        ("before_the_open", datetime(2024, 11, 4, 13, 15, tzinfo=UTC), None),  # winter time
        ("before_the_open", datetime(2024, 11, 28, 14, 0, tzinfo=UTC), None),  # holiday
        ("after_the_close", datetime(2024, 11, 26, 21, 0, tzinfo=UTC), None),
        ("after_the_close", datetime(2024, 11, 26, 21, 15, tzinfo=UTC), "end_of_day 2024-11-26"),
        ("after_the_close", datetime(2024, 11, 27, 2, 45, tzinfo=UTC), "end_of_day 2024-11-26"),
        ("after_the_close", datetime(2024, 11, 27, 3, 0, tzinfo=UTC), None),
        ("after_the_close", datetime(2024, 11, 29, 18, 15, tzinfo=UTC), "end_of_day 2024-11-29"),  # half-day
        ("after_the_close", datetime(2024, 11, 30, 20, 0, tzinfo=UTC), None),
    ],
)
def test_preflight_and_close_are_asked_for_once_around_a_session(home, name, moment, outcome):
    schedule = build_definitions(home).resolve_schedule_def(name)
    with dg.build_schedule_context(scheduled_execution_time=moment) as context:
        result = schedule(context)
    assert (None if isinstance(result, dg.SkipReason) else result.run_key) == outcome


def test_a_failed_run_is_told_of(home):
    @dg.job
    def tick():
        @dg.op
        def broken():
            raise ValueError("no such luck")

        broken()

    with dg.DagsterInstance.ephemeral() as instance:
        result = tick.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            "failed_runs", result.get_run_failure_event(), instance, result.dagster_run
        ).for_run_failure()
        failure_sensor(home)(context)
    (row,) = kept_alerts(home)
    assert (row["severity"], row["key"]) == ("critical", "run:tick")
    assert result.run_id in row["text"]
    assert row["text"].endswith("broken: ValueError: no such luck")


def test_the_sensor_asks_for_the_newest_bar_once(home):
    assert "nothing in the inbox" in look(home).skip_message
    drop(home, ENDS[0])
    result = look(home)
    (request,) = result.run_requests
    assert request.run_key == "2024-11-26 14:35"
    assert "has been asked for" in look(home, result.cursor).skip_message


def test_a_bar_whose_tick_died_is_asked_for_again_a_few_times(home):
    drop(home, ENDS[0])
    cursor, keys = None, []
    for _ in range(6):
        result = look(home, cursor)
        if isinstance(result, dg.SkipReason):
            break
        keys += [request.run_key for request in result.run_requests]
        asked = json.loads(result.cursor)
        cursor = json.dumps(asked | {"asked": asked["asked"] - RETRY_SECONDS})
    assert keys == ["2024-11-26 14:35", *(f"2024-11-26 14:35 attempt {number}" for number in range(2, ATTEMPTS + 1))]


def test_the_sensor_sees_a_bar_in_its_mark_too(home):
    Inbox(home.path / "inbox").close_bar(ENDS[0])
    assert look(home).run_requests[0].run_key == "2024-11-26 14:35"


def test_the_sensor_leaves_late_and_corrected_bars_to_the_next_tick(home):
    decision_log(home.path / "live", SESSION).settle(ENDS[0], "skipped", "test")
    drop(home, ENDS[0])
    assert "wait for the next tick" in look(home).skip_message


def test_the_sensor_does_not_ask_for_a_bar_ahead_of_the_clock_and_takes_the_newest_of_several(home):
    drop(home, ENDS[0], ENDS[1])
    assert "1 file(s) wait" in look(home).skip_message
    ReplayClock(home.path / "live" / "replay-clock.json").set(ENDS[1])
    assert look(home).run_requests[0].run_key == "2024-11-26 14:40"


def test_a_replay_of_an_earlier_session_is_asked_for_again(home):
    drop(home, ENDS[0])
    later = datetime(2024, 12, 2, 21, 0, tzinfo=UTC)
    cursor = json.dumps({"bar_end": later.isoformat(), "attempt": 1, "asked": time.time()})
    assert look(home, cursor).run_requests[0].run_key == "2024-11-26 14:35"


def test_unreadable_and_stray_files_do_not_stop_the_sensor(home):
    drop(home, ENDS[0] + timedelta(minutes=2))
    (home.path / "inbox" / "bars-x.parquet").write_bytes(b"PAR1")
    ReplayClock(home.path / "live" / "replay-clock.json").set(ENDS[1])
    assert "not the end of a bar" in look(home).skip_message


def test_a_home_that_is_not_live_has_no_arrivals(tmp_path):
    assert "not live" in look(Home(tmp_path)).skip_message


@pytest.mark.parametrize(
    ("served", "states"), [("", (False, False)), ("live", (True, True)), ("replay", (False, True))]
)
def test_schedule_and_sensor_are_off_unless_served(home, monkeypatch, served, states):
    monkeypatch.setenv(SERVED_VARIABLE, served)
    definitions = build_definitions(home)
    schedule = definitions.resolve_schedule_def("five_minutes").default_status == dg.DefaultScheduleStatus.RUNNING
    sensor = definitions.resolve_sensor_def("bar_arrival").default_status == dg.DefaultSensorStatus.RUNNING
    assert (schedule, sensor) == states


def test_every_asset_a_tick_reports_is_one_of_the_graph(home):
    definitions = build_definitions(home)
    keys = {spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs()}
    reported = set(asset_tables(home.settings().models.families))
    assert reported <= keys
    left = {key for key in keys - reported if not key.startswith("trained_model")}
    lifecycle = {"model_scores", "model_states", "model_contributions", "drift", "challengers", "shadow_predictions"}
    after_the_close = {"market_feeds", "labels", "feature_audit", *lifecycle}
    reports = {"signal_quality", "report", "model_comparison", "claims", "model_tracking", "performance_dashboard"}
    assert left == after_the_close | reports
    assert definitions.resolve_job_def(TICK_JOB)
