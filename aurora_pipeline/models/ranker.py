"""LambdaRank: trees that learn which of two names of one decision time does better, instead of by how much.

Burges, "From RankNet to LambdaRank to LambdaMART: An Overview", Microsoft Research MSR-TR-2010-82. A group is one decision
time. Relevance is the label's rank in it, cut into `models.ranker_grades` equal grades; gains rise by one per grade instead of
doubling, and all pairs count, not only those with a name on top: a long-short book needs both ends. A tree sees some of the
decision times whole, since it is within one that names are compared.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from aurora_pipeline.models.lightgbm_booster import LightGBMBooster, common_parameters
from aurora_pipeline.models.search_space import TREE_SHAPE, Range, SearchSpace
from aurora_pipeline.models.train_block import Float32, Int64, TrainBlock, group_ends
from aurora_pipeline.settings import Settings

_ALL_PAIRS = 10_000
"""Truncation level beyond the size of any group."""
_ROUNDING = 1e-6
"""Keeps what lies on the edge of a grade in the upper one, whichever way its float32 was rounded."""


class RankerModel(LightGBMBooster):
    """LightGBM's `lambdarank` objective, groups are decision times."""

    family: ClassVar[str] = "ranker"
    file_name: ClassVar[str] = "ranker.txt"
    search_space: ClassVar[SearchSpace] = {
        **TREE_SHAPE,
        "ranker_learning_rate": Range(0.01, 0.15, logarithmic=True),
        "ranker_grades": Range(3, 30),
        "tree_leaves": Range(4, 32, logarithmic=True),
    }

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Return an unfitted model with the `models.ranker_...` settings and the trees' shape from `models.tree_...`."""
        models = settings.models
        parameters = {
            **common_parameters(settings),
            "objective": "lambdarank",
            "label_gain": list(range(models.ranker_grades)),
            "lambdarank_truncation_level": _ALL_PAIRS,
            "learning_rate": models.ranker_learning_rate,
            "num_leaves": models.tree_leaves,
            "bagging_fraction": models.tree_row_share,
            "bagging_freq": 1,
            "bagging_by_query": True,
            "feature_fraction": models.tree_feature_share,
            "extra_trees": True,
            "num_threads": 1,  # two fits on two threads of a busy machine were once seen to differ in the eighth digit
        }
        return cls(parameters, models.ranker_rounds, models.tree_leaf_share, settings.threads)

    def train_data(self, block: TrainBlock, rows: Int64) -> dict[str, Any]:
        """Grades and the sizes of the decision times."""
        sizes = np.diff(group_ends(block.groups[rows]), prepend=0)
        grades = len(self.parameters["label_gain"])
        return {"label": relevance_grades(block.target[rows], grades), "group": sizes}


def relevance_grades(target: Float32, grades: int) -> Int64:
    """Cut the rank target into equal grades.

    Parameters
    ----------
    target : ndarray of shape (n_rows,), float32
        Result of :func:`~aurora_pipeline.models.train_block.rank_target`: ``sqrt(12)`` times a centred rank share.
    grades : int
        Number of grades.

    Returns
    -------
    ndarray of shape (n_rows,), int64
        0 for the worst share of each decision time, `grades` - 1 for the best.
    """
    share = target.astype(np.float64) / np.sqrt(12.0) + 0.5 + _ROUNDING
    graded: Int64 = np.clip(np.floor(share * grades), 0, grades - 1).astype(np.int64)
    return graded
