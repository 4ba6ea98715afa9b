"""Gradient-boosted trees by LightGBM: few and large leaves, random thresholds, small steps, rounds chosen on the tail.

Thresholds are drawn at random (Geurts, Ernst and Wehenkel, "Extremely Randomized Trees", Machine Learning 63, 2006):
where nearly all of the target is noise the best of 63 thresholds is mostly the luckiest.
"""

from __future__ import annotations

from typing import ClassVar, Self

from aurora_pipeline.models.lightgbm_booster import LightGBMBooster, common_parameters
from aurora_pipeline.models.search_space import TREE_SHAPE, TREE_STEPS, Range, SearchSpace
from aurora_pipeline.settings import Settings


class LightGBMModel(LightGBMBooster):
    """LightGBM regression on the rank target."""

    family: ClassVar[str] = "lightgbm"
    file_name: ClassVar[str] = "lightgbm.txt"
    search_space: ClassVar[SearchSpace] = {**TREE_SHAPE, **TREE_STEPS, "tree_leaves": Range(4, 32, logarithmic=True)}

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Return an unfitted model with the `models.tree_...` settings."""
        models = settings.models
        parameters = {
            **common_parameters(settings),
            "objective": "regression",
            "learning_rate": models.tree_learning_rate,
            "num_leaves": models.tree_leaves,
            "bagging_fraction": models.tree_row_share,
            "bagging_freq": 1,
            "feature_fraction": models.tree_feature_share,
            "lambda_l2": models.tree_leaf_penalty,
            "extra_trees": True,
        }
        return cls(parameters, models.tree_rounds, models.tree_leaf_share, settings.threads)
