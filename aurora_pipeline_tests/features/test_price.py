"""Features of the price view, worked by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from aurora_pipeline.features.price import daily_price_features, session_price_features
from aurora_pipeline_tests.features.dense_histories import bar_history, columns, daily_history, daily_panel

ROWS = 300
LAST = ROWS - 1


def newest(close, **prices):
    """Each feature of the newest row of the only column."""
    return {
        name: values[0, 0]
        for name, values in daily_price_features(daily_history(daily_panel(close, **prices), LAST)).items()
    }


def rising():
    """Closes that grow by 1 % a session."""
    return columns(list(100.0 * 1.01 ** np.arange(ROWS)))


@pytest.fixture
def steady():
    return rising()


def test_returns_and_momentum_of_a_steady_rise(steady):
    found = newest(steady)
    assert found["return_5"] == pytest.approx(1.01**5 - 1.0)
    assert found["return_20"] == pytest.approx(1.01**20 - 1.0)
    assert found["momentum_12_1"] == pytest.approx(1.01**231 - 1.0)
    assert found["max_return_20"] == pytest.approx(0.01)
    assert found["volatility_20"] == pytest.approx(0.0, abs=1e-12)


def test_momentum_leaves_the_newest_21_sessions_out(steady):
    moved = steady.copy()
    moved[-21:] *= 5.0
    assert newest(moved)["momentum_12_1"] == newest(steady)["momentum_12_1"]
    moved[-22:] *= 5.0
    assert newest(moved)["momentum_12_1"] != newest(steady)["momentum_12_1"]


def test_volatility_of_alternating_returns():
    close = columns(list(100.0 * np.cumprod(np.where(np.arange(ROWS) % 2, 1.02, 0.98))))
    assert newest(close)["volatility_20"] == pytest.approx(0.02 * np.sqrt(20.0 / 19.0))


def test_ranges_and_distance_from_the_high(steady):
    flat = np.full((ROWS, 1), 100.0)
    high, low = flat.copy(), flat.copy()
    high[-100], high[-5], low[-3] = 150.0, 110.0, 95.0
    found = newest(flat, high=high, low=low)
    assert found["range_position_20"] == pytest.approx((100.0 - 95.0) / (110.0 - 95.0))
    assert found["high_52_week"] == pytest.approx(100.0 / 150.0 - 1.0)
    assert newest(steady)["high_52_week"] == pytest.approx(0.0)


def test_range_that_has_no_width_has_no_position():
    assert np.isnan(newest(np.full((ROWS, 1), 100.0))["range_position_20"])


def test_night_and_day_parts(steady):
    found = newest(steady, open=steady / 1.004)
    assert found["overnight_return_20"] == pytest.approx(20.0 * (1.01 / 1.004 - 1.0))
    assert found["intraday_return_20"] == pytest.approx(20.0 * 0.004)


def test_liquidity(steady):
    volume = 1000.0 / steady  # 1000 USD a session
    volume[-5:] *= 2.0
    found = newest(steady, volume=volume)
    assert found["dollar_volume_20"] == pytest.approx(np.log(1250.0))
    assert found["volume_trend"] == pytest.approx(np.log(2000.0 / ((55 * 1000.0 + 5 * 2000.0) / 60.0)))
    assert found["amihud_20"] == pytest.approx(np.log((15 * 0.01 / 1000.0 + 5 * 0.01 / 2000.0) / 20.0))


def test_session_without_trading_is_no_infinite_illiquidity(steady):
    volume = 1000.0 / steady
    volume[-2] = 0.0
    assert newest(steady, volume=volume)["amihud_20"] == pytest.approx(np.log(0.01 / 1000.0))


def test_too_little_history_is_missing(steady):
    few = steady.copy()
    few[:-8] = np.nan
    found = newest(few)
    assert np.isnan([found["return_20"], found["momentum_12_1"], found["volatility_20"], found["high_52_week"]]).all()
    assert found["return_5"] == pytest.approx(1.01**5 - 1.0)


def test_quarter_and_trend_of_volatility():
    moves = np.concatenate([np.zeros(180), [0.01, -0.01] * 50, [0.03, -0.03] * 10])
    found = newest(columns(list(100.0 * np.cumprod(1.0 + moves))))
    assert found["return_60"] == pytest.approx((1.01 * 0.99) ** 20 * (1.03 * 0.97) ** 10 - 1.0)
    recent = 0.03 * np.sqrt(20.0 / 19.0)
    whole = np.sqrt((100 * 0.01**2 + 20 * 0.03**2) / 119.0)
    assert found["volatility_trend"] == pytest.approx(recent / whole)


def test_range_based_volatility_against_closes():
    # closes alternate by 2 %; each day opens at its close, 2 % below its high and 2 % (in logs) above its low
    close = columns(list(100.0 * np.cumprod(np.where(np.arange(ROWS) % 2, 1.02, 0.98))))
    found = newest(close, high=close * np.exp(0.02), low=close * np.exp(-0.02))
    deviation = 0.02 * np.sqrt(20.0 / 19.0)
    assert found["parkinson_to_close_20"] == pytest.approx(np.sqrt(0.04**2 / (4.0 * np.log(2.0))) / deviation)
    # without a move from open to close Garman and Klass see half the squared range
    assert found["garman_klass_to_parkinson_20"] == pytest.approx(np.sqrt(0.5 * 4.0 * np.log(2.0)))


def test_garman_klass_takes_the_days_own_move_out():
    close = np.full((ROWS, 1), 100.0)
    opened = close * np.exp(-0.01)
    found = newest(close, open=opened, high=close * np.exp(0.01), low=close * np.exp(-0.01))
    expected = (0.5 * 0.02**2 - (2.0 * np.log(2.0) - 1.0) * 0.01**2) / (0.02**2 / (4.0 * np.log(2.0)))
    assert found["garman_klass_to_parkinson_20"] == pytest.approx(np.sqrt(expected))


def test_skewness_of_one_jump_in_sixty_sessions():
    close = np.full((ROWS, 1), 100.0)
    close[-30:] = 110.0
    # one 1 and fifty-nine 0: m3 / m2^1.5 with p = 1/60
    p = 1.0 / 60.0
    assert newest(close)["skewness_60"] == pytest.approx((1.0 - 2.0 * p) / np.sqrt(p * (1.0 - p)))


def test_volume_that_rises_with_returns_is_perfectly_correlated():
    moves = np.linspace(-0.01, 0.01, ROWS)
    close = columns(list(100.0 * np.cumprod(1.0 + moves)))
    assert newest(close, volume=np.exp(10.0 * moves)[:, None] / close)["price_volume_correlation_20"] == pytest.approx(
        1.0
    )
    falling = newest(close, volume=np.exp(-10.0 * moves)[:, None] / close)
    assert falling["price_volume_correlation_20"] == pytest.approx(-1.0)


def test_realised_volatility_of_four_sessions_of_equal_bars():
    returns = columns([0.001, -0.001] * 195)
    found = session_price_features(bar_history(78, earlier=312, scale=0.02, bar_return=returns))
    assert_allclose(found["realised_to_close_volatility"][-1], [0.001 * np.sqrt(78.0) / 0.02])


def test_daily_bars_have_no_session_so_far():
    assert session_price_features(bar_history(4, frequency="session", close=columns([1.0] * 4))) == {}


def test_session_so_far():
    close = columns([101.0, 99.0, None, 103.0])
    history = bar_history(
        4,
        scale=0.02,
        open=columns([100.0, 101.0, None, 99.0]),
        high=columns([102.0, 101.0, None, 104.0]),
        low=columns([100.0, 98.0, None, 99.0]),
        close=close,
        bar_return=columns([0.01, 99 / 101 - 1, None, 103 / 99 - 1]),
    )
    found = session_price_features(history)
    assert_allclose(found["return_since_open"][:, 0], [0.5, -0.5, -0.5, 1.5])
    assert_allclose(found["session_range_position"][:, 0], [0.5, 0.25, 0.25, 5.0 / 6.0])
    # total return of the first bar 1 %, of which 1 % came after the open
    assert_allclose(found["overnight_gap"][:, 0], np.zeros(4), atol=1e-12)
    assert np.isnan(found["opening_range_position"]).all()


def test_night_is_the_first_bars_return_before_its_open():
    history = bar_history(
        2, scale=0.02, open=columns([102.0, 101.0]), close=columns([101.0, 101.0]), bar_return=columns([0.01, 0.0])
    )
    found = session_price_features(history)
    assert_allclose(found["overnight_gap"][:, 0], [0.02 / 0.02] * 2)


def test_opening_range_counts_from_its_sixth_bar():
    close = columns([100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 108.0])
    found = session_price_features(bar_history(7, close=close, high=close, low=close))
    assert_allclose(found["opening_range_position"][:, 0], [np.nan] * 5 + [1.0, 8.0 / 5.0])


def test_decision_times_of_a_later_stretch_are_a_slice():
    close = columns([100.0, 101.0, 102.0, 103.0])
    whole = session_price_features(bar_history(4, close=close))
    later = session_price_features(bar_history(4, first=2, close=close))
    for name, values in whole.items():
        assert_allclose(later[name], values[2:])
