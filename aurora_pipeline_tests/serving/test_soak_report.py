"""What a soak calls wrong, each rule tripped alone, and the page it writes."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from aurora_pipeline.errors import LakeError
from aurora_pipeline.live.decision_log import Settled
from aurora_pipeline.serving.armed_replay import ToldBar
from aurora_pipeline.serving.faults import FAULTS
from aurora_pipeline.serving.soak import SoakPlan, SoakResult, sessions_of
from aurora_pipeline.serving.soak_report import save_soak_report
from aurora_pipeline_tests.market.tiny import CALENDAR

START = datetime(2024, 11, 26, 14, 35, tzinfo=UTC)


def bar(place, fault=None, status="decided", reason="", seconds=1.0):
    end = START + timedelta(minutes=5 * place)
    return ToldBar(end, fault, Settled(end, status, reason, {}), seconds)


def result(**changes):
    """A soak in which all is well."""
    faults = [FAULTS[place % len(FAULTS)] for place in range(24)]
    values = {
        "plan": SoakPlan(date(2024, 11, 26), 8, 24, backfill=5),
        "bars": [*(bar(place) for place in range(8)), *(bar(8 + place, fault) for place, fault in enumerate(faults))],
        "closes": [{"session": "2024-11-26", "differences": 0, "backfill_differences": 0, "backfill_blocked": ""}],
        "memory": [500, 100, 100, 100, 102, 103, 104, 104],
        "faults": Counter(faults),
        "restarts": {"daemon": 2},
        "backfill": "succeeded",
        "late_beside_backfill": 3.0,
    }
    return SoakResult(**(values | changes))


def test_nothing_is_wrong_where_all_is_well_and_the_page_says_so(tmp_path):
    assert result().wrong() == []
    page = save_soak_report(result(), "tiny", 3, "aurora soak", tmp_path / "soak.md").read_text()
    assert "**All of it holds.**" in page
    assert "| bars | 8 | 24 |" in page
    assert "| decided | 8 | 24 |" in page
    assert (
        f"| kill_run | `kill -9` of the run while it takes up or decides the bar | {result().faults['kill_run']} |"
        in page
    )
    assert "succeeded after 0 s; longest bar meanwhile 3.0 s (at most 15 s)" in page


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bars": [bar(0, status="skipped", reason="late"), *result().bars[1:]]}, "without a fault: late"),
        ({"bars": [*result().bars[:-1], bar(31, "disk_full", "skipped")]}, "skipped without a reason"),
        ({"faults": Counter({**result().faults, "kill_run": 0})}, "too rarely: {'kill_run': 0}"),
        ({"closes": [{**result().closes[0], "differences": 2}]}, "2 and 0 value(s) differ"),
        ({"closes": [{**result().closes[0], "backfill_blocked": "bar_grid"}]}, "bar_grid"),
        ({"memory": [500, 100, 100, 100, 100, 100, 106, 106]}, "grew by 6.0 %"),
        ({"ledger_gap": 0.02}, "does not add up"),
        ({"orders_twice": 1}, "1 order(s) sent twice"),
        ({"backfill": "failed with 2"}, "backfill failed with 2"),
        ({"late_beside_backfill": 15.1}, "took 15.1 s"),
    ],
)
def test_each_thing_that_must_not_be_is_named_and_stands_on_the_page(changes, text, tmp_path):
    (found,) = result(**changes).wrong()
    assert text in found
    assert text in save_soak_report(result(**changes), "tiny", 3, "aurora soak", tmp_path / "soak.md").read_text()


def test_sessions_are_taken_until_there_are_bars_enough(tmp_path):
    class Home:
        calendar = CALENDAR

    days = [date(2024, 11, 26), date(2024, 11, 27), date(2024, 11, 29)]  # the last is a half-day of 42 bars
    axis = iter(days)
    assert sessions_of(Home(), axis, 100) == [(days[0], 78), (days[1], 22)]
    assert sessions_of(Home(), axis, 42) == [(days[2], 42)]
    with pytest.raises(LakeError, match="43 bars too early"):
        sessions_of(Home(), iter(days[2:]), 85)
