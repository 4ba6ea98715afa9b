from datetime import date

import polars as pl
import pytest

from aurora_pipeline.market.bar_validation import judged_bars
from aurora_pipeline.market.universe import listed_on
from aurora_pipeline_tests.market.tiny import CALENDAR, bar_rows, moment, sessions_from, universe

EARLY = date(2025, 11, 28)
DAYS = sessions_from("2025-11-25", 4)
OPEN = moment("2025-11-25 14:30")


def reasons(rows, symbols=None):
    known = universe("AAA", "BBB") if symbols is None else symbols
    intervals = known.with_columns(pl.col("symbol").alias("instrument_id"))
    judged = judged_bars(bar_rows(rows), DAYS, CALENDAR, listed_on(DAYS, intervals), known["symbol"].to_list())
    return judged.sort("row")["reason"].to_list()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"symbol": "ZZZ"}, "unknown_symbol"),
        ({"symbol": None}, "null_key"),
        ({"bar_start": None}, "null_key"),
        ({"bar_start": moment("2025-11-25 14:29")}, "outside_session"),
        ({"bar_start": moment("2025-11-25 20:55")}, None),
        ({"bar_start": moment("2025-11-25 21:00")}, "outside_session"),
        ({"bar_start": moment("2025-11-25 14:32")}, "off_grid"),
        ({"bar_start": moment("2025-11-25 14:30:00.000001")}, "off_grid"),
        ({"bar_start": moment("2025-11-27 15:00")}, "not_a_session"),
        ({"bar_start": moment("2025-11-28 17:55")}, None),
        ({"bar_start": moment("2025-11-28 18:00")}, "after_early_close"),
        ({"bar_start": moment("2025-11-28 21:00")}, "outside_session"),
        ({"bar_start": moment("2025-12-05 15:00")}, "future_bar"),
        ({"bar_start": moment("2025-11-03 15:00")}, "before_market"),
        ({"high": 9.0}, "high_below_low"),
        ({"close": float("nan")}, "not_finite_price"),
        ({"close": 10.5}, "above_high"),
        ({"volume": 0.0}, None),
        ({"volume": 0.0, "high": 10.5}, "moved_without_volume"),
        ({"vwap": -1.0}, "wrong_vwap"),
        ({"trade_count": -1.0}, "wrong_trade_count"),
    ],
)
def test_bars(change, reason):
    assert reasons([{"bar_start": OPEN} | change]) == [reason]


def test_flat_bars_are_flagged():
    known = universe("AAA").with_columns(pl.col("symbol").alias("instrument_id"))
    rows = bar_rows([{"bar_start": OPEN, "volume": 0.0}, {"bar_start": moment("2025-11-25 14:35")}])
    judged = judged_bars(rows, DAYS, CALENDAR, listed_on(DAYS, known), ["AAA"])
    assert judged["flat"].to_list() == [True, False]


def test_outside_validity():
    symbols = universe("AAA", valid_from=[DAYS[1]])
    assert reasons([{"bar_start": OPEN}, {"bar_start": moment("2025-11-26 14:30")}], symbols) == [
        "outside_validity",
        None,
    ]


def test_known_at_before_the_end_means_at_the_end():
    early = {"bar_start": OPEN, "known_at": OPEN}
    assert reasons([early, {"bar_start": OPEN}]).count("duplicate") == 1


def test_duplicates_and_corrections():
    other = {"bar_start": OPEN, "volume": 7.0}
    assert sorted(reasons([{"bar_start": OPEN}] * 2), key=str) == [None, "duplicate"]
    assert reasons([{"bar_start": OPEN}, other]) == ["conflicting_duplicate"] * 2
    assert reasons([{"bar_start": OPEN}, other | {"known_at": moment("2025-11-25 15:00")}]) == [None, None]
