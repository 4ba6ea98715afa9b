"""Was the risk forecast right, and what could be lost: bias statistic, value at risk, expected shortfall, beta.

All take returns and forecasts per session as fractions of NAV, in time order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
MINIMUM_SESSIONS = 20
CONFIDENCE = 0.95


@dataclass(frozen=True)
class BiasStatistic:
    """Realised over forecast volatility.

    Attributes
    ----------
    value : float or None
        Standard deviation of return over forecast; 1 where the forecast is right, None with fewer than 20 sessions.
    lower, upper : float or None
        Where it lies with 95 % probability if the forecast is right: 1 -+ sqrt(2 / T).
    sessions : int
        Sessions with a forecast.
    """

    value: float | None
    lower: float | None
    upper: float | None
    sessions: int


def bias_statistic(returns: Floats, forecast_volatility: Floats) -> BiasStatistic:
    """Compare returns with the volatility forecast before each of them.

    Parameters
    ----------
    returns : ndarray of shape (n_sessions,)
        Fractions of NAV.
    forecast_volatility : ndarray of shape (n_sessions,)
        Per session, made before it; 0 or NaN leaves the session out.

    Notes
    -----
    Grinold and Kahn, *Active Portfolio Management* (2000), chapter 3.
    """
    used = np.isfinite(returns) & (forecast_volatility > 0.0)
    count = int(used.sum())
    if count < MINIMUM_SESSIONS:
        return BiasStatistic(None, None, None, count)
    standardised = returns[used] / forecast_volatility[used]
    band = float(np.sqrt(2.0 / count))
    return BiasStatistic(float(standardised.std(ddof=1)), 1.0 - band, 1.0 + band, count)


def parametric_loss(volatility: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Value at risk and expected shortfall of a normal return with mean zero, positive fractions of NAV."""
    quantile = float(ndtri(confidence))
    density = float(np.exp(-0.5 * quantile**2) / np.sqrt(2.0 * np.pi))
    return volatility * quantile, volatility * density / (1.0 - confidence)


def historical_loss(returns: Floats, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Value at risk and expected shortfall from the returns themselves, positive fractions of NAV.

    Value at risk is the smallest loss among the worst ``1 - confidence`` of the sessions, expected shortfall their mean.
    None with fewer than 20 sessions: the tail would hold no session.
    """
    if returns.size < MINIMUM_SESSIONS:
        return None
    losses = np.sort(-returns)[::-1]
    tail = losses[: max(1, int(np.floor(returns.size * (1.0 - confidence) + 1e-9)))]
    return float(tail[-1]), float(tail.mean())


def realised_beta(returns: Floats, market: Floats) -> float | None:
    """Slope of a book's returns on the market's; None with fewer than 20 sessions or a market that did not move."""
    both = np.isfinite(returns) & np.isfinite(market)
    if int(both.sum()) < MINIMUM_SESSIONS or np.ptp(market[both]) == 0.0:
        return None
    centred = market[both] - market[both].mean()
    return float(centred @ returns[both] / (centred @ centred))
