"""Isotonic regression of outcome on score, kept as exponentially weighted sums over bins of the score.

The map never falls with the score and is otherwise free (Barlow, Bartholomew, Bremner and Brunk, "Statistical Inference under
Order Restrictions", 1972); it is fitted by pooling adjacent violators, on at most :data:`BINS` bins, so that its cost
does not grow with history and its state is a deterministic function of the sessions it was given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Float64 = npt.NDArray[np.float64]

BINS = 60
LIMIT = 3.0
"""Scores are counted in bins of 1/10 up to 3 standard deviations either side; the rest counts at the edge."""


@dataclass
class IsotonicMap:
    """Running sums of one map.

    Parameters
    ----------
    decay : float
        Factor by which evidence weighs less each session.
    """

    decay: float
    weight: Float64 = field(default_factory=lambda: np.zeros(BINS))
    score: Float64 = field(default_factory=lambda: np.zeros(BINS))
    outcome: Float64 = field(default_factory=lambda: np.zeros(BINS))

    def age(self) -> None:
        """Let one session pass."""
        self.weight *= self.decay
        self.score *= self.decay
        self.outcome *= self.decay

    def observe(self, score: Float64, outcome: Float64, rows_of_session: int) -> None:
        """Take in matured rows, each weighing 1 / `rows_of_session`."""
        bins = np.clip(((score + LIMIT) * (BINS / (2.0 * LIMIT))).astype(np.int64), 0, BINS - 1)
        self.weight += np.bincount(bins, minlength=BINS) / rows_of_session
        self.score += np.bincount(bins, score, minlength=BINS) / rows_of_session
        self.outcome += np.bincount(bins, outcome, minlength=BINS) / rows_of_session

    def fit(self) -> tuple[Float64, Float64]:
        """Scores and fitted outcomes to interpolate between, weighted mean outcome 0; empty without evidence."""
        seen = self.weight > 0.0
        weight = self.weight[seen]
        if not weight.size:
            return weight, weight
        fitted = pooled_adjacent_violators(self.outcome[seen] / weight, weight)
        return self.score[seen] / weight, fitted - (fitted * weight).sum() / weight.sum()


@njit(cache=True)  # type: ignore[untyped-decorator]
def pooled_adjacent_violators(values: Any, weights: Any) -> Any:
    """Non-decreasing sequence closest to `values` in weighted squares, shape (n,)."""
    count = len(values)
    level = np.empty(count, np.float64)
    mass = np.empty(count, np.float64)
    size = np.empty(count, np.int64)
    blocks = 0
    for i in range(count):
        level[blocks], mass[blocks], size[blocks] = values[i], weights[i], 1
        blocks += 1
        while blocks > 1 and level[blocks - 2] > level[blocks - 1]:
            joint = mass[blocks - 2] + mass[blocks - 1]
            both = level[blocks - 2] * mass[blocks - 2] + level[blocks - 1] * mass[blocks - 1]
            level[blocks - 2], mass[blocks - 2] = both / joint, joint
            size[blocks - 2] += size[blocks - 1]
            blocks -= 1
    out = np.empty(count, np.float64)
    place = 0
    for block in range(blocks):
        for _ in range(size[block]):
            out[place] = level[block]
            place += 1
    return out
