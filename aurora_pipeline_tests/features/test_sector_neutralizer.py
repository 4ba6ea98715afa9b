"""Residual returns worked by hand. With a day of history every beta is its prior, 1, so residual = own - sector fund's return."""

from datetime import date, timedelta

import polars as pl
import pytest

from aurora_pipeline.features.sector_neutralizer import compute_residual_returns
from aurora_pipeline_tests.features.tiny_market import (
    BENCHMARK,
    CALENDAR,
    action,
    bars_of,
    daily_of,
    make_inputs,
    manifest,
    stock_universe,
)

DAY = date(2025, 3, 20)
BEFORE = date(2025, 3, 19)
ENDS = CALENDAR.bar_ends(DAY)
YESTERDAY = {"AAA": [50.0], "BBB": [80.0], "CCC": [10.0], "DDD": [20.0], "XLK": [200.0], BENCHMARK: [400.0]}


def residuals(closes, market=None, yesterday=YESTERDAY, universe=None, sectors=None, **feeds):
    bars = bars_of(DAY, closes)
    universe = universe if universe is not None else stock_universe([DAY], sectors)
    inputs = make_inputs([DAY], bars, daily_of([BEFORE], yesterday), market=market, universe=universe, **feeds)
    return compute_residual_returns(inputs)


def of(rows, symbol, column="residual_return"):
    return rows.filter(pl.col("symbol") == symbol).sort("bar_end", "known_at").get_column(column).to_list()


def test_residual_is_return_less_market_less_orthogonal_sector():
    rows = residuals({"AAA": [51.0, 51.0], "XLK": [202.0, 202.0], BENCHMARK: [404.0, 406.02]})
    # own 2 %, market 1 %, fund 1 %: orthogonal sector 1 % - 1 * 1 % = 0
    assert of(rows, "AAA", "bar_return") == pytest.approx([0.02, 0.0])
    assert of(rows, "AAA", "market_return") == pytest.approx([0.01, 0.005])
    assert of(rows, "AAA", "sector_return") == pytest.approx([0.0, -0.005])
    assert of(rows, "AAA") == pytest.approx([0.02 - 0.01 - 0.0, 0.0 - 0.005 + 0.005])
    assert of(rows, "AAA", "market_only") == [False, False]


def test_first_bar_contains_the_night():
    rows = residuals({"AAA": [55.0], "XLK": [200.0], BENCHMARK: [400.0]})
    assert of(rows, "AAA", "bar_return") == pytest.approx([0.10])


def test_return_after_a_missing_bar_spans_it_on_both_sides():
    rows = residuals({"AAA": [50.0, None, 52.0], "XLK": [200.0, 202.0, 204.0], BENCHMARK: [400.0, 404.0, 404.0]})
    assert of(rows, "AAA", "bar_end") == [ENDS[0], ENDS[2]]
    assert of(rows, "AAA", "bar_return") == pytest.approx([0.0, 0.04])
    assert of(rows, "AAA", "market_return") == pytest.approx([0.0, 0.01])
    assert of(rows, "AAA") == pytest.approx([0.0, 0.04 - 0.02])


def test_split_and_dividend_enter_on_the_ex_date_and_leave_no_return():
    actions = pl.concat([action("AAA", DAY, "split", ratio=2.0), action("AAA", DAY, "dividend", amount=0.5)])
    rows = residuals({"AAA": [24.5], "XLK": [200.0], BENCHMARK: [400.0]}, corporate_actions=actions)
    # 50 before; two for one, and 0.50 on each of the two goes ex: 50 / 2 - 0.5 = 24.5
    assert of(rows, "AAA", "bar_return") == pytest.approx([0.0], abs=1e-12)


def test_split_known_after_the_open_does_not_count_that_session():
    late = action("AAA", DAY, "split", ratio=2.0, known_at=ENDS[3])
    rows = residuals({"AAA": [25.0], "XLK": [200.0], BENCHMARK: [400.0]}, corporate_actions=late)
    assert of(rows, "AAA", "bar_return") == pytest.approx([-0.5])


def test_adjusted_prices_are_not_adjusted_again():
    market = manifest(price_adjustment="split")
    actions = pl.concat([action("AAA", DAY, "split", ratio=2.0), action("AAA", DAY, "dividend", amount=0.5)])
    rows = residuals({"AAA": [49.5], "XLK": [200.0], BENCHMARK: [400.0]}, market=market, corporate_actions=actions)
    assert of(rows, "AAA", "bar_return") == pytest.approx([0.0], abs=1e-12)


def test_without_a_sector_fund_the_other_stocks_of_the_sector_are_the_sector():
    closes = {"AAA": [55.0], "BBB": [80.8], "CCC": [10.2], "DDD": [20.6], BENCHMARK: [400.0]}
    rows = residuals(closes, market=manifest(sector_etfs={}))
    assert of(rows, "AAA") == pytest.approx([0.10 - (0.01 + 0.02 + 0.03) / 3.0])
    assert of(rows, "BBB") == pytest.approx([0.01 - (0.10 + 0.02 + 0.03) / 3.0])


def test_fund_that_has_no_bars_gives_way_to_the_peers():
    closes = {
        "AAA": [55.0, 55.0],
        "BBB": [80.8, 80.8],
        "CCC": [10.2, 10.2],
        "DDD": [20.6, 20.6],
        BENCHMARK: [400.0, 400.0],
    }
    rows = residuals(closes)  # XLK has a daily close only
    assert of(rows, "AAA") == pytest.approx([0.10 - 0.02, 0.0])


def test_own_return_moves_no_peer_mean():
    closes = {"AAA": [55.0], "BBB": [80.8], "CCC": [10.2], "DDD": [20.6], BENCHMARK: [400.0]}
    market = manifest(sector_etfs={})
    moved = of(residuals(closes | {"AAA": [99.0]}, market=market), "AAA", "sector_return")
    assert moved == of(residuals(closes, market=market), "AAA", "sector_return")


def test_fewer_than_three_peers_and_no_fund_leave_the_market_only():
    closes = {"AAA": [55.0], "BBB": [80.8], "CCC": [10.2], BENCHMARK: [404.0]}
    rows = residuals(closes, market=manifest(sector_etfs={}), sectors={"AAA": "Tech", "BBB": "Tech", "CCC": "Tech"})
    assert of(rows, "AAA") == pytest.approx([0.10 - 0.01])
    assert of(rows, "AAA", "market_only") == [True]
    assert of(rows, "AAA", "beta_sector") == [0.0]


def test_without_a_benchmark_the_other_stocks_are_the_market():
    closes = {"AAA": [55.0], "BBB": [80.8], "CCC": [10.2], "DDD": [20.6]}
    rows = residuals(closes, market=manifest(benchmark=None, sector_etfs={}))
    assert of(rows, "AAA", "market_return") == pytest.approx([0.02])


def test_renamed_instrument_keeps_its_last_close():
    bars = bars_of(DAY, {"NEW": [55.0], "XLK": [200.0], BENCHMARK: [400.0]})
    renamed = (
        pl.when(pl.col("symbol") == "NEW").then(pl.lit("AAA")).otherwise(pl.col("instrument_id")).alias("instrument_id")
    )
    universe = stock_universe([DAY], {"NEW": "Tech"}).with_columns(renamed)
    inputs = make_inputs([DAY], bars.with_columns(renamed), daily_of([BEFORE], YESTERDAY), universe=universe)
    rows = compute_residual_returns(inputs)
    assert rows.select("symbol", "instrument_id").rows() == [("NEW", "AAA")]
    assert of(rows, "NEW", "bar_return") == pytest.approx([0.10])


def test_stock_without_any_earlier_close_starts_with_its_second_bar():
    rows = residuals(
        {"EEE": [10.0, 11.0], "XLE": [5.0, 5.0], BENCHMARK: [400.0, 400.0]}, yesterday={BENCHMARK: [400.0]}
    )
    assert of(rows, "EEE", "bar_end") == [ENDS[1]]
    assert of(rows, "EEE", "bar_return") == pytest.approx([0.1])


def test_late_correction_gives_further_versions_of_both_returns_it_touches():
    bars = bars_of(DAY, {"AAA": [50.0, 51.0, 52.0], "XLK": [200.0] * 3, BENCHMARK: [400.0] * 3})
    late = ENDS[2] + timedelta(minutes=2)
    hit = (pl.col("symbol") == "AAA") & (pl.col("bar_end") == ENDS[1])
    corrected = bars.filter(hit).with_columns(
        pl.lit(50.5).alias("close"), pl.lit(late).cast(pl.Datetime("us", "UTC")).alias("known_at")
    )
    inputs = make_inputs([DAY], pl.concat([bars, corrected]), daily_of([BEFORE], YESTERDAY))
    rows = compute_residual_returns(inputs)
    assert of(rows, "AAA", "known_at") == [ENDS[0], ENDS[1], late, ENDS[2], late]
    assert of(rows, "AAA", "bar_return") == pytest.approx([0.0, 0.02, 0.01, 52 / 51 - 1, 52 / 50.5 - 1])


def test_withdrawn_bar_ends_its_row_and_lengthens_the_next():
    bars = bars_of(DAY, {"AAA": [50.0, 60.0, 52.0], "XLK": [200.0] * 3, BENCHMARK: [400.0] * 3})
    hit = (pl.col("symbol") == "AAA") & (pl.col("bar_end") == ENDS[1])
    verdict = pl.when(hit).then(pl.lit(ENDS[5]).cast(pl.Datetime("us", "UTC")))
    inputs = make_inputs([DAY], bars.with_columns(verdict.alias("quarantined_at")), daily_of([BEFORE], YESTERDAY))
    rows = compute_residual_returns(inputs)
    assert of(rows, "AAA", "quarantined_at") == [None, ENDS[5], None, None]
    assert of(rows, "AAA", "known_at") == [ENDS[0], ENDS[1], ENDS[2], ENDS[5]]
    assert of(rows, "AAA", "bar_return") == pytest.approx([0.0, 0.2, 52 / 60 - 1, 0.04])
