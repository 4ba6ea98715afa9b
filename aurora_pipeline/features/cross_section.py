"""Reductions over the instruments of one row, in column order."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aurora_pipeline.features.windows import Panel


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def less_group_mean(values: Panel, group: NDArray[np.int64], groups: int) -> Panel:
    """Deviation of each value from the mean of its group in the same row.

    Parameters
    ----------
    values : ndarray of shape (rows, columns)
        NaN where missing; missing values take no part in a mean.
    group : ndarray of shape (columns,)
        Group of each column, 0 .. groups - 1; negative for none, which gives NaN.
    groups : int
        How many there are.
    """
    rows, columns = values.shape
    out = np.full((rows, columns), np.nan)
    total, count = np.empty(groups), np.empty(groups)
    for row in range(rows):
        total[:] = 0.0
        count[:] = 0.0
        for column in range(columns):
            value = values[row, column]
            if group[column] >= 0 and value == value:
                total[group[column]] += value
                count[group[column]] += 1.0
        for column in range(columns):
            own = group[column]
            if own >= 0 and count[own] > 0.0:
                out[row, column] = values[row, column] - total[own] / count[own]
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def time_of_day_mean(values: Panel, bar_index: NDArray[np.int64], stop: int) -> NDArray[np.float64]:
    """Mean of the present values of the rows before `stop` by position in the session, over all columns.

    Returns
    -------
    ndarray of shape (largest bar_index + 1,)
        NaN for positions without a value.
    """
    size = bar_index.max() + 1
    total, count = np.zeros(size), np.zeros(size)
    for row in range(stop):
        for column in range(values.shape[1]):
            value = values[row, column]
            if value == value:
                total[bar_index[row]] += value
                count[bar_index[row]] += 1.0
    return np.where(count > 0.0, total / np.maximum(count, 1.0), np.nan)
