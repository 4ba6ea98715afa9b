"""Kernels that look back over rows by sums and products: the one place, with its siblings, where a feature does.

A panel is a float64 array of shape (rows, columns) in time order, NaN where there is no value. Every kernel reduces, for each
row from `first_row` on, the `window` rows that end there, one column at a time. Rows before the panel count as missing, so a
result depends on the rows of its own window only: computing one row, a range or all of history gives the same bits
(:mod:`~aurora_pipeline.features.windows` says how). Moments around the mean are in
:mod:`~aurora_pipeline.features.rolling_moments`, extremes in :mod:`~aurora_pipeline.features.rolling_extremes`.

A result is NaN where fewer than `min_count` values of the window are present.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from aurora_pipeline.features.windows import COLUMNS, Panel, store_columns, sum_windows, take_columns


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def rolling_sum(values: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Sum of the present values of each window, in their unit.

    Parameters
    ----------
    values : ndarray of shape (rows, columns)
        Panel, NaN where missing.
    window : int
        Rows of the window, the row itself included.
    min_count : int
        Present values needed.
    first_row : int
        First row to compute.

    Returns
    -------
    ndarray of shape (rows - first_row, columns)
        NaN where fewer than `min_count` values are present.
    """
    result: Panel = _sums(values, window, min_count, first_row, False)
    return result


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def rolling_mean(values: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Mean of the present values of each window; parameters as in :func:`rolling_sum`."""
    result: Panel = _sums(values, window, max(min_count, 1), first_row, True)
    return result


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _sums(values: Panel, window: int, min_count: int, first_row: int, mean: bool) -> Panel:
    rows, columns = values.shape
    start = max(first_row - window + 1, 0)
    out = np.empty((rows - first_row, columns))
    table, total = np.zeros((rows - start, COLUMNS)), np.empty((rows - start, COLUMNS))
    seen = np.zeros((rows - start + 1, COLUMNS))
    for left in range(0, columns, COLUMNS):
        take_columns(values, start, left, 0.0, table, seen)
        sum_windows(table, window, 1.0, total)
        for row in range(first_row - start, rows - start):
            before = max(row + 1 - window, 0)
            for column in range(COLUMNS):
                count = seen[row + 1, column] - seen[before, column]
                value = total[row, column] / count if mean else total[row, column]
                total[row, column] = value if count >= min_count else np.nan
        store_columns(out, left, total)
    return out


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def rolling_compound(returns: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Compounded return of each window, fraction: product of (1 + r) over the present returns, minus 1."""
    rows, columns = returns.shape
    start = max(first_row - window + 1, 0)
    out = np.empty((rows - first_row, columns))
    table, growth = np.zeros((rows - start, COLUMNS)), np.empty((rows - start, COLUMNS))
    seen = np.zeros((rows - start + 1, COLUMNS))
    for left in range(0, columns, COLUMNS):
        take_columns(returns, start, left, 0.0, table, seen)
        table += 1.0
        growth[:] = 1.0
        done, span = 0, 1
        while span <= window:
            if window & span:
                for row in range(done, rows - start):
                    for column in range(COLUMNS):
                        growth[row, column] *= table[row - done, column]
                done += span
            if 2 * span <= window:
                for row in range(rows - start - 1, span - 1, -1):
                    for column in range(COLUMNS):
                        table[row, column] *= table[row - span, column]
            span *= 2
        for row in range(first_row - start, rows - start):
            before = max(row + 1 - window, 0)
            for column in range(COLUMNS):
                enough = seen[row + 1, column] - seen[before, column] >= min_count
                growth[row, column] = growth[row, column] - 1.0 if enough else np.nan
        store_columns(out, left, growth)
    return out


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def rolling_weighted_mean(values: Panel, decay: float, window: int, min_count: int, first_row: int) -> Panel:
    """Weighted mean of the present values; the value `k` rows back weighs ``decay ** k``."""
    rows, columns = values.shape
    start = max(first_row - window + 1, 0)
    out = np.empty((rows - first_row, columns))
    table, present = np.zeros((rows - start, COLUMNS)), np.zeros((rows - start, COLUMNS))
    total, mass = np.empty((rows - start, COLUMNS)), np.empty((rows - start, COLUMNS))
    seen = np.zeros((rows - start + 1, COLUMNS))
    for left in range(0, columns, COLUMNS):
        take_columns(values, start, left, 0.0, table, seen)
        for row in range(rows - start):
            for column in range(COLUMNS):
                present[row, column] = seen[row + 1, column] - seen[row, column]
        sum_windows(table, window, decay, total)
        sum_windows(present, window, decay, mass)
        for row in range(first_row - start, rows - start):
            before = max(row + 1 - window, 0)
            for column in range(COLUMNS):
                count = seen[row + 1, column] - seen[before, column]
                mean = total[row, column] / mass[row, column]
                total[row, column] = mean if count >= max(min_count, 1) else np.nan
        store_columns(out, left, total)
    return out


def earlier(values: Panel, rows: int) -> Panel:
    """The panel as it was `rows` rows ago: drop its newest rows. Pass ``first_row - rows`` to the kernel with it."""
    return values[: values.shape[0] - rows] if rows else values


def half_life_decay(half_life: float) -> float:
    """Weight of a value relative to that one row later: half after `half_life` rows."""
    return float(0.5 ** (1.0 / half_life))


def span_decay(span: float) -> float:
    """Weight of a value relative to that one row later under the given span: 1 - alpha, alpha = 2 / (span + 1)."""
    return 1.0 - 2.0 / (span + 1.0)
