from __future__ import annotations

import numpy as np
import pytest

from aurora_pipeline.ensemble.conformal import LEVELS, AdaptiveConformal


def filled(errors: np.ndarray, step: float = 0.0) -> AdaptiveConformal:
    state = AdaptiveConformal(decay=1.0, step=step)
    state.observe(errors, 1.0, None)
    return state


def test_bounds_are_the_quantiles_of_the_errors() -> None:
    errors = np.random.default_rng(1).normal(0.1, 1.0, 20_000)
    bounds = filled(errors).quantiles()
    for level, (lower, upper) in zip(LEVELS, bounds, strict=True):
        assert lower == pytest.approx(np.quantile(errors, (1 - level) / 2), abs=0.01)
        assert upper == pytest.approx(np.quantile(errors, (1 + level) / 2), abs=0.01)


def test_sessions_weigh_by_their_share_and_age() -> None:
    state = AdaptiveConformal(decay=0.5, step=0.0)
    state.observe(np.full(10, -1.0), 1.0, None)
    state.age()
    state.observe(np.full(1000, 1.0), 0.5, None)
    assert state.histogram.sum() == pytest.approx(1.0)
    assert np.count_nonzero(state.histogram) == 2
    assert state.histogram.max() == pytest.approx(0.5)


def test_a_miss_widens_and_a_hit_narrows() -> None:
    state = filled(np.random.default_rng(1).normal(size=1000), step=0.1)
    issued = state.quantiles()
    state.observe(np.full(50, 5.0), 1.0, issued)
    assert state.miss == pytest.approx([0.5 + 0.1 * (0.5 - 1), 0.2 + 0.1 * (0.2 - 1), 0.1 + 0.1 * (0.1 - 1)])
    other = filled(np.random.default_rng(1).normal(size=1000), step=0.1)
    other.observe(np.zeros(50), 1.0, issued)
    assert other.miss == pytest.approx([0.55, 0.22, 0.11])


def test_an_error_on_a_bound_is_covered() -> None:
    state = filled(np.random.default_rng(1).normal(size=1000), step=0.1)
    issued = np.array([[-1.0, 1.0], [-2.0, 2.0], [-3.0, 3.0]])
    state.observe(np.array([-2.0, 2.0, -2.5, 2.5]), 0.5, issued)
    assert state.miss == pytest.approx([0.5 + 0.05 * (0.5 - 1.0), 0.2 + 0.05 * (0.2 - 0.5), 0.1 + 0.05 * 0.1])


def test_no_miss_rate_leaves_what_quantiles_can_be_taken_of() -> None:
    state = filled(np.random.default_rng(1).normal(size=1000), step=10.0)
    state.observe(np.zeros(4), 1.0, state.quantiles())
    assert state.miss.tolist() == pytest.approx([0.995, 0.995, 0.995])
    state.observe(np.full(4, 9.0), 1.0, state.quantiles())
    assert state.miss.tolist() == pytest.approx([0.005, 0.005, 0.005])


def test_coverage_is_right_though_volatility_drifts() -> None:
    generator = np.random.default_rng(1)
    state = AdaptiveConformal(decay=0.5 ** (1 / 60), step=0.05)
    covered = []
    for session in range(600):
        scale = 1.0 + 0.8 * np.sin(session / 40)
        errors = scale * generator.standard_normal(200)
        issued = state.quantiles() if session > 5 else None
        if issued is not None:
            covered.append([((errors >= low) & (errors <= high)).mean() for low, high in issued])
        state.age()
        state.observe(errors, 1.0, issued)
    assert np.mean(covered, axis=0) == pytest.approx(LEVELS, abs=0.02)


def test_bounds_are_nested_and_contain_the_forecast() -> None:
    state = filled(np.full(100, 3.0))
    state.miss = np.array([0.05, 0.5, 0.9])  # adapted past each other
    bounds = state.quantiles()
    assert (bounds[:, 0] <= 0.0).all()
    assert (bounds[:, 1] >= 0.0).all()
    assert (np.diff(bounds[:, 0]) <= 0.0).all()
    assert (np.diff(bounds[:, 1]) >= 0.0).all()


def test_wild_errors_count_at_the_edge() -> None:
    bounds = filled(np.array([-1e6, 1e6])).quantiles()
    assert bounds[2].tolist() == pytest.approx([-12.0, 12.0], abs=0.02)
