import numpy as np
import pytest

from aurora_pipeline.policy.cost_fit import (
    AS_ASSUMED,
    MINIMUM_FILLS,
    NO_EVIDENCE,
    SCALE_RANGE,
    CostScale,
    cost_scale,
    fit_costs,
)


def fills(count, spread=1.5, impact=0.9, noise=2e-4, seed=3):
    random = np.random.default_rng(seed)
    half_spread, sigma = random.uniform(1e-4, 1e-3, count), random.uniform(0.01, 0.03, count)
    share, side = random.uniform(1e-4, 1e-2, count), random.choice([-1.0, 1.0], count)
    shortfall = spread * half_spread + impact * sigma * np.sqrt(share) + random.normal(0.0, noise, count)
    return side, 100.0 * (1.0 + side * shortfall), np.full(count, 100.0), half_spread, sigma, share


def test_planted_costs_are_found_within_their_interval():
    fit = fit_costs(*fills(5_000))
    assert fit.spread_multiple[0] == pytest.approx(1.5, abs=0.1)
    assert fit.impact_coefficient[0] == pytest.approx(0.9, abs=0.05)
    for truth, (estimate, low, high) in ((1.5, fit.spread_multiple), (0.9, fit.impact_coefficient)):
        assert low < truth < high
        assert low < estimate < high


def test_fills_without_a_shortfall_show_none():
    fit = fit_costs(*fills(5_000, spread=0.0, impact=0.0))
    assert fit.spread_multiple[1] < 0.0 < fit.spread_multiple[2]
    assert fit.impact_coefficient[1] < 0.0 < fit.impact_coefficient[2]


def test_too_few_fills_or_one_and_the_same_trade_give_no_fit():
    assert fit_costs(*fills(MINIMUM_FILLS - 1)) is None
    same = [np.full(MINIMUM_FILLS, part[0]) for part in fills(MINIMUM_FILLS)]
    assert fit_costs(*same) is None


def test_incomplete_fills_are_left_out():
    parts = [part.copy() for part in fills(MINIMUM_FILLS)]
    parts[5][0] = np.nan
    assert fit_costs(*parts) is None


def evidence(count, spread=1.5, impact=0.9, noise=2e-4, seed=5):
    random, found = np.random.default_rng(seed), NO_EVIDENCE
    for half_spread, temporary, error in zip(
        random.uniform(1e-4, 1e-3, count),
        random.uniform(1e-4, 2e-3, count),
        random.normal(0.0, noise, count),
        strict=True,
    ):
        found = found.add(half_spread, temporary, spread * half_spread + impact * temporary + error)
    return found


def test_the_scale_is_as_assumed_until_there_are_fills_enough_and_then_what_they_show():
    assert cost_scale(NO_EVIDENCE) == AS_ASSUMED
    assert cost_scale(evidence(MINIMUM_FILLS - 1)) == AS_ASSUMED
    found = cost_scale(evidence(5_000))
    assert (found.spread, found.impact) == (pytest.approx(1.5, abs=0.05), pytest.approx(0.9, abs=0.05))


def test_noise_larger_than_the_costs_leaves_the_scale_near_one():
    found = cost_scale(evidence(MINIMUM_FILLS, spread=3.0, impact=3.0, noise=0.05))
    assert (found.spread, found.impact) == (pytest.approx(1.0, abs=0.2), pytest.approx(1.0, abs=0.2))


def test_the_scale_keeps_its_bounds():
    low, high = SCALE_RANGE
    assert cost_scale(evidence(5_000, spread=9.0, impact=9.0)) == CostScale(high, high)
    assert cost_scale(evidence(5_000, spread=-1.0, impact=-1.0)) == CostScale(low, low)
    assert cost_scale(evidence(5_000, noise=0.0, spread=1.0, impact=1.0)).spread == pytest.approx(1.0)
