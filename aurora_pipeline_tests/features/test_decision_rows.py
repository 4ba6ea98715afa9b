"""Who gets features when."""

from datetime import date

import polars as pl

from aurora_pipeline.features.decision_rows import decision_rows
from aurora_pipeline_tests.features.tiny_market import (
    BENCHMARK,
    CALENDAR,
    bars_of,
    daily_of,
    make_inputs,
    stock_universe,
)

DAY = date(2025, 3, 20)
ENDS = CALENDAR.bar_ends(DAY)
HISTORY = daily_of([CALENDAR.shift(DAY, -1)], {"AAA": [50.0], BENCHMARK: [400.0]})


def rows_of(bars, universe=None, **changes):
    universe = stock_universe([DAY]) if universe is None else universe
    return decision_rows(make_inputs([DAY], bars, HISTORY, universe=universe).with_frames(**changes))


def times(rows, symbol="AAA"):
    return rows.filter(pl.col("symbol") == symbol).get_column("decision_time").to_list()


def test_symbol_counts_until_its_newest_bar_is_stale():
    rows = rows_of(bars_of(DAY, {"AAA": [50.0, 50.0], "BBB": [80.0] * 10}))
    assert times(rows) == ENDS[:7]  # the bar of 1 is one of the last 6 at decision time 6
    assert times(rows, "BBB") == ENDS[:15]


def test_bars_of_the_session_before_do_not_count():
    yesterday = CALENDAR.shift(DAY, -1)
    bars = pl.concat([bars_of(yesterday, {"AAA": [50.0] * 78}), bars_of(DAY, {"AAA": [50.0]}, first=3)])
    assert times(rows_of(bars)) == ENDS[3:9]


def test_nothing_after_until():
    bars = bars_of(DAY, {"AAA": [50.0] * 20})
    assert times(rows_of(bars, until=ENDS[4])) == ENDS[:5]
    assert rows_of(bars, until=CALENDAR.open(DAY)).is_empty()


def test_ineligible_symbols_and_funds_have_no_rows():
    universe = stock_universe([DAY]).with_columns(pl.col("eligible") & (pl.col("symbol") != "BBB"))
    rows = rows_of(bars_of(DAY, {"AAA": [50.0], "BBB": [80.0], "XLK": [200.0]}), universe=universe)
    assert rows.get_column("symbol").unique().to_list() == ["AAA"]


def test_late_bar_counts_from_its_arrival():
    bars = bars_of(DAY, {"AAA": [50.0]}).with_columns(pl.lit(ENDS[3]).cast(pl.Datetime("us", "UTC")).alias("known_at"))
    assert times(rows_of(bars)) == ENDS[3:6]


def test_withdrawn_bar_counts_until_its_verdict():
    bars = bars_of(DAY, {"AAA": [50.0]}).with_columns(
        pl.lit(ENDS[2]).cast(pl.Datetime("us", "UTC")).alias("quarantined_at")
    )
    assert times(rows_of(bars)) == ENDS[:2]


def test_rows_are_sorted_by_time_and_carry_the_sector():
    rows = rows_of(bars_of(DAY, {"EEE": [50.0] * 3, "AAA": [50.0] * 3}))
    assert rows.select("symbol", "sector")[:2].rows() == [("AAA", "Tech"), ("EEE", "Energy")]
    assert rows.get_column("decision_time").is_sorted()


def test_no_bars_no_rows():
    assert rows_of(bars_of(DAY, {"AAA": [None]})).columns == [
        "session",
        "symbol",
        "instrument_id",
        "sector",
        "decision_time",
    ]
