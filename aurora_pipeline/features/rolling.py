"""Direct-window kernels on dense panels: the one place where a feature looks back over rows.

A panel is a float64 array of shape (rows, columns) in time order, NaN where there is no value. Every kernel reduces, for each
row from `first_row` on, the `window` rows that end there, newest first, one column at a time. Rows before the panel
count as missing, so a result depends on the rows of its own window only: computing one row, a range or all of history gives
the same bits. (A running sum would be faster and would not: its rounding depends on where it started.)

A result is NaN where fewer than `min_count` values of the window are present.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Panel = NDArray[np.float64]
"""Dense panel of shape (rows, columns), NaN where missing."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
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
    rows, columns = values.shape
    out = np.empty((rows - first_row, columns))
    total = np.empty(columns)
    count = np.empty(columns)
    for row in range(first_row, rows):
        total[:] = 0.0
        count[:] = 0.0
        for source in range(row, max(row - window, -1), -1):
            for column in range(columns):
                value = values[source, column]
                present = value == value
                total[column] += value if present else 0.0
                count[column] += 1.0 if present else 0.0
        for column in range(columns):
            out[row - first_row, column] = total[column] if count[column] >= min_count else np.nan
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def rolling_mean(values: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Mean of the present values of each window; parameters as in :func:`rolling_sum`."""
    rows, columns = values.shape
    out = np.empty((rows - first_row, columns))
    total = np.empty(columns)
    count = np.empty(columns)
    for row in range(first_row, rows):
        total[:] = 0.0
        count[:] = 0.0
        for source in range(row, max(row - window, -1), -1):
            for column in range(columns):
                value = values[source, column]
                present = value == value
                total[column] += value if present else 0.0
                count[column] += 1.0 if present else 0.0
        for column in range(columns):
            enough = count[column] >= min_count and count[column] > 0.0
            out[row - first_row, column] = total[column] / count[column] if enough else np.nan
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def rolling_std(values: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Sample standard deviation (n - 1) around the window's own mean; parameters as in :func:`rolling_sum`."""
    mean = rolling_mean(values, window, max(min_count, 2), first_row)
    rows, columns = values.shape
    out = np.empty((rows - first_row, columns))
    total = np.empty(columns)
    count = np.empty(columns)
    for row in range(first_row, rows):
        total[:] = 0.0
        count[:] = 0.0
        for source in range(row, max(row - window, -1), -1):
            for column in range(columns):
                gap = values[source, column] - mean[row - first_row, column]
                present = gap == gap
                total[column] += gap * gap if present else 0.0
                count[column] += 1.0 if present else 0.0
        for column in range(columns):
            enough = count[column] >= max(min_count, 2)
            out[row - first_row, column] = np.sqrt(total[column] / (count[column] - 1.0)) if enough else np.nan
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def rolling_max(values: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Largest present value of each window; parameters as in :func:`rolling_sum`. The minimum is ``-rolling_max(-values)``."""
    rows, columns = values.shape
    out = np.empty((rows - first_row, columns))
    largest = np.empty(columns)
    count = np.empty(columns)
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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def rolling_compound(returns: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Compounded return of each window, fraction: product of (1 + r) over the present returns, minus 1."""
    rows, columns = returns.shape
    out = np.empty((rows - first_row, columns))
    growth = np.empty(columns)
    count = np.empty(columns)
    for row in range(first_row, rows):
        growth[:] = 1.0
        count[:] = 0.0
        for source in range(row, max(row - window, -1), -1):
            for column in range(columns):
                value = returns[source, column]
                present = value == value
                growth[column] *= 1.0 + value if present else 1.0
                count[column] += 1.0 if present else 0.0
        for column in range(columns):
            out[row - first_row, column] = growth[column] - 1.0 if count[column] >= min_count else np.nan
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def rolling_weighted_mean(values: Panel, weights: NDArray[np.float64], min_count: int, first_row: int) -> Panel:
    """Weighted mean of the present values; ``weights[k]`` belongs to the value `k` rows back."""
    rows, columns = values.shape
    out = np.empty((rows - first_row, columns))
    total = np.empty(columns)
    mass = np.empty(columns)
    count = np.empty(columns)
    for row in range(first_row, rows):
        total[:] = 0.0
        mass[:] = 0.0
        count[:] = 0.0
        for lag in range(min(weights.size, row + 1)):
            weight = weights[lag]
            for column in range(columns):
                value = values[row - lag, column]
                present = value == value
                total[column] += weight * value if present else 0.0
                mass[column] += weight if present else 0.0
                count[column] += 1.0 if present else 0.0
        for column in range(columns):
            enough = count[column] >= min_count and mass[column] > 0.0
            out[row - first_row, column] = total[column] / mass[column] if enough else np.nan
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def rolling_beta(
    dependent: Panel, regressor: Panel, weights: NDArray[np.float64], min_count: int, first_row: int
) -> Panel:
    """Slope of a weighted regression with intercept of one panel on another, column by column.

    Parameters
    ----------
    dependent, regressor : ndarray of shape (rows, columns)
        Pairs with a missing side are left out.
    weights : ndarray of shape (window,)
        ``weights[k]`` belongs to the pair `k` rows back.
    min_count : int
        Pairs needed.
    first_row : int
        First row to compute.

    Returns
    -------
    ndarray of shape (rows - first_row, columns)
        NaN with too few pairs or a regressor that does not move.
    """
    rows, columns = dependent.shape
    out = np.empty((rows - first_row, columns))
    mass, mean_x, mean_y = np.empty(columns), np.empty(columns), np.empty(columns)
    square, cross, count = np.empty(columns), np.empty(columns), np.empty(columns)
    for row in range(first_row, rows):
        mass[:] = 0.0
        mean_x[:] = 0.0
        mean_y[:] = 0.0
        square[:] = 0.0
        cross[:] = 0.0
        count[:] = 0.0
        for lag in range(min(weights.size, row + 1)):
            weight = weights[lag]
            for column in range(columns):
                x = regressor[row - lag, column]
                y = dependent[row - lag, column]
                present = x * y == x * y
                w = weight if present else 0.0
                x = x if present else 0.0
                y = y if present else 0.0
                mass[column] += w
                mean_x[column] += w * x
                mean_y[column] += w * y
                square[column] += w * x * x
                cross[column] += w * x * y
                count[column] += 1.0 if present else 0.0
        for column in range(columns):
            slope = np.nan
            if count[column] >= max(min_count, 2):
                variance = square[column] - mean_x[column] * mean_x[column] / mass[column]
                covariance = cross[column] - mean_x[column] * mean_y[column] / mass[column]
                # Rounding leaves a constant regressor a variance of about 1e-16 of its square.
                if variance > 1e-12 * square[column]:
                    slope = covariance / variance
            out[row - first_row, column] = slope
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def rolling_range(
    returns: Panel, high_ratio: Panel, low_ratio: Panel, window: int, min_count: int, first_row: int
) -> tuple[Panel, Panel]:
    """Highest high and lowest low of each window in units of the newest close, adjusted by the returns between.

    Walking back from the newest row, the level of an earlier close relative to the newest one is 1 / product of (1 + r)
    of the rows after it; splits and dividends are in the returns, so no stored price level is compared across them.

    Parameters
    ----------
    returns : ndarray of shape (rows, columns)
        Total return into each row, NaN where there is no bar.
    high_ratio, low_ratio : ndarray of shape (rows, columns)
        High and low of each row divided by its close.
    window, min_count, first_row : int
        As in :func:`rolling_sum`; bars are counted.

    Returns
    -------
    highest, lowest : ndarray of shape (rows - first_row, columns)
        Multiples of the newest close.
    """
    rows, columns = returns.shape
    highest = np.empty((rows - first_row, columns))
    lowest = np.empty((rows - first_row, columns))
    level, top, bottom = np.empty(columns), np.empty(columns), np.empty(columns)
    count = np.empty(columns)
    for row in range(first_row, rows):
        level[:] = 1.0
        top[:] = -np.inf
        bottom[:] = np.inf
        count[:] = 0.0
        for source in range(row, max(row - window, -1), -1):
            for column in range(columns):
                high = level[column] * high_ratio[source, column]
                low = level[column] * low_ratio[source, column]
                value = returns[source, column]
                top[column] = high if high > top[column] else top[column]
                bottom[column] = low if low < bottom[column] else bottom[column]
                count[column] += 1.0 if high == high else 0.0
                level[column] /= 1.0 + value if value == value else 1.0
        for column in range(columns):
            enough = count[column] >= min_count and count[column] > 0.0
            highest[row - first_row, column] = top[column] if enough else np.nan
            lowest[row - first_row, column] = bottom[column] if enough else np.nan
    return highest, lowest


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def rolling_skewness(values: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Third standardised moment of each window, m3 / m2 ** 1.5; NaN for a constant; parameters as in :func:`rolling_sum`."""
    mean = rolling_mean(values, window, max(min_count, 3), first_row)
    rows, columns = values.shape
    out = np.empty((rows - first_row, columns))
    square, cube, count = np.empty(columns), np.empty(columns), np.empty(columns)
    for row in range(first_row, rows):
        square[:] = 0.0
        cube[:] = 0.0
        count[:] = 0.0
        for source in range(row, max(row - window, -1), -1):
            for column in range(columns):
                gap = values[source, column] - mean[row - first_row, column]
                gap = gap if gap == gap else 0.0
                square[column] += gap * gap
                cube[column] += gap * gap * gap
                count[column] += 1.0 if values[source, column] == values[source, column] else 0.0
        for column in range(columns):
            # Rounding leaves a constant a second moment of about 1e-32 of its square.
            scale = mean[row - first_row, column] * mean[row - first_row, column] * count[column]
            enough = count[column] >= max(min_count, 3) and square[column] > 1e-24 * scale
            moment = cube[column] / np.sqrt(square[column] * square[column] * square[column]) if enough else np.nan
            out[row - first_row, column] = moment * np.sqrt(count[column])
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def rolling_correlation(left: Panel, right: Panel, window: int, min_count: int, first_row: int) -> Panel:
    """Correlation of two panels over each window, pairs with a missing side left out; parameters as in :func:`rolling_sum`."""
    weights = np.ones(window)
    slope = rolling_beta(left, right, weights, min_count, first_row)
    inverse = rolling_beta(right, left, weights, min_count, first_row)
    out = np.empty(slope.shape)
    for row in range(slope.shape[0]):
        for column in range(slope.shape[1]):
            product = max(slope[row, column] * inverse[row, column], 0.0)
            value = np.sqrt(product) if slope[row, column] >= 0.0 else -np.sqrt(product)
            out[row, column] = value if product == product and slope[row, column] == slope[row, column] else np.nan
    return out


def earlier(values: Panel, rows: int) -> Panel:
    """The panel as it was `rows` rows ago: drop its newest rows. Pass ``first_row - rows`` to the kernel with it."""
    return values[: values.shape[0] - rows] if rows else values


def half_life_weights(half_life: float, window: int) -> NDArray[np.float64]:
    """Weights 0.5 ** (k / half_life) for k = 0 .. window - 1 rows back."""
    return np.power(0.5, np.arange(window, dtype=np.float64) / half_life)


def span_weights(span: float, window: int) -> NDArray[np.float64]:
    """Exponential weights with the given span, alpha = 2 / (span + 1), for k = 0 .. window - 1 rows back."""
    return np.power(1.0 - 2.0 / (span + 1.0), np.arange(window, dtype=np.float64))
