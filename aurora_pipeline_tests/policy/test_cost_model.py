import numpy as np
import pytest

from aurora_pipeline.policy.cost_model import (
    borrow_cost,
    bounded_half_spread,
    estimate_half_spread,
    impact_rate,
    linear_rate,
    trade_cost,
)
from aurora_pipeline.settings import CostSettings

COSTS = CostSettings(
    half_spread_floor=1e-4, half_spread_cap=5e-3, fee_rate=2e-5, impact_coefficient=0.7, borrow_rate=0.0252
)


def test_cost_by_term_of_a_trade_worked_out_by_hand():
    # 40,000 USD of a name with 2 % volatility and 100 M USD a session: impact 0.7 * 0.02 * sqrt(0.0004) = 2.8 bps.
    cost = trade_cost(np.array([-40_000.0]), np.array([3e-4]), np.array([0.02]), np.array([1e8]), COSTS)
    assert cost.spread[0] == pytest.approx(12.0)
    assert cost.fee[0] == pytest.approx(0.8)
    assert cost.impact[0] == pytest.approx(11.2)
    assert cost.total[0] == pytest.approx(24.0)


def test_nothing_traded_costs_nothing_even_where_nothing_is_known():
    cost = trade_cost(np.array([0.0]), np.array([3e-4]), np.array([np.nan]), np.array([np.nan]), COSTS)
    assert cost.total.tolist() == [0.0]


def test_the_optimisers_rates_price_a_trade_like_the_ledger():
    notional, nav, half_spread, sigma, adv = 40_000.0, 1e7, np.array([3e-4]), np.array([0.02]), np.array([1e8])
    weight = notional / nav
    fraction = linear_rate(half_spread, COSTS) * weight + impact_rate(sigma, adv, nav, COSTS) * weight**1.5
    usd = trade_cost(np.array([notional]), half_spread, sigma, adv, COSTS).total
    np.testing.assert_allclose(fraction * nav, usd)


def test_half_spread_is_the_volatility_per_trade_within_bounds():
    estimate = estimate_half_spread(np.array([0.02, 0.02, 0.02, 0.02]), np.array([1e8, 1e12, 0.0, np.nan]))
    np.testing.assert_allclose(estimate[:2], [2e-4, 2e-6])
    assert np.isnan(estimate[2:]).all()
    np.testing.assert_allclose(bounded_half_spread(estimate, COSTS), [2e-4, 1e-4, 5e-3, 5e-3])


def test_borrow_is_a_yearly_rate_spread_over_sessions():
    assert borrow_cost(-1_000_000.0, COSTS) == pytest.approx(100.0)


def test_an_illiquid_name_has_no_impact_price():
    assert np.isnan(impact_rate(np.array([0.02, 0.02]), np.array([0.0, np.nan]), 1e7, COSTS)).all()
