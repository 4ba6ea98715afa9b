"""Kernels against plain numpy on each window, and bits that do not depend on what else is computed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from aurora_pipeline.features import rolling, rolling_extremes, rolling_moments, windows

NAN = np.nan
DECAY = rolling.half_life_decay(2.0)
KERNELS = {
    "sum": lambda values, first: rolling.rolling_sum(values, 5, 2, first),
    "mean": lambda values, first: rolling.rolling_mean(values, 5, 2, first),
    "std": lambda values, first: rolling_moments.rolling_std(values, 5, 3, first),
    "max": lambda values, first: rolling_extremes.rolling_max(values, 5, 2, first),
    "compound": lambda values, first: rolling.rolling_compound(values, 5, 2, first),
    "weighted_mean": lambda values, first: rolling.rolling_weighted_mean(values, DECAY, 5, 2, first),
    "beta": lambda values, first: rolling_moments.rolling_beta(values, np.roll(values, 1, axis=1), DECAY, 5, 3, first),
    "correlation": lambda values, first: rolling_moments.rolling_correlation(
        values, np.roll(values, 1, 1), 5, 3, first
    ),
    "skewness": lambda values, first: rolling_moments.rolling_skewness(values, 5, 3, first),
    "range": lambda values, first: np.hstack(
        rolling_extremes.rolling_range(values, 1.0 + np.abs(values), 1.0 - np.abs(values), 5, 2, first)
    ),
}
PLAIN = {
    "sum": np.sum,
    "mean": np.mean,
    "std": lambda x: np.std(x, ddof=1),
    "max": np.max,
    "compound": lambda x: np.prod(1.0 + x) - 1.0,
}


def panel(seed, rows=30, columns=4, missing=0.2):
    random = np.random.default_rng(seed)
    values = 0.1 * random.standard_normal((rows, columns))
    values[random.random(values.shape) < missing] = NAN
    return values


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_kernel_equals_numpy_on_each_window(name):
    values = panel(1, columns=windows.COLUMNS + 4)
    result = KERNELS[name](values, 0)
    needed = 3 if name == "std" else 2
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            window = values[max(row - 4, 0) : row + 1, column]
            present = window[~np.isnan(window)]
            expected = PLAIN[name](present) if present.size >= needed else NAN
            assert_allclose(result[row, column], expected, rtol=1e-12, atol=1e-15)


def test_weighted_mean_gives_the_newest_most():
    result = rolling.rolling_weighted_mean(np.array([[4.0], [NAN], [1.0]]), 0.5, 3, 1, 2)
    assert_allclose(result, [[(1.0 * 1.0 + 0.25 * 4.0) / 1.25]])


def test_beta_recovers_a_line():
    x = panel(2, missing=0.0)
    assert_allclose(rolling_moments.rolling_beta(0.3 + 1.7 * x, x, DECAY, 5, 3, 10), np.full((20, 4), 1.7))


def test_beta_to_something_that_does_not_move_is_missing():
    y = panel(3, missing=0.0)
    assert np.isnan(rolling_moments.rolling_beta(y, np.full_like(y, 0.01), DECAY, 5, 3, 10)).all()


def test_something_that_does_not_move_has_no_spread_and_no_skewness():
    constant = np.full((12, 1), 0.1)
    assert_array_equal(rolling_moments.rolling_std(constant, 7, 2, 8), np.zeros((4, 1)))
    assert np.isnan(rolling_moments.rolling_skewness(constant, 7, 3, 8)).all()


def test_skewness_and_correlation_by_hand():
    values = np.array([[1.0], [2.0], [6.0]])
    # mean 3, deviations -2 -1 3: m2 = 14/3, m3 = 18/3
    assert_allclose(rolling_moments.rolling_skewness(values, 3, 3, 2), [[6.0 / (14.0 / 3.0) ** 1.5]])
    # of 1 2 3: deviations -1 0 1; covariance sum 5, squares 14 and 2
    other = np.array([[1.0], [2.0], [3.0]])
    assert_allclose(rolling_moments.rolling_correlation(values, -other, 3, 3, 2), [[-5.0 / np.sqrt(28.0)]])


def test_range_is_relative_to_the_newest_close():
    returns = np.array([[NAN], [0.1], [-0.5]])
    ones = np.ones((3, 1))
    highest, lowest = rolling_extremes.rolling_range(returns, 1.02 * ones, 0.98 * ones, 3, 3, 2)
    # closes 100, 110, 55: the highest high is 112.2, the lowest low 53.9
    assert_allclose(highest, [[112.2 / 55.0]])
    assert_allclose(lowest, [[53.9 / 55.0]])


def test_earlier_drops_the_newest_rows():
    values = panel(4)
    assert_array_equal(rolling.earlier(values, 3), values[:-3])
    assert rolling.earlier(values, 0) is values


def test_half_life_and_span():
    assert_allclose(rolling.half_life_decay(2.0) ** np.arange(3), [1.0, 0.5**0.5, 0.5])
    assert_allclose(rolling.span_decay(3.0) ** np.arange(3), [1.0, 0.5, 0.25])


@pytest.mark.parametrize("name", sorted(KERNELS))
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), dropped=st.integers(0, 8), first=st.integers(12, 29))
def test_bits_depend_on_the_window_only(name, seed, dropped, first):
    values = panel(seed)
    whole = KERNELS[name](values, 0)
    assert_array_equal(KERNELS[name](values, first), whole[first:])
    shorter = KERNELS[name](values[dropped:], first - dropped)
    assert_array_equal(shorter, whole[first:])
    assert_array_equal(KERNELS[name](values[: first + 1], first)[0], whole[first])
