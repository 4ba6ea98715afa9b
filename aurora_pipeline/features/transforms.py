"""Transforms over the symbols of one decision time; rows of a decision time lie together."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Column = NDArray[np.float32]
Ints = NDArray[np.int64]
WINSOR = 3.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def centred_rank(values: Column, starts: Ints) -> Column:
    """Rank within each decision time, (rank - 0.5) / n - 0.5 with average ranks for ties, n the values present.

    Parameters
    ----------
    values : ndarray of float32 of shape (rows,)
        NaN where missing; stays missing.
    starts : ndarray of shape (decision times + 1,)
        First row of each decision time; the last entry is the number of rows.

    Returns
    -------
    ndarray of float32 of shape (rows,)
        Between -0.5 and 0.5; 0 for a value alone in its decision time.
    """
    out = np.full(values.size, np.float32(np.nan))
    for group in range(starts.size - 1):
        first, stop = starts[group], starts[group + 1]
        order = np.argsort(values[first:stop])  # missing values sort last
        count = 0
        for row in range(first, stop):
            count += 1 if values[row] == values[row] else 0
        low = 0
        while low < count:
            high = low
            value = values[first + order[low]]
            while high + 1 < count and values[first + order[high + 1]] == value:
                high += 1
            rank = 0.5 * (low + high) + 0.5
            for place in range(low, high + 1):
                out[first + order[place]] = rank / count - 0.5
            low = high + 1
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def less_sector_mean(values: Column, starts: Ints, sector: Ints, sectors: int, minimum_peers: int) -> Column:
    """Values less their sector's mean at the same decision time.

    Parameters
    ----------
    values, starts
        As in :func:`centred_rank`.
    sector : ndarray of shape (rows,)
        0 .. sectors - 1, negative if unknown.
    sectors : int
        How many there are.
    minimum_peers : int
        Values of a sector's other symbols needed; with fewer, or without a sector, a value stays as it is.
    """
    out = values.copy()
    total, count = np.empty(sectors), np.empty(sectors, dtype=np.int64)
    for group in range(starts.size - 1):
        total[:] = 0.0
        count[:] = 0
        for row in range(starts[group], starts[group + 1]):
            if sector[row] >= 0 and values[row] == values[row]:
                total[sector[row]] += values[row]
                count[sector[row]] += 1
        for row in range(starts[group], starts[group + 1]):
            own = sector[row]
            if own >= 0 and count[own] > minimum_peers:
                out[row] = values[row] - total[own] / count[own]
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def winsorised_z(values: Column, starts: Ints) -> Column:
    """Standard score (n - 1) within each decision time, cut at 3; missing where fewer than two values differ."""
    out = np.full(values.size, np.float32(np.nan))
    for group in range(starts.size - 1):
        total, square, count = 0.0, 0.0, 0
        for row in range(starts[group], starts[group + 1]):
            if values[row] == values[row]:
                total += values[row]
                count += 1
        if count < 2:
            continue
        mean = total / count
        for row in range(starts[group], starts[group + 1]):
            if values[row] == values[row]:
                square += (values[row] - mean) ** 2
        deviation = np.sqrt(square / (count - 1))
        if deviation > 0.0:
            for row in range(starts[group], starts[group + 1]):
                out[row] = min(max((values[row] - mean) / deviation, -WINSOR), WINSOR)
                if values[row] != values[row]:
                    out[row] = np.nan
    return out
