import numpy as np
import pytest

from aurora_pipeline.policy.risk_measures import bias_statistic, historical_loss, parametric_loss, realised_beta


def test_a_forecast_half_as_large_as_what_came_has_a_bias_of_two():
    returns = np.tile([0.002, -0.002], 50)
    found = bias_statistic(returns, np.full(100, 0.001))
    assert found.value == pytest.approx(2.0 * (100 / 99) ** 0.5)
    assert bias_statistic(returns + 0.001, np.full(100, 0.001)).value == pytest.approx(found.value)
    assert (found.lower, found.upper) == (pytest.approx(1 - 0.02**0.5), pytest.approx(1 + 0.02**0.5))


def test_sessions_without_a_forecast_are_left_out_and_few_give_nothing():
    returns = np.tile([0.002, -0.002], 50)
    forecast = np.where(np.arange(100) < 50, np.nan, 0.002)
    assert bias_statistic(returns, forecast).sessions == 50
    assert bias_statistic(returns[:19], np.full(19, 0.002)).value is None


def test_losses_of_a_normal_return():
    at_risk, shortfall = parametric_loss(0.01)
    assert at_risk == pytest.approx(0.016449, abs=1e-6)
    assert shortfall == pytest.approx(0.020627, abs=1e-6)


def test_losses_from_the_returns_themselves():
    # The worst 5 % of 100 sessions are losses of 0.10 to 0.06: the smallest is at risk, their mean is the shortfall.
    returns = np.concatenate([-np.arange(1, 11) / 100.0, np.full(90, 0.01)])
    assert historical_loss(returns) == (pytest.approx(0.06), pytest.approx(0.08))
    assert historical_loss(returns[:19]) is None


def test_realised_beta_is_the_slope_on_the_market():
    market = np.random.default_rng(1).normal(0.0, 0.01, 50)
    assert realised_beta(0.001 + 0.3 * market, market) == pytest.approx(0.3)
    assert realised_beta(market, np.zeros(50)) is None
    assert realised_beta(market[:5], market[:5]) is None
