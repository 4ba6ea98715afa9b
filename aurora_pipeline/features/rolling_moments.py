"""Standard deviation, skewness and regressions over past rows; windows as in :mod:`~aurora_pipeline.features.rolling`.

All come from sums of powers and products. That loses digits where a mean is many times its spread, which returns never are;
a spread that is only what rounding leaves of it counts as none.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from aurora_pipeline.features.windows import COLUMNS, Panel, store_columns, sum_windows, take_columns

ROUNDING = 1e-12
"""Share of a sum of squares below which a sum of squared deviations is rounding: it leaves about 1e-16 of it."""


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def rolling_std(values: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Sample standard deviation (n - 1) of each window; parameters as in :mod:`~aurora_pipeline.features.rolling`."""
    result: Panel = _moments(values, window, max(min_count, 2), first_row, 2)
    return result


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def rolling_skewness(values: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Third standardised moment of each window, m3 / m2 ** 1.5; NaN for a constant; parameters as in :func:`rolling_std`."""
    result: Panel = _moments(values, window, max(min_count, 3), first_row, 3)
    return result


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _moments(values: Panel, window: int, min_count: int, first_row: int, order: int) -> Panel:
    """Standard deviation (order 2) or skewness (order 3)."""
    rows, columns = values.shape
    start = max(first_row - window + 1, 0)
    out = np.empty((rows - first_row, columns))
    powers, sums = np.zeros((3, rows - start, COLUMNS)), np.empty((3, rows - start, COLUMNS))
    seen = np.zeros((rows - start + 1, COLUMNS))
    for left in range(0, columns, COLUMNS):
        take_columns(values, start, left, 0.0, powers[0], seen)
        powers[1] = powers[0] * powers[0]
        powers[2] = powers[0] * powers[1]
        for power in range(order):
            sum_windows(powers[power], window, 1.0, sums[power])
        for row in range(first_row - start, rows - start):
            before = max(row + 1 - window, 0)
            for column in range(COLUMNS):
                count = seen[row + 1, column] - seen[before, column]
                mean, square = sums[0, row, column] / count, sums[1, row, column]
                spread = square - sums[0, row, column] * mean
                spread = spread if spread > ROUNDING * square else 0.0
                moment = np.sqrt(spread / (count - 1.0))
                if order == 3:
                    cubed = sums[2, row, column] - 3.0 * mean * square + 2.0 * mean * mean * sums[0, row, column]
                    moment = cubed * np.sqrt(count / (spread * spread * spread)) if spread > 0.0 else np.nan
                sums[0, row, column] = moment if count >= min_count else np.nan
        store_columns(out, left, sums[0])
    return out


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def rolling_beta(
    dependent: Panel, regressor: Panel, decay: float, window: int, min_count: int, first_row: int
) -> Panel:
    """Slope of a weighted regression with intercept of one panel on another, column by column.

    Parameters
    ----------
    dependent, regressor : ndarray of shape (rows, columns)
        Pairs with a missing side are left out.
    decay : float
        The pair `k` rows back weighs ``decay ** k``.
    window : int
        Rows of the window, the row itself included.
    min_count : int
        Pairs needed.
    first_row : int
        First row to compute.

    Returns
    -------
    ndarray of shape (rows - first_row, columns)
        NaN with too few pairs or a regressor that does not move.
    """
    result: Panel = _slopes(dependent, regressor, decay, window, min_count, first_row, False)
    return result


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def rolling_correlation(left: Panel, right: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Correlation of two panels over each window, pairs with a missing side left out; parameters as in :func:`rolling_std`."""
    result: Panel = _slopes(left, right, 1.0, window, min_count, first_row, True)
    return result


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _slopes(
    dependent: Panel, regressor: Panel, decay: float, window: int, min_count: int, first_row: int, correlation: bool
) -> Panel:
    """Covariance over the regressor's variance, or for a correlation over both standard deviations."""
    rows, columns = dependent.shape
    start = max(first_row - window + 1, 0)
    out = np.empty((rows - first_row, columns))
    # Of each pair: weight, x, y, x x, x y and, for a correlation, y y.
    tables, sums = np.zeros((6, rows - start, COLUMNS)), np.zeros((6, rows - start, COLUMNS))
    seen = np.zeros((rows - start + 1, COLUMNS))
    for left in range(0, columns, COLUMNS):
        for row in range(rows - start):
            for column in range(min(COLUMNS, columns - left)):
                x, y = regressor[start + row, left + column], dependent[start + row, left + column]
                present = x * y == x * y
                x, y = x if present else 0.0, y if present else 0.0
                tables[0, row, column] = 1.0 if present else 0.0
                tables[1, row, column] = x
                tables[2, row, column] = y
                tables[3, row, column] = x * x
                tables[4, row, column] = x * y
                tables[5, row, column] = y * y
                seen[row + 1, column] = seen[row, column] + (1.0 if present else 0.0)
        for table in range(6 if correlation else 5):
            sum_windows(tables[table], window, decay, sums[table])
        for row in range(first_row - start, rows - start):
            before = max(row + 1 - window, 0)
            for column in range(COLUMNS):
                count = seen[row + 1, column] - seen[before, column]
                mass, x, y = sums[0, row, column], sums[1, row, column], sums[2, row, column]
                square = sums[3, row, column]
                variance = square - x * x / mass
                covariance = sums[4, row, column] - x * y / mass
                usable = count >= max(min_count, 2) and variance > ROUNDING * square
                scale = variance
                if correlation:
                    other = sums[5, row, column] - y * y / mass
                    usable = usable and other > ROUNDING * sums[5, row, column]
                    scale = np.sqrt(variance * max(other, 0.0))
                sums[5, row, column] = covariance / scale if usable else np.nan
        store_columns(out, left, sums[5])
    return out
