"""Features of the sector view and the reversal signal, worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from aurora_pipeline.features.betas import Betas
from aurora_pipeline.features.reversal import reversal, timed_residuals
from aurora_pipeline.features.sector_features import bar_sector_features, daily_sector_features
from aurora_pipeline_tests.features.dense_histories import bar_history, columns, daily_history, daily_panel

ROWS = 80


def betas_of(residual, market=1.0, sector=1.0, market_only=False):
    shape = (residual.shape[0] + 1, residual.shape[1])
    ramp = 0.001 * np.arange(shape[0])[:, None] * np.ones(shape)
    return Betas(market + ramp, sector + ramp, np.ones(shape), residual, np.full(shape, market_only))


def features_of(residual, first, returns=None, **betas):
    """Session-level features of residual returns; total returns twice as large unless given."""
    panel = replace(
        daily_panel(np.full(residual.shape, 100.0)), total_return=2.0 * residual if returns is None else returns
    )
    return daily_sector_features(daily_history(panel, first, residual, betas_of(residual, **betas)))


def test_momentum_and_reversal_in_units_of_volatility():
    residual = columns([0.01 if row % 2 else -0.005 for row in range(ROWS)])
    found = {name: value[0, 0] for name, value in features_of(residual, ROWS - 1).items()}
    deviation = 0.0075 * np.sqrt(20.0 / 19.0)
    assert found["residual_volatility_20"] == pytest.approx(deviation)
    assert found["residual_momentum_20"] == pytest.approx(0.05 / deviation)
    assert found["residual_reversal_5"] == pytest.approx(-(3 * 0.01 - 2 * 0.005) / deviation)
    long_deviation = 0.0075 * np.sqrt(60.0 / 59.0)
    assert found["residual_momentum_60"] == pytest.approx((0.15 - 0.02) / long_deviation)
    assert found["idiosyncratic_share_60"] == pytest.approx(0.25)
    recent = np.std([0.01, -0.005, 0.01, -0.005, 0.01], ddof=1)
    assert found["residual_volatility_trend"] == pytest.approx(recent / long_deviation)


def test_betas_are_those_estimated_through_the_newest_row():
    residual = columns([0.01] * ROWS)
    found = features_of(residual, ROWS - 2)
    assert_allclose(found["beta_market"][:, 0], [1.0 + 0.001 * (ROWS - 1), 1.0 + 0.001 * ROWS])


def test_sector_beta_is_missing_where_only_the_market_is_taken_out():
    residual = columns([0.01] * ROWS)
    assert np.isnan(features_of(residual, ROWS - 1, market_only=True)["beta_sector"]).all()


def test_returns_that_never_move_have_no_scaled_features():
    residual = np.zeros((ROWS, 1))
    found = features_of(residual, ROWS - 1)
    assert np.isnan(found["residual_momentum_20"]).all()


def test_sums_over_bars_need_half_of_them():
    residual = columns([0.01, None, 0.02, 0.03])
    found = bar_sector_features(bar_history(4, scale=0.1, residual=residual))
    assert_allclose(found["residual_return_1_bars"][:, 0], [0.1, np.nan, 0.2, 0.3])
    assert_allclose(found["residual_return_6_bars"][:, 0], [np.nan, np.nan, np.nan, 0.6])


def test_residuals_are_standardised_by_the_time_of_day():
    # the session before moved 4 sigmas in its first bar and 1 in its second
    residual = columns([0.04, -0.01, 0.02, 0.02])
    timed = timed_residuals(bar_history(2, earlier=2, residual=residual))
    assert_allclose(timed[:, 0], [0.01, -0.01, 0.005, 0.02])


def test_usual_size_comes_from_the_sessions_before_only():
    residual = columns([0.04, -0.01, 0.02, 0.02])
    louder = columns([0.04, -0.01, 0.02, 9.0])
    before, after = (timed_residuals(bar_history(2, earlier=2, residual=values)) for values in (residual, louder))
    assert_allclose(before[:3], after[:3])


def test_reversal_is_minus_the_weighted_mean():
    residual = columns([0.01] * 6 + [0.01, 0.02, -0.03, 0.01, 0.01, 0.01])
    history = bar_history(6, first=2, earlier=6, residual=residual)
    found = reversal(history)
    weights = 0.5 ** (np.arange(9) / 20.0)
    newest_first = np.array([-3.0, 2.0, 1.0] + [1.0] * 6)
    assert found[0, 0] == pytest.approx(-(weights * newest_first).sum() / weights.sum())
    assert found.shape == (4, 1)


def test_first_session_of_a_market_has_no_usual_size():
    found = reversal(bar_history(6, residual=columns([0.01] * 6)))
    assert np.isnan(found).all()


def test_reversal_of_days_is_not_timed():
    residual = columns([0.01, -0.02, 0.03])
    found = reversal(bar_history(3, frequency="session", residual=residual))
    weights = 0.5 ** (np.arange(3) / 3.0)
    assert found[-1, 0] == pytest.approx(-(weights * [3.0, -2.0, 1.0]).sum() / weights.sum())


def test_newest_session_reverts():
    residual = columns([0.01, -0.01] * 40)
    found = features_of(residual, 79)
    assert found["residual_reversal_1"][0, 0] == pytest.approx(1.0 / np.sqrt(20.0 / 19.0))


def test_year_of_momentum_leaves_the_newest_month_out():
    residual = np.zeros((300, 1))
    residual[::2] = 0.002
    residual[-21:] = 9.0
    found = features_of(residual, 299)["residual_momentum_12_1"]
    window = residual[-252:-21]
    assert found[0, 0] == pytest.approx(window.sum() / window.std(ddof=1))


def test_skewness_and_largest_residual():
    residual = columns([0.001, -0.001] * 39 + [0.04, 0.001])
    found = features_of(residual, 79)
    own = residual[-60:, 0] - residual[-60:, 0].mean()
    assert found["residual_skewness_60"][0, 0] == pytest.approx((own**3).mean() / (own**2).mean() ** 1.5)
    assert found["residual_max_20"][0, 0] == pytest.approx(0.04 / residual[-20:, 0].std(ddof=1))


def test_sums_over_more_bars():
    found = bar_sector_features(bar_history(78, scale=0.1, residual=columns([0.01] * 78)))
    for bars in (12, 39, 78):
        assert found[f"residual_return_{bars}_bars"][-1, 0] == pytest.approx(0.1 * bars)


def test_reversal_of_equal_days():
    found = bar_sector_features(bar_history(3, frequency="session", residual=columns([0.01, 0.02, -0.03])))
    weights = 0.5 ** (np.arange(3) / 3.0)
    assert found["residual_reversal"][-1, 0] == pytest.approx(-(weights * [-3.0, 2.0, 1.0]).sum() / weights.sum())


def test_sector_beta_is_that_estimated_through_the_newest_row():
    residual = columns([0.01] * ROWS)
    found = features_of(residual, ROWS - 2, sector=1.2)
    assert_allclose(found["beta_sector"][:, 0], [1.2 + 0.001 * (ROWS - 1), 1.2 + 0.001 * ROWS])
