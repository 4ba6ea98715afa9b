"""Realised moments and volume of a session so far, against what is usual by then, and the same time of earlier sessions."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aurora_pipeline.calendar import BARS_PER_SESSION
from aurora_pipeline.features.bar_history import BarHistory
from aurora_pipeline.features.cross_section import time_of_day_mean
from aurora_pipeline.features.defined import logarithm, ratio
from aurora_pipeline.features.price_impact import MOMENT_BARS, without_nights
from aurora_pipeline.features.rolling import rolling_sum
from aurora_pipeline.features.windows import Panel

MINIMUM_BARS = 6
AHEAD_BARS = 6
"""Bars of earlier sessions that follow the time of the decision and its execution."""


def realised_features(history: BarHistory) -> dict[str, Panel]:
    """Volatility, jumps, skewness, volume so far and distance from the session's average price.

    Returns
    -------
    dict of str to ndarray of shape (decision times, instruments)
    """
    rows = slice(history.session_row, history.session_row + history.stop)
    residual = history.residual[rows].copy()
    first_bar = np.argmax(~np.isnan(residual), axis=0)
    residual[first_bar, np.arange(residual.shape[1])] = np.nan  # it holds the night
    squared = np.nancumsum(residual**2, axis=0)
    products = np.full_like(residual, np.nan)
    products[1:] = np.abs(residual[1:] * residual[:-1])
    bipower = 0.5 * np.pi * np.nancumsum(products, axis=0)
    enough = np.cumsum(~np.isnan(residual), axis=0) >= MINIMUM_BARS
    realised = np.where(enough, squared, np.nan)
    usual = _usual_variance(history)[history.bar_index[rows]][:, None]
    price, dollars = history.vwap[rows], history.dollar_volume[rows]
    typical = np.where(np.isnan(price), (history.high[rows] + history.low[rows] + history.close[rows]) / 3.0, price)
    shares = dollars / history.close[rows]
    average = ratio(np.nancumsum(typical * shares, axis=0), np.nancumsum(shares, axis=0))
    traded = np.nancumsum(dollars, axis=0)
    usually = usual_volume(history.dollar_volume, history.bar_index, history.session_row)[: history.stop]
    volatility = history.residual_volatility
    features = {
        "vwap_deviation": ratio(history.close[rows] / average - 1.0, volatility),
        "realised_volatility": np.sqrt(ratio(realised, usual * volatility**2)),
        "jump_share": np.maximum(1.0 - ratio(bipower, realised), 0.0),
        "volume_clock": logarithm(ratio(traded, usually)),
        "session_progress": np.repeat(
            (history.bar_index[rows, None] + 1) / BARS_PER_SESSION["5min"], traded.shape[1], axis=1
        ),
    }
    return {name: values[history.first :] for name, values in features.items()} | {
        "realised_skewness": _skewness(history),
        "same_time_return": ratio(
            same_time_mean(history.residual, history.bar_index, history.session_row, history.first, history.stop),
            volatility,
        ),
    }


def _usual_variance(history: BarHistory) -> NDArray[np.float64]:
    """Usual squared residual return since the session's first bar, by bar, in units of the daily variance."""
    scaled = ratio(history.residual, history.residual_volatility) ** 2
    usual: NDArray[np.float64] = time_of_day_mean(scaled, history.bar_index, history.session_row)
    usual[:1] = 0.0
    return np.nancumsum(usual)


def _skewness(history: BarHistory) -> Panel:
    """Skewness of the last bars around zero, nights left out (Amaya et al. 2015)."""
    start = max(history.first_row - MOMENT_BARS + 1, 0)
    returns = without_nights(history, history.residual)[start:]
    since = history.first_row - start
    count = rolling_sum(np.where(np.isnan(returns), np.nan, 1.0), MOMENT_BARS, 20, since)
    squares, cubes = (rolling_sum(returns**power, MOMENT_BARS, 20, since) for power in (2, 3))
    return history.wanted(ratio(np.sqrt(count) * cubes, squares**1.5))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def usual_volume(dollars: Panel, bar_index: NDArray[np.int64], session_row: int) -> Panel:
    """Mean dollar volume traded by each bar of a session, over the sessions before.

    Returns
    -------
    ndarray of shape (bars of the newest session, instruments)
        NaN where no earlier session got that far.
    """
    bars = bar_index.size - session_row
    total, count = np.zeros((bars, dollars.shape[1])), np.zeros((bars, dollars.shape[1]))
    for column in range(dollars.shape[1]):
        so_far = 0.0
        for row in range(session_row):
            if bar_index[row] == 0:
                so_far = 0.0
            value = dollars[row, column]
            so_far += value if value == value else 0.0
            if bar_index[row] < bars and so_far > 0.0:
                total[bar_index[row], column] += so_far
                count[bar_index[row], column] += 1.0
    return np.where(count > 0.0, total / np.maximum(count, 1.0), np.nan)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def same_time_mean(residual: Panel, bar_index: NDArray[np.int64], session_row: int, first: int, stop: int) -> Panel:
    """Mean residual return, in the sessions before, of the bars after the one that follows each decision.

    A decision at bar b is filled in bar b + 1; what it earns starts with bar b + 2.

    Returns
    -------
    ndarray of shape (stop - first, instruments)
        NaN where no earlier session has these bars.
    """
    out = np.full((stop - first, residual.shape[1]), np.nan)
    for column in range(residual.shape[1]):
        for bar in range(first, stop):
            total, count = 0.0, 0
            for row in range(session_row):
                if bar + 2 <= bar_index[row] < bar + 2 + AHEAD_BARS:
                    value = residual[row, column]
                    if value == value:
                        total += value
                        count += 1
            if count > 0:
                out[bar - first, column] = total / count
    return out
