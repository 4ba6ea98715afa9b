"""What a family of models is: the settings of `models` that change its fits, and no others.

Two trainings of one configuration are refits of one model; another configuration is another model, which has to earn its place
(:mod:`aurora_pipeline.monitoring.lifecycle`). Which families are trained beside it is no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aurora_pipeline.settings import ModelSettings, Settings

COMMON = ("views", "recency_half_life_sessions", "search_trials")
_TREE_SHAPE = ("tree_leaf_share", "tree_row_share", "tree_feature_share")
_BOOSTED = (*_TREE_SHAPE, "tree_leaf_penalty", "tree_rounds", "tree_learning_rate")
_FAMILY = {
    "ridge": ("ridge_penalties",),
    "lasso": ("lasso_penalties",),
    "elastic_net": ("elastic_net_penalties", "elastic_net_ridge_rows"),
    "random_forest": (
        "forest_trees",
        "forest_leaves",
        "forest_leaf_share",
        "forest_row_share",
        "forest_feature_share",
    ),
    "lightgbm": (*_BOOSTED, "tree_leaves"),
    "xgboost": (*_BOOSTED, "tree_depth"),
    "catboost": (
        "catboost_rounds",
        "catboost_learning_rate",
        "catboost_depth",
        "tree_leaf_penalty",
        "tree_row_share",
        "tree_feature_share",
    ),
    "ranker": (
        "ranker_rounds",
        "ranker_learning_rate",
        "ranker_grades",
        "tree_leaves",
        *_TREE_SHAPE,
    ),
    "neural_network": (
        "network_count",
        "network_hidden",
        "network_epochs",
        "network_learning_rate",
        "network_weight_decay",
        "network_batch_rows",
    ),
}


def configuration(family: str, models: ModelSettings) -> dict[str, Any]:
    """Return the settings that make up a family's configuration, JSON-able, by name."""
    content = models.model_dump(mode="json", include={*COMMON, *_FAMILY[family]})
    return dict(sorted(content.items()))


def configured(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Return the settings with a configuration's values in the place of their own."""
    models = ModelSettings.model_validate({**settings.models.model_dump(mode="json"), **values})
    return settings.model_copy(update={"models": models})
