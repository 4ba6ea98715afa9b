"""Ridge regression in closed form, the penalty chosen on the purged tail by rank IC.

One eigendecomposition of the normal equations serves every penalty. Hoerl and Kennard, "Ridge Regression",
Technometrics 12(1), 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from aurora_pipeline.models.linear_model import LinearModel, Moments
from aurora_pipeline.models.train_block import Float64
from aurora_pipeline.settings import Settings


class RidgeModel(LinearModel):
    """Linear model with a penalty on squared coefficients.

    Parameters
    ----------
    parameters : dict
        `penalties` in units of rows: a feature of unit variance counts as if it had been seen that many more times with
        a target of zero.
    """

    family: ClassVar[str] = "ridge"
    file_name: ClassVar[str] = "ridge.json"

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Return an unfitted model with `models.ridge_penalties`."""
        return cls({"penalties": list(settings.models.ridge_penalties)})

    def path(self, moments: Moments, penalties: Sequence[float]) -> list[Float64]:
        """Solve for each penalty in the basis of the eigenvectors."""
        values, vectors = np.linalg.eigh(moments.gram)
        rotated = vectors.T @ moments.moment
        return [vectors @ (rotated / (values + penalty)) for penalty in penalties]
