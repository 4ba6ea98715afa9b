from __future__ import annotations

import dataclasses

import numpy as np

from aurora_pipeline.models.ridge import RidgeModel
from aurora_pipeline.models.train_block import TrainBlock
from aurora_pipeline_tests.models.test_model_families import BLOCK


def test_coefficients_solve_the_penalised_normal_equations() -> None:
    model = RidgeModel({"penalties": [50.0]})
    model.fit(BLOCK)
    X = BLOCK.X.astype(np.float64)
    _, inverse = np.unique(BLOCK.groups, return_inverse=True)
    means = np.stack([np.bincount(inverse, X[:, j]) / np.bincount(inverse) for j in range(X.shape[1])], axis=1)
    centred = X - means[inverse]
    weights = BLOCK.weights.astype(np.float64)
    scale = np.sqrt((weights[:, None] * centred**2).sum(axis=0) / weights.sum())
    Z = centred / scale
    expected = np.linalg.solve(Z.T @ (weights[:, None] * Z) + 50.0 * np.eye(Z.shape[1]), Z.T @ (weights * BLOCK.target))
    assert model.fitted is not None
    np.testing.assert_allclose(model.fitted, expected / scale, rtol=1e-9)


def test_a_missing_value_counts_as_the_centre() -> None:
    model = RidgeModel({"penalties": [50.0]})
    model.fit(BLOCK)
    X = BLOCK.X[:50].copy()
    X[:, 0] = 0.0
    at_centre = model.predict(X)
    X[:, 0] = np.nan
    assert np.array_equal(model.predict(X), at_centre)


def test_the_penalty_with_the_best_tail_is_chosen_and_ties_go_to_the_larger() -> None:
    model = RidgeModel({"penalties": [1.0, 1e12]})
    model.fit(BLOCK)
    assert model.choice == max(model.tail_ic, key=lambda penalty: model.tail_ic[penalty])
    one_feature: TrainBlock = dataclasses.replace(BLOCK, X=BLOCK.X[:, :1].copy(), feature_names=("feature_0",))
    tied = RidgeModel({"penalties": [1.0, 100.0]})
    tied.fit(one_feature)  # one coefficient: every penalty ranks alike
    assert tied.choice == 100.0


def test_a_level_shift_of_a_decision_time_changes_no_coefficient() -> None:
    shifted = BLOCK.X + (BLOCK.groups % 7).astype(np.float32)[:, None]
    model, other = RidgeModel({"penalties": [50.0]}), RidgeModel({"penalties": [50.0]})
    model.fit(BLOCK)
    other.fit(dataclasses.replace(BLOCK, X=shifted))
    assert model.fitted is not None
    np.testing.assert_allclose(model.fitted, other.fitted, rtol=1e-4)
