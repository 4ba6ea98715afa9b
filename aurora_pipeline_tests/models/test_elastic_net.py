from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from aurora_pipeline.errors import TrainingError
from aurora_pipeline.models import elastic_net
from aurora_pipeline.models.elastic_net import ElasticNetModel
from aurora_pipeline.models.lasso import LassoModel
from aurora_pipeline.models.linear_model import Moments, scaled_moments, weighted_sums
from aurora_pipeline_tests.models.test_model_families import BLOCK

ROWS = np.arange(len(BLOCK.X), dtype=np.int64)


def moments(gram: list[list[float]], moment: list[float]) -> Moments:
    return Moments(np.array(gram, np.float64), np.array(moment, np.float64), np.ones(len(moment)))


def lasso(penalties: list[float], ridge_rows: float = 0.0) -> ElasticNetModel:
    return LassoModel({"penalties": penalties, "ridge_rows": ridge_rows})


def test_with_unrelated_features_each_moment_is_shrunk_by_the_penalty() -> None:
    """The penalty is half of the largest moment, 4: what is left of 4, -3 and 1 is 2, -1 and nothing, over 10 rows."""
    found = lasso([0.5]).path(moments([[10, 0, 0], [0, 10, 0], [0, 0, 10]], [4, -3, 1]), [0.5])[0]
    assert found.tolist() == pytest.approx([0.2, -0.1, 0.0])
    shrunk = lasso([0.5], ridge_rows=10.0).path(moments([[10, 0, 0], [0, 10, 0], [0, 0, 10]], [4, -3, 1]), [0.5])[0]
    assert shrunk.tolist() == pytest.approx([0.1, -0.05, 0.0])


def test_the_penalty_of_share_one_leaves_nothing_and_just_below_leaves_one() -> None:
    sums = scaled_moments(weighted_sums(BLOCK, ROWS))
    nothing, one = lasso([1.0, 0.99]).path(sums, [1.0, 0.99])
    assert np.count_nonzero(nothing) == 0
    assert np.flatnonzero(one).tolist() == [np.abs(sums.moment).argmax()]


@pytest.mark.parametrize("ridge_rows", [0.0, 2000.0])
def test_solutions_satisfy_the_optimality_conditions(ridge_rows: float) -> None:
    sums = scaled_moments(weighted_sums(BLOCK, ROWS))
    largest = np.abs(sums.moment).max()
    for share, found in zip([0.5, 0.1], lasso([0.5, 0.1], ridge_rows).path(sums, [0.5, 0.1]), strict=True):
        slope = sums.moment - sums.gram @ found - ridge_rows * found
        active = found != 0.0
        np.testing.assert_allclose(slope[active], share * largest * np.sign(found[active]), atol=1e-3)
        assert (np.abs(slope[~active]) <= share * largest + 1e-3).all()


def test_two_equal_features_share_a_coefficient_only_under_a_ridge_penalty() -> None:
    twins = moments([[10, 10], [10, 10]], [4, 4])
    assert sorted(lasso([0.5]).path(twins, [0.5])[0].tolist()) == pytest.approx([0.0, 0.2])
    shared = ElasticNetModel({"penalties": [0.5], "ridge_rows": 5.0}).path(twins, [0.5])[0]
    assert shared.tolist() == pytest.approx([2 / 25, 2 / 25], abs=1e-5)


def test_more_than_the_penalty_allows_is_dropped_at_prediction_too() -> None:
    model = LassoModel({"penalties": [0.9], "ridge_rows": 0.0})
    model.fit(BLOCK)
    X = BLOCK.X.copy()
    X[:, model.fitted == 0.0] = 7.0
    assert 0 < model.describe()["features_used"] < X.shape[1]
    assert np.array_equal(model.predict(X), model.predict(BLOCK.X))


def test_a_descent_that_does_not_settle_is_a_named_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elastic_net, "_descend", lambda gram, moment, lasso, ridge, start: (start, elastic_net._SWEEPS))
    with pytest.raises(TrainingError, match=r"lasso: .*did not settle.*lasso_penalties"):
        LassoModel({"penalties": [0.1], "ridge_rows": 0.0}).fit(BLOCK)


def test_a_level_shift_of_a_decision_time_changes_no_coefficient() -> None:
    shifted = BLOCK.X + (BLOCK.groups % 7).astype(np.float32)[:, None]
    found = []
    for block in (BLOCK, dataclasses.replace(BLOCK, X=shifted)):
        model = LassoModel({"penalties": [0.2], "ridge_rows": 0.0})
        model.fit(block)
        found.append(model.fitted)
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-5)
