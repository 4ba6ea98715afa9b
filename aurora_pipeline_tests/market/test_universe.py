import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.market.universe import close_history, universe_on
from aurora_pipeline.settings import QualitySettings
from aurora_pipeline_tests.market.tiny import CALENDAR, sessions_from, universe

DAYS = sessions_from("2025-03-03", 8)
SETTINGS = QualitySettings(eligibility_sessions=3)


def intervals(*symbols, **columns):
    return universe(*symbols, **columns).with_columns(pl.col("symbol").alias("instrument_id"))


def closes(days, late=None, withdrawn=None):
    rows = [("AAA", day, (late or {}).get(day, CALENDAR.close(day)), (withdrawn or {}).get(day)) for day in days]
    columns = {"instrument_id": pl.String, "session": pl.Date, "known_at": TIMESTAMP, "quarantined_at": TIMESTAMP}
    return pl.DataFrame(rows, schema=columns, orient="row")


def eligible(history, days=DAYS):
    made = universe_on(days, intervals("AAA"), history, SETTINGS)
    return made["eligible"].to_list()


@pytest.mark.parametrize("back", [None, 25])
def test_eligible_after_enough_closes_before_the_session(back):
    assert eligible(close_history(closes(DAYS), CALENDAR, back)) == [False] * 3 + [True] * 5


def test_a_close_counts_only_once_known():
    history = close_history(closes(DAYS, late={DAYS[2]: CALENDAR.close(DAYS[4])}), CALENDAR)
    assert eligible(history) == [False] * 4 + [True] * 4


def test_a_withdrawn_close_counts_only_until_then():
    withdrawn = {DAYS[0]: CALENDAR.close(DAYS[2]), DAYS[1]: CALENDAR.close(DAYS[1])}
    history = close_history(closes(DAYS, withdrawn=withdrawn), CALENDAR, 25)
    assert eligible(history) == [False] * 5 + [True] * 3


def test_the_look_back_forgets():
    history = close_history(closes(DAYS[:3]), CALENDAR, 4)
    assert eligible(history) == [False, False, False, True, True, False, False, False]


def test_a_later_close_changes_no_earlier_session():
    assert eligible(close_history(closes(DAYS[:5]), CALENDAR), DAYS[:5]) == eligible(
        close_history(closes(DAYS), CALENDAR), DAYS[:5]
    )


def test_interval_ends_and_the_sector_of_the_session():
    rows = intervals(
        "AAA",
        "AAA",
        kind=["stock", "stock"],
        sector=["Energy", "Materials"],
        valid_from=[DAYS[1], DAYS[3]],
        valid_to=[DAYS[3], DAYS[5]],
    )
    made = universe_on(DAYS, rows, close_history(closes(DAYS), CALENDAR), SETTINGS)
    assert made["session"].to_list() == DAYS[1:5]
    assert made["sector"].to_list() == ["Energy", "Energy", "Materials", "Materials"]


def test_reasons():
    rows = intervals(
        "AAA", "ETF", "NEW", "NON", kind=["stock", "etf", "stock", "stock"], sector=["Energy"] * 3 + [None]
    )
    made = universe_on(DAYS[-1:], rows, close_history(closes(DAYS), CALENDAR), SETTINGS)
    assert dict(made.select("symbol", "reason").iter_rows()) == {
        "AAA": None,
        "ETF": "etf",
        "NEW": "too_few_sound_sessions",
        "NON": "sector_unknown",
    }
    assert made["eligible"].to_list() == [True, False, False, False]
