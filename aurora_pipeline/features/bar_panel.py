"""Bars of one session and the few before it as dense arrays, as known at a moment.

Rows are the calendar's bars, columns instruments. Closes are scaled across the ex-dates inside the window, so that any two rows
of a column compare; volumes are scaled the other way by splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.inputs import ResidualInputs
from aurora_pipeline.features.rolling import Panel
from aurora_pipeline.features.session_panel import adjustment_factors

_PRICES = ("open", "high", "low", "close", "vwap")


@dataclass(frozen=True)
class BarPanel:
    """Bars of a window of sessions.

    Attributes
    ----------
    grid : polars.DataFrame
        Row axis: `session`, `bar_index`, `bar_start`, `bar_end`.
    instruments : list of str
        Column axis.
    first_row : int
        First row of the window's last session.
    open, high, low, close, vwap : ndarray of shape (bars, instruments)
        Comparable over the window; NaN where there is no bar (vwap also where the feed has none).
    volume : ndarray of shape (bars, instruments)
        Shares of the last session; NaN where there is no bar.
    """

    grid: pl.DataFrame
    instruments: list[str]
    first_row: int
    open: Panel
    high: Panel
    low: Panel
    close: Panel
    vwap: Panel
    volume: Panel

    @property
    def dollar_volume(self) -> Panel:
        """Close times volume, USD at the last session's scale."""
        return self.close * self.volume


def build_bar_panel(
    inputs: ResidualInputs, known: pl.DataFrame, sessions: Sequence[date], instruments: Sequence[str]
) -> BarPanel:
    """Lay out bars that were known at some moment.

    Parameters
    ----------
    inputs : ResidualInputs
        Calendar and corporate actions.
    known : polars.DataFrame
        Rows of `bars`, one version each.
    sessions : sequence of date
        Window, oldest first.
    instruments : sequence of str
        Columns.
    """
    grid = inputs.calendar.grid(sessions, inputs.frequency)
    ends = grid.get_column("bar_end").to_physical().to_numpy()
    codes = pl.Enum(list(instruments))
    rows = known.filter(pl.col("instrument_id").is_in(list(instruments)), pl.col("session").is_in(list(sessions)))
    column = rows.get_column("instrument_id").cast(codes).to_physical().to_numpy()
    row = np.searchsorted(ends, rows.get_column("bar_end").to_physical().to_numpy())
    shape = (grid.height, len(instruments))

    def spread(name: str) -> Panel:
        out = np.full(shape, np.nan)
        out[row, column] = rows.get_column(name).fill_null(np.nan).to_numpy()
        return out

    prices = {name: spread(name) for name in _PRICES}
    volume = spread("volume")
    counts = grid.group_by("session", maintain_order=True).len().get_column("len").to_numpy()
    last_rows = np.cumsum(counts) - 1
    opens = inputs.calendar.open(sessions[-1]) if inputs.frequency == "5min" else inputs.calendar.close(sessions[-1])
    closes = np.array([_last_present(prices["close"][: stop + 1]) for stop in last_rows])
    factor = adjustment_factors(inputs, sessions, instruments, closes, opens)
    if (factor != 1.0).any():
        scale = _carried_back(factor, counts)
        prices = {name: values * scale for name, values in prices.items()}
        volume = volume / scale
    return BarPanel(grid, list(instruments), int(last_rows[-1] + 1 - counts[-1]), volume=volume, **prices)


def _last_present(values: Panel) -> NDArray[np.float64]:
    """Last value that is not NaN, per column."""
    out: NDArray[np.float64] = np.full(values.shape[1], np.nan)
    for row in values:
        out = np.where(np.isnan(row), out, row)
    return out


def _carried_back(factor: Panel, counts: NDArray[np.int64]) -> Panel:
    """Scale of each bar: the product of the factors of all later sessions in the window."""
    scale = np.ones_like(factor)
    for row in range(factor.shape[0] - 2, -1, -1):
        scale[row] = scale[row + 1] * factor[row + 1]
    return np.repeat(scale, counts, axis=0)
