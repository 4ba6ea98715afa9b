"""Values of bars with all their versions, laid out so that a compiled loop can read them as known at any moment.

A bar that was corrected has several rows that differ in `known_at`. Labels and volatilities need, for each window of
bars, the newest version known at the window's own moment; building one view per moment would copy the table thousands
of times. Here the versions of one bar lie side by side, oldest first, and :func:`version_known_at` picks the right
one, by the rule of :func:`~aurora_pipeline.market.point_in_time.as_known_at`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from aurora_pipeline.errors import MarketDataError

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
NEVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class VersionedPanel:
    """Versions of each (instrument, bar), oldest first.

    Attributes
    ----------
    instruments : polars.Series
        Permanent instrument names, sorted; their position is the code used below.
    bar_ends : ndarray of shape (n_bars,)
        Bar grid, microseconds since the epoch.
    offsets : ndarray of shape (n_instruments * n_bars + 1,)
        Versions of cell ``instrument * n_bars + bar`` lie in rows ``offsets[cell]`` to ``offsets[cell + 1] - 1``; a
        cell without rows is a missing bar.
    values : ndarray of shape (n_rows,)
        The value of each version.
    known, withdrawn : ndarray of shape (n_rows,)
        Moment each version became known, and the one from which it counts no more (:data:`NEVER` if there is none), microseconds
        since the epoch.
    """

    instruments: pl.Series
    bar_ends: Int64
    offsets: Int64
    values: Float64
    known: Int64
    withdrawn: Int64

    def codes(self, instruments: pl.Series) -> Int64:
        """Code of each instrument; -1 where it has no row at all."""
        order = pl.DataFrame({"name": self.instruments}).with_row_index("code")
        joined = pl.DataFrame({"name": instruments}).join(order, on="name", how="left", maintain_order="left")
        return joined.get_column("code").cast(pl.Int64).fill_null(-1).to_numpy()


def versioned_panel(rows: pl.DataFrame, value: str, bar_ends: pl.Series) -> VersionedPanel:
    """Lay out bar rows by instrument, bar and version.

    Parameters
    ----------
    rows : polars.DataFrame
        `instrument_id`, `bar_end`, `known_at`, optionally `quarantined_at`, and the value column.
    value : str
        Name of the value column; it must not be null.
    bar_ends : polars.Series
        Bar grid in time order, timezone-aware. Rows before its first or after its last bar are left out.

    Raises
    ------
    MarketDataError
        A row's bar end lies inside the grid's span but on none of its bars.
    """
    ends = bar_ends.to_physical().to_numpy()
    rows = rows.filter(pl.col("bar_end").is_between(bar_ends[0], bar_ends[-1]))
    instruments = rows.get_column("instrument_id").unique().sort()
    code = rows.get_column("instrument_id").cast(pl.Enum(instruments)).to_physical().to_numpy().astype(np.int64)
    moment = rows.get_column("bar_end").to_physical().to_numpy()
    bar = np.searchsorted(ends, moment)
    stray = np.flatnonzero(ends[bar] != moment)
    if stray.size:
        row = rows.row(int(stray[0]), named=True)
        raise MarketDataError(
            f"{value} of {row['instrument_id']} ends at {row['bar_end']}, which is no bar of the calendar's grid; "
            "quarantine bars outside the session before taking returns"
        )
    cell = code * len(ends) + bar
    known = rows.get_column("known_at").to_physical().to_numpy()
    order = np.lexsort((known, cell))
    offsets = np.zeros(len(instruments) * len(ends) + 1, dtype=np.int64)
    np.cumsum(np.bincount(cell, minlength=len(offsets) - 1), out=offsets[1:])
    values = rows.get_column(value).to_numpy()[order]
    withdrawn = np.full(len(known), NEVER)
    if "quarantined_at" in rows.columns:
        withdrawn = rows.get_column("quarantined_at").to_physical().fill_null(NEVER).to_numpy()
    return VersionedPanel(instruments, ends, offsets, values, known[order], withdrawn[order])


@njit(cache=True)  # type: ignore[untyped-decorator]
def version_known_at(known: Any, withdrawn: Any, first: int, stop: int, moment: int) -> int:
    """Row of the newest version known at a moment among rows `first` to `stop` - 1; -1 if there is none or it is withdrawn."""
    row = stop - 1
    while row >= first and known[row] > moment:
        row -= 1
    return row if row >= first and withdrawn[row] > moment else -1
