"""Bars of one session and the few before it as dense arrays, as known at a moment.

Rows are the calendar's bars, columns instruments. Closes are scaled across the ex-dates inside the window, so that any two rows
of a column compare; volumes are scaled the other way by splits. All sessions of the inputs are laid out once
(:func:`bar_block`); a window is a slice of that with what became known late written over it.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.adjustment import adjustment_factors, carried
from aurora_pipeline.features.codes import moments_of
from aurora_pipeline.features.inputs import FeatureInputs, ResidualInputs
from aurora_pipeline.features.versioned_arrays import VersionedArrays, lay_out
from aurora_pipeline.features.windows import Panel
from aurora_pipeline.lookback import BAR_LOOKBACK

_PRICES = ("open", "high", "low", "close", "vwap")
_BAR_COLUMNS = (*_PRICES, "volume", "known_at")
RESIDUAL_COLUMNS = ("bar_return", "residual_return")


@dataclass(frozen=True)
class BarBlock:
    """Bars of consecutive sessions.

    Attributes
    ----------
    sessions : list of date
        Oldest first.
    starts : ndarray of int of shape (sessions + 1,)
        First row of each session; the last entry is the number of rows.
    bar_index : ndarray of int of shape (rows,)
        Position of each row in its session.
    ends : polars.Series
        Bar end of each row.
    rows : VersionedArrays
        Values of the bars.
    """

    sessions: list[date]
    starts: NDArray[np.int64]
    bar_index: NDArray[np.int64]
    ends: pl.Series
    rows: VersionedArrays

    def span(self, first: date, last: date) -> tuple[int, int]:
        """First row of a session and the row after another one's last."""
        return int(self.starts[self._position(first)]), int(self.starts[self._position(last) + 1])

    def session_starts(self, first: date, last: date) -> NDArray[np.int64]:
        """First rows of the sessions from `first` to `last` and the row after them, counted from the first."""
        begin = self._position(first)
        starts: NDArray[np.int64] = self.starts[begin : self._position(last) + 2] - self.starts[begin]
        return starts

    def _position(self, session: date) -> int:
        return bisect.bisect_left(self.sessions, session)


def bar_block(inputs: ResidualInputs) -> BarBlock:
    """Lay out the bars of some inputs, once: `open` .. `vwap`, `volume`, `known_at`."""
    return inputs.once("bar_block", lambda: _block(inputs, inputs.bars))


def residual_block(inputs: FeatureInputs) -> BarBlock:
    """Lay out the residual returns of some inputs, once: `bar_return`, `residual_return`."""
    return inputs.once("residual_block", lambda: _block(inputs, inputs.residual_returns))


def _block(inputs: ResidualInputs, rows: pl.DataFrame) -> BarBlock:
    calendar = inputs.calendar
    sessions = calendar.sessions(calendar.shift(inputs.sessions[0], -BAR_LOOKBACK), inputs.sessions[-1])
    grid = calendar.grid(sessions, inputs.frequency)
    ends = grid.get_column("bar_end")
    index = grid.get_column("bar_index").cast(pl.Int64).to_numpy()
    starts = np.append(np.flatnonzero(index == 0), index.size).astype(np.int64)
    due = moments_of(ends)
    return BarBlock(sessions, starts, index, ends, lay_out(rows, "bar_end", ends, due))


@dataclass(frozen=True)
class BarPanel:
    """Bars of a window of sessions.

    Attributes
    ----------
    bar_index : ndarray of int of shape (bars,)
        Position of each row in its session.
    instruments : list of str
        Column axis.
    starts : ndarray of int of shape (sessions + 1,)
        First row of each session of the window; the last entry is the number of rows.
    open, high, low, close, vwap : ndarray of shape (bars, instruments)
        Comparable over the window; NaN where there is no bar (vwap also where the feed has none).
    volume : ndarray of shape (bars, instruments)
        Shares of the last session; NaN where there is no bar.
    known_at : ndarray of shape (bars, instruments)
        Moment each bar's version became known, microseconds since 1970.
    """

    bar_index: NDArray[np.int64]
    instruments: list[str]
    starts: NDArray[np.int64]
    open: Panel
    high: Panel
    low: Panel
    close: Panel
    vwap: Panel
    volume: Panel
    known_at: Panel

    @property
    def first_row(self) -> int:
        """First row of the window's last session."""
        return int(self.starts[-2])

    @property
    def dollar_volume(self) -> Panel:
        """Close times volume, USD at the last session's scale."""
        return self.close * self.volume


def build_bar_panel(
    inputs: ResidualInputs, moment: datetime, sessions: Sequence[date], instruments: Sequence[str]
) -> BarPanel:
    """Lay out the bars known at a moment.

    Parameters
    ----------
    inputs : ResidualInputs
        Bars, calendar and corporate actions.
    moment : datetime
        Versions and verdicts that became known later do not count.
    sessions : sequence of date
        Window of consecutive sessions, oldest first.
    instruments : sequence of str
        Columns.
    """
    block = bar_block(inputs)
    first, stop = block.span(sessions[0], sessions[-1])
    values = block.rows.seen(moment, first, stop, instruments, _BAR_COLUMNS)
    starts = block.session_starts(sessions[0], sessions[-1])
    opens = inputs.calendar.open(sessions[-1]) if inputs.frequency == "5min" else inputs.calendar.close(sessions[-1])
    closes = carried(values["close"])[starts[1:] - 1]
    factor = adjustment_factors(inputs, sessions, instruments, closes, opens)
    if (factor != 1.0).any():
        scale = _carried_back(factor, np.diff(starts))
        values |= {name: values[name] * scale for name in _PRICES}
        values["volume"] = values["volume"] / scale
    return BarPanel(block.bar_index[first:stop], list(instruments), starts, **values)


def _carried_back(factor: Panel, counts: NDArray[np.int64]) -> Panel:
    """Scale of each bar: the product of the factors of all later sessions in the window."""
    scale = np.ones_like(factor)
    for row in range(factor.shape[0] - 2, -1, -1):
        scale[row] = scale[row + 1] * factor[row + 1]
    return np.repeat(scale, counts, axis=0)
