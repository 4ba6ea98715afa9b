"""Random forest, grown by LightGBM: deep trees on drawn rows and columns, averaged instead of added up.

Breiman, "Random Forests", Machine Learning 45(1), 2001. Columns are drawn once per tree (Ho, "The Random Subspace Method for
Constructing Decision Forests", IEEE Transactions on Pattern Analysis and Machine Intelligence 20(8), 1998), which takes a
fraction of the time of drawing them at every split. A forest does not overfit with more trees, so there is nothing to
choose on the tail: its IC there is measured and counts as one trial.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import ClassVar, Self

from aurora_pipeline.models.lightgbm_booster import LightGBMBooster, common_parameters
from aurora_pipeline.models.search_space import Range, SearchSpace
from aurora_pipeline.models.tail_choice import Scores
from aurora_pipeline.models.train_block import Int64, TrainBlock
from aurora_pipeline.settings import Settings


class RandomForestModel(LightGBMBooster):
    """LightGBM's random-forest mode on the rank target; `rounds` is the number of trees."""

    family: ClassVar[str] = "random_forest"
    file_name: ClassVar[str] = "random_forest.txt"
    search_space: ClassVar[SearchSpace] = {
        "forest_leaves": Range(8, 128, logarithmic=True),
        "forest_leaf_share": Range(0.001, 0.05, logarithmic=True),
        "forest_row_share": Range(0.1, 0.6),
        "forest_feature_share": Range(0.05, 0.5),
    }

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Return an unfitted model with the `models.forest_...` settings."""
        models = settings.models
        parameters = {
            **common_parameters(settings),
            "boosting": "rf",
            "objective": "regression",
            "num_leaves": models.forest_leaves,
            "bagging_fraction": models.forest_row_share,
            "bagging_freq": 1,
            "feature_fraction": models.forest_feature_share,
        }
        return cls(parameters, models.forest_trees, models.forest_leaf_share, settings.threads)

    def candidates(self, block: TrainBlock, rows: Int64) -> Iterable[tuple[int, Scores]]:
        """Return the whole forest, the only candidate."""
        booster = self.refit(block, rows, self.rounds)
        return [(self.rounds, partial(self._raw, booster, rounds=None))]
