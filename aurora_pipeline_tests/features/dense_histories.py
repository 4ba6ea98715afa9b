"""Daily and bar histories of a few columns, straight from arrays."""

from datetime import date

import numpy as np

from aurora_pipeline.features.bar_history import BarHistory
from aurora_pipeline.features.betas import Betas
from aurora_pipeline.features.daily_history import DailyHistory
from aurora_pipeline.features.session_panel import SessionPanel
from aurora_pipeline_tests.features.tiny_market import CALENDAR


def columns(*series):
    """Array of shape (rows, columns) from one list per column; None is missing."""
    return np.array(series, dtype=np.float64).T


def daily_panel(close, open=None, high=None, low=None, volume=None, sectors=None):
    """Panel of unadjusted daily bars; what is not given equals the close, volumes are 1."""
    newest = date(2025, 3, 20)
    rows = close.shape[0]
    before = np.vstack([np.full((1, close.shape[1]), np.nan), close[:-1]])
    opened = close if open is None else open
    shares = np.ones_like(close) if volume is None else volume
    return SessionPanel(
        sessions=CALENDAR.sessions(CALENDAR.shift(newest, 1 - rows), newest),
        instruments=[chr(ord("A") + column) for column in range(close.shape[1])],
        open=opened,
        high=close if high is None else high,
        low=close if low is None else low,
        close=close,
        volume=shares,
        bar_dollar_volume=close * shares,
        total_return=close / before - 1.0,
        overnight_return=opened / before - 1.0,
        sectors=sectors or {},
    )


def daily_history(panel, first, residual=None, betas=None, frequency="5min"):
    """History whose decisions start with the session after row `first` of a panel; `residual` of the panel's shape."""
    shape = panel.close.shape
    moves = np.zeros(shape) if residual is None else residual
    ones = np.ones((shape[0] + 1, shape[1]))
    plain = Betas(ones, ones, ones, moves, np.zeros(ones.shape, dtype=bool))
    return DailyHistory(panel.sessions[first:], panel, betas or plain, first, frequency)


def bar_history(session_bars, first=0, earlier=0, scale=0.01, level=0.0, sector=None, frequency="5min", **values):
    """History whose newest `session_bars` rows are the session's bars, after `earlier` rows of one session before it.

    `values` are arrays of shape (earlier + session_bars, instruments); prices not given equal 100, returns 0, volumes 1. `scale`
    is the daily volatility, `level` the usual log dollar volume of every instrument. At frequency `session` every row is a day.
    """
    shape = next(iter(values.values())).shape
    plain = {name: np.full(shape, 100.0) for name in ("open", "high", "low", "close", "vwap")}
    plain |= {"dollar_volume": np.ones(shape), "bar_return": np.zeros(shape), "residual": np.zeros(shape)}
    daily = {"volatility": scale, "residual_volatility": scale, "volume_level": level}
    index = np.concatenate([np.arange(earlier), np.arange(session_bars)]).astype(np.int64)
    return BarHistory(
        session=date(2025, 3, 20),
        first=first,
        stop=session_bars,
        first_row=earlier + first,
        session_row=earlier,
        bar_index=index if frequency == "5min" else np.zeros_like(index),
        instruments=[chr(ord("A") + column) for column in range(shape[1])],
        sector=np.zeros(shape[1], dtype=np.int64) if sector is None else np.array(sector),
        frequency=frequency,
        **{name: np.full((1, shape[1]), value) for name, value in daily.items()},
        **(plain | values),
    )
