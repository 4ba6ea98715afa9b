"""Collects dense results of a view into its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.rolling import Panel


class FeatureColumns:
    """Float32 columns over the rows of a view, filled session by session; what is never filled stays missing.

    Parameters
    ----------
    inputs : FeatureInputs
        Calendar and frequency.
    rows : polars.DataFrame
        From :func:`~aurora_pipeline.features.decision_rows.decision_rows`.
    names : sequence of str
        Columns.
    """

    def __init__(self, inputs: FeatureInputs, rows: pl.DataFrame, names: Sequence[str]) -> None:
        self._rows = rows
        self._values = {name: np.full(rows.height, np.nan, dtype=np.float32) for name in names}
        self._instruments = rows.get_column("instrument_id").unique().sort()
        codes = rows.get_column("instrument_id").cast(pl.Enum(self._instruments)).to_physical()
        self._code: NDArray[np.int64] = codes.cast(pl.Int64).to_numpy()
        days = rows.get_column("session").rle().struct.unnest()
        stops = np.cumsum(days.get_column("len").to_numpy())
        self._slices = {
            day: slice(int(stop) - length, int(stop))
            for length, day, stop in zip(days.get_column("len"), days.get_column("value"), stops, strict=True)
        }
        grid = inputs.calendar.grid(list(self._slices), inputs.frequency)
        ends = grid.get_column("bar_end").to_physical().to_numpy()
        place = np.searchsorted(ends, rows.get_column("decision_time").to_physical().to_numpy())
        self._bar = grid.get_column("bar_index").to_numpy()[place]

    def put_session(self, session: date, instruments: Sequence[str], values: Mapping[str, NDArray[np.float64]]) -> None:
        """Give every row of a session its instrument's value; arrays of shape (instruments,)."""
        span = self._slices.get(session, slice(0, 0))
        column = self._column(instruments)[self._code[span]]
        found = column >= 0
        for name, value in values.items():
            self._values[name][span][found] = value[column[found]]

    def put_bars(self, session: date, first: int, instruments: Sequence[str], values: Mapping[str, Panel]) -> None:
        """Give the rows of decision times `first` on their values; arrays of shape (decision times, instruments)."""
        span = self._slices.get(session, slice(0, 0))
        column, bar = self._column(instruments)[self._code[span]], self._bar[span] - first
        for name, value in values.items():
            found = (column >= 0) & (bar >= 0) & (bar < value.shape[0])
            self._values[name][span][found] = value[bar[found], column[found]]

    def frame(self) -> pl.DataFrame:
        """`session`, `symbol`, `decision_time` and the columns; what is not a finite number is null."""
        columns = [pl.Series(name, np.where(np.isfinite(value), value, np.nan)) for name, value in self._values.items()]
        return self._rows.select("session", "symbol", "decision_time").with_columns(
            [column.fill_nan(None) for column in columns]
        )

    def _column(self, instruments: Sequence[str]) -> NDArray[np.int64]:
        positions = {name: index for index, name in enumerate(instruments)}
        return np.array([positions.get(name, -1) for name in self._instruments], dtype=np.int64)
