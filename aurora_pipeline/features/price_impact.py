"""How prices respond to volume and to themselves: Kyle's lambda, Roll's spread, variance ratio.

The first bar of a session contains the night and takes no part, except where a bar is the day.
"""

from __future__ import annotations

import numpy as np

from aurora_pipeline.calendar import BARS_PER_SESSION
from aurora_pipeline.features.bar_history import BarHistory
from aurora_pipeline.features.defined import ratio
from aurora_pipeline.features.rolling import rolling_mean, rolling_sum
from aurora_pipeline.features.windows import Panel

LAMBDA_BARS, MOMENT_BARS = 156, 78
RATIO_BARS = 6


def without_nights(history: BarHistory, returns: Panel) -> Panel:
    """Returns with the first bar of each session left out; at frequency `session` all of them."""
    if history.frequency == "session":
        return returns
    return np.where((history.bar_index == 0)[:, None], np.nan, returns)


def impact_features(history: BarHistory) -> dict[str, Panel]:
    """Return the three measures; arrays of shape (decision times, instruments)."""
    first = history.first_row
    start = max(first - LAMBDA_BARS - RATIO_BARS, 0)
    residual = without_nights(history, history.residual)[start:]
    plain = without_nights(history, history.bar_return)[start:]
    since = first - start
    usual = np.exp(history.volume_level) / BARS_PER_SESSION[history.frequency]
    dollars = history.dollar_volume[start:]
    # Units that do not change inside a window (a stock's volatility and usual volume) are taken out of the sums.
    flow = np.sign(plain) * np.sqrt(dollars)
    response = rolling_sum(residual * flow, LAMBDA_BARS, 20, since)
    traded = rolling_sum(np.where(np.isnan(residual * flow), np.nan, flow**2), LAMBDA_BARS, 20, since)
    impact = ratio(history.wanted(ratio(response, traded)), history.residual_volatility) * np.sqrt(usual)
    pairs = np.full_like(plain, np.nan)
    pairs[1:] = plain[1:] * plain[:-1]
    covariance = history.wanted(rolling_mean(pairs, MOMENT_BARS, 20, since))
    long_start = max(since - MOMENT_BARS + 1, 0)
    long_returns = rolling_sum(residual, RATIO_BARS, RATIO_BARS, long_start)
    long_variance = rolling_mean(long_returns**2, MOMENT_BARS, 20, since - long_start)
    variance = rolling_mean(residual**2, MOMENT_BARS, 20, since)
    return {
        "kyle_lambda": impact,
        "roll_spread": -2.0 * np.sign(covariance) * np.sqrt(np.abs(covariance)),
        "variance_ratio": history.wanted(ratio(long_variance, RATIO_BARS * variance)),
    }
