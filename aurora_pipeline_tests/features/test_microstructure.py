"""Features of the microstructure view, worked by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

from aurora_pipeline.features.cross_section import less_group_mean, time_of_day_mean
from aurora_pipeline.features.microstructure import (
    daily_microstructure_features,
    pressure_features,
    volume_features,
)
from aurora_pipeline.features.price_impact import impact_features
from aurora_pipeline.features.realised import realised_features
from aurora_pipeline.features.spreads import abdi_ranaldo, corwin_schultz
from aurora_pipeline_tests.features.dense_histories import bar_history, columns, daily_history, daily_panel

ONE_BAR = {
    "open": columns([100.0] * 12),
    "high": columns([104.0] * 12),
    "low": columns([98.0] * 12),
    "close": columns([102.0] * 12),
    "vwap": columns([102.5] * 12),
}


def newest(features):
    return {name: values[-1, 0] for name, values in features.items()}


def test_pressure_from_the_shape_of_equal_bars():
    found = newest(pressure_features(bar_history(12, **ONE_BAR)))
    # range 6, mean of the four prices 101; lower shadow 2, upper shadow 2
    assert found["vwap_pressure_fast"] == pytest.approx(1.5 / 6.0)
    assert found["vwap_pressure_slow"] == pytest.approx(1.5 / 6.0)
    assert found["wick_pressure_fast"] == pytest.approx(0.0)
    assert found["close_location"] == pytest.approx((204.0 - 104.0 - 98.0) / 6.0)


def test_half_lives_of_pressure():
    vwap = ONE_BAR["vwap"].copy()
    vwap[-1] = 101.0
    found = newest(pressure_features(bar_history(12, **(ONE_BAR | {"vwap": vwap}))))
    for name, life in (("vwap_pressure_fast", 3.0), ("vwap_pressure_slow", 20.0)):
        weights = 0.5 ** (np.arange(12) / life)
        assert found[name] == pytest.approx(0.25 * (1.0 - weights[0] / weights.sum()))


def test_long_lower_shadow_is_buying_pressure():
    low = columns([90.0] * 12)
    assert newest(pressure_features(bar_history(12, **(ONE_BAR | {"low": low}))))["wick_pressure_slow"] > 0.0


def test_bar_without_a_range_says_nothing_about_pressure():
    found = newest(pressure_features(bar_history(12, close=columns([100.0] * 12))))
    assert np.isnan([found["vwap_pressure_fast"], found["wick_pressure_slow"], found["close_location"]]).all()


def test_feed_without_vwap_leaves_only_its_feature_missing():
    found = newest(pressure_features(bar_history(12, **(ONE_BAR | {"vwap": columns([None] * 12)}))))
    assert np.isnan(found["vwap_pressure_fast"])
    assert not np.isnan(found["close_location"])


def test_signed_volume_is_classified_in_bulk():
    returns = columns([0.01, -0.01] * 39)
    dollars = columns([3.0, 1.0] * 39)
    found = newest(pressure_features(bar_history(78, bar_return=returns, dollar_volume=dollars)))
    # the deviation of n returns that alternate is 0.01 * root of n / (n - 1), a little less where n is odd; it needs ten of them
    for bars in (6, 12, 39, 78):
        rows = range(max(78 - bars, 9), 78)
        shares = [2.0 * norm.cdf(returns[row, 0] / np.std(returns[: row + 1], ddof=1)) - 1.0 for row in rows]
        expected = sum(dollars[row, 0] * share for row, share in zip(rows, shares, strict=True)) / dollars[rows].sum()
        assert found[f"signed_volume_{bars}_bars"] == pytest.approx(expected)


def test_slow_wick_pressure_of_equal_bars():
    found = newest(pressure_features(bar_history(12, **(ONE_BAR | {"low": columns([90.0] * 12)}))))
    # open 100, close 102, high 104: the lower shadow is 10, the upper one 2, the range 14
    assert found["wick_pressure_slow"] == pytest.approx(8.0 / 14.0)


def test_reversal_where_volume_is_abnormal():
    residual = columns([0.01] * 3, [-0.01] * 3, [0.0] * 3)
    dollars = columns([np.e] * 3, [1.0] * 3, [1.0] * 3)
    found = volume_features(bar_history(3, frequency="session", residual=residual, dollar_volume=dollars))
    # reversals -1, 1 and 0, surprises 1, 0 and 0, which lie 2/3, -1/3 and -1/3 from their mean: products -2/3, -1/3 and 0
    assert_allclose(found["reversal_times_volume"][-1], [-1.0 / 3.0, 0.0, 1.0 / 3.0], atol=1e-12)


def test_spreads_of_days():
    close = columns([101.0, 99.0] * 15)
    found = daily_microstructure_features(
        daily_history(daily_panel(close, high=np.full_like(close, 101.0), low=np.full_like(close, 99.0)), 29)
    )
    middle = 0.5 * (np.log(101.0) + np.log(99.0))
    up, down = np.log(101.0) - middle, np.log(99.0) - middle
    # closes lie above and below the middle in turn: each product takes one of either, the day before's from its own middle
    assert_allclose(found["half_spread_20"], [[np.sqrt(np.mean([up * up, down * down]))]])
    span = (np.log(101.0) - np.log(99.0)) ** 2
    root = 3.0 - 2.0 * np.sqrt(2.0)
    alpha = (np.sqrt(4.0 * span) - np.sqrt(2.0 * span)) / root - np.sqrt(span / root)
    assert_allclose(found["high_low_spread_20"], [[2.0 * (np.exp(alpha) - 1.0) / (1.0 + np.exp(alpha))]])


def test_slow_volume_surprise_halves_in_twenty_bars():
    dollars = np.exp(columns([1.0] + [-1.0] * 11 + [1.5] + [-0.5] * 11)) * 1000.0
    history = bar_history(
        12, earlier=12, level=np.log(1000.0), dollar_volume=dollars, residual=columns([0.01, -0.01] * 12)
    )
    weights = 0.5 ** (np.arange(24) / 20.0)
    found = volume_features(history)["volume_surprise_slow"]
    assert found[-1, 0] == pytest.approx(0.5 * weights[:12].sum() / weights.sum())


def test_volume_surprise_takes_level_and_time_of_day_out():
    # the session before traded e times as much in its first bar as the level, e^-1 in the others
    dollars = np.exp(columns([1.0] + [-1.0] * 11 + [1.5] + [-0.5] * 11)) * 1000.0
    history = bar_history(
        12, earlier=12, level=np.log(1000.0), dollar_volume=dollars, residual=columns([0.01, -0.01] * 12)
    )
    found = volume_features(history)
    weights = 0.5 ** (np.arange(24) / 3.0)
    expected = 0.5 * weights[:12].sum() / weights.sum()
    assert found["volume_surprise_fast"][-1, 0] == pytest.approx(expected)


def test_zero_volume_is_missing_not_minus_infinity():
    dollars = columns([1.0] * 12 + [1.0] * 6 + [0.0] * 6)
    history = bar_history(12, earlier=12, dollar_volume=dollars)
    found = volume_features(history)
    assert found["volume_surprise_fast"][-1, 0] == pytest.approx(0.0)


def test_product_multiplies_deviations_from_the_sector():
    random = np.random.default_rng(0)
    residual = 0.01 * random.standard_normal((24, 4))
    dollars = np.exp(random.standard_normal((24, 4)))
    found = volume_features(bar_history(12, earlier=12, sector=[0, 0, 0, 1], residual=residual, dollar_volume=dollars))
    product = found["reversal_times_volume"][-1]
    assert product[:3].sum() == pytest.approx(0.0)
    assert np.abs(product[:3]).max() > 0.01
    assert product[3] == 0.0  # alone in its sector


def test_level_is_the_feeds_scaled_to_what_the_bars_cover():
    close = np.full((30, 1), 10.0)
    panel = daily_panel(close, volume=np.full((30, 1), 100.0))
    panel.bar_dollar_volume[:] = np.nan
    assert_allclose(daily_history(panel, 29).volume_level, [[np.log(1000.0)]])
    panel.bar_dollar_volume[-3:] = 400.0
    assert_allclose(daily_history(panel, 29).volume_level, [[np.log(400.0)]])


def test_level_ends_before_the_bar_where_a_bar_is_a_day():
    volume = np.full((30, 1), 100.0)
    volume[-1] = 1e9
    panel = daily_panel(np.full((30, 1), 10.0), volume=volume)
    assert_allclose(daily_history(panel, 29, frequency="session").volume_level, [[np.log(1000.0)]])


def test_spread_of_a_price_that_bounces_between_bid_and_ask():
    # the close alternates 1 % above and below a range whose middle never moves
    close = columns([101.0, 99.0] * 15)
    high, low = np.full_like(close, 101.0), np.full_like(close, 99.0)
    found = abdi_ranaldo(daily_panel(close, high=high, low=low), 29)
    log_close, middle = np.log(close), 0.5 * (np.log(101.0) + np.log(99.0))
    pairs = (log_close[:-1] - middle) * (log_close[:-1] - middle)
    assert_allclose(found, [[np.sqrt(pairs[-20:].mean())]])


def test_trending_price_has_no_spread():
    close = columns(list(100.0 * 1.01 ** np.arange(30)))
    assert_allclose(abdi_ranaldo(daily_panel(close, high=close * 1.001, low=close * 0.98), 29), [[0.0]])


def test_realised_moments_of_a_session():
    residual = columns([0.0, 0.01, -0.01] * 3 + [0.0] + [0.05] + [0.01, -0.01] * 4 + [0.03])
    history = bar_history(10, earlier=10, residual=residual)
    found = {name: values[-1, 0] for name, values in realised_features(history).items()}
    own, before = residual[11:, 0], residual[1:10, 0]
    assert found["realised_volatility"] == pytest.approx(np.sqrt((own**2).sum() / (before**2).sum()))
    bipower = np.pi / 2.0 * np.abs(own[1:] * own[:-1]).sum()
    assert found["jump_share"] == pytest.approx(max(1.0 - bipower / (own**2).sum(), 0.0))
    assert found["jump_share"] > 0.0


def test_night_is_left_out_even_if_the_first_bar_is_missing():
    residual = columns([0.01] * 10 + [None, 0.5] + [0.01] * 8)
    found = realised_features(bar_history(10, earlier=10, residual=residual))
    assert found["realised_volatility"][-1, 0] == pytest.approx(np.sqrt(8.0 / 9.0))


def test_distance_from_the_sessions_average_price():
    history = bar_history(
        2,
        scale=0.02,
        close=columns([100.0, 110.0]),
        vwap=columns([100.0, 106.0]),
        dollar_volume=columns([100.0, 220.0]),
    )
    found = realised_features(history)["vwap_deviation"]
    average = (100.0 * 1.0 + 106.0 * 2.0) / 3.0
    assert_allclose(found[:, 0], [0.0, (110.0 / average - 1.0) / 0.02])


def test_less_group_mean():
    found = less_group_mean(np.array([[1.0, 3.0, np.nan, 7.0, 5.0]]), np.array([0, 0, 0, 1, -1]), 2)
    assert_allclose(found, [[-1.0, 1.0, np.nan, 0.0, np.nan]])


def test_time_of_day_mean():
    values = np.array([[1.0, np.nan], [2.0, 4.0], [3.0, 5.0], [100.0, 100.0]])
    assert_allclose(time_of_day_mean(values, np.array([0, 1, 0, 2]), 3), [3.0, 3.0, np.nan])


def test_spread_from_two_ranges():
    # equal ranges around one middle: two days' range equals one day's, so that beta = 2 gamma
    close = np.full((30, 1), 100.0)
    found = corwin_schultz(daily_panel(close, high=close * np.exp(0.01), low=close * np.exp(-0.01)), 29)
    gamma, root = 0.02**2, 3.0 - 2.0 * np.sqrt(2.0)
    alpha = (np.sqrt(4.0 * gamma) - np.sqrt(2.0 * gamma)) / root - np.sqrt(gamma / root)
    assert_allclose(found, [[2.0 * (np.exp(alpha) - 1.0) / (1.0 + np.exp(alpha))]])


def test_jump_over_night_is_no_part_of_the_two_day_range():
    # closes at the low: after a jump up the range is moved down onto the day before, after one down it stays below it
    flat = np.full((30, 1), 100.0)
    jumped = np.where(np.arange(30)[:, None] % 2, 110.0, 100.0)
    calm, jumpy = (
        corwin_schultz(daily_panel(close, high=close * np.exp(0.02), low=close), 29) for close in (flat, jumped)
    )
    assert calm[0, 0] > 0.0
    assert_allclose(jumpy, 0.5 * calm)


def test_bouncing_bars_show_their_spread():
    returns = columns([0.0] + [0.002, -0.002] * 38 + [0.002])
    found = impact_features(bar_history(78, bar_return=returns, residual=returns))
    # 76 products of -0.002 * 0.002: the spread is twice the half-spread of 0.002
    assert_allclose(found["roll_spread"][-1], [0.004])


def test_trending_bars_have_a_negative_spread():
    returns = columns([0.002] * 78)
    assert_allclose(impact_features(bar_history(78, bar_return=returns))["roll_spread"][-1], [-0.004])


def test_variance_ratio_of_a_trend_and_of_a_bounce():
    trend, bounce = columns([0.01] * 78), columns([0.01, -0.01] * 39)
    assert_allclose(impact_features(bar_history(78, residual=trend))["variance_ratio"][-1], [6.0])
    assert_allclose(impact_features(bar_history(78, residual=bounce))["variance_ratio"][-1], [0.0], atol=1e-20)


def test_price_impact_of_a_usual_bar():
    returns = columns([0.002, -0.002] * 78)
    # every bar trades the usual 1/78 of a day and moves a fifth of the daily volatility of 1 %
    dollars = np.full((156, 1), 1000.0 / 78.0)
    history = bar_history(
        78, earlier=78, level=np.log(1000.0), bar_return=returns, residual=returns, dollar_volume=dollars
    )
    assert_allclose(impact_features(history)["kyle_lambda"][-1], [0.2])
    # four times the volume for the same move: half the slope on its root
    deep = bar_history(
        78, earlier=78, level=np.log(1000.0), bar_return=returns, residual=returns, dollar_volume=4.0 * dollars
    )
    assert_allclose(impact_features(deep)["kyle_lambda"][-1], [0.1])


def test_first_bar_of_a_session_has_no_price_impact():
    calm = columns([0.002, -0.002] * 78)
    loud = calm.copy()
    loud[[0, 78]] = 9.0
    quiet, jumped = (impact_features(bar_history(78, earlier=78, bar_return=r, residual=r)) for r in (calm, loud))
    for name, values in quiet.items():
        assert_allclose(jumped[name][-1], values[-1], err_msg=name)


def test_skewness_of_bars():
    residual = columns([0.0] + [0.01] * 20 + [-0.02] * 5)
    found = realised_features(bar_history(26, residual=residual))["realised_skewness"]
    squares, cubes = 20 * 0.01**2 + 5 * 0.02**2, 20 * 0.01**3 - 5 * 0.02**3
    assert found[-1, 0] == pytest.approx(np.sqrt(25.0) * cubes / squares**1.5)


def test_volume_by_the_same_bar_of_the_session_before():
    dollars = columns([10.0, 20.0, 30.0, 5.0, 40.0, 15.0])
    found = realised_features(bar_history(3, earlier=3, dollar_volume=dollars))["volume_clock"]
    assert_allclose(found[:, 0], np.log([5.0 / 10.0, 45.0 / 30.0, 60.0 / 60.0]))


def test_same_time_of_the_session_before_skips_the_bar_of_the_fill():
    residual = columns([0.01 * bar for bar in range(12)] + [9.0] * 12)
    found = realised_features(bar_history(12, earlier=12, residual=residual))["same_time_return"]
    assert found[0, 0] == pytest.approx(np.mean([2.0, 3.0, 4.0, 5.0, 6.0, 7.0]))
    assert found[9, 0] == pytest.approx(11.0)
    assert np.isnan(found[10:, 0]).all()


def test_progress_of_the_session():
    found = realised_features(bar_history(39, residual=columns([0.01] * 39)))["session_progress"]
    assert_allclose(found[[0, 38], 0], [1.0 / 78.0, 0.5])
