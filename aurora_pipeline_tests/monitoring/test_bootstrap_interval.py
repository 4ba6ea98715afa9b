"""Stationary-bootstrap intervals: what is too little, that dependence widens them, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest

from aurora_pipeline.monitoring.bootstrap_interval import MINIMUM_SESSIONS, bootstrap_interval
from aurora_pipeline.monitoring.information_coefficient import mean_with_interval


def autoregression(count: int, coefficient: float, seed: int) -> np.ndarray:
    shocks = np.random.default_rng(seed).standard_normal(count + 50)
    series = np.empty(count + 50)
    series[0] = shocks[0]
    for k in range(1, count + 50):
        series[k] = coefficient * series[k - 1] + shocks[k]
    return series[50:]


@pytest.mark.parametrize(
    "series", [np.zeros(0), np.arange(MINIMUM_SESSIONS - 1.0), np.full(60, 0.3), np.full(60, 0.1 + 0.2)]
)
def test_too_few_sessions_or_no_variation_give_no_interval(series: np.ndarray) -> None:
    assert bootstrap_interval(series, 1) is None


def test_just_enough_sessions_give_one() -> None:
    found = bootstrap_interval(np.arange(float(MINIMUM_SESSIONS)), 1)
    assert found is not None
    assert found.lower < 9.5 < found.upper
    assert found.block_sessions >= 1.0


def test_the_same_seed_gives_the_same_interval() -> None:
    series = autoregression(80, 0.3, 2)
    assert bootstrap_interval(series, 5) == bootstrap_interval(series, 5)
    assert bootstrap_interval(series, 5) != bootstrap_interval(series, 6)


def test_independent_sessions_agree_with_the_central_limit() -> None:
    series = np.random.default_rng(3).standard_normal(400)
    found = bootstrap_interval(series, 1, 4000)
    assert found is not None
    half = 1.96 * series.std() / 20.0
    assert (found.upper - found.lower) / 2.0 == pytest.approx(half, rel=0.1)


def test_blocks_are_longer_and_intervals_wider_where_sessions_depend() -> None:
    series = autoregression(400, 0.8, 3)
    dependent = bootstrap_interval(series, 1)
    shuffled = bootstrap_interval(np.random.default_rng(1).permutation(series), 1)
    assert dependent is not None
    assert shuffled is not None
    assert dependent.block_sessions > 3.0 * shuffled.block_sessions
    assert dependent.upper - dependent.lower > 1.7 * (shuffled.upper - shuffled.lower)


def test_coverage_of_both_intervals_in_dependent_sessions() -> None:
    """Of 120 series with autocorrelation 0.5 and mean 0: the t keeps its level, the bootstrap is a little narrow."""
    bootstrapped = by_t = 0
    for seed in range(120):
        series = autoregression(250, 0.5, seed)
        drawn, estimate = bootstrap_interval(series, 1, 300), mean_with_interval(series)
        bootstrapped += drawn.lower <= 0.0 <= drawn.upper
        by_t += estimate.lower <= 0.0 <= estimate.upper
    # Binomial(120, 0.95) stays above 107 with 99 %; the bootstrap is held to 0.90.
    assert by_t >= 107
    assert bootstrapped >= 100
