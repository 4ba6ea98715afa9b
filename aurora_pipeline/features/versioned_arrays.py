"""Rows of a table as dense arrays, laid out once and seen as of any moment.

The same rule as :func:`~aurora_pipeline.market.point_in_time.as_known_at`, without its sort and filter for every decision: nearly
all rows are known when they are due, lie in arrays for good and are seen once their moment has come. The exceptions (late rows,
corrections, rows withdrawn later) are kept aside with their moments and written over a copy of the window that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.windows import Panel

Moments = NDArray[np.int64]
_NEVER = np.iinfo(np.int64).max
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class VersionedArrays:
    """Versions of the rows of one table.

    Attributes
    ----------
    due : ndarray of int of shape (rows,)
        Moment at which a row counts as on time, microseconds since 1970, increasing.
    instruments : list of str
        Column axis, sorted.
    on_time : dict of str to ndarray of shape (rows, instruments)
        Values known when due and never withdrawn; NaN where there is none.
    row, column : ndarray of int of shape (exceptions,)
        Place of each exception, in the order in which it became known; rows that were on time and withdrawn come first.
    known_at, withdrawn_at : ndarray of int of shape (exceptions,)
        Microseconds since 1970; a far future where never withdrawn.
    values : dict of str to ndarray of shape (exceptions,)
        Values of the exceptions.
    """

    due: Moments
    instruments: list[str]
    on_time: dict[str, Panel]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    known_at: Moments
    withdrawn_at: Moments
    values: dict[str, NDArray[np.float64]]

    def seen(
        self, moment: datetime, first: int, stop: int, instruments: Sequence[str], names: Sequence[str] = ()
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
            Values wanted; all if empty.

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
        present = np.flatnonzero(columns >= 0)
        out = {}
        for name in names or self.on_time:
            window = np.full((stop - first, len(columns)), np.nan)
            visible = max(min(passed, stop) - first, 0)
            window[:visible, present] = self.on_time[name][first : first + visible, columns[present]]
            window[at] = np.where(withdrawn, np.nan, self.values[name][told])
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
        present = np.flatnonzero(columns >= 0)
        out = np.full((len(self.due), len(columns)), np.nan)
        out[:, present] = self.on_time[name][:, columns[present]]
        told = np.flatnonzero((placed[self.column] >= 0) & (self.known_at <= self.due[self.row]))
        withdrawn = self.withdrawn_at[told] <= self.due[self.row[told]]
        out[self.row[told], placed[self.column[told]]] = np.where(withdrawn, np.nan, self.values[name][told])
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


def lay_out(rows: pl.DataFrame, place: str, axis: pl.Series, due: Moments, names: Sequence[str]) -> VersionedArrays:
    """Lay out the rows of a table.

    Parameters
    ----------
    rows : polars.DataFrame
        `instrument_id`, `place`, `known_at`, `quarantined_at` and `names`. Rows whose place is not on the axis are left out.
    place : str
        Column that says which row of the arrays: `session` or `bar_end`.
    axis : polars.Series
        Values of `place` in increasing order.
    due : ndarray of int of shape (rows,)
        Moment by which each is known if it is not late, microseconds since 1970.
    names : sequence of str
        Values wanted; `known_at` gives microseconds since 1970.
    """
    inside = rows.filter(pl.col(place).is_in(axis.implode()))
    instruments = inside.get_column("instrument_id").unique().sort()
    column = inside.get_column("instrument_id").cast(pl.Enum(instruments)).to_physical().cast(pl.Int64).to_numpy()
    row = np.searchsorted(axis.to_physical().to_numpy(), inside.get_column(place).to_physical().to_numpy())
    known = inside.get_column("known_at").to_physical().to_numpy()
    withdrawn = inside.get_column("quarantined_at").to_physical().fill_null(_NEVER).to_numpy()
    late = known > due[row] if row.size else np.zeros(0, dtype=np.bool_)
    plain = np.flatnonzero(~late & (withdrawn == _NEVER))
    special = np.flatnonzero(late | (withdrawn != _NEVER))
    special = special[np.argsort(np.where(late[special], known[special], 0), kind="stable")]
    on_time, values = {}, {}
    for name in names:
        given = inside.get_column(name)
        numbers = (
            known.astype(np.float64) if name == "known_at" else given.cast(pl.Float64).fill_null(np.nan).to_numpy()
        )
        on_time[name] = np.full((len(axis), len(instruments)), np.nan)
        on_time[name][row[plain], column[plain]] = numbers[plain]
        values[name] = numbers[special]
    return VersionedArrays(
        due,
        instruments.to_list(),
        on_time,
        row[special].astype(np.int64),
        column[special],
        known[special],
        withdrawn[special],
        values,
    )


def microseconds(moment: datetime) -> int:
    """Microseconds from 1970 to a moment."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
