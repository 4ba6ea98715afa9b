"""Windows by doubling: what every kernel over past rows is built from.

The sum over 20 rows is the sum over 4 rows plus the sum over the 16 rows before those, and the sum over 16 rows is that over 8
rows and the 8 before. So a window of `n` rows takes about `2 log2 n` additions a row instead of `n`, and, unlike a running
sum, its bits depend on the rows of the window only, not on where the panel starts or ends. Numbers of present values come
from counts since the top of the panel, which are whole numbers and therefore exact.

Work goes through scratch tables of :data:`COLUMNS` columns, which stay in the processor's cache from one step to the next.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Panel = NDArray[np.float64]
"""Dense panel of shape (rows, columns), NaN where missing."""
COLUMNS = 16
"""Columns worked on at a time; a power of two, so that loops over them become vector instructions."""


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def take_columns(values: Panel, start: int, left: int, otherwise: float, table: Panel, seen: Panel) -> None:
    """Copy some columns of a panel into a scratch table and count what is present.

    Parameters
    ----------
    values : ndarray of shape (rows, columns)
        Panel, NaN where missing.
    start, left : int
        First row and first column to copy; columns beyond the panel are left alone.
    otherwise : float
        What stands for a missing value.
    table : ndarray of shape (rows - start, COLUMNS)
        Filled.
    seen : ndarray of shape (rows - start + 1, COLUMNS)
        Filled with the present values above each row.
    """
    width = min(COLUMNS, values.shape[1] - left)
    seen[0] = 0.0
    for row in range(table.shape[0]):
        for column in range(width):
            value = values[start + row, left + column]
            present = value == value
            table[row, column] = value if present else otherwise
            seen[row + 1, column] = seen[row, column] + (1.0 if present else 0.0)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def sum_windows(table: Panel, window: int, decay: float, out: Panel) -> None:
    """Sum the window that ends at each row, the value `k` rows back times ``decay ** k``.

    Parameters
    ----------
    table : ndarray of shape (rows, COLUMNS)
        Used up.
    window : int
        Rows of the window; rows before the table count as zero.
    decay : float
        1 for a plain sum.
    out : ndarray of shape (rows, COLUMNS)
        Filled.
    """
    rows = table.shape[0]
    out[:] = 0.0
    done, span = 0, 1
    faded, fade = 1.0, decay  # decay ** done, decay ** span
    while True:
        if window & span:
            for row in range(done, rows):
                for column in range(COLUMNS):
                    out[row, column] += faded * table[row - done, column]
            done += span
            faded *= fade
        if 2 * span > window:
            return
        for row in range(rows - 1, span - 1, -1):
            for column in range(COLUMNS):
                table[row, column] += fade * table[row - span, column]
        span *= 2
        fade *= fade


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def store_columns(out: Panel, left: int, block: Panel) -> None:
    """Copy the last rows of a scratch table into the columns of a result it belongs to."""
    width = min(COLUMNS, out.shape[1] - left)
    skipped = block.shape[0] - out.shape[0]
    for row in range(out.shape[0]):
        for column in range(width):
            out[row, left + column] = block[skipped + row, column]
