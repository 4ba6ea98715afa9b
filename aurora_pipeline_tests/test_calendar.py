from datetime import UTC, date, datetime

import pytest

from aurora_pipeline.calendar import SessionCalendar, session_calendar
from aurora_pipeline.errors import MarketDataError

NYSE = session_calendar("XNYS")


def test_a_full_session_has_78_bars_and_a_half_day_42():
    assert len(NYSE.bar_ends(date(2025, 11, 26))) == 78
    half = NYSE.bar_ends(date(2025, 11, 28))
    assert len(half) == 42
    assert half[-1] == datetime(2025, 11, 28, 18, 0, tzinfo=UTC)


def test_the_open_moves_in_utc_when_daylight_saving_begins():
    assert NYSE.open(date(2025, 3, 7)) == datetime(2025, 3, 7, 14, 30, tzinfo=UTC)
    assert NYSE.open(date(2025, 3, 10)) == datetime(2025, 3, 10, 13, 30, tzinfo=UTC)


def test_holidays_and_weekends_are_no_sessions():
    assert NYSE.sessions(date(2025, 11, 26), date(2025, 12, 1)) == [
        date(2025, 11, 26),
        date(2025, 11, 28),
        date(2025, 12, 1),
    ]
    assert not NYSE.is_session(date(2025, 11, 27))


def test_frequency_session_has_one_decision_time_at_the_close():
    assert NYSE.bar_ends(date(2025, 11, 28), "session") == [NYSE.close(date(2025, 11, 28))]


def test_session_of_gives_the_session_in_which_a_moment_can_first_be_used():
    after_close = datetime(2025, 11, 26, 21, 0, 1, tzinfo=UTC)
    assert NYSE.session_of(after_close) == date(2025, 11, 28)
    assert NYSE.session_of(NYSE.close(date(2025, 11, 26))) == date(2025, 11, 26)


@pytest.mark.parametrize(
    ("moment", "session"),
    [
        (datetime(2025, 11, 26, 14, 29, 59, tzinfo=UTC), date(2025, 11, 25)),
        (datetime(2025, 11, 26, 14, 30, tzinfo=UTC), date(2025, 11, 26)),
        (datetime(2025, 11, 28, 23, 0, tzinfo=UTC), date(2025, 11, 28)),
        (datetime(2025, 11, 30, 12, 0, tzinfo=UTC), date(2025, 11, 28)),
    ],
)
def test_the_running_session_is_the_one_that_opened_last(moment, session):
    assert NYSE.running_session(moment) == session


def test_before_the_first_session_none_is_running():
    with pytest.raises(MarketDataError, match="no session before 1990-01-01"):
        NYSE.running_session(datetime(1990, 1, 1, tzinfo=UTC))


def test_grid_lists_bars_in_time_order_without_gaps_inside_a_session():
    grid = NYSE.grid([date(2025, 11, 26), date(2025, 11, 28)])
    assert grid.height == 78 + 42
    assert grid.get_column("bar_end").is_sorted()
    assert (grid.get_column("bar_end") - grid.get_column("bar_start")).dt.total_minutes().unique().to_list() == [5]


def test_shift_and_unknown_sessions_and_calendars():
    assert NYSE.shift(date(2025, 11, 26), 1) == date(2025, 11, 28)
    with pytest.raises(MarketDataError, match="2025-11-27 is not a session"):
        NYSE.open(date(2025, 11, 27))
    with pytest.raises(MarketDataError, match="unknown exchange calendar 'NOPE'"):
        session_calendar("NOPE").sessions(date(2025, 1, 1), date(2025, 1, 5))


@pytest.mark.parametrize(("code", "message"), [("XLON", "have 102 bars"), ("XASX", "cross midnight UTC")])
def test_five_minute_bars_take_exchanges_with_the_days_the_pipeline_knows(code, message):
    SessionCalendar("XNYS").require_regular_bars()
    with pytest.raises(MarketDataError, match=message):
        SessionCalendar(code).require_regular_bars()
