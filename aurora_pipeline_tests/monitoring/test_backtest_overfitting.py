"""Probability of backtest overfitting: by hand on four blocks, and where it must be 0, 1/2 or undefined."""

from __future__ import annotations

from itertools import combinations
from math import comb, log

import numpy as np
import pytest

from aurora_pipeline.monitoring.backtest_overfitting import probability_of_backtest_overfitting


def symmetric(observations: int, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the paper: every choice of half the blocks."""
    owner = np.arange(observations) * blocks // observations
    chosen = np.array([np.isin(owner, half) for half in combinations(range(blocks), blocks // 2)])
    return chosen, ~chosen


def block(mean: float) -> list[float]:
    """Two returns with a standard deviation of 1, so that a block's Sharpe ratio is its mean."""
    return [mean - 1.0, mean + 1.0]


def test_by_hand_on_four_blocks() -> None:
    # Each of three strategies shines in a block of its own; in the fourth, c is best and a worst.
    a = block(3.0) + block(0.0) + block(0.0) + block(0.0)
    b = block(0.0) + block(3.0) + block(0.0) + block(1.0)
    c = block(0.0) + block(0.0) + block(3.0) + block(2.0)
    returns = np.column_stack([a, b, c])
    chosen, judged = symmetric(8, 4)
    found = probability_of_backtest_overfitting(returns, chosen, judged)
    assert found is not None
    # Halves in which the pick is made, sums of the means:
    #   01: a 3 b 3, tie, each half   (a, b have the same returns there in another order); outside a 0, b 1, c 5: a last, b middle
    #   02: a 3 c 3, tie; outside a 0, b 4, c 2: a last, c middle
    #   03: a 3 b 1 c 2: a; outside a 0 b 3 c 3: last
    #   12: b 3 c 3, tie; outside a 3 b 1 c 2: b last, c middle
    #   13: b 4; outside a 3 b 0 c 3: last
    #   23: c 5; outside a 3 b 3 c 0: last
    below = [(1 + 0.5) / 2, (1 + 0.5) / 2, 1.0, (1 + 0.5) / 2, 1.0, 1.0]
    assert found.splits == comb(4, 2)
    assert found.probability == pytest.approx(np.mean(below))
    # Ranks outside over 4: last is 1/4, middle 2/4.
    assert found.logit == pytest.approx((log(1 / 3) * 0.5 + log(1 / 3)) / 2)
    assert found.loss == 0.0


def test_a_strategy_that_is_always_best_is_no_overfitting() -> None:
    returns = np.random.default_rng(1).normal(0.0, 0.1, (60, 4))
    returns[:, 2] += 1.0
    found = probability_of_backtest_overfitting(returns, *symmetric(60, 6))
    assert found is not None
    assert (found.probability, found.loss) == (0.0, 0.0)
    assert found.logit == pytest.approx(log(4.0))


def test_what_pays_in_one_half_only_is_overfitting() -> None:
    """Every strategy has one good block and a bad rest: whatever was best will be worst."""
    returns = np.random.default_rng(2).normal(-0.2, 0.05, (60, 6))
    for strategy in range(6):
        returns[10 * strategy : 10 * strategy + 10, strategy] += 5.0
    found = probability_of_backtest_overfitting(returns, *symmetric(60, 6))
    assert found is not None
    assert found.probability == 1.0
    assert found.loss == 1.0


@pytest.mark.parametrize("strategies", [2, 3, 4, 9])
def test_strategies_that_differ_by_chance_only_are_even(strategies: int) -> None:
    """The mean over many seeds is 1/2, for odd numbers too, where the middle rank is common."""
    masks = symmetric(48, 8)
    found = [
        probability_of_backtest_overfitting(
            np.random.default_rng(seed).standard_normal((48, strategies)), *masks
        ).probability
        for seed in range(150)
    ]
    assert np.mean(found) == pytest.approx(0.5, abs=4 * np.std(found) / np.sqrt(150))
    assert np.std(found) < 0.35


def test_equal_strategies_are_even() -> None:
    returns = np.repeat(np.random.default_rng(3).standard_normal((40, 1)), 3, axis=1)
    found = probability_of_backtest_overfitting(returns, *symmetric(40, 4))
    assert found is not None
    assert (found.probability, found.logit) == (0.5, 0.0)


def test_a_constant_strategy_has_a_ratio_of_zero() -> None:
    returns = np.column_stack([np.zeros(40), np.tile([1.0, -1.5], 20)])
    found = probability_of_backtest_overfitting(returns, *symmetric(40, 4))
    assert found is not None
    assert found.probability == 0.0


def test_one_strategy_or_no_observations_are_not_testable() -> None:
    returns = np.random.default_rng(3).standard_normal((40, 3))
    chosen, judged = symmetric(40, 4)
    assert probability_of_backtest_overfitting(returns[:, :1], chosen, judged) is None
    assert probability_of_backtest_overfitting(returns, chosen, np.zeros_like(judged)) is None
    assert probability_of_backtest_overfitting(returns, chosen[:0], judged[:0]) is None
