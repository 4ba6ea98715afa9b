"""How far two samples' distributions lie apart, for many pairs at once: population stability index and Kolmogorov-Smirnov."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

BINS = 10
FLOOR = 1e-4
"""Smallest share of a bin, so that an empty one gives a large and not an infinite index."""
Float64 = NDArray[np.float64]
Sample = NDArray[np.floating]


def distribution_shift(current: Sample, reference: Sample, bins: int = BINS) -> tuple[Float64, Float64]:
    """Compare samples row by row.

    Parameters
    ----------
    current : ndarray of shape (rows, n)
        Values; NaN is left out.
    reference : ndarray of shape (rows, m)
        Values they are held against.
    bins : int
        Quantile bins of the reference; ties in it merge some.

    Returns
    -------
    stability : ndarray of shape (rows,)
        Population stability index over the bins, in nats; NaN where one of the samples is empty.
    distance : ndarray of shape (rows,)
        Largest distance between the empirical distribution functions; NaN likewise.
    """
    stability, distance = np.full(len(current), np.nan), np.full(len(current), np.nan)
    ours, theirs = np.sort(current, axis=1), np.sort(reference, axis=1)  # NaN last
    known, held = (~np.isnan(ours)).sum(axis=1), (~np.isnan(theirs)).sum(axis=1)
    _compare(ours, known, theirs, held, np.arange(1, bins) / bins, stability, distance)
    return stability, distance


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _compare(
    current: Sample,
    known: NDArray[np.int64],
    reference: Sample,
    held: NDArray[np.int64],
    levels: Float64,
    stability: Float64,
    distance: Float64,
) -> None:
    """Fill in both measures from sorted samples of which the first `known` and `held` values of a row are there."""
    edges = np.empty(levels.size)
    for row in range(len(current)):
        n, m = known[row], held[row]
        if n == 0 or m == 0:
            continue
        ours, theirs = current[row, :n], reference[row, :m]
        count = _quantiles(theirs, levels, edges)
        stability[row] = _stability(ours, theirs, edges[:count])
        distance[row] = _distance(ours, theirs)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _quantiles(ordered: Sample, levels: Float64, edges: Float64) -> int:
    """Write the distinct quantiles of a sorted sample, linear between neighbours; returns how many there are."""
    count = 0
    for level in levels:
        place = level * (ordered.size - 1)
        lower = int(np.floor(place))
        below, above = float(ordered[lower]), float(ordered[min(lower + 1, ordered.size - 1)])
        share = place - lower
        edge = below + (above - below) * share if share < 0.5 else above - (above - below) * (1.0 - share)
        if count == 0 or edge > edges[count - 1]:
            edges[count] = edge
            count += 1
    return count


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _stability(ours: Sample, theirs: Sample, edges: Float64) -> float:
    """Index over the bins that end with each edge, and the one behind the last."""
    total, our_start, their_start = 0.0, 0, 0
    for place in range(edges.size + 1):
        our_end, their_end = ours.size, theirs.size
        if place < edges.size:
            our_end = np.searchsorted(ours, edges[place], side="right")
            their_end = np.searchsorted(theirs, edges[place], side="right")
        actual = max((our_end - our_start) / ours.size, FLOOR)
        expected = max((their_end - their_start) / theirs.size, FLOOR)
        total += (actual - expected) * np.log(actual / expected)
        our_start, their_start = our_end, their_end
    return total


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _distance(ours: Sample, theirs: Sample) -> float:
    """Walk through both sorted samples together; equal values count before the distance is taken."""
    i, j, largest = 0, 0, 0.0
    while i < ours.size and j < theirs.size:
        value = min(ours[i], theirs[j])
        while i < ours.size and ours[i] == value:
            i += 1
        while j < theirs.size and theirs[j] == value:
            j += 1
        largest = max(largest, abs(i / ours.size - j / theirs.size))
    return largest
