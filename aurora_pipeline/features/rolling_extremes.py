"""Largest values and price ranges over past rows; windows as in :mod:`~aurora_pipeline.features.rolling`."""

from __future__ import annotations

import numpy as np
from numba import njit

from aurora_pipeline.features.windows import COLUMNS, Panel, store_columns


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def rolling_max(values: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Largest present value of each window; parameters as in :func:`~aurora_pipeline.features.rolling.rolling_sum`.

    The minimum is ``-rolling_max(-values)``. Comparing is so cheap that doubling would gain nothing in the windows in use.
    """
    rows, columns = values.shape
    out = np.empty((rows - first_row, columns))
    largest, count = np.empty(columns), np.empty(columns)
    for row in range(first_row, rows):
        largest[:] = -np.inf
        count[:] = 0.0
        for source in range(row, max(row - window, -1), -1):
            for column in range(columns):
                value = values[source, column]
                largest[column] = value if value > largest[column] else largest[column]
                count[column] += 1.0 if value == value else 0.0
        for column in range(columns):
            enough = count[column] >= min_count and count[column] > 0.0
            out[row - first_row, column] = largest[column] if enough else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def rolling_range(
    returns: Panel, high_ratio: Panel, low_ratio: Panel, window: int, min_count: int, first_row: int
) -> tuple[Panel, Panel]:
    """Highest high and lowest low of each window in units of the newest close, adjusted by the returns between.

    The level of an earlier close relative to a later one is 1 / product of (1 + r) of the rows after it; splits and dividends
    are in the returns, so no stored price level is compared across them. The range of a window is that of its newer part and,
    brought to the newest close by the newer part's returns, that of its older part.

    Parameters
    ----------
    returns : ndarray of shape (rows, columns)
        Total return into each row, NaN where there is no bar.
    high_ratio, low_ratio : ndarray of shape (rows, columns)
        High and low of each row divided by its close.
    window, min_count, first_row : int
        As in :func:`~aurora_pipeline.features.rolling.rolling_sum`; bars are counted.

    Returns
    -------
    highest, lowest : ndarray of shape (rows - first_row, columns)
        Multiples of the newest close.
    """
    rows, columns = returns.shape
    start = max(first_row - window + 1, 0)
    highest, lowest = np.empty((rows - first_row, columns)), np.empty((rows - first_row, columns))
    parts, whole = np.ones((3, rows - start, COLUMNS)), np.ones((3, rows - start, COLUMNS))
    seen = np.zeros((rows - start + 1, COLUMNS))
    for left in range(0, columns, COLUMNS):
        for row in range(rows - start):
            for column in range(min(COLUMNS, columns - left)):
                value = returns[start + row, left + column]
                high, low = high_ratio[start + row, left + column], low_ratio[start + row, left + column]
                present = high == high
                parts[0, row, column] = 1.0 / (1.0 + value) if value == value else 1.0
                parts[1, row, column] = high if present else -np.inf
                parts[2, row, column] = low if low == low else np.inf
                seen[row + 1, column] = seen[row, column] + (1.0 if present else 0.0)
        _join_ranges(parts, whole, window)
        for row in range(first_row - start, rows - start):
            before = max(row + 1 - window, 0)
            for column in range(COLUMNS):
                count = seen[row + 1, column] - seen[before, column]
                if count < max(min_count, 1):
                    whole[1, row, column] = np.nan
                    whole[2, row, column] = np.nan
        store_columns(highest, left, whole[1])
        store_columns(lowest, left, whole[2])
    return highest, lowest


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _join_ranges(parts: Panel, whole: Panel, window: int) -> None:
    """Level of the close before it, highest high and lowest low of the window that ends at each row, to its newest close.

    Parameters
    ----------
    parts : ndarray of shape (3, rows, COLUMNS)
        The same of each row alone; used up.
    whole : ndarray of shape (3, rows, COLUMNS)
        Filled.
    window : int
        Rows.
    """
    rows = parts.shape[1]
    whole[0] = 1.0
    whole[1] = -np.inf
    whole[2] = np.inf
    done, span = 0, 1
    while span <= window:
        if window & span:
            for row in range(done, rows):
                _join_older(whole, parts, row, row - done)
            done += span
        if 2 * span <= window:
            for row in range(rows - 1, span - 1, -1):
                _join_older(parts, parts, row, row - span)
        span *= 2


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _join_older(newer: Panel, older: Panel, row: int, end: int) -> None:
    """Join to the range of some rows that of the rows before them, which end at `end`."""
    for column in range(COLUMNS):
        level = newer[0, row, column]
        high, low = level * older[1, end, column], level * older[2, end, column]
        newer[0, row, column] = level * older[0, end, column]
        newer[1, row, column] = high if high > newer[1, row, column] else newer[1, row, column]
        newer[2, row, column] = low if low < newer[2, row, column] else newer[2, row, column]
