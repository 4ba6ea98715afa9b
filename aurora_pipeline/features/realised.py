"""Realised moments of a session so far: they grow from its first bar, so each bar only adds to the ones before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.features.bar_history import BarHistory
from aurora_pipeline.features.cross_section import time_of_day_mean
from aurora_pipeline.features.defined import ratio
from aurora_pipeline.features.rolling import Panel

MINIMUM_BARS = 6


def realised_features(history: BarHistory, volatility: NDArray[np.float64]) -> dict[str, Panel]:
    """Volatility, jumps and distance from the session's average price.

    Parameters
    ----------
    volatility : ndarray of shape (instruments,)
        Daily residual volatility, fraction.

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
    usual = _usual_variance(history, volatility)[history.bar_index[rows]][:, None]
    price, dollars = history.vwap[rows], history.dollar_volume[rows]
    typical = np.where(np.isnan(price), (history.high[rows] + history.low[rows] + history.close[rows]) / 3.0, price)
    shares = dollars / history.close[rows]
    average = ratio(np.nancumsum(typical * shares, axis=0), np.nancumsum(shares, axis=0))
    features = {
        "vwap_deviation": ratio(history.close[rows] / average - 1.0, volatility),
        "realised_volatility": np.sqrt(ratio(realised, usual * volatility**2)),
        "jump_share": np.maximum(1.0 - ratio(bipower, realised), 0.0),
    }
    return {name: values[history.first :] for name, values in features.items()}


def _usual_variance(history: BarHistory, volatility: NDArray[np.float64]) -> NDArray[np.float64]:
    """Usual squared residual return since the session's first bar, by bar, in units of the daily variance."""
    scaled = ratio(history.residual, volatility) ** 2
    usual = time_of_day_mean(scaled, history.bar_index, history.session_row)
    usual[:1] = 0.0
    return np.nancumsum(usual)
