"""Elastic net: ridge's penalty keeps correlated features together while the L1 penalty drops what carries nothing.

Zou and Hastie, "Regularization and Variable Selection via the Elastic Net", Journal of the Royal Statistical Society B
67(2), 2005. Solved by coordinate descent on the normal equations with covariance updates: Friedman, Hastie and
Tibshirani, "Regularization Paths for Generalized Linear Models via Coordinate Descent", Journal of Statistical Software
33(1), 2010, section 2.2. With no ridge penalty it is the lasso.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit

from aurora_pipeline.errors import TrainingError
from aurora_pipeline.models.linear_model import LinearModel, Moments
from aurora_pipeline.models.search_space import Range, SearchSpace
from aurora_pipeline.models.train_block import Float64
from aurora_pipeline.settings import Settings

_TOLERANCE = 1e-7
"""Largest last step of a coefficient, in units of the scaled target, at which a solution counts as found."""
_SWEEPS = 10_000


class ElasticNetModel(LinearModel):
    """Linear model with a penalty on absolute and on squared coefficients.

    Parameters
    ----------
    parameters : dict
        `penalties`, each the L1 penalty as a share of the smallest one at which no feature is left, and `ridge_rows`,
        the penalty on squares in units of rows.
    """

    family: ClassVar[str] = "elastic_net"
    file_name: ClassVar[str] = "elastic_net.json"
    search_space: ClassVar[SearchSpace] = {"elastic_net_ridge_rows": Range(1e3, 3e5, logarithmic=True)}

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Return an unfitted model with the `models.elastic_net_...` settings."""
        models = settings.models
        return cls({"penalties": list(models.elastic_net_penalties), "ridge_rows": models.elastic_net_ridge_rows})

    def path(self, moments: Moments, penalties: Sequence[float]) -> list[Float64]:
        """Descend from the largest penalty to the smallest, each starting at the solution before it."""
        solved: dict[float, Float64] = {}
        coefficients = np.zeros(len(moments.moment))
        largest = np.abs(moments.moment).max()
        for penalty in sorted(penalties, reverse=True):
            ridge_rows = self.parameters["ridge_rows"]
            coefficients, sweeps = _descend(moments.gram, moments.moment, penalty * largest, ridge_rows, coefficients)
            if sweeps == _SWEEPS:
                raise TrainingError(
                    f"{self.family}: coordinate descent did not settle within {_SWEEPS} sweeps at penalty {penalty}; "
                    f"features are too alike for it: raise the smallest of models.{self.family}_penalties"
                )
            solved[penalty] = coefficients
        return [solved[penalty] for penalty in penalties]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _descend(gram: Any, moment: Any, lasso: float, ridge: float, start: Any) -> Any:
    """Minimise ``b' gram b / 2 - moment' b + lasso |b|_1 + ridge |b|^2 / 2``; the minimum and the sweeps it took."""
    size = len(moment)
    coefficients = start.copy()
    residual = moment.copy()
    for j in range(size):
        for k in range(size):
            residual[k] -= gram[k, j] * coefficients[j]
    for sweep in range(_SWEEPS):
        step = 0.0
        for j in range(size):
            if gram[j, j] <= 0.0:
                continue
            old = coefficients[j]
            pull = residual[j] + gram[j, j] * old
            if pull > lasso:
                new = (pull - lasso) / (gram[j, j] + ridge)
            elif pull < -lasso:
                new = (pull + lasso) / (gram[j, j] + ridge)
            else:
                new = 0.0
            if new != old:
                coefficients[j] = new
                for k in range(size):
                    residual[k] -= gram[k, j] * (new - old)
                step = max(step, abs(new - old))
        if step < _TOLERANCE:
            return coefficients, sweep
    return coefficients, _SWEEPS
