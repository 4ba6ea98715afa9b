"""Recent bars of the decision frequency with their residual returns, as known at a decision time; a bar is a day at `session`.

Everything is free of price scale: what is compared across bars are returns and USD volumes, never price levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.bar_panel import build_bar_panel, dense_bars
from aurora_pipeline.features.decision_epochs import DecisionEpoch, decision_epochs
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.rolling import Panel
from aurora_pipeline.features.session_panel import SessionPanel

WINDOW_SESSIONS = 4
"""Sessions of 5-minute bars before a session: 156 bars, half-days included, and the time-of-day profiles."""
WINDOW_DAYS = 160
"""Daily bars, at frequency `session`."""


@dataclass(frozen=True)
class BarHistory:
    """Bars of a window, rows in time order, columns instruments; NaN where there is no bar.

    Attributes
    ----------
    first, stop : int
        Decision times of the session (0-based bars) this view of the past is good for.
    first_row : int
        Row of decision time `first`.
    session_row : int
        First row of the session.
    bar_index : ndarray of shape (rows,)
        Position of each bar in its session.
    instruments : list of str
        Column axis, sorted.
    open, high, low, close, vwap : ndarray of shape (rows, instruments)
        Comparable within a session.
    dollar_volume : ndarray of shape (rows, instruments)
        Close times shares, USD.
    bar_return, residual : ndarray of shape (rows, instruments)
        Total and residual return of each bar, fraction; the first bar of a session contains the night.
    """

    first: int
    stop: int
    first_row: int
    session_row: int
    bar_index: NDArray[np.int64]
    instruments: list[str]
    open: Panel
    high: Panel
    low: Panel
    close: Panel
    vwap: Panel
    dollar_volume: Panel
    bar_return: Panel
    residual: Panel

    def wanted(self, values: Panel) -> Panel:
        """Rows of the decision times, of an array that starts at `first_row`."""
        return values[: self.stop - self.first]

    def aligned(self, values: NDArray[np.float64], instruments: list[str]) -> NDArray[np.float64]:
        """Values of other `instruments` in the order of this history; NaN for those that are not among them."""
        positions = {name: index for index, name in enumerate(instruments)}
        return np.append(values, np.nan)[[positions.get(name, -1) for name in self.instruments]]


def bar_histories(
    inputs: FeatureInputs, session: date, panel: SessionPanel, daily_residual: Panel | None = None
) -> Iterator[BarHistory]:
    """Yield the views of the past a session's decisions need: one per stretch without late knowledge.

    Parameters
    ----------
    panel : SessionPanel
        Daily history of the session's group; its rows are the bars at frequency `session`.
    daily_residual : ndarray of shape (sessions of the panel, instruments), optional
        Residual returns that belong to it; without them `residual` is missing at frequency `session`.
    """
    if inputs.frequency == "session":
        yield _daily_history(session, panel, daily_residual)
        return
    instruments = sorted(
        inputs.universe.filter(pl.col("session") == session, pl.col("kind") == "stock").get_column("instrument_id")
    )
    window = inputs.calendar.sessions(inputs.calendar.shift(session, -WINDOW_SESSIONS), session)
    inside = pl.col("session").is_between(window[0], session)
    bars, residuals = inputs.bars.filter(inside), inputs.residual_returns.filter(inside)
    for epoch in decision_epochs(inputs, session, [bars, residuals]):
        yield _intraday_history(inputs, window, instruments, epoch, bars, residuals)


def _intraday_history(
    inputs: FeatureInputs,
    window: list[date],
    instruments: list[str],
    epoch: DecisionEpoch,
    bars: pl.DataFrame,
    residuals: pl.DataFrame,
) -> BarHistory:
    laid_out = build_bar_panel(inputs, bars, epoch.moment, window, instruments)
    ends = laid_out.grid.get_column("bar_end")
    returns = dense_bars(residuals, epoch.moment, ends, instruments, ("bar_return", "residual_return"))
    return BarHistory(
        first=epoch.first,
        stop=epoch.stop,
        first_row=laid_out.first_row + epoch.first,
        session_row=laid_out.first_row,
        bar_index=laid_out.grid.get_column("bar_index").cast(pl.Int64).to_numpy(),
        instruments=instruments,
        open=laid_out.open,
        high=laid_out.high,
        low=laid_out.low,
        close=laid_out.close,
        vwap=laid_out.vwap,
        dollar_volume=laid_out.dollar_volume,
        bar_return=returns["bar_return"],
        residual=returns["residual_return"],
    )


def _daily_history(session: date, panel: SessionPanel, daily_residual: Panel | None) -> BarHistory:
    stop = panel.row(session) + 1
    rows = slice(max(stop - WINDOW_DAYS, 0), stop)
    count = stop - rows.start
    missing = np.full((count, len(panel.instruments)), np.nan)
    return BarHistory(
        first=0,
        stop=1,
        first_row=count - 1,
        session_row=count - 1,
        bar_index=np.zeros(count, dtype=np.int64),
        instruments=panel.instruments,
        open=panel.open[rows],
        high=panel.high[rows],
        low=panel.low[rows],
        close=panel.close[rows],
        vwap=missing,
        dollar_volume=panel.dollar_volume[rows],
        bar_return=panel.total_return[rows],
        residual=missing if daily_residual is None else daily_residual[rows],
    )
