"""What a download keeps, and from when on rows that were missed count."""

from datetime import date, timedelta

import polars as pl
import pytest

from aurora_pipeline.adapters.vendors.fetched_file import FetchedFile, require_one_source
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.columns import BARS, FEEDS
from aurora_pipeline_tests.market.tiny import bar_rows, feed_rows, moment

DAY = date(2024, 11, 26)
CLOSE = moment("2024-11-26T21:00")
NOW = moment("2024-11-27T12:00")
LATER = moment("2024-11-28T12:00")
FIRST = {"symbol": "AAA", "bar_start": moment("2024-11-26T14:30")}
SECOND = {"symbol": "AAA", "bar_start": moment("2024-11-26T14:35")}


@pytest.fixture
def file(tmp_path):
    made = FetchedFile(tmp_path / "bars" / "x.parquet", BARS, "alpaca-iex")
    assert made.add(bar_rows([FIRST]), ["AAA", "EMPTY"], DAY, CLOSE, NOW) == 1
    return FetchedFile(made.path, BARS, "alpaca-iex")


def test_what_was_asked_is_remembered_with_the_rows_also_without_an_answer(file):
    assert file.asked == {"AAA": (DAY, CLOSE), "EMPTY": (DAY, CLOSE)}
    assert file.rows["known_at"].to_list() == [None]


def test_the_same_answer_again_changes_no_byte(file):
    before = file.path.read_bytes()
    assert file.add(bar_rows([FIRST]), ["AAA", "EMPTY"], DAY, CLOSE, LATER) == 0
    assert file.path.read_bytes() == before


def test_a_changed_row_and_one_that_was_missing_count_from_when_they_are_seen(file):
    assert file.add(bar_rows([FIRST | {"volume": 7.0}, SECOND]), ["AAA"], DAY, CLOSE, LATER) == 2
    rows = file.rows.sort("bar_start", "known_at", nulls_last=False)
    assert rows["known_at"].to_list() == [None, LATER, LATER]
    assert rows["volume"].to_list() == [100.0, 7.0, 100.0]


def test_a_symbol_asked_for_the_first_time_was_not_missed(file):
    file.add(bar_rows([FIRST | {"symbol": "BBB"}]), ["BBB"], DAY, CLOSE, LATER)
    assert file.rows.filter(symbol="BBB")["known_at"].to_list() == [None]
    file.add(bar_rows([FIRST | {"symbol": "EMPTY"}]), ["EMPTY"], DAY, CLOSE, LATER)
    assert file.rows.filter(symbol="EMPTY")["known_at"].to_list() == [LATER]  # it had been asked, and was not there


def short(settlement, known, shares=1.0):
    return {"symbol": "AAA", "settlement_date": settlement, "known_at": known, "shares_short": shares}


def test_rows_outside_the_span_asked_before_keep_the_vendors_moment(tmp_path):
    file = FetchedFile(tmp_path / "short_interest.parquet", FEEDS["short_interest"], "finra")
    start = date(2024, 10, 1)
    middle = short(date(2024, 10, 15), moment("2024-10-26T04:00"))
    file.add(feed_rows("short_interest", [middle]), ["AAA"], start, moment("2024-11-01T00:00"), NOW)
    earlier = short(date(2024, 9, 15), moment("2024-09-26T04:00"))
    later = short(date(2024, 10, 31), moment("2024-11-14T05:00"))
    missed = short(date(2024, 10, 2), moment("2024-10-15T04:00"))
    rows = feed_rows("short_interest", [earlier, middle, later, missed])
    file.add(rows, ["AAA"], date(2024, 9, 1), NOW, LATER)
    known = dict(file.rows.select("settlement_date", "known_at").iter_rows())
    assert known == {
        earlier["settlement_date"]: earlier["known_at"],
        middle["settlement_date"]: middle["known_at"],
        later["settlement_date"]: later["known_at"],
        missed["settlement_date"]: LATER,
    }
    assert file.asked == {"AAA": (date(2024, 9, 1), NOW)}


def test_a_row_the_user_imported_beside_it_stays(file):
    pl.concat([file.rows, bar_rows([SECOND])]).write_parquet(file.path)  # as `aurora import` does: the record is gone
    again = FetchedFile(file.path, BARS, "alpaca-iex")
    assert again.asked == {}
    assert again.add(bar_rows([FIRST]), ["AAA"], DAY, CLOSE, NOW + timedelta(1)) == 0
    assert again.rows.height == 2


def test_two_tapes_are_not_mixed(file):
    require_one_source([file.path], "alpaca", "alpaca-iex")
    with pytest.raises(MarketDataError, match="holds rows of alpaca-iex, not alpaca-sip"):
        require_one_source([file.path], "alpaca", "alpaca-sip")
