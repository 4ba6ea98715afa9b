"""Rows of a table as dense arrays, laid out once and seen as of any moment.

The same rule as :func:`~aurora_pipeline.market.point_in_time.as_known_at`, without its sort and filter for every decision: nearly
all rows are known when they are due, lie in arrays for good and are seen once their moment has come. The exceptions (late rows,
corrections, rows withdrawn later and the versions beside them) are kept aside with their moments and written over a copy of the
window that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from aurora_pipeline.features.codes import codes_of, days_of, moments_of, names_in, numbers_of
from aurora_pipeline.features.windows import Panel

Moments = NDArray[np.int64]
_NEVER, _MISSING = np.iinfo(np.int64).max, np.iinfo(np.int64).min
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class VersionedArrays:
    """Versions of the rows of one table; a column is laid out when it is first asked for.

    Attributes
    ----------
    due : ndarray of int of shape (rows,)
        Moment at which a row counts as on time, microseconds since 1970, increasing.
    instruments : list of str
        Column axis, sorted.
    row, column : ndarray of int of shape (exceptions,)
        Place of each exception, in the order in which it became known.
    known_at, withdrawn_at : ndarray of int of shape (exceptions,)
        Microseconds since 1970; a far future where never withdrawn.
    exceptions : ndarray of int of shape (exceptions,)
        Where each lies in `rows`.
    rows : polars.DataFrame
        The table's rows.
    places : ndarray of int of shape (table rows,)
        Where the value of each goes, counted row by row through the arrays; -1 for an exception.
    """

    due: Moments
    instruments: list[str]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    known_at: Moments
    withdrawn_at: Moments
    exceptions: NDArray[np.int64]
    rows: pl.DataFrame
    places: NDArray[np.int64]
    _laid_out: dict[str, tuple[Panel, NDArray[np.float64]]] = field(default_factory=dict, repr=False)

    def values(self, name: str) -> tuple[Panel, NDArray[np.float64]]:
        """Values of a column known when due and never withdrawn, shape (rows, instruments), and those of the exceptions."""
        if name not in self._laid_out:
            given = self.rows.get_column(name)
            numbers = moments_of(given).astype(np.float64) if name == "known_at" else numbers_of(given)
            on_time = _scattered(numbers, self.places, len(self.due), len(self.instruments))
            self._laid_out[name] = (on_time, numbers[self.exceptions])
        return self._laid_out[name]

    def seen(
        self, moment: datetime, first: int, stop: int, instruments: Sequence[str], names: Sequence[str]
    ) -> dict[str, Panel]:
        """Newest version known at a moment of rows `first` .. `stop - 1`.

        Parameters
        ----------
        moment : datetime
            What became known later does not count.
        first, stop : int
            Rows wanted.
        instruments : sequence of str
            Columns wanted; those without any row are missing throughout.
        names : sequence of str
            Values wanted; `known_at` gives microseconds since 1970.

        Returns
        -------
        dict of str to ndarray of shape (stop - first, instruments)
            Arrays of their own, NaN where there is no row.
        """
        now = microseconds(moment)
        columns, placed = self._columns(instruments)
        told = np.flatnonzero((self.row >= first) & (self.row < stop) & (self.known_at <= now))
        told = told[placed[self.column[told]] >= 0]
        at = (self.row[told] - first, placed[self.column[told]])
        withdrawn = self.withdrawn_at[told] <= now
        passed = int(np.searchsorted(self.due, now, side="right"))
        out = {}
        for name in names:
            on_time, late = self.values(name)
            window = _window(on_time, first, stop, min(passed, stop), columns)
            window[at] = np.where(withdrawn, np.nan, late[told])
            out[name] = window
        return out

    def seen_when_due(self, name: str, instruments: Sequence[str]) -> Panel:
        """Newest version of every row as it stood at the row's own due moment.

        Returns
        -------
        ndarray of shape (rows, instruments)
            An array of its own, NaN where there was no row yet.
        """
        columns, placed = self._columns(instruments)
        on_time, late = self.values(name)
        out: Panel = _window(on_time, 0, len(self.due), len(self.due), columns)
        told = np.flatnonzero((placed[self.column] >= 0) & (self.known_at <= self.due[self.row]))
        withdrawn = self.withdrawn_at[told] <= self.due[self.row[told]]
        out[self.row[told], placed[self.column[told]]] = np.where(withdrawn, np.nan, late[told])
        return out

    def late_moments(self, first: int, stop: int) -> Moments:
        """Moments at which something about rows `first` .. `stop - 1` became known late, sorted, without repeats."""
        inside = (self.row >= first) & (self.row < stop)
        known = self.known_at[inside & (self.known_at > self.due[self.row])]
        withdrawn = self.withdrawn_at[inside & (self.withdrawn_at != _NEVER)]
        return np.unique(np.concatenate([known, withdrawn]))

    def _columns(self, instruments: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Own column of each instrument asked for (-1 if none), and the place of each own column among them (-1 if none)."""
        positions = {name: index for index, name in enumerate(self.instruments)}
        columns = np.array([positions.get(name, -1) for name in instruments], dtype=np.int64)
        placed = np.full(len(self.instruments), -1, dtype=np.int64)
        placed[columns[columns >= 0]] = np.flatnonzero(columns >= 0)
        return columns, placed


def lay_out(rows: pl.DataFrame, place: str, axis: pl.Series, due: Moments) -> VersionedArrays:
    """Lay out the rows of a table.

    Parameters
    ----------
    rows : polars.DataFrame
        `instrument_id`, `place`, `known_at`, `quarantined_at` and values. Rows whose place is not on the axis are left out.
    place : str
        Column that says which row of the arrays: `session` or `bar_end`.
    axis : polars.Series
        Values of `place` in increasing order.
    due : ndarray of int of shape (rows,)
        Moment by which each is known if it is not late, microseconds since 1970.
    """
    inside, row = _placed(rows, place, axis)
    instruments = names_in(inside.get_column("instrument_id"))
    column = codes_of(inside.get_column("instrument_id"), instruments)
    known = moments_of(inside.get_column("known_at"))
    withdrawn = moments_of(inside.get_column("quarantined_at"))
    withdrawn = np.where(withdrawn == _MISSING, _NEVER, withdrawn)
    late = known > due[row] if row.size else np.zeros(0, dtype=np.bool_)
    places = row * len(instruments) + column
    gone = withdrawn != _NEVER
    if gone.any():  # a version beside a withdrawn one stands or falls by which of the two is newer
        gone = np.isin(places, places[gone])
    special = np.flatnonzero(late | gone)
    special = special[np.argsort(known[special], kind="stable")]
    places[special] = -1
    return VersionedArrays(
        due,
        instruments,
        row[special],
        column[special],
        known[special],
        withdrawn[special],
        special,
        inside,
        places,
    )


def _placed(rows: pl.DataFrame, place: str, axis: pl.Series) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Rows whose place is on the axis, and the row of the arrays each belongs to."""
    as_numbers = days_of if axis.dtype == pl.Date else moments_of
    places, given = as_numbers(axis), as_numbers(rows.get_column(place))
    row = np.searchsorted(places, given).astype(np.int64)
    found = np.append(places, 0)[row] == given if len(places) else np.zeros(len(given), dtype=np.bool_)
    found &= row < len(places)
    return (rows, row) if found.all() else (rows.filter(pl.Series(found)), row[found])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scattered(numbers: NDArray[np.float64], places: NDArray[np.int64], rows: int, columns: int) -> Panel:
    """Panel with numbers at some places, counted row by row; those at negative places are left out."""
    out = np.full(rows * columns, np.nan)
    for index in range(places.size):
        if places[index] >= 0:
            out[places[index]] = numbers[index]
    return out.reshape(rows, columns)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _window(values: Panel, first: int, stop: int, visible: int, columns: NDArray[np.int64]) -> Panel:
    """Rows `first` .. `stop - 1` of some columns; NaN from row `visible` on and for columns that are negative."""
    out = np.full((stop - first, columns.size), np.nan)
    for row in range(first, visible):
        for column in range(columns.size):
            if columns[column] >= 0:
                out[row - first, column] = values[row, columns[column]]
    return out


def microseconds(moment: datetime) -> int:
    """Microseconds from 1970 to a moment."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
