"""Collects dense results of a view into its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.codes import codes_of, moments_of, names_in
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.known_periods import spread
from aurora_pipeline.features.windows import Panel


@dataclass(frozen=True)
class RowPlaces:
    """Where the rows of a view lie: session, instrument and bar of each.

    Attributes
    ----------
    rows : polars.DataFrame
        `session`, `symbol`, `instrument_id`, `decision_time`, sorted by decision time.
    instruments : list of str
        What the codes stand for.
    code : ndarray of int of shape (rows,)
        Instrument.
    day : dict of date to int
        Number of each session in the rows.
    stops : ndarray of int of shape (sessions + 1,)
        First row of each session; the last entry is the number of rows.
    day_of_row, bar : ndarray of int of shape (rows,)
        Number of the session, and position of the bar in it.
    """

    rows: pl.DataFrame
    instruments: list[str]
    code: NDArray[np.int64]
    day: dict[date, int]
    stops: NDArray[np.int64]
    day_of_row: NDArray[np.int64]
    bar: NDArray[np.int64]


def row_places(inputs: FeatureInputs, rows: pl.DataFrame) -> RowPlaces:
    """Place the rows of :func:`~aurora_pipeline.features.decision_rows.decision_rows`."""
    instruments = names_in(rows.get_column("instrument_id"))
    days = rows.get_column("session").rle().struct.unnest()
    lengths = days.get_column("len").to_numpy().astype(np.int64)
    day = {session: index for index, session in enumerate(days.get_column("value"))}
    grid = inputs.calendar.grid(list(day), inputs.frequency)
    place = np.searchsorted(moments_of(grid.get_column("bar_end")), moments_of(rows.get_column("decision_time")))
    return RowPlaces(
        rows=rows,
        instruments=instruments,
        code=codes_of(rows.get_column("instrument_id"), instruments),
        day=day,
        stops=np.append(0, np.cumsum(lengths)),
        day_of_row=np.repeat(np.arange(len(lengths)), lengths),
        bar=grid.get_column("bar_index").cast(pl.Int64).to_numpy()[place],
    )


class FeatureColumns:
    """Float32 columns over the rows of a view, filled session by session; what is never filled stays missing.

    Different sessions may be filled from different threads.

    Parameters
    ----------
    places : RowPlaces
        Rows.
    names : sequence of str
        Columns.
    """

    def __init__(self, places: RowPlaces, names: Sequence[str]) -> None:
        self._places = places
        self.given: set[str] = set()
        """Columns that were given a value, be it NaN."""
        self._values = {name: np.full(places.rows.height, np.nan, dtype=np.float32) for name in names}

    def put_sessions(self, sessions: Sequence[date], instruments: Sequence[str], values: Mapping[str, Panel]) -> None:
        """Give every row of some sessions, in time order, its instrument's value; arrays of shape (sessions, instruments)."""
        self.given.update(values)
        place = np.full(len(self._places.day) + 1, -1, dtype=np.int64)
        known = [(self._places.day[day], index) for index, day in enumerate(sessions) if day in self._places.day]
        if not known:
            return
        first, last = known[0][0], known[-1][0]
        place[[day for day, _ in known]] = [index for _, index in known]
        span = slice(int(self._places.stops[first]), int(self._places.stops[last + 1]))
        self._put(span, place[self._places.day_of_row[span]], instruments, values)

    def put_bars(self, session: date, first: int, instruments: Sequence[str], values: Mapping[str, Panel]) -> None:
        """Give the rows of decision times `first` on their values; arrays of shape (decision times, instruments)."""
        self.given.update(values)
        if session in self._places.day:
            day = self._places.day[session]
            span = slice(int(self._places.stops[day]), int(self._places.stops[day + 1]))
            self._put(span, self._places.bar[span] - first, instruments, values)

    def _put(
        self, span: slice, row: NDArray[np.int64], instruments: Sequence[str], values: Mapping[str, Panel]
    ) -> None:
        """Fill a stretch of rows from arrays whose rows are given; negative and too large ones are left as they are."""
        column = self._column(instruments)[self._places.code[span]]
        height = min((value.shape[0] for value in values.values()), default=0)
        found = (column >= 0) & (row >= 0) & (row < height)
        flat = row[found] * len(instruments) + column[found]
        whole = bool(found.all())
        for name, value in values.items():
            target, own = self._values[name][span], spread(np.ascontiguousarray(value).ravel(), flat)
            if whole:
                target[:] = own
            else:
                target[found] = own

    def frame(self) -> pl.DataFrame:
        """`session`, `symbol`, `decision_time` and the columns; what is not a finite number is null."""
        columns = [pl.Series(name, value, nan_to_null=True) for name, value in self._values.items()]
        return self._places.rows.select("session", "symbol", "decision_time").with_columns(columns)

    def _column(self, instruments: Sequence[str]) -> NDArray[np.int64]:
        positions = {name: index for index, name in enumerate(instruments)}
        return np.array([positions.get(name, -1) for name in self._places.instruments], dtype=np.int64)
