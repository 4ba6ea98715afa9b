"""Lasso: a linear model that keeps few features, how few chosen on the purged tail by rank IC.

Tibshirani, "Regression Shrinkage and Selection via the Lasso", Journal of the Royal Statistical Society B 58(1), 1996.
It is the elastic net without a penalty on squares.
"""

from __future__ import annotations

from typing import ClassVar, Self

from aurora_pipeline.models.elastic_net import ElasticNetModel
from aurora_pipeline.models.search_space import SearchSpace
from aurora_pipeline.settings import Settings


class LassoModel(ElasticNetModel):
    """Linear model with a penalty on absolute coefficients."""

    family: ClassVar[str] = "lasso"
    file_name: ClassVar[str] = "lasso.json"
    search_space: ClassVar[SearchSpace] = {}

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Return an unfitted model with `models.lasso_penalties`."""
        return cls({"penalties": list(settings.models.lasso_penalties), "ridge_rows": 0.0})
