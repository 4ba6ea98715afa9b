"""What the linear families share: normal equations on centred and scaled features, and coefficients stored as JSON.

Features are ranks or z-scores within a decision time already, so a missing value is imputed by 0, their centre.
Target and features are centred within each decision time while fitting (a fixed effect per decision time: only
differences between names matter) and scaled by their root mean square over the rows. Sums over rows are accumulated in
float64 once for the whole block: every split subtracts the stretch it leaves out, and every penalty uses the same.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit

from aurora_pipeline.models.tail_choice import Scores, TailChosenModel, unreadable
from aurora_pipeline.models.train_block import Float32, Float64, Int64, TrainBlock, group_ends
from aurora_pipeline.one_thread import one_thread

CONSTANT = 1e-6
"""Root mean square below which a feature counts as constant: ranks are of order 1, a difference of sums leaves 1e-8 behind."""


@dataclass(frozen=True)
class Moments:
    """Weighted sums over rows of centred and scaled features.

    Attributes
    ----------
    gram : ndarray of shape (n_features, n_features)
        Sum of weight * feature * feature; the diagonal is the sum of weights, in rows.
    moment : ndarray of shape (n_features,)
        Sum of weight * feature * target.
    inverse_scale : ndarray of shape (n_features,)
        From coefficients of scaled features to those of features as they are; 0 for one that never varies.
    """

    gram: Float64
    moment: Float64
    inverse_scale: Float64


@dataclass(frozen=True)
class Sums:
    """Weighted sums over rows of centred features as they are.

    Attributes
    ----------
    gram : ndarray of shape (n_features, n_features)
        Sum of weight * feature * feature.
    moment : ndarray of shape (n_features,)
        Sum of weight * feature * target.
    weight : float
        Sum of weights.
    """

    gram: Float64
    moment: Float64
    weight: float

    def without(self, part: Sums) -> Sums:
        """Sums of the rows that are not in a part of these."""
        return Sums(self.gram - part.gram, self.moment - part.moment, self.weight - part.weight)


class LinearModel(TailChosenModel):
    """A penalised linear model on ranked features, its penalty chosen by purged cross-validation inside the train block.

    Parameters
    ----------
    parameters : dict
        `penalties`, tried from the largest to the smallest, and what else the family sets.
    """

    choice_name: ClassVar[str] = "penalty"
    whole: Sums | None = None
    """Of all rows of the block that is being fitted."""

    @classmethod
    def load(cls, directory: Path, threads: int) -> Self:
        """Read coefficients written by :meth:`save`."""
        file = directory / cls.file_name
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            model = cls(stored["parameters"])
            model.choice, model.unusable = stored["penalty"], stored["unusable_features"]
            model.tail_ic = {float(penalty): ic for penalty, ic in stored["tail_ic"].items()}
            model.fitted = np.array([float.fromhex(text) for text in stored["coefficients"]])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise unreadable(file, cls.family, error) from error
        return model

    @abstractmethod
    def path(self, moments: Moments, penalties: Sequence[float]) -> list[Float64]:
        """Coefficients of the scaled features for each penalty."""

    def splits(self, block: TrainBlock) -> Sequence[tuple[Int64, Int64]]:
        """Every stretch of the block judges a fit on the others: a fit is cheap, and the tail alone is short."""
        return block.splits or super().splits(block)

    def fit(self, block: TrainBlock) -> None:
        """Choose the penalty, then fit all rows with it."""
        with one_thread():
            self.whole = weighted_sums(block, np.arange(len(block.X), dtype=np.int64))
        super().fit(block)
        self.whole = None

    def candidates(self, block: TrainBlock, rows: Int64) -> Iterable[tuple[float, Scores]]:
        """All penalties, the largest first."""
        penalties = sorted(self.parameters["penalties"], reverse=True)
        for penalty, coefficients in zip(penalties, self._coefficients(block, rows, penalties), strict=True):
            yield penalty, partial(_dot, coefficients=coefficients)

    def refit(self, block: TrainBlock, rows: Int64, choice: float) -> Float64:
        """Coefficients in units of the features as they are."""
        return self._coefficients(block, rows, [choice])[0]

    def _coefficients(self, block: TrainBlock, rows: Int64, penalties: Sequence[float]) -> list[Float64]:
        with one_thread():
            moments = scaled_moments(self._sums(block, rows))
            return [moments.inverse_scale * scaled for scaled in self.path(moments, penalties)]

    def _sums(self, block: TrainBlock, rows: Int64) -> Sums:
        if self.whole is None:
            return weighted_sums(block, rows)
        outside = np.ones(len(block.X), dtype=np.bool_)
        outside[rows] = False
        return self.whole.without(weighted_sums(block, np.flatnonzero(outside)))

    def score(self, X: Float32) -> Float32:
        """Sum feature by feature, so that a score does not depend on the other rows."""
        scores: Float32 = _dot(X, self.fitted)
        return scores

    def columns(self) -> int:
        """Return the number of coefficients."""
        return len(self.fitted)

    def write(self, file: Path) -> None:
        """Write JSON, coefficients in hexadecimal so that they come back to the last bit."""
        described = self.describe()
        kept = {key: described[key] for key in ("parameters", "penalty", "tail_ic", "unusable_features")}
        stored = kept | {"coefficients": [float(value).hex() for value in self.fitted]}
        file.write_text(json.dumps(stored, indent=1), encoding="utf-8")

    def importance(self) -> dict[str, Any]:
        """How many features have a coefficient."""
        return {} if self.fitted is None else {"features_used": int(np.count_nonzero(self.fitted))}


def weighted_sums(block: TrainBlock, rows: Int64) -> Sums:
    """Sums over some rows of a block; whole decision times."""
    centred = _centred(np.nan_to_num(block.X[rows], nan=0.0).astype(np.float64), group_ends(block.groups[rows]))
    weights = block.weights[rows].astype(np.float64)
    weighted = centred * weights[:, None]
    return Sums(weighted.T @ centred, weighted.T @ block.target[rows].astype(np.float64), float(weights.sum()))


def scaled_moments(sums: Sums) -> Moments:
    """Moments of features scaled by their root mean square."""
    scale = np.sqrt(np.maximum(np.diagonal(sums.gram), 0.0) / sums.weight)
    varies = scale > CONSTANT
    inverse = np.where(varies, 1.0 / np.where(varies, scale, 1.0), 0.0)
    return Moments(sums.gram * np.outer(inverse, inverse), sums.moment * inverse, inverse)


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
