"""Bounds within which a hyper-parameter search may move a setting of section `models`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Bounds of one setting, both inclusive; whole numbers where the bounds are.

    Attributes
    ----------
    low, high : int or float
        Both of the same type.
    logarithmic : bool
        Whether ratios rather than differences matter.
    """

    low: int | float
    high: int | float
    logarithmic: bool = False


SearchSpace = Mapping[str, Range]
"""Names of fields of :class:`~aurora_pipeline.settings.ModelSettings` to their bounds."""

TREE_SHAPE: SearchSpace = {
    "tree_leaf_share": Range(0.002, 0.05, logarithmic=True),
    "tree_row_share": Range(0.2, 0.8),
    "tree_feature_share": Range(0.1, 0.6),
}
"""What all boosted trees share."""
TREE_STEPS: SearchSpace = {
    "tree_learning_rate": Range(0.01, 0.15, logarithmic=True),
    "tree_leaf_penalty": Range(100.0, 10_000.0, logarithmic=True),
}
"""Step and shrinkage of regression trees."""
