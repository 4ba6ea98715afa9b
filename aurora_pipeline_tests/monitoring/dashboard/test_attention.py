from datetime import UTC, datetime

import polars as pl
import pytest

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.dashboard.attention import attention, needs_a_person
from aurora_pipeline.monitoring.dashboard.data_panels import FEEDS
from aurora_pipeline_tests.documentation.documented_commands import parse
from aurora_pipeline_tests.monitoring.dashboard.stored_rows import day, facts, rows
from aurora_pipeline_tests.monitoring.dashboard.test_result_panels import account

NOTHING = {
    "alerts": [],
    "settings": "",
    "switch": {"mode": "on", "reason": "", "since": ""},
    "portfolio": empty("portfolio"),
    "events": empty("events"),
    "states": empty("model_states"),
    "drift": empty("drift"),
    "quarantine": empty("quarantine"),
    "closes": {},
    "failed_trainings": [],
    "feeds": pl.DataFrame(schema=FEEDS),
}


def found(**given) -> pl.DataFrame:
    return attention(day(1), day(1), **(NOTHING | given))


def test_nothing_needs_a_person_where_nothing_is_wrong():
    assert found().is_empty()
    assert facts(needs_a_person(found()))["critical"][0] == "0"


def test_a_thrown_switch_a_difference_and_a_refused_session_are_critical():
    closes = {
        day(0): {"differences": 9, "backfill_differences": 0},
        day(1): {"differences": 1, "backfill_differences": 2, "backfill_blocked": "too few bars"},
    }
    rows_ = found(switch={"mode": "halt", "reason": "by hand", "since": "2024-12-17 15:00"}, closes=closes)
    assert rows_["severity"].to_list() == ["critical"] * 3
    assert any("3 value(s)" in text for text in rows_["what"])
    assert any("too few bars" in text for text in rows_["what"])
    assert "`aurora resume` when the cause is gone" in rows_["do"].to_list()


def test_a_feed_that_stopped_is_told_and_one_that_is_absent_or_partly_late_is_not():
    newest = datetime(2024, 5, 8, 22, tzinfo=UTC)
    feeds = pl.DataFrame(
        [
            ("short_interest", 957, 64, newest, 15.0, 224.0, 1.0),
            ("borrow", 3, 3, newest, None, 224.0, 1.0),
            ("options", 0, 0, None, None, None, None),
            ("fundamentals", 2711, 59, newest, 91.0, 35.0, 0.25),
        ],
        schema=FEEDS,
        orient="row",
    )
    told = found(feeds=feeds)
    assert told["severity"].to_list() == ["warning", "warning"]
    assert told["what"].to_list() == [
        "feed short_interest is late: its newest rows are 224 days old, usually one comes every 15",
        "feed borrow is late: its newest rows are 224 days old",
    ]


def test_alerts_of_one_key_are_one_row_and_the_worst_comes_first():
    alerts = [
        {"at": "2024-12-17T15:00:00+00:00", "severity": "warning", "key": "model:ridge", "text": "first"},
        {"at": "2024-12-17T15:05:00+00:00", "severity": "warning", "key": "model:ridge", "text": "second"},
        {"at": "2024-12-17T15:06:00+00:00", "severity": "critical", "key": "parity", "text": "differs"},
    ]
    told = found(alerts=alerts)
    assert told["severity"].to_list() == ["critical", "warning"]
    assert told["what"][1] == "alert model:ridge (2 times): second"


def test_of_equal_severity_the_newest_comes_first_whatever_it_is():
    given = {
        "switch": {"mode": "halt", "reason": "by hand", "since": f"{day(0)}T15:00:00+00:00"},
        "alerts": [
            {"at": f"{day(1)}T15:00:00+00:00", "severity": "warning", "key": "feed", "text": "late"},
            {"at": f"{day(1)}T15:05:00+00:00", "severity": "critical", "key": "parity", "text": "differs"},
        ],
        "states": rows(
            "model_states",
            {"session": day(0), "since": day(0), "model": "ridge", "state": "retired", "decided_by": "test"},
        ),
    }
    told = attention(day(0), day(1), **(NOTHING | given))
    assert [what.partition(" ")[0] for what in told["what"]] == ["alert", "kill", "alert", "ridge"]
    assert told["severity"].to_list() == ["critical", "critical", "warning", "warning"]


def test_breakers_quarantines_approvals_drift_and_failed_trainings_are_told_each_with_what_to_do():
    told = found(
        events=rows(
            "events",
            {"session": day(1), "event": "breaker_drawdown", "name": "", "times": 3, "detail": "6 targets", "action": "flat"},
            {"session": day(1), "event": "no_price", "name": "A"},
            {"session": day(0), "event": "breaker_spread", "name": ""},
        ),
        states=rows(
            "model_states",
            {"session": day(1), "since": day(0), "model": "a~1", "state": "shadow", "decided_by": "proposal",
             "reason": "promotion awaits approval: gain"},
            {"session": day(1), "since": day(1), "model": "ridge", "state": "retired", "decided_by": "test",
             "reason": "no skill"},
        ),
        drift=rows("drift", {"session": day(1), "kind": "regime", "subject": "volatility", "drifted": True}),
        quarantine=rows("quarantine", {"session": day(1), "source": "bars", "symbol": "B", "reason": "bad_price"}),
        failed_trainings=["ridge 2024-12: too little"],
    )  # fmt: skip
    text = "\n".join(told["what"])
    for part in ("breaker drawdown, 3 time(s)", "a~1: promotion awaits", "ridge is retired: no skill", "regime drift: volatility",
                 "1 row(s) of bars in quarantine: bad price (B)", "not trained: ridge 2024-12"):  # fmt: skip
        assert part in text
    assert "no price" not in text
    assert "breaker spread" not in text
    (approve,) = [text for text in told["do"] if text.startswith("`aurora models promote")]
    parse(tuple(approve.strip("`").split()[1:]))
    assert told["severity"].to_list() == sorted(told["severity"], key=["critical", "warning", "info"].index)
    assert all(told["do"].to_list())


def test_settings_that_cannot_be_used_come_first():
    (row,) = found(settings="the settings cannot be used: book.name_cup").to_dicts()
    assert (row["severity"], row["what"]) == ("critical", "the settings cannot be used: book.name_cup")


USUAL = [(1.0 if number % 2 else -1.0, 0.0, 0.0, 0.0) for number in range(30)]
"""Sessions of one dollar up or down on 1,000: a standard deviation of 10 bps, within a per cent or two."""


def of_the_result(*sessions, first=None):
    last = len(sessions) - 1
    given = NOTHING | {"portfolio": account(*sessions)}
    return attention(day(last if first is None else first), day(last), **given)


@pytest.mark.parametrize(("gain", "deviations"), [(-4.0, "−3.9"), (4.0, "3.9")])
def test_a_result_far_from_what_is_usual_is_a_warning_that_says_how_far_and_what_to_do(gain, deviations):
    told = of_the_result(*USUAL, (gain, 0.0, 0.0, 0.0)).row(0, named=True)
    assert (told["severity"], told["at"]) == ("warning", str(day(30)))
    assert f": {deviations} standard deviations (of 30 sessions before)" in told["what"]
    assert f"`aurora report day --session {day(30)} --book live`" in told["do"]


def test_a_usual_result_and_one_of_another_day_need_nobody():
    assert of_the_result(*USUAL, (-2.5, 0.0, 0.0, 0.0)).is_empty()
    assert of_the_result(*USUAL, (-4.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)).is_empty()
    stretch = of_the_result(*USUAL, (-4.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), first=29)
    assert stretch["at"].to_list() == [str(day(30))]


def test_with_few_sessions_the_forecast_says_what_is_usual():
    told = of_the_result((-3.5, 0.0, 0.0, 0.0)).row(0, named=True)
    assert "−3.5 standard deviations (of the forecast; 0 sessions before: too few)" in told["what"]
    assert of_the_result((0.1, 0.0, 0.0, 0.0), (0.1001, 0.0, 0.0, 0.0), (2.5, 0.0, 0.0, 0.0)).is_empty()
    unknown = account((-50.0, 0.0, 0.0, 0.0)).with_columns(forecast_volatility=0.0)
    assert attention(day(0), day(0), **(NOTHING | {"portfolio": unknown})).is_empty()


def test_sessions_before_the_first_position_do_not_say_what_is_usual():
    flat = account(*((0.0, 0.0, 0.0, 0.0) for _ in range(30)), (1.0, 0.0, 0.0, 0.0), (2.0, 0.0, 0.0, 0.0))
    flat = flat.with_columns(gross=pl.when(pl.col("session") < day(30)).then(0.0).otherwise(0.2))
    assert attention(day(31), day(31), **(NOTHING | {"portfolio": flat})).is_empty()
