from __future__ import annotations

import dataclasses

import numpy as np

from aurora_pipeline.models.model_factory import create_model
from aurora_pipeline.models.ranker import RankerModel, relevance_grades
from aurora_pipeline.models.tail_choice import mean_rank_correlation
from aurora_pipeline.models.train_block import rank_target
from aurora_pipeline_tests.models.test_model_families import BLOCK, settings_with


def ranker() -> RankerModel:
    return RankerModel.create(settings_with(threads=1))


def test_grades_are_equal_parts_of_each_decision_time() -> None:
    label = np.array([0.3, -0.2, 0.1, -0.4, 5.0, 6.0])
    target = rank_target(label, np.array([1, 1, 1, 1, 2, 2]))
    assert relevance_grades(target, 2).tolist() == [1, 0, 1, 0, 0, 1]
    assert relevance_grades(target, 4).tolist() == [3, 1, 2, 0, 1, 3]


def test_extremes_and_ties_stay_within_the_grades() -> None:
    target = rank_target(np.r_[np.arange(1000.0), np.zeros(5)], np.r_[np.zeros(1000, np.int64), np.ones(5, np.int64)])
    grades = relevance_grades(target, 10)
    assert np.bincount(grades[:1000]).tolist() == [100] * 10
    assert set(grades[1000:].tolist()) == {5}


def test_groups_are_the_decision_times_of_the_rows_fitted() -> None:
    data = ranker().train_data(BLOCK, BLOCK.fit)
    assert data["group"].sum() == len(BLOCK.fit)
    assert len(data["group"]) == len(np.unique(BLOCK.groups[BLOCK.fit]))
    assert set(data["group"].tolist()) == {30}
    assert len(data["label"]) == len(BLOCK.fit)


def test_where_no_pair_differs_nothing_is_learned() -> None:
    target = np.zeros_like(BLOCK.target)
    target[BLOCK.validation] = BLOCK.target[BLOCK.validation]
    model = ranker()
    model.choose(dataclasses.replace(BLOCK, target=target))
    assert set(model.tail_ic.values()) == {0.0}


def test_order_is_learned_at_both_ends() -> None:
    model = create_model("ranker", settings_with(threads=1))
    model.fit(BLOCK)
    scores = model.predict(BLOCK.X)
    for end in (BLOCK.target > 0.0, BLOCK.target < 0.0):
        assert mean_rank_correlation(scores[end], BLOCK.target[end], BLOCK.groups[end]) > 0.05
