"""What makes a bar complete, how much of it is there, and what keeps it from being decided."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import polars as pl
import pytest

from aurora_pipeline.live.bar_arrival import BarArrival, reason_to_skip
from aurora_pipeline.settings import LiveSettings

SESSION = date(2025, 11, 26)
FIRST = datetime(2025, 11, 26, 14, 35, tzinfo=UTC)
ENDS = [FIRST + timedelta(minutes=5 * bar) for bar in range(3)]
UNIVERSE = pl.DataFrame(
    {
        "session": [date(2025, 11, 24)] + [date(2025, 11, 25)] * 4,
        "symbol": ["OLD", "A", "B", "C", "OUT"],
        "eligible": [True, True, True, True, False],
    }
)


def arrival(rows, closed=()):
    schema = {"symbol": pl.String, "bar_start": pl.Datetime("us", "UTC"), "known_at": pl.Datetime("us", "UTC")}
    bars = pl.DataFrame(rows, schema=schema, orient="row")
    market = SimpleNamespace(
        session_bars=lambda session: bars if session == SESSION else bars.clear(),
        inbox=SimpleNamespace(closed_bars=lambda: set(closed)),
    )
    found = BarArrival(market, SESSION, ENDS)
    found.look_at_marks()
    return found


def row(symbol, end, late=None):
    return symbol, end - timedelta(minutes=5), None if late is None else end + late


def test_coverage_counts_the_stocks_eligible_last_whose_row_was_known_at_the_bar_s_end():
    late = timedelta(seconds=1)
    rows = [row("A", FIRST), row("B", FIRST, timedelta(0)), row("C", FIRST, late), row("OUT", FIRST), row("OLD", FIRST)]
    assert arrival(rows).coverage(FIRST, UNIVERSE) == pytest.approx(2 / 3)
    assert arrival(rows).coverage(ENDS[1], UNIVERSE) == 0.0
    assert arrival([]).coverage(FIRST, UNIVERSE) == 0.0


def test_the_newest_bar_lies_on_the_grid_and_may_be_a_closed_one_without_rows():
    assert arrival([]).newest() is None
    off_grid = ("A", FIRST + timedelta(hours=9), None)
    assert arrival([row("A", FIRST), off_grid]).newest() == FIRST
    assert arrival([row("A", FIRST)], closed=[ENDS[1]]).newest() == ENDS[1]


def test_a_bar_is_complete_when_closed_or_whole_or_after_its_time_to_settle():
    assert arrival([], closed=[FIRST]).complete(FIRST, 0.0, settle_seconds=60.0)
    assert arrival([]).complete(FIRST, 1.0, settle_seconds=60.0)
    assert not arrival([]).complete(FIRST, 0.0, settle_seconds=0.0)
    assert not arrival([]).complete(FIRST, 0.5, settle_seconds=60.0)
    assert arrival([]).complete(FIRST, 0.5, settle_seconds=0.0)


RULES = LiveSettings(coverage=0.8, late_seconds=240.0, disk_reserve_mb=500)


@pytest.mark.parametrize(
    ("age", "coverage", "free", "reason"),
    [
        (240.0, 0.8, 500.0, None),
        (241.0, 1.0, 900.0, "late: the bar is 241 s old, live.late_seconds is 240"),
        (10.0, 0.79, 900.0, "thin: 79 % of the eligible stocks have the bar, live.coverage is 0.8"),
        (999.0, 0.0, 499.0, "disk full: 499 MB free, live.disk_reserve_mb is 500"),
    ],
)
def test_a_bar_is_skipped_for_a_named_reason(age, coverage, free, reason):
    assert reason_to_skip(age, coverage, free, RULES) == reason
