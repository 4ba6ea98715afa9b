"""The families' scores of a decision time to one: z-scores, their means, and how far they lie apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)  # type: ignore[untyped-decorator]
def standardise(values: Any, start: int, stop: int) -> None:
    """Turn values[start:stop] into z-scores in place; NaN is left out, a constant becomes 0."""
    count, mean = 0, 0.0
    for i in range(start, stop):
        if not np.isnan(values[i]):
            count += 1
            mean += values[i]
    if count == 0:
        return
    mean /= count
    variance, largest = 0.0, 0.0
    for i in range(start, stop):
        if not np.isnan(values[i]):
            variance += (values[i] - mean) ** 2
            largest = max(largest, abs(values[i]))
    deviation = np.sqrt(variance / count)
    constant = deviation <= 1e-12 * largest
    for i in range(start, stop):
        if not np.isnan(values[i]):
            values[i] = 0.0 if constant else (values[i] - mean) / deviation


@njit(cache=True)  # type: ignore[untyped-decorator]
def combine_scores(Z: Any, W: Any, best: Any, ends: Any) -> Any:
    """Combine the families within consecutive decision times.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, n_families)
        Scores, NaN where a family has none; standardised in place.
    W : ndarray of shape (n_rows, n_families)
        Weights.
    best : ndarray of shape (n_rows,)
        Column of the best single family, -1 where there is none.
    ends : ndarray of shape (n_decision_times,)
        Row after the last one of each decision time.

    Returns
    -------
    tuple of ndarray of shape (n_rows,)
        Weighted and unweighted mean, both standardised, the best single family's z-score (NaN where it has none), and the
        standard deviation of the families' z-scores.
    """
    rows, families = Z.shape
    single = np.full(rows, np.nan)
    score = np.empty(rows, np.float64)
    equal = np.empty(rows, np.float64)
    disagreement = np.empty(rows, np.float64)
    start = 0
    for stop in ends:
        for family in range(families):
            standardise(Z[:, family], start, stop)
        for i in range(start, stop):
            present, weight, weighted, total, squares = 0, 0.0, 0.0, 0.0, 0.0
            for family in range(families):
                if not np.isnan(Z[i, family]):
                    present += 1
                    weight += W[i, family]
                    weighted += W[i, family] * Z[i, family]
                    total += Z[i, family]
            mean = total / present
            for family in range(families):
                if not np.isnan(Z[i, family]):
                    squares += (Z[i, family] - mean) ** 2
            score[i] = weighted / weight if weight > 0.0 else mean
            equal[i] = mean
            if best[i] >= 0:
                single[i] = Z[i, best[i]]
            disagreement[i] = np.sqrt(squares / present)
        standardise(score, start, stop)
        standardise(equal, start, stop)
        start = stop
    return score, equal, single, disagreement
