"""Ridge regression in closed form, the penalty chosen on the purged tail by rank IC.

Features are ranks or z-scores within a decision time already, so a missing value is imputed by 0, their centre.
Target and features are centred within each decision time while fitting (a fixed effect per decision time: only
differences between names matter) and scaled by their root mean square over the train block. Normal equations are
accumulated in float64; one eigendecomposition serves every penalty. Hoerl and Kennard, "Ridge Regression",
Technometrics 12(1), 1970.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from numba import njit

from aurora_pipeline.errors import ModelError
from aurora_pipeline.models.tail_choice import mean_rank_correlation, require_columns, require_variation
from aurora_pipeline.models.train_block import Float32, Float64, TrainBlock, group_ends
from aurora_pipeline.settings import Settings

FILE = "ridge.json"


class RidgeModel:
    """Linear model on ranked features.

    Parameters
    ----------
    penalties : tuple of float
        Penalties tried, in units of rows: a feature of unit variance counts as if it had been seen that many more
        times with a target of zero.
    """

    family: ClassVar[str] = "ridge"

    def __init__(self, penalties: tuple[float, ...]) -> None:
        self.penalties = penalties
        self.penalty: float | None = None
        self.tail_ic: dict[str, float] = {}
        self.unusable: list[str] = []
        self.coefficients: Float64 | None = None

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Return an unfitted model with `models.ridge_penalties`."""
        return cls(settings.models.ridge_penalties)

    @classmethod
    def load(cls, directory: Path, threads: int) -> Self:
        """Read coefficients written by :meth:`save`."""
        try:
            stored = json.loads((directory / FILE).read_text(encoding="utf-8"))
            model = cls(tuple(stored["penalties"]))
            model.penalty, model.tail_ic, model.unusable = stored["penalty"], stored["tail_ic"], stored["unusable"]
            model.coefficients = np.array([float.fromhex(text) for text in stored["coefficients"]])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{directory / FILE}: not a stored ridge model: {error}; train the fold again") from error
        return model

    def fit(self, block: TrainBlock) -> None:
        """Choose the penalty on the tail, then fit all rows with it."""
        self.unusable = block.unusable_features
        X = np.nan_to_num(block.X, nan=0.0)
        tail = block.validation
        paths = _coefficient_path(X, block, block.fit, self.penalties)
        for penalty, coefficients in zip(self.penalties, paths, strict=True):
            prediction = _dot(X[tail], coefficients)
            self.tail_ic[repr(penalty)] = mean_rank_correlation(prediction, block.target[tail], block.groups[tail])
        self.penalty = max(self.penalties, key=lambda penalty: (self.tail_ic[repr(penalty)], penalty))
        everything = np.arange(len(X), dtype=np.int64)
        self.coefficients = _coefficient_path(X, block, everything, (self.penalty,))[0]
        require_variation(self.predict(block.X), self.family, block)

    def predict(self, X: Float32) -> Float32:
        """Score of each row, summed feature by feature so that it does not depend on the other rows."""
        if self.coefficients is None:
            raise ModelError("ridge: predict was called before fit")
        require_columns(X, len(self.coefficients), self.family)
        scores: Float32 = _dot(X, self.coefficients)
        return scores

    def save(self, directory: Path) -> None:
        """Write the coefficients as JSON, in hexadecimal so that they come back to the last bit."""
        if self.coefficients is None:
            raise ModelError("ridge: save was called before fit")
        stored = {
            "penalties": list(self.penalties),
            "penalty": self.penalty,
            "tail_ic": self.tail_ic,
            "unusable": self.unusable,
            "coefficients": [float(value).hex() for value in self.coefficients],
        }
        (directory / FILE).write_text(json.dumps(stored, indent=1), encoding="utf-8")

    def describe(self) -> dict[str, Any]:
        """Penalties tried with their validation IC, the one chosen, and features that are ignored."""
        return {
            "family": self.family,
            "penalty": self.penalty,
            "tail_ic": self.tail_ic,
            "validation_ic": self.tail_ic.get(repr(self.penalty)),
            "unusable_features": self.unusable,
        }


def _coefficient_path(
    X: Float32, block: TrainBlock, rows: npt.NDArray[np.int64], penalties: tuple[float, ...]
) -> list[Float64]:
    """Coefficients for each penalty, in units of the unscaled features; 0 for a feature that never varies."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):  # the sums' order, hence the last bit, must not depend on the number of threads
        centred = _centred(X[rows].astype(np.float64), group_ends(block.groups[rows]))
        weights = block.weights[rows].astype(np.float64)
        scale = np.sqrt((weights[:, None] * centred**2).sum(axis=0) / weights.sum())
        varies = scale > 1e-9
        inverse = np.where(varies, 1.0 / np.where(varies, scale, 1.0), 0.0)
        centred *= inverse
        weighted = centred * weights[:, None]
        moment = weighted.T @ block.target[rows].astype(np.float64)
        values, vectors = np.linalg.eigh(weighted.T @ centred)
        rotated = vectors.T @ moment
        return [inverse * (vectors @ (rotated / (values + penalty))) for penalty in penalties]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _centred(X: Any, ends: Any) -> Any:
    """Subtract each group's mean from its rows, in place."""
    start = 0
    for stop in ends:
        mean = np.zeros(X.shape[1])
        for i in range(start, stop):
            mean += X[i]
        mean /= stop - start
        for i in range(start, stop):
            X[i] -= mean
        start = stop
    return X


@njit(cache=True)  # type: ignore[untyped-decorator]
def _dot(X: Any, coefficients: Any) -> Any:
    out = np.empty(len(X), np.float32)
    for i in range(len(X)):
        total = 0.0
        for j in range(len(coefficients)):
            if not np.isnan(X[i, j]):
                total += X[i, j] * coefficients[j]
        out[i] = total
    return out
