"""Bars of one session as arrays: what each was worth at every decision time, and what an order could fill at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

VWAP_TOLERANCE = 1e-4
"""How far a VWAP may lie outside its bar's range by rounding, fraction."""


@dataclass(frozen=True)
class BarArrays:
    """Prices of a session; see :class:`aurora_pipeline.execution.session_inputs.SessionInputs`."""

    mark: Floats
    fresh: NDArray[np.bool_]
    fill_price: Floats
    fill_volume: Floats


def bar_arrays(bars: pl.DataFrame, instruments: Sequence[str], ends: Sequence[datetime], count: int) -> BarArrays:
    """Lay out a session's bars.

    Parameters
    ----------
    bars : polars.DataFrame
        Rows of the table `bars` of one session, versions included.
    instruments : sequence of str
        Names, one column each.
    ends : sequence of datetime
        Bar ends of the session.
    count : int
        Number of leading bar ends to fill; rows known after the last of them are not read.

    Returns
    -------
    BarArrays
        Arrays of shape (count, n_names).
    """
    time = bars.schema["bar_end"]
    columns = pl.DataFrame({"instrument_id": list(instruments)}).with_row_index("column")
    grid = pl.DataFrame({"bar_end": list(ends)}, schema={"bar_end": time}).with_row_index("bar")
    rows = bars.join(columns, on="instrument_id").join(grid, on="bar_end").sort("column", "bar", "known_at")
    moments = pl.Series(list(ends[:count]), dtype=time).to_physical().to_numpy()
    never = np.iinfo(np.int64).max
    known = rows.get_column("known_at").to_physical().to_numpy()
    refused = rows.get_column("quarantined_at").to_physical().fill_null(never).to_numpy()
    typical = (pl.col("high") + pl.col("low") + pl.col("close")) / 3.0
    # Nobody traded at a price outside the bar's own range: such a VWAP is a fault and no fill.
    inside = pl.col("vwap").is_between(pl.col("low") * (1.0 - VWAP_TOLERANCE), pl.col("high") * (1.0 + VWAP_TOLERANCE))
    vwap = pl.when(inside).then(pl.col("vwap"))
    # First decision time at which a version may be used, and the first at which it no longer may.
    usable_from = np.searchsorted(moments, known, side="left").astype(np.int64)
    usable_until = np.searchsorted(moments, refused, side="left").astype(np.int64)
    mark = np.full((count, len(instruments)), np.nan)
    fresh = np.zeros(mark.shape, dtype=bool)
    fill_price = np.full(mark.shape, np.nan)
    fill_volume = np.zeros(mark.shape)
    _fill(
        rows.get_column("column").to_numpy().astype(np.int64),
        rows.get_column("bar").to_numpy().astype(np.int64),
        usable_from,
        usable_until,
        rows.get_column("close").to_numpy(),
        rows.select(pl.coalesce(vwap, typical)).to_series().to_numpy(),
        rows.get_column("volume").to_numpy(),
        mark,
        fresh,
        fill_price,
        fill_volume,
    )
    return BarArrays(mark, fresh, fill_price, fill_volume)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _fill(
    column: Integers,
    bar: Integers,
    usable_from: Integers,
    usable_until: Integers,
    close: Floats,
    price: Floats,
    volume: Floats,
    mark: Floats,
    fresh: NDArray[np.bool_],
    fill_price: Floats,
    fill_volume: Floats,
) -> None:
    """Fill the arrays from rows sorted by name, bar and version."""
    first = 0
    while first < column.size:
        end = first
        while end < column.size and column[end] == column[first]:
            end += 1
        name = column[first]
        for row in range(first, end):
            # Known at the bar's own end: a correction or a late bar never is.
            if bar[row] < mark.shape[0] and usable_from[row] <= bar[row] < usable_until[row]:
                fill_price[bar[row], name] = price[row]
                fill_volume[bar[row], name] = volume[row]
        for moment in range(mark.shape[0]):
            row = _newest(first, end, bar, usable_from, usable_until, moment)
            if row >= 0:
                mark[moment, name] = close[row]
                fresh[moment, name] = bar[row] == moment
        first = end


@njit(cache=True)  # type: ignore[untyped-decorator]
def _newest(first: int, end: int, bar: Integers, usable_from: Integers, usable_until: Integers, moment: int) -> int:
    """Newest known version of the newest bar that is sound at a moment; -1 without one.

    A bar whose newest version is refused is gone: an older version of it does not come back.
    """
    row = end - 1
    while row >= first:
        if bar[row] > moment or usable_from[row] > moment:
            row -= 1
        elif usable_until[row] > moment:
            return row
        else:
            gone = bar[row]
            while row >= first and bar[row] == gone:
                row -= 1
    return -1
