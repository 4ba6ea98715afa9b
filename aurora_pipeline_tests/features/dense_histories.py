"""Daily and bar histories of a few columns, straight from arrays."""

from datetime import date

import numpy as np

from aurora_pipeline.features.bar_history import BarHistory
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


def bar_history(session_bars, first=0, earlier=0, **values):
    """History whose newest `session_bars` rows are the session's bars, after `earlier` rows of one session before it.

    `values` are arrays of shape (earlier + session_bars, instruments); prices not given equal 100, returns 0, volumes 1.
    """
    shape = next(iter(values.values())).shape
    plain = {name: np.full(shape, 100.0) for name in ("open", "high", "low", "close", "vwap")}
    plain |= {"dollar_volume": np.ones(shape), "bar_return": np.zeros(shape), "residual": np.zeros(shape)}
    return BarHistory(
        first=first,
        stop=session_bars,
        first_row=earlier + first,
        session_row=earlier,
        bar_index=np.concatenate([np.arange(earlier), np.arange(session_bars)]).astype(np.int64),
        instruments=[chr(ord("A") + column) for column in range(shape[1])],
        **(plain | values),
    )
