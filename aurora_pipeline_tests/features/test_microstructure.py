"""Features of the microstructure view, worked by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

from aurora_pipeline.features.cross_section import less_group_mean, time_of_day_mean
from aurora_pipeline.features.microstructure import half_spread, pressure_features, volume_features, volume_level
from aurora_pipeline.features.realised import realised_features
from aurora_pipeline_tests.features.dense_histories import bar_history, columns, daily_panel

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
    found = newest(pressure_features(bar_history(12, **ONE_BAR), "5min"))
    # range 6, mean of the four prices 101; lower shadow 2, upper shadow 2
    assert found["vwap_pressure_fast"] == pytest.approx(1.5 / 6.0)
    assert found["vwap_pressure_slow"] == pytest.approx(1.5 / 6.0)
    assert found["wick_pressure_fast"] == pytest.approx(0.0)
    assert found["close_location"] == pytest.approx((204.0 - 104.0 - 98.0) / 6.0)


def test_half_lives_of_pressure():
    vwap = ONE_BAR["vwap"].copy()
    vwap[-1] = 101.0
    found = newest(pressure_features(bar_history(12, **(ONE_BAR | {"vwap": vwap})), "5min"))
    for name, life in (("vwap_pressure_fast", 3.0), ("vwap_pressure_slow", 20.0)):
        weights = 0.5 ** (np.arange(12) / life)
        assert found[name] == pytest.approx(0.25 * (1.0 - weights[0] / weights.sum()))


def test_long_lower_shadow_is_buying_pressure():
    low = columns([90.0] * 12)
    assert newest(pressure_features(bar_history(12, **(ONE_BAR | {"low": low})), "5min"))["wick_pressure_slow"] > 0.0


def test_bar_without_a_range_says_nothing_about_pressure():
    found = newest(pressure_features(bar_history(12, close=columns([100.0] * 12)), "5min"))
    assert np.isnan([found["vwap_pressure_fast"], found["wick_pressure_slow"], found["close_location"]]).all()


def test_feed_without_vwap_leaves_only_its_feature_missing():
    found = newest(pressure_features(bar_history(12, **(ONE_BAR | {"vwap": columns([None] * 12)})), "5min"))
    assert np.isnan(found["vwap_pressure_fast"])
    assert not np.isnan(found["close_location"])


def test_signed_volume_is_classified_in_bulk():
    returns = columns([0.01, -0.01] * 39)
    dollars = columns([3.0, 1.0] * 39)
    found = newest(pressure_features(bar_history(78, bar_return=returns, dollar_volume=dollars), "5min"))
    deviations = [np.std(returns[: row + 1], ddof=1) for row in range(72, 78)]
    shares = [2.0 * norm.cdf(returns[72 + k, 0] / deviations[k]) - 1.0 for k in range(6)]
    expected = sum(dollars[72 + k, 0] * shares[k] for k in range(6)) / 12.0
    assert found["signed_volume_6_bars"] == pytest.approx(expected)


def test_volume_surprise_takes_level_and_time_of_day_out():
    # the session before traded e times as much in its first bar as the level, e^-1 in the others
    dollars = np.exp(columns([1.0] + [-1.0] * 11 + [1.5] + [-0.5] * 11)) * 1000.0
    history = bar_history(12, earlier=12, dollar_volume=dollars, residual=columns([0.01, -0.01] * 12))
    found = volume_features(history, np.array([0.01]), np.array([np.log(1000.0)]), np.array([0]), "5min")
    weights = 0.5 ** (np.arange(24) / 3.0)
    expected = 0.5 * weights[:12].sum() / weights.sum()
    assert found["volume_surprise_fast"][-1, 0] == pytest.approx(expected)


def test_zero_volume_is_missing_not_minus_infinity():
    dollars = columns([1.0] * 12 + [1.0] * 6 + [0.0] * 6)
    history = bar_history(12, earlier=12, dollar_volume=dollars)
    found = volume_features(history, np.array([0.01]), np.array([0.0]), np.array([0]), "5min")
    assert found["volume_surprise_fast"][-1, 0] == pytest.approx(0.0)


def test_product_multiplies_deviations_from_the_sector():
    random = np.random.default_rng(0)
    residual = 0.01 * random.standard_normal((24, 3))
    dollars = np.exp(random.standard_normal((24, 3)))
    history = bar_history(12, earlier=12, residual=residual, dollar_volume=dollars)
    sector = np.array([0, 0, 1])
    found = volume_features(history, np.full(3, 0.01), np.zeros(3), sector, "5min")
    a, b = found["reversal_times_volume"][-1, :2]
    assert a == pytest.approx(b)  # two stocks deviate from their mean by as much, both ways
    assert found["reversal_times_volume"][-1, 2] == 0.0


def test_level_is_the_feeds_scaled_to_what_the_bars_cover():
    close = np.full((30, 1), 10.0)
    panel = daily_panel(close, volume=np.full((30, 1), 100.0))
    panel.bar_dollar_volume[:] = np.nan
    assert_allclose(volume_level(panel, 29, "5min"), [[np.log(1000.0)]])
    panel.bar_dollar_volume[-3:] = 400.0
    assert_allclose(volume_level(panel, 29, "5min"), [[np.log(400.0)]])


def test_level_ends_before_the_bar_where_a_bar_is_a_day():
    volume = np.full((30, 1), 100.0)
    volume[-1] = 1e9
    assert_allclose(volume_level(daily_panel(np.full((30, 1), 10.0), volume=volume), 29, "session"), [[np.log(1000.0)]])


def test_spread_of_a_price_that_bounces_between_bid_and_ask():
    # the close alternates 1 % above and below a range whose middle never moves
    close = columns([101.0, 99.0] * 15)
    high, low = np.full_like(close, 101.0), np.full_like(close, 99.0)
    found = half_spread(daily_panel(close, high=high, low=low), 29)
    log_close, middle = np.log(close), 0.5 * (np.log(101.0) + np.log(99.0))
    pairs = (log_close[:-1] - middle) * (log_close[:-1] - middle)
    assert_allclose(found, [[np.sqrt(pairs[-20:].mean())]])


def test_trending_price_has_no_spread():
    close = columns(list(100.0 * 1.01 ** np.arange(30)))
    assert_allclose(half_spread(daily_panel(close, high=close * 1.001, low=close * 0.98), 29), [[0.0]])


def test_realised_moments_of_a_session():
    residual = columns([0.0, 0.01, -0.01] * 3 + [0.0] + [0.05] + [0.01, -0.01] * 4 + [0.03])
    history = bar_history(10, earlier=10, residual=residual)
    found = {name: values[-1, 0] for name, values in realised_features(history, np.array([0.02])).items()}
    own, before = residual[11:, 0], residual[1:10, 0]
    assert found["realised_volatility"] == pytest.approx(np.sqrt((own**2).sum() / (before**2).sum()))
    bipower = np.pi / 2.0 * np.abs(own[1:] * own[:-1]).sum()
    assert found["jump_share"] == pytest.approx(max(1.0 - bipower / (own**2).sum(), 0.0))
    assert found["jump_share"] > 0.0


def test_night_is_left_out_even_if_the_first_bar_is_missing():
    residual = columns([0.01] * 10 + [None, 0.5] + [0.01] * 8)
    found = realised_features(bar_history(10, earlier=10, residual=residual), np.array([0.02]))
    assert found["realised_volatility"][-1, 0] == pytest.approx(np.sqrt(8.0 / 9.0))


def test_distance_from_the_sessions_average_price():
    history = bar_history(
        2, close=columns([100.0, 110.0]), vwap=columns([100.0, 106.0]), dollar_volume=columns([100.0, 220.0])
    )
    found = realised_features(history, np.array([0.02]))["vwap_deviation"]
    average = (100.0 * 1.0 + 106.0 * 2.0) / 3.0
    assert_allclose(found[:, 0], [0.0, (110.0 / average - 1.0) / 0.02])


def test_less_group_mean():
    found = less_group_mean(np.array([[1.0, 3.0, np.nan, 7.0, 5.0]]), np.array([0, 0, 0, 1, -1]), 2)
    assert_allclose(found, [[-1.0, 1.0, np.nan, 0.0, np.nan]])


def test_time_of_day_mean():
    values = np.array([[1.0, np.nan], [2.0, 4.0], [3.0, 5.0], [100.0, 100.0]])
    assert_allclose(time_of_day_mean(values, np.array([0, 1, 0, 2]), 3), [3.0, 3.0, np.nan])
