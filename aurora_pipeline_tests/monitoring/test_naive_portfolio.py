"""The naive portfolio: weights and returns by hand, and holding periods that never overlap."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_pipeline.monitoring.naive_portfolio import holding_periods, naive_returns
from aurora_pipeline.monitoring.score_panel import ClosingPanel

NEVER = np.iinfo(np.int64).max


def closing(ranks: list[list[list[float]]], label: list[list[float]], reach: int = 1) -> ClosingPanel:
    """One bar a session, bar ends 0, 1, 2 ...; a label is entered one bar on and lasts `reach` bars."""
    times = np.arange(len(ranks), dtype=np.int64)
    return ClosingPanel(np.array(ranks, dtype=float), np.array(label, dtype=float), times, times + 1 + reach)


def test_weights_are_ranks_over_their_absolute_sum() -> None:
    # Ranks -1, 0, 1: half short, half long. Returns 1 %, 2 %, 5 %: (5 - 1) / 2.
    found = naive_returns(closing([[[-1.0], [0.0], [1.0]]], [[0.01, 0.02, 0.05]]), np.arange(5))
    assert found.returns.tolist() == [[pytest.approx(0.02)]]


def test_a_missing_label_earns_nothing_and_keeps_its_weight() -> None:
    found = naive_returns(closing([[[-1.0], [0.0], [1.0]]], [[np.nan, 0.02, 0.05]]), np.arange(5))
    assert found.returns[0, 0] == pytest.approx(0.025)


def test_a_constant_score_earns_nothing_and_an_absent_one_has_no_return() -> None:
    still, absent = [[0.0, np.nan]] * 3, [[np.nan, np.nan]] * 3
    found = naive_returns(closing([still, absent], [[0.01, 0.02, 0.05]] * 2), np.arange(5))
    assert found.returns[0, 0] == 0.0
    assert np.isnan(found.returns[0, 1])
    assert np.isnan(found.returns[1]).all()


@pytest.mark.parametrize(("reach", "places"), [(1, [0, 1, 2, 3, 4, 5]), (2, [0, 2, 4]), (5, [0, 5])])
def test_labels_of_several_sessions_are_held_one_after_the_other(reach: int, places: list[int]) -> None:
    times = np.arange(6, dtype=np.int64)
    assert holding_periods(times, times + 1 + reach, np.arange(20)).tolist() == places


def test_a_label_that_reaches_further_makes_the_next_portfolio_wait() -> None:
    # 10 bars a session but 4 in the second: a label of 10 bars set at its close matures inside the session after the next.
    ends = np.array([9, 13, 23, 33, 43], dtype=np.int64)
    assert holding_periods(ends, ends + 11, np.arange(60)).tolist() == [0, 2, 3, 4]


def test_what_has_not_matured_is_not_held() -> None:
    times = np.arange(4, dtype=np.int64)
    matured = np.array([2, NEVER, 4, NEVER])
    assert holding_periods(times, matured, np.arange(10)).tolist() == [0, 2]


def test_a_decision_after_the_last_bar_known_is_entered_in_one_that_is_not() -> None:
    assert holding_periods(np.array([9]), np.array([20]), np.arange(10)).tolist() == [0]


def test_a_year_has_as_many_periods_as_fit() -> None:
    ranks = [[[-1.0], [1.0]]] * 21
    weekly = naive_returns(closing(ranks, [[0.0, 0.01]] * 21, reach=5), np.arange(40))
    assert weekly.places.tolist() == [0, 5, 10, 15, 20]
    assert weekly.yearly == pytest.approx(math.sqrt(252 / 5))
    assert naive_returns(closing(ranks[:1], [[0.0, 0.01]]), np.arange(40)).yearly is None


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 30)), min_size=1, max_size=40))
def test_holding_periods_never_overlap_and_none_that_fits_is_left_out(steps: list[tuple[int, int]]) -> None:
    ends = np.cumsum([step for step, _ in steps]).astype(np.int64)
    matured = ends + 1 + np.array([reach for _, reach in steps])
    places = holding_periods(ends, matured, np.arange(2000))
    for place, following in pairwise(places.tolist()):
        assert ends[following] + 1 >= matured[place]
        assert all(ends[skipped] + 1 < matured[place] for skipped in range(place + 1, following))
