"""Short-term reversal of idiosyncratic returns, in units of what is usual for the stock and the time of day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.features.bar_history import BarHistory
from aurora_pipeline.features.cross_section import time_of_day_mean
from aurora_pipeline.features.defined import ratio
from aurora_pipeline.features.rolling import Panel, half_life_weights, rolling_weighted_mean

REVERSAL_BARS = 156
"""Window of the exponentially weighted sum: two full sessions."""
HALF_LIFE_BARS: dict[Frequency, float] = {"5min": 20.0, "session": 3.0}


def standardised_residuals(history: BarHistory, volatility: NDArray[np.float64]) -> Panel:
    """Residual returns over the stock's volatility and the usual size of a return at that time of day.

    Parameters
    ----------
    volatility : ndarray of shape (instruments,)
        Daily residual volatility through the newest complete session, fraction.

    Returns
    -------
    ndarray of shape (rows, instruments)
        The usual size is the mean absolute standardised residual of all stocks in the sessions before; the first bar's contains
        the night and would otherwise dominate every sum.
    """
    scaled = ratio(history.residual, volatility)
    usual = time_of_day_mean(np.abs(scaled), history.bar_index, history.session_row)
    return ratio(scaled, usual[history.bar_index][:, None])


def reversal(history: BarHistory, volatility: NDArray[np.float64], half_life: float) -> Panel:
    """Minus the exponentially weighted mean of :func:`standardised_residuals`; rows from `history.first_row` on."""
    weights = half_life_weights(half_life, REVERSAL_BARS)
    standardised = standardised_residuals(history, volatility)
    recent: Panel = rolling_weighted_mean(standardised, weights, 3, history.first_row)
    return -recent
