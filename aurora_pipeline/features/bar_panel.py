"""Bars of one session and the few before it as dense arrays, as known at a moment.

Rows are the calendar's bars, columns instruments. Closes are scaled across the ex-dates inside the window, so that any two rows
of a column compare; volumes are scaled the other way by splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

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
    inputs: ResidualInputs, rows: pl.DataFrame, moment: datetime, sessions: Sequence[date], instruments: Sequence[str]
) -> BarPanel:
    """Lay out the bars known at a moment.

    Parameters
    ----------
    inputs : ResidualInputs
        Calendar and corporate actions.
    rows : polars.DataFrame
        Rows of `bars` inside the window, versions included.
    moment : datetime
        Versions and verdicts that became known later do not count.
    sessions : sequence of date
        Window, oldest first.
    instruments : sequence of str
        Columns.
    """
    grid = inputs.calendar.grid(sessions, inputs.frequency)
    laid_out = dense_bars(rows, moment, grid.get_column("bar_end"), instruments, (*_PRICES, "volume"))
    volume = laid_out.pop("volume")
    prices = laid_out
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


def dense_bars(
    rows: pl.DataFrame, moment: datetime, ends: pl.Series, instruments: Sequence[str], names: Sequence[str]
) -> dict[str, Panel]:
    """Spread the newest version known at a moment of each (instrument, bar_end) over dense arrays.

    The same rule as :func:`~aurora_pipeline.market.point_in_time.as_known_at` without its sort: on-time rows are written first,
    later versions over them in the order in which they became known, withdrawn ones as missing.

    Parameters
    ----------
    rows : polars.DataFrame
        `instrument_id`, `bar_end`, `known_at`, `quarantined_at` and `names`; instruments that are not asked for are left out.
    ends : polars.Series
        Row axis: sorted bar ends, those of `rows` among them.

    Returns
    -------
    dict of str to ndarray of shape (bars, instruments)
        NaN where there is no bar.
    """
    seen = rows.filter(pl.col("known_at") <= moment, pl.col("instrument_id").is_in(list(instruments)))
    on_time = pl.col("known_at") <= pl.col("bar_end")
    late = seen.filter(~on_time).sort("known_at")
    ordered = pl.concat([seen.filter(on_time), late]) if late.height else seen
    column = ordered.get_column("instrument_id").cast(pl.Enum(list(instruments))).to_physical().to_numpy()
    row = np.searchsorted(ends.to_physical().to_numpy(), ordered.get_column("bar_end").to_physical().to_numpy())
    withdrawn = (ordered.get_column("quarantined_at") <= moment).fill_null(value=False).to_numpy()
    out = {}
    for name in names:
        values = ordered.get_column(name).fill_null(np.nan).to_numpy()
        out[name] = np.full((len(ends), len(instruments)), np.nan)
        out[name][row, column] = np.where(withdrawn, np.nan, values)
    return out


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
