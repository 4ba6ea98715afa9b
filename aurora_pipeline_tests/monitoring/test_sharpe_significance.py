"""Deflated Sharpe ratio: the paper's worked example, by hand, and false alarms under selection."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aurora_pipeline.monitoring.sharpe_significance import (
    MINIMUM_OBSERVATIONS,
    deflated_sharpe_ratio,
    expected_largest_sharpe,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
)

# Bailey and López de Prado (2014), section "A numerical example": a yearly Sharpe ratio of 2.5 over five years of 250 sessions,
# trials' yearly Sharpe ratios with variance 1/2, skewness -3, kurtosis 10.
SESSIONS = 1250
SHARPE = 2.5 / math.sqrt(250)
VARIANCE = 0.5 / 250


def test_the_bar_of_the_papers_example() -> None:
    assert expected_largest_sharpe(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "probability"),
    [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_the_papers_deflated_sharpe_ratios(trials: int, skewness: float, kurtosis: float, probability: float) -> None:
    bar = expected_largest_sharpe(trials, VARIANCE)
    found = probabilistic_sharpe_ratio(SHARPE, bar, SESSIONS, skewness, kurtosis)
    assert found == pytest.approx(probability, abs=5e-5)


def test_by_hand_on_returns_that_are_a_coin() -> None:
    # Nine gains and three losses of one: mean 1/2, skewness -2/sqrt(3), kurtosis 7/3.
    returns = np.array([1.0] * 9 + [-1.0] * 3)
    sharpe = 0.5 / math.sqrt((12 - 12 * 0.25) / 11)
    assert sharpe_ratio(returns) == pytest.approx(sharpe)
    spread = 1 + 2 / math.sqrt(3) * sharpe + (7 / 3 - 1) / 4 * sharpe**2
    by_hand = 0.5 * math.erfc(-sharpe * math.sqrt(11 / spread) / math.sqrt(2))
    assert deflated_sharpe_ratio(returns, 1, None) == pytest.approx(by_hand, rel=1e-9)


def test_one_trial_selects_nothing() -> None:
    assert expected_largest_sharpe(1, 0.3) == 0.0


def test_more_trials_and_more_spread_among_them_raise_the_bar() -> None:
    returns = np.random.default_rng(4).normal(0.2, 1.0, 200)
    by_trials = [deflated_sharpe_ratio(returns, trials, 0.005) for trials in (1, 5, 50, 500)]
    by_spread = [deflated_sharpe_ratio(returns, 20, variance) for variance in (0.001, 0.005, 0.02)]
    assert by_trials == sorted(by_trials, reverse=True)
    assert by_spread == sorted(by_spread, reverse=True)
    assert by_trials[0] > 0.95 > by_trials[-1]


def test_an_unknown_spread_is_that_of_skill_less_trials() -> None:
    returns = np.random.default_rng(4).normal(0.2, 1.0, 101)
    assert deflated_sharpe_ratio(returns, 20, None) == deflated_sharpe_ratio(returns, 20, 1.0 / 100)


@pytest.mark.parametrize("returns", [[], [0.1], [0.2] * 50, [0.1, -0.1] * (MINIMUM_OBSERVATIONS // 2 - 1)])
def test_too_few_or_constant_returns_have_none(returns: list[float]) -> None:
    assert deflated_sharpe_ratio(np.array(returns), 3, None) is None


def test_two_values_only_are_certain() -> None:
    # Kurtosis 1 + skewness^2 with the Sharpe ratio at which the estimate does not vary.
    assert probabilistic_sharpe_ratio(1.0, 0.5, 50, 2.0, 5.0) == 1.0
    assert probabilistic_sharpe_ratio(1.0, 1.5, 50, 2.0, 5.0) == 0.0


def test_the_best_of_many_without_skill_seldom_passes() -> None:
    """Choosing the best of 20 makes the plain probability exceed 95 % most of the time, the deflated one in few cases."""
    generator = np.random.default_rng(7)
    plain = deflated = 0
    for _ in range(200):
        tried = generator.standard_normal((120, 20))
        ratios = np.array([sharpe_ratio(column) for column in tried.T])
        best = tried[:, ratios.argmax()]
        plain += deflated_sharpe_ratio(best, 1, None) > 0.95
        deflated += deflated_sharpe_ratio(best, 20, float(ratios.var(ddof=1))) > 0.95
    assert plain > 100
    # Half of the bests lie above their expectation; few so far above.
    assert deflated <= 10
