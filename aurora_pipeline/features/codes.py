"""Columns of frames as plain arrays: names as numbers, moments and days as counts since 1970, missing numbers as NaN.

Written without the methods of a Series that go through a query of their own: at the newest bar, where columns are short, those
cost more than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

Codes = NDArray[np.int64]


def codes_of(values: pl.Series, names: Sequence[str]) -> Codes:
    """Place of each value of a column among some sorted names; -1 where it is not among them."""
    places = values.cast(pl.Enum(names), strict=False).to_physical()
    if places.null_count():
        return np.asarray(np.nan_to_num(places.to_numpy(), nan=-1.0).astype(np.int64))
    return places.to_numpy().astype(np.int64)


def axis_codes(values: Sequence[str], names: Sequence[str]) -> Codes:
    """Place of each of a few names among others; -1 where it is not among them."""
    places = {name: index for index, name in enumerate(names)}
    return np.array([places.get(value, -1) for value in values], dtype=np.int64)


def names_in(values: pl.Series) -> list[str]:
    """Different names in a column, sorted, missing ones left out."""
    return [name for name in values.unique().sort().to_list() if name is not None]


def numbers_of(values: pl.Series) -> NDArray[np.float64]:
    """Numbers, NaN where missing."""
    return values.cast(pl.Float64).to_numpy()


def moments_of(values: pl.Series) -> NDArray[np.int64]:
    """Moments in microseconds since 1970; the smallest integer where missing."""
    return values.to_numpy().view(np.int64)


def days_of(values: pl.Series) -> NDArray[np.int64]:
    """Days since 1970; the smallest integer where missing."""
    return values.to_numpy().astype(np.int64)
