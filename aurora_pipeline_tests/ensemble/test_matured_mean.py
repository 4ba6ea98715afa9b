from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import isotonic_regression

from aurora_pipeline.ensemble.isotonic_map import IsotonicMap, pooled_adjacent_violators
from aurora_pipeline.ensemble.matured_mean import MaturedMean


def of(values: list[float], lags: int = 0, decay: float = 1.0) -> MaturedMean:
    mean = MaturedMean(decay, lags)
    for value in values:
        mean.add(value, 1.0)
    return mean


def test_without_decay_and_lags_it_is_the_textbook_mean() -> None:
    values = [0.1, 0.3, -0.2, 0.4]
    mean = of(values)
    assert mean.mean == pytest.approx(np.mean(values))
    assert mean.standard_error == pytest.approx(np.std(values, ddof=1) / 2.0)
    assert mean.t == pytest.approx(np.mean(values) / (np.std(values, ddof=1) / 2.0))
    assert mean.believable_share == pytest.approx(max(0.0, 1 - 1 / mean.t**2))  # type: ignore[operator]


def test_decay_by_hand() -> None:
    mean = of([1.0, 4.0], decay=0.5)
    assert mean.mean == pytest.approx((0.5 * 1 + 4) / 1.5)
    assert mean.standard_error is None  # 1.8 effective sessions


def test_decay_lags_and_unequal_evidence_by_hand() -> None:
    moments, informations, decay, lags = [0.3, -0.1, 0.5, 0.2, 0.4], [1.0, 2.0, 0.5, 1.0, 1.5], 0.9, 2
    mean = MaturedMean(decay, lags)
    for moment, information in zip(moments, informations, strict=True):
        mean.add(moment, information)
    weight = decay ** np.arange(4, -1, -1.0)
    moment, information = weight * moments, weight * informations
    expected = moment.sum() / information.sum()
    gap = moment - expected * information
    long_run = gap @ gap + 2.0 * sum((1.0 - lag / (lags + 1)) * (gap[lag:] @ gap[:-lag]) for lag in (1, 2))
    effective = information.sum() ** 2 / (information @ information)
    error = np.sqrt(long_run * effective / (effective - 1.0)) / information.sum()
    assert mean.mean == pytest.approx(expected)
    assert mean.standard_error == pytest.approx(error)
    assert mean.believable_share == pytest.approx(1.0 - (error / expected) ** 2)


def test_positive_autocorrelation_widens_and_negative_narrows() -> None:
    smooth, rough = [1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0, 1.0], [1.0, -1.0] * 4
    assert of(smooth, 1).standard_error > of(smooth, 0).standard_error  # type: ignore[operator]
    assert of(rough, 1).standard_error < of(rough, 0).standard_error  # type: ignore[operator]


def test_nothing_known_means_nothing_believed() -> None:
    assert MaturedMean(0.9, 2).believable_share == 0.0
    assert of([0.5]).believable_share == 0.0
    assert of([0.0, 0.0, 0.0]).believable_share == 0.0
    assert of([1.0, -1.0, 1.0, -1.0, 0.4]).believable_share == 0.0  # |t| < 1


def test_a_session_without_evidence_ages_the_rest() -> None:
    with_gap = MaturedMean(0.5, 1)
    for moment, information in ((1.0, 1.0), (0.0, 0.0), (2.0, 1.0)):
        with_gap.add(moment, information)
    assert with_gap.mean == pytest.approx((0.25 + 2.0) / 1.25)


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(-10, 10, width=32)), st.integers(0, 2**31))
def test_pooling_agrees_with_scikit_learn(values: np.ndarray, seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(0.1, 2.0, len(values))
    assert pooled_adjacent_violators(values, weights) == pytest.approx(
        isotonic_regression(values, sample_weight=weights), abs=1e-9
    )


def test_the_map_ages_and_is_centred() -> None:
    fit = IsotonicMap(0.5)
    assert fit.fit()[0].size == 0
    fit.observe(np.array([-1.0, 1.0]), np.array([0.0, 4.0]), 2)
    fit.age()
    fit.observe(np.array([-1.0, 1.0]), np.array([3.0, 1.0]), 2)
    knots, values = fit.fit()
    assert knots == pytest.approx([-1.0, 1.0])
    assert values == pytest.approx([0.0, 0.0])  # both average 2: the levels are 3 / 1.5 and (2 + 1) / 1.5
    assert fit.weight.sum() == pytest.approx(1.5)
