"""Recent bars of the decision frequency with their residual returns, as known at a decision time; a bar is a day at `session`.

Everything is free of price scale: what is compared across bars are returns and USD volumes, never price levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.features.bar_panel import RESIDUAL_COLUMNS, bar_block, build_bar_panel, residual_block
from aurora_pipeline.features.cross_section import time_of_day_mean
from aurora_pipeline.features.daily_history import DailyHistory
from aurora_pipeline.features.decision_epochs import DecisionEpoch, decision_epochs
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.membership import membership
from aurora_pipeline.features.windows import Panel

WINDOW_SESSIONS = 4
"""Sessions of 5-minute bars before a session: 156 bars, half-days included, and the time-of-day profiles."""
WINDOW_DAYS = 160
"""Daily bars before a decision, at frequency `session`."""


@dataclass(frozen=True)
class BarHistory:
    """Bars of a window, rows in time order, columns instruments; NaN where there is no bar.

    At 5min it belongs to decision times of one session, at `session` to those of a group of consecutive sessions, one row each.

    Attributes
    ----------
    session : date
        Session of the first decision time.
    first, stop : int
        Decision times (0-based bars of the session; at `session`, sessions of the group) this view of the past is good for.
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
    volatility, residual_volatility : ndarray of shape (1 or decision times, instruments)
        Daily, through the newest complete session, fraction.
    volume_level : ndarray of shape (1 or decision times, instruments)
        Log dollar volume a session's bars are compared with.
    sector : ndarray of int of shape (instruments,)
        Code of each instrument's sector; -1 if unknown.
    frequency : str
        Decision frequency.
    """

    session: date
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
    volatility: Panel
    residual_volatility: Panel
    volume_level: Panel
    sector: NDArray[np.int64]
    frequency: Frequency

    def wanted(self, values: Panel) -> Panel:
        """Rows of the decision times, of an array that starts at `first_row`."""
        return values[: self.stop - self.first]

    def usual_by_time(self, values: Panel, otherwise: float) -> NDArray[np.float64]:
        """Mean of the sessions before by time of day, for each row; `otherwise` at frequency `session`, where there is one bar.

        Parameters
        ----------
        values : ndarray of shape (rows, instruments)
            NaN where missing.
        otherwise : float
            The neutral value: 1 where the result divides, 0 where it is taken away.

        Returns
        -------
        ndarray of shape (rows, 1)
        """
        if self.frequency == "session":
            return np.full((len(self.bar_index), 1), otherwise)
        usual: NDArray[np.float64] = time_of_day_mean(values, self.bar_index, self.session_row)
        return usual[self.bar_index][:, None]


def bar_histories(inputs: FeatureInputs, daily: DailyHistory, session: date) -> Iterator[BarHistory]:
    """Yield the views of the past a session's decisions at 5min need: one per stretch without late knowledge."""
    members = membership(inputs)
    stocks = members.stocks(session)
    instruments = [members.instruments[column] for column in stocks]
    window = inputs.calendar.sessions(inputs.calendar.shift(session, -WINDOW_SESSIONS), session)
    for epoch in decision_epochs(inputs, session, [bar_block(inputs), residual_block(inputs)], window[0]):
        yield _intraday_history(inputs, daily, window, instruments, members.stock_sectors(session)[stocks], epoch)


def _intraday_history(
    inputs: FeatureInputs,
    daily: DailyHistory,
    window: list[date],
    instruments: list[str],
    sector: NDArray[np.int64],
    epoch: DecisionEpoch,
) -> BarHistory:
    bars = build_bar_panel(inputs, epoch.moment, window, instruments)
    block = residual_block(inputs)
    returns = block.rows.seen(epoch.moment, *block.span(window[0], window[-1]), instruments, RESIDUAL_COLUMNS)
    day = daily.sessions.index(window[-1])
    columns = np.array([-1 if (at := daily.panel.column(name)) is None else at for name in instruments], dtype=np.int64)

    def of_day(values: Panel) -> Panel:
        return np.append(values[day], np.nan)[columns][None, :]

    return BarHistory(
        session=window[-1],
        first=epoch.first,
        stop=epoch.stop,
        first_row=bars.first_row + epoch.first,
        session_row=bars.first_row,
        bar_index=bars.bar_index,
        instruments=instruments,
        open=bars.open,
        high=bars.high,
        low=bars.low,
        close=bars.close,
        vwap=bars.vwap,
        dollar_volume=bars.dollar_volume,
        bar_return=returns["bar_return"],
        residual=returns["residual_return"],
        volatility=of_day(daily.volatility),
        residual_volatility=of_day(daily.residual_volatility),
        volume_level=of_day(daily.volume_level),
        sector=sector,
        frequency="5min",
    )


def daily_bar_history(daily: DailyHistory) -> BarHistory:
    """Return the daily bars behind the decisions of a group of sessions, at frequency `session`."""
    panel, count = daily.panel, len(daily.sessions)
    start = max(daily.first - WINDOW_DAYS, 0)
    rows = slice(start, daily.first + count)
    names = sorted(set(panel.sectors.values()))
    codes = {name: code for code, name in enumerate(names)}
    shape = panel.close[rows].shape
    return BarHistory(
        session=daily.sessions[0],
        first=0,
        stop=count,
        first_row=daily.first - start,
        session_row=daily.first - start,
        bar_index=np.zeros(shape[0], dtype=np.int64),
        instruments=panel.instruments,
        open=panel.open[rows],
        high=panel.high[rows],
        low=panel.low[rows],
        close=panel.close[rows],
        vwap=np.full(shape, np.nan),
        dollar_volume=panel.dollar_volume[rows],
        bar_return=panel.total_return[rows],
        residual=daily.betas.residual[rows],
        volatility=daily.volatility,
        residual_volatility=daily.residual_volatility,
        volume_level=daily.volume_level,
        sector=np.array([codes.get(panel.sectors.get(name, ""), -1) for name in panel.instruments], dtype=np.int64),
        frequency="session",
    )
