"""Which version of a corporate action counts when."""

from datetime import date

import polars as pl
import pytest

from aurora_pipeline.market.action_versions import in_force, with_superseded
from aurora_pipeline_tests.market.tiny import feed_rows, moment

FIRST, SECOND = date(2026, 3, 10), date(2026, 3, 12)
MARCH = [moment(f"2026-03-{day:02d}T21:00") for day in range(1, 20)]


def told(day, known, kind="split", symbol="AAA", **terms):
    terms = terms or {"ratio": 2.0}
    return {"symbol": symbol, "ex_date": day, "kind": kind, "known_at": MARCH[known], **terms}


def counted(rows, known):
    actions = with_superseded(feed_rows("corporate_actions", rows), "symbol")
    return in_force(actions, MARCH[known]).sort("ex_date").select("ex_date", "ratio").rows()


def test_a_moved_action_counts_on_its_old_date_until_the_new_one_is_known():
    rows = [told(FIRST, 1), told(SECOND, 5)]
    assert [counted(rows, known) for known in (0, 4, 5)] == [[], [(FIRST, 2.0)], [(SECOND, 2.0)]]
    assert [counted(rows[::-1], known) for known in (0, 4, 5)] == [[], [(FIRST, 2.0)], [(SECOND, 2.0)]]


def test_an_action_moved_forth_and_back():
    rows = [told(FIRST, 1), told(SECOND, 5), told(FIRST, 8)]
    assert [counted(rows, known) for known in (4, 7, 8)] == [[(FIRST, 2.0)], [(SECOND, 2.0)], [(FIRST, 2.0)]]


def test_corrected_terms_replace_the_terms_before():
    rows = [told(FIRST, 1), told(FIRST, 5, ratio=3.0)]
    assert [counted(rows, known) for known in (4, 5)] == [[(FIRST, 2.0)], [(FIRST, 3.0)]]


@pytest.mark.parametrize(
    "other",
    [
        told(SECOND, 5, ratio=3.0),
        told(date(2026, 3, 21), 5),
        told(SECOND, 5, symbol="BBB"),
        told(SECOND, 1),
        told(SECOND, 5, kind="dividend", ratio=2.0),
    ],
)
def test_another_action_supersedes_nothing(other):
    actions = with_superseded(feed_rows("corporate_actions", [told(FIRST, 1), other]), "symbol")
    assert actions["superseded_at"].null_count() == 2


def test_the_ex_dates_may_be_ten_days_apart():
    actions = with_superseded(feed_rows("corporate_actions", [told(FIRST, 1), told(date(2026, 3, 20), 5)]), "symbol")
    assert actions["superseded_at"].to_list() == [MARCH[5], None]


def dividends(*told_on):
    """Dividends of one amount, each as ex-date and the day in March on which it was told."""
    return [told(day, known, "dividend", amount=0.1, ratio=None) for day, known in told_on]


@pytest.mark.parametrize(
    ("told_on", "superseded"),
    [
        # a weekly payer who tells each on the day, some days before, or, from the second on, more than a week before
        ([(date(2026, 3, 3), 2), (date(2026, 3, 10), 9), (date(2026, 3, 17), 16)], []),
        ([(date(2026, 3, 3), 0), (date(2026, 3, 10), 4), (date(2026, 3, 17), 11)], []),
        ([(date(2026, 3, 3), 0), (date(2026, 3, 10), 2), (date(2026, 3, 17), 3), (date(2026, 3, 24), 4)], []),
        ([(date(2026, 3, 20), 1), (date(2026, 3, 26), 8), (date(2026, 4, 2), 15)], [0]),
        # moved by a week ahead of time; by some days, even late
        ([(date(2026, 3, 10), 1), (date(2026, 3, 17), 5)], [0]),
        ([(date(2026, 3, 17), 1), (date(2026, 3, 10), 5)], [0]),
        ([(date(2026, 3, 10), 1), (date(2026, 3, 13), 11)], [0]),
    ],
)
def test_dividends_of_one_amount_are_a_series_or_one_that_was_moved(told_on, superseded):
    actions = with_superseded(feed_rows("corporate_actions", dividends(*told_on)), "symbol")
    assert actions["superseded_at"].is_not_null().arg_true().to_list() == superseded


def test_only_dividends_known_by_then_make_a_series():
    rows = dividends((date(2026, 3, 3), 12), (date(2026, 3, 10), 1), (date(2026, 3, 17), 5))
    actions = with_superseded(feed_rows("corporate_actions", rows), "symbol")
    assert actions["superseded_at"].to_list()[1] == MARCH[5]


def test_no_actions():
    assert with_superseded(feed_rows("corporate_actions", []), "symbol").schema["superseded_at"] == pl.Datetime(
        "us", "UTC"
    )
