"""Short-term reversal of idiosyncratic returns, in units of what is usual for the stock and the time of day."""

from __future__ import annotations

import numpy as np

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.features.bar_history import BarHistory
from aurora_pipeline.features.defined import ratio
from aurora_pipeline.features.rolling import half_life_decay, rolling_weighted_mean
from aurora_pipeline.features.windows import Panel

REVERSAL_BARS = 156
"""Window of the exponentially weighted sum: two full sessions."""
HALF_LIFE_BARS: dict[Frequency, float] = {"5min": 20.0, "session": 3.0}


def timed_residuals(history: BarHistory) -> Panel:
    """Residual returns over the usual size of a return at that time of day.

    Returns
    -------
    ndarray of shape (rows, instruments)
        In daily volatilities of the stock, fraction. The usual size is the mean absolute residual, each in its stock's daily
        volatility, of all stocks in the sessions before; the first bar's contains the night and would otherwise dominate
        every sum. At frequency `session` a bar is the day and is left as it is.
    """
    if history.frequency == "session":
        return history.residual
    usual = history.usual_by_time(np.abs(ratio(history.residual, history.residual_volatility)), 1.0)
    return ratio(history.residual, usual)


def reversal(history: BarHistory) -> Panel:
    """Minus the exponentially weighted mean of :func:`timed_residuals` over the daily volatility, at the decision times."""
    decay = half_life_decay(HALF_LIFE_BARS[history.frequency])
    weighted = rolling_weighted_mean(timed_residuals(history), decay, REVERSAL_BARS, 3, history.first_row)
    recent = history.wanted(weighted)
    return ratio(-recent, history.residual_volatility)
