"""Bid-ask spreads estimated from daily closes, highs and lows.

Log prices are taken relative to a close, so that splits and dividends enter through returns.
"""

from __future__ import annotations

import numpy as np

from aurora_pipeline.features.defined import logarithm
from aurora_pipeline.features.rolling import rolling_mean
from aurora_pipeline.features.session_panel import SessionPanel
from aurora_pipeline.features.windows import Panel

WINDOW, MINIMUM = 20, 10
_CORWIN_SCHULTZ = 3.0 - 2.0 * np.sqrt(2.0)


def abdi_ranaldo(panel: SessionPanel, first: int) -> Panel:
    """Half-spread of Abdi and Ranaldo (2017), fraction of price; shape (rows from `first` on, instruments).

    The spread squared is 4 times the mean of (c - m)(c - m_next), with c the log close and m the middle of the log range; a
    negative mean counts as no spread.
    """
    close_to_middle = -0.5 * (logarithm(panel.high / panel.close) + logarithm(panel.low / panel.close))
    growth = logarithm(1.0 + panel.total_return)
    pairs = np.full_like(growth, np.nan)
    # c[t-1] - m[t] = (c[t] - m[t]) - (c[t] - c[t-1])
    pairs[1:] = close_to_middle[:-1] * (close_to_middle[1:] - growth[1:])
    return np.asarray(np.sqrt(np.maximum(rolling_mean(pairs, WINDOW, MINIMUM, first), 0.0)))


def corwin_schultz(panel: SessionPanel, first: int) -> Panel:
    """Spread of Corwin and Schultz (2012), fraction of price; shape (rows from `first` on, instruments).

    A day's range holds one spread and a day's volatility, the range of two days one spread and twice the volatility. Where the
    price jumped overnight the second day is shifted back to the first day's close; a negative estimate counts as zero.
    """
    high, low = logarithm(panel.high / panel.close), logarithm(panel.low / panel.close)
    growth = logarithm(1.0 + panel.total_return)
    # All of the pair relative to the second day's close, moved so that the night closes.
    night = np.maximum(low + growth, 0.0) + np.minimum(high + growth, 0.0)
    top, bottom = high - night, low - night
    two_high = np.maximum(top[1:], high[:-1] - growth[1:])
    two_low = np.minimum(bottom[1:], low[:-1] - growth[1:])
    beta = (high[1:] - low[1:]) ** 2 + (high[:-1] - low[:-1]) ** 2
    gamma = (two_high - two_low) ** 2
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / _CORWIN_SCHULTZ - np.sqrt(gamma / _CORWIN_SCHULTZ)
    spread = np.full_like(growth, np.nan)
    spread[1:] = np.maximum(2.0 * np.tanh(0.5 * alpha), 0.0)  # 2 (e^a - 1) / (e^a + 1)
    return np.asarray(rolling_mean(spread, WINDOW, MINIMUM, first))
