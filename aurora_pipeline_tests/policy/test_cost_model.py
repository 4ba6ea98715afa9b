from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.policy.cost_model import (
    borrow_cost,
    borrow_rates,
    bounded_half_spread,
    break_even_rate,
    estimate_half_spread,
    impact_rate,
    linear_rate,
    quoted_borrow,
    trade_cost,
)
from aurora_pipeline.policy.regulatory_fees import SaleFees
from aurora_pipeline.settings import CostSettings

COSTS = CostSettings(
    half_spread_floor=1e-4, half_spread_cap=5e-3, fee_rate=2e-5, impact_coefficient=0.7, borrow_rate=0.0252
)


FEES = SaleFees(27.80e-6, 0.000166, 8.30)


def test_cost_by_term_of_a_trade_worked_out_by_hand():
    # 40,000 USD of a name with 2 % volatility and 100 M USD a session: impact 0.7 * 0.02 * sqrt(0.0004) = 2.8 bps.
    shares, price = np.array([-400.0]), np.array([100.0])
    cost = trade_cost(shares, price, np.array([3e-4]), np.array([0.02]), np.array([1e8]), COSTS)
    assert cost.spread[0] == pytest.approx(12.0)
    assert cost.fee[0] == pytest.approx(0.8)
    assert cost.impact[0] == pytest.approx(11.2)
    assert cost.total[0] == pytest.approx(24.0)
    # 27.80 USD per million sold and 0.000166 USD a share: 1.112 + 0.0664.
    sale = trade_cost(shares, price, np.array([3e-4]), np.array([0.02]), np.array([1e8]), COSTS, FEES)
    assert sale.fee[0] == pytest.approx(0.8 + 1.1784)
    buy = trade_cost(-shares, price, np.array([3e-4]), np.array([0.02]), np.array([1e8]), COSTS, FEES)
    assert buy.fee[0] == pytest.approx(0.8)


@pytest.mark.parametrize("multiple", [2.0, 3.0])
def test_stress_multiplies_every_term(multiple):
    stressed = COSTS.model_copy(update={"stress": multiple})
    trade = (np.array([-400.0]), np.array([100.0]), np.array([3e-4]), np.array([0.02]), np.array([1e8]))
    plain, more = trade_cost(*trade, COSTS, FEES), trade_cost(*trade, stressed, FEES)
    for term in ("spread", "fee", "impact"):
        assert getattr(more, term)[0] == pytest.approx(multiple * getattr(plain, term)[0])
    sigma, adv, price = np.array([0.02]), np.array([1e8]), np.array([100.0])
    assert impact_rate(sigma, adv, 1e7, stressed) == pytest.approx(multiple * impact_rate(sigma, adv, 1e7, COSTS))
    rates = [linear_rate(np.array([3e-4]), costs, FEES, price)[0] for costs in (COSTS, stressed)]
    assert rates[1] == pytest.approx(multiple * rates[0])
    assert borrow_rates(["A"], stressed) == pytest.approx(multiple * borrow_rates(["A"], COSTS))


def test_nothing_traded_costs_nothing_even_where_nothing_is_known():
    cost = trade_cost(
        np.array([0.0]), np.array([np.nan]), np.array([3e-4]), np.array([np.nan]), np.array([np.nan]), COSTS
    )
    assert cost.total.tolist() == [0.0]


def test_the_optimisers_rates_price_a_trade_like_the_ledger():
    notional, nav, half_spread, sigma, adv = 40_000.0, 1e7, np.array([3e-4]), np.array([0.02]), np.array([1e8])
    weight = notional / nav
    fraction = linear_rate(half_spread, COSTS) * weight + impact_rate(sigma, adv, nav, COSTS) * weight**1.5
    usd = trade_cost(np.array([notional / 100.0]), np.array([100.0]), half_spread, sigma, adv, COSTS).total
    np.testing.assert_allclose(fraction * nav, usd)


def test_a_round_trip_is_planned_with_the_fees_its_sale_pays():
    shares, price, half_spread = np.array([100.0]), np.array([50.0]), np.array([3e-4])
    planned = 2.0 * linear_rate(half_spread, COSTS, FEES, price) * 5_000.0
    there, back = (
        trade_cost(side * shares, price, half_spread, np.array([0.0]), np.array([1e8]), COSTS, FEES).total
        for side in (1.0, -1.0)
    )
    np.testing.assert_allclose(planned, there + back)


def test_half_spread_is_the_volatility_per_trade_within_bounds():
    estimate = estimate_half_spread(np.array([0.02, 0.02, 0.02, 0.02]), np.array([1e8, 1e12, 0.0, np.nan]))
    np.testing.assert_allclose(estimate[:2], [2e-4, 2e-6])
    assert np.isnan(estimate[2:]).all()
    adv = np.array([1e8, 1e12, 0.0, np.nan])
    np.testing.assert_allclose(bounded_half_spread(estimate, adv, COSTS), [2e-4, 1e-4, 5e-3, 5e-3])


def test_the_floor_of_the_half_spread_has_tiers():
    adv = np.array([100e6, 99e6, 10e6, 9e6, 0.0])
    np.testing.assert_allclose(bounded_half_spread(np.zeros(5), adv, COSTS), [1e-4, 2e-4, 2e-4, 5e-4, 5e-4])


def test_borrow_is_a_yearly_rate_spread_over_sessions():
    rates = borrow_rates(["A"], COSTS)
    assert borrow_cost(np.array([-1_000_000.0]), rates, COSTS) == pytest.approx(100.0)


def test_unknown_borrow_is_the_default_rate_or_no_short():
    known = COSTS.model_copy(update={"borrow_rates": {"A": 0.3}})
    np.testing.assert_allclose(borrow_rates(["A", "B"], known), [0.3, 0.0252])
    strict = known.model_copy(update={"unknown_borrow": "no_short"})
    rates = borrow_rates(["A", "B"], strict)
    assert rates[0] == 0.3
    assert np.isnan(rates[1])
    # A short that is already there pays the default rate until it is covered.
    np.testing.assert_allclose(borrow_cost(np.full(2, -1e6), rates, strict), [0.3e6 / 252, 100.0])


def test_break_even_is_gross_result_per_traded_dollar():
    assert break_even_rate(3_000.0, 2_000_000.0) == pytest.approx(0.0015)
    assert break_even_rate(-3_000.0, 2_000_000.0) == pytest.approx(-0.0015)
    assert break_even_rate(3_000.0, 0.0) is None


def test_an_illiquid_name_has_no_impact_price():
    assert np.isnan(impact_rate(np.array([0.02, 0.02]), np.array([0.0, np.nan]), 1e7, COSTS)).all()


def _quotations(*rows):
    moments = [(name, datetime(2026, 1, day, 21, tzinfo=UTC), rate) for name, day, rate in rows]
    return pl.DataFrame(
        moments,
        schema={"instrument_id": pl.String, "known_at": pl.Datetime("us", "UTC"), "rate": pl.Float64},
        orient="row",
    )


def test_the_newest_rate_quoted_before_the_open_counts_until_it_expires():
    feed = _quotations(("A", 5, 0.01), ("A", 6, 0.02), ("A", 7, 0.09), ("B", 2, 0.5), ("C", 6, None))
    opening, expired = datetime(2026, 1, 7, 14, 30, tzinfo=UTC), datetime(2026, 1, 3, 14, 30, tzinfo=UTC)
    a, b, c, d = quoted_borrow(feed, ["A", "B", "C", "D"], opening, expired)
    assert (a, b, d) == (0.02, None, None)
    assert np.isnan(c), "nobody lends C"


def test_a_quoted_rate_comes_before_the_settings_and_an_unlendable_name_is_no_short():
    costs = COSTS.model_copy(update={"borrow_rates": {"A": 0.3, "B": 0.3, "C": 0.3}, "stress": 2.0})
    rates = borrow_rates(["A", "B", "C", "D"], costs, (0.02, None, np.nan, None))
    np.testing.assert_allclose(rates, [0.04, 0.6, np.nan, 0.0504])
    strict = costs.model_copy(update={"unknown_borrow": "no_short"})
    assert np.isnan(borrow_rates(["D"], strict, (None,))[0])
