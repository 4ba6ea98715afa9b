import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_pipeline.calendar import SESSIONS_PER_YEAR
from aurora_pipeline.monitoring.sequential_tests import (
    BET_SHARES,
    BETS,
    PRIOR_SPREAD,
    QUARTER,
    MeanTest,
    deal_lanes,
    evidence_path,
    lane_count,
)

SKILL = MeanTest(0.0, above=True, effect=0.02)
KEEP = MeanTest(0.02, above=False, effect=0.02, restart=True)


@pytest.mark.parametrize(
    ("bars", "horizon", "lanes"), [(78, 78, 2), (78, 1, 2), (78, 79, 3), (1, 5, 6), (1, 1, 2), (78, 156, 3)]
)
def test_lanes_needed_are_the_sessions_until_a_session_has_matured(bars, horizon, lanes):
    assert lane_count(bars, horizon) == lanes


def test_sessions_are_dealt_so_that_no_lane_holds_overlapping_labels():
    decided = np.array([0, 10, 20, 30, 40])
    matured = np.array([20, 30, 45, 50, 60])
    assert deal_lanes(decided, matured, 2).tolist() == [0, 1, 0, 1, -1]


def test_one_session_gives_the_evidence_worked_by_hand():
    unit = 0.02 / PRIOR_SPREAD**2
    factors = [math.exp(bet * unit * 0.1 - 0.5 * (bet * unit * 0.1) ** 2) for bet in BETS]
    expected = math.log(sum(share * factor for share, factor in zip(BET_SHARES, factors, strict=True)))
    assert evidence_path(np.array([0.1]), np.array([0]), 1, SKILL)[0] == pytest.approx(expected)
    mirrored = evidence_path(np.array([-0.1]), np.array([0]), 1, MeanTest(0.0, above=False, effect=0.02))
    assert mirrored[0] == pytest.approx(expected)


def test_the_best_lane_pays_for_the_number_of_lanes():
    alone = evidence_path(np.array([0.1, 0.1]), np.array([0, 0]), 1, SKILL)
    shared = evidence_path(np.array([0.1, 9.0, 0.1]), np.array([0, -1, 0]), 2, SKILL)
    assert shared[-1] == pytest.approx(alone[-1] - math.log(2))
    assert evidence_path(np.array([np.nan]), np.array([0]), 3, SKILL)[0] == pytest.approx(-math.log(3))


def test_missing_sessions_change_nothing():
    values = np.array([0.1, np.nan, -0.05, np.nan])
    path = evidence_path(values, np.zeros(4, int), 1, SKILL)
    assert path[0] == path[1]
    assert path[2] == path[3]
    assert path[2] == pytest.approx(evidence_path(values[[0, 2]], np.zeros(2, int), 1, SKILL)[-1])


def test_a_test_with_restarts_notices_a_decay_that_one_from_birth_sleeps_through():
    rng = np.random.default_rng(3)
    values = rng.normal(0.0, 0.08, 3 * SESSIONS_PER_YEAR)
    values[: 2 * SESSIONS_PER_YEAR] += 0.06
    values[2 * SESSIONS_PER_YEAR :] -= 0.02
    once = MeanTest(0.02, above=False, effect=0.02)
    lanes = np.zeros(len(values), int)
    limit = math.log(20)
    assert evidence_path(values, lanes, 1, once).max() < limit
    path = evidence_path(values, lanes, 1, KEEP)
    assert path[: 2 * SESSIONS_PER_YEAR].max() < limit
    assert path.max() >= limit


def test_the_first_quarter_of_a_cohort_holds_three_quarters_of_its_wealth_back():
    values = np.full(QUARTER, -0.3)
    path = evidence_path(values, np.zeros(QUARTER, int), 1, KEEP)
    single = evidence_path(values, np.zeros(QUARTER, int), 1, MeanTest(0.02, above=False, effect=0.02))
    assert math.exp(path[5]) == pytest.approx((math.exp(single[5]) + 3) / 4)


@pytest.mark.parametrize("noise", ["normal", "heavy", "spread that changes"])
def test_a_true_null_is_rejected_less_often_than_the_stated_rate(noise):
    rng = np.random.default_rng(5)
    draws = rng.normal(size=(400, 500)) if noise != "heavy" else rng.standard_t(3, size=(400, 500))
    if noise == "spread that changes":
        draws *= np.exp(np.sin(np.arange(500) / 30))
    shared = (draws[:, 1:] + draws[:, :-1]) * 0.06  # neighbours overlap
    lanes = np.arange(shared.shape[1]) % 2
    ever = [evidence_path(row, lanes, 2, SKILL).max() >= math.log(20) for row in shared]
    assert np.mean(ever) <= 0.05


def test_dealing_overlapping_sessions_to_one_lane_breaks_the_rate():
    """What the lanes are for: without them the overlap is taken for evidence."""
    rng = np.random.default_rng(5)
    draws = rng.normal(size=(400, 501))
    shared = sum(draws[:, k : 497 + k] for k in range(5)) * 0.04
    together = [evidence_path(row, np.zeros(497, int), 1, SKILL).max() >= math.log(20) for row in shared]
    apart = [evidence_path(row, np.arange(497) % 5, 5, SKILL).max() >= math.log(20) for row in shared]
    assert np.mean(together) > 0.1
    assert np.mean(apart) <= 0.05


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.integers(1, 3))
def test_evidence_of_a_prefix_is_the_prefix_of_the_evidence(values, lanes):
    series = np.array(values)
    dealt = np.arange(len(series)) % lanes
    whole = evidence_path(series, dealt, lanes, KEEP)
    half = len(series) // 2 + 1
    assert np.array_equal(evidence_path(series[:half], dealt[:half], lanes, KEEP), whole[:half])
    assert np.isfinite(whole).all()
