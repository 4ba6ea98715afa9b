"""What a trade costs: half-spread, fees and square-root impact on the trade, borrow on the shorts held.

Costs are charged on what is traded, never on what is held. Everything is vectorised over names; rates are fractions
of the traded value, amounts USD.

Impact is the square-root law ``Y * sigma * sqrt(Q / ADV)`` (Almgren et al., *Direct estimation of equity market
impact*, 2005; Toth et al., *Anomalous price impact*, 2011) with daily sigma. As a cost it grows with the three-halves
power of the trade.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.settings import CostSettings

Floats = NDArray[np.float64]
SESSIONS_PER_YEAR = 252
TYPICAL_TRADE_USD = 10_000.0


@dataclass(frozen=True)
class TradeCost:
    """Cost of trades by term.

    Attributes
    ----------
    spread, fee, impact : ndarray of shape (n_names,)
        In USD, not negative.
    """

    spread: Floats
    fee: Floats
    impact: Floats

    @property
    def total(self) -> Floats:
        """Sum of the terms, USD, shape (n_names,)."""
        return self.spread + self.fee + self.impact


def estimate_half_spread(sigma: Floats, adv: Floats) -> Floats:
    """Half-spread as the volatility per trade, ``sigma / sqrt(trades per session)``.

    Wyart et al., *Relation between bid-ask spread, impact and volatility in order-driven markets* (2008): the spread is
    proportional to the volatility per trade. The number of trades is ADV over a typical trade of 10,000 USD. Unlike
    high-low estimators the figure stays usable where only session bars exist.

    Parameters
    ----------
    sigma : ndarray of shape (n_names,)
        Volatility per session, fraction.
    adv : ndarray of shape (n_names,)
        Average traded value per session, USD.

    Returns
    -------
    ndarray of shape (n_names,)
        Fraction of price; NaN where an input is missing or nothing is traded.
    """
    trades = np.where(adv > 0.0, adv, np.nan) / TYPICAL_TRADE_USD
    return np.asarray(sigma / np.sqrt(trades))


def bounded_half_spread(estimate: Floats, costs: CostSettings) -> Floats:
    """Half-spread within the configured floor and cap; an unknown one counts as the cap."""
    known = np.where(np.isfinite(estimate), estimate, costs.half_spread_cap)
    return np.minimum(np.maximum(known, costs.half_spread_floor), max(costs.half_spread_cap, costs.half_spread_floor))


def linear_rate(half_spread: Floats, costs: CostSettings) -> Floats:
    """Cost that is proportional to the trade: half-spread plus fees, fraction of traded value."""
    return half_spread + costs.fee_rate


def impact_rate(sigma: Floats, adv: Floats, nav: float, costs: CostSettings) -> Floats:
    """Return kappa of ``kappa * |trade|**1.5``, trade and cost as fractions of NAV.

    Returns
    -------
    ndarray of shape (n_names,)
        NaN where sigma or ADV is missing or zero: such a name has no price for its impact.
    """
    liquid = np.where(adv > 0.0, adv, np.nan)
    return np.asarray(costs.impact_coefficient * sigma * np.sqrt(nav / liquid))


def trade_cost(notional: Floats, half_spread: Floats, sigma: Floats, adv: Floats, costs: CostSettings) -> TradeCost:
    """Cost of trades in USD.

    Parameters
    ----------
    notional : ndarray of shape (n_names,)
        Traded value, USD; the sign does not matter.
    half_spread : ndarray of shape (n_names,)
        Fraction of price, see :func:`bounded_half_spread`.
    sigma, adv : ndarray of shape (n_names,)
        Volatility per session and average traded value per session. They must be known where something is traded.
    costs : CostSettings
        Fee rate and impact coefficient.
    """
    value = np.abs(notional)
    traded = value > 0.0
    share_of_volume = np.where(traded, value, 0.0) / np.where(traded, adv, 1.0)
    impact = costs.impact_coefficient * np.where(traded, sigma, 0.0) * np.sqrt(share_of_volume)
    return TradeCost(spread=half_spread * value, fee=costs.fee_rate * value, impact=impact * value)


def borrow_cost(short_value: float, costs: CostSettings) -> float:
    """Cost of borrowing shorts over one night, USD, from their absolute value in USD."""
    return abs(short_value) * costs.borrow_rate / SESSIONS_PER_YEAR
