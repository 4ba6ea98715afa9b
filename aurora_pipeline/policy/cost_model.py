"""What a trade costs: half-spread, fees and square-root impact on the trade, borrow on the shorts held.

Costs are charged on what is traded, never on what is held. Everything is vectorised over names; rates are fractions
of the traded value, amounts USD. `costs.stress` multiplies every term: a book run at 2 and 3 times its costs says how
much of its result hangs on them.

Impact is the square-root law ``Y * sigma * sqrt(Q / ADV)`` (Almgren et al., *Direct estimation of equity market
impact*, 2005; Toth et al., *Anomalous price impact*, 2011) with daily sigma. As a cost it grows with the three-halves
power of the trade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.calendar import SESSIONS_PER_YEAR
from aurora_pipeline.policy.regulatory_fees import NO_SALE_FEES, SaleFees
from aurora_pipeline.settings import CostSettings

Floats = NDArray[np.float64]
FLOOR_TIERS = ((100e6, 1.0), (10e6, 2.0), (0.0, 5.0))
"""Traded value per session (USD) from which a multiple of the smallest half-spread holds: thin names trade wider."""
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


def bounded_half_spread(estimate: Floats, adv: Floats, costs: CostSettings) -> Floats:
    """Half-spread within the configured floor and cap; an unknown one counts as the cap.

    The floor has tiers: its multiple is 1 from 100 M USD a session on, 2 from 10 M, 5 below and where ADV is unknown.
    """
    value = np.nan_to_num(adv)
    multiple = np.select([value >= bound for bound, _ in FLOOR_TIERS], [times for _, times in FLOOR_TIERS])
    known = np.where(np.isfinite(estimate), estimate, costs.half_spread_cap)
    cap = max(costs.half_spread_cap, costs.half_spread_floor)
    return np.minimum(np.maximum(known, costs.half_spread_floor * multiple), cap)


def linear_rate(
    half_spread: Floats, costs: CostSettings, fees: SaleFees = NO_SALE_FEES, price: Floats | None = None
) -> Floats:
    """Cost that is proportional to the trade: half-spread plus fees, fraction of traded value.

    What is bought is sold once, so a trade in either direction is priced with half of what a sale pays to regulators.

    Parameters
    ----------
    half_spread : ndarray of shape (n_names,)
        Fraction of price.
    costs : CostSettings
        Commission and stress.
    fees : SaleFees
        In force on the session.
    price : ndarray of shape (n_names,), optional
        USD/share, for the fee per share; NaN where unknown, which leaves that fee out.
    """
    per_share = 0.0 if price is None else np.nan_to_num(fees.share_rate / price)
    return np.asarray(costs.stress * (half_spread + costs.fee_rate + 0.5 * (fees.value_rate + per_share)))


def impact_rate(sigma: Floats, adv: Floats, nav: float, costs: CostSettings) -> Floats:
    """Return kappa of ``kappa * |trade|**1.5``, trade and cost as fractions of NAV.

    Returns
    -------
    ndarray of shape (n_names,)
        NaN where sigma or ADV is missing or zero: such a name has no price for its impact.
    """
    liquid = np.where(adv > 0.0, adv, np.nan)
    return np.asarray(costs.stress * costs.impact_coefficient * sigma * np.sqrt(nav / liquid))


def trade_cost(
    shares: Floats,
    price: Floats,
    half_spread: Floats,
    sigma: Floats,
    adv: Floats,
    costs: CostSettings,
    fees: SaleFees = NO_SALE_FEES,
) -> TradeCost:
    """Cost of trades in USD.

    Parameters
    ----------
    shares, price : ndarray of shape (n_names,)
        Traded shares, negative for a sale, and USD/share.
    half_spread : ndarray of shape (n_names,)
        Fraction of price, see :func:`bounded_half_spread`.
    sigma, adv : ndarray of shape (n_names,)
        Volatility per session and average traded value per session. They must be known where something is traded.
    costs : CostSettings
        Commission, impact coefficient and stress.
    fees : SaleFees
        In force on the session.
    """
    price = np.where(shares != 0.0, price, 0.0)
    value = np.abs(shares * price)
    traded = value > 0.0
    share_of_volume = np.where(traded, value, 0.0) / np.where(traded, adv, 1.0)
    impact = costs.impact_coefficient * np.where(traded, sigma, 0.0) * np.sqrt(share_of_volume)
    fee = costs.fee_rate * value + fees.charge(shares, price)
    return TradeCost(
        spread=costs.stress * half_spread * value, fee=costs.stress * fee, impact=costs.stress * impact * value
    )


def borrow_rates(symbols: Sequence[str], costs: CostSettings, quoted: Sequence[float | None] | None = None) -> Floats:
    """Yearly rate on a short of each name, fraction, stress included; NaN where a name must not be sold short.

    What the feed quotes comes first, then `costs.borrow_rates`. What neither knows costs `costs.borrow_rate`, or is no short at
    all, as `costs.unknown_borrow` says.

    Parameters
    ----------
    symbols : sequence of str
        Symbols of the day.
    costs : CostSettings
        The settings' part.
    quoted : sequence of float or None, optional
        Result of :func:`quoted_borrow`: NaN where nobody lends, None where the feed says nothing. Default: no feed.
    """
    unknown = costs.borrow_rate if costs.unknown_borrow == "default" else np.nan
    rates = [
        costs.borrow_rates.get(symbol, unknown) if rate is None else rate
        for symbol, rate in zip(symbols, quoted or [None] * len(symbols), strict=True)
    ]
    return costs.stress * np.array(rates, dtype=np.float64)


def quoted_borrow(
    borrow: pl.DataFrame, instruments: Sequence[str], opening: datetime, expired: datetime
) -> tuple[float | None, ...]:
    """Newest rate of each name known before an open: NaN where nobody lends, None where there is no quotation in force.

    Parameters
    ----------
    borrow : polars.DataFrame
        Table `borrow`.
    instruments : sequence of str
        Permanent names.
    opening, expired : datetime
        Quotations known at the open and not before `expired` count.
    """
    known = borrow.filter(pl.col("known_at").is_between(expired, opening)).sort("known_at")
    newest = known.group_by("instrument_id", maintain_order=True).agg(pl.col("rate").last())
    rates = dict(newest.iter_rows())
    return tuple((np.nan if rates[name] is None else rates[name]) if name in rates else None for name in instruments)


def borrow_cost(short_value: Floats, rates: Floats, costs: CostSettings) -> Floats:
    """Cost of borrowing shorts over one night, USD, shape (n_names,).

    Parameters
    ----------
    short_value : ndarray of shape (n_names,)
        Value of each short, USD, sign ignored.
    rates : ndarray of shape (n_names,)
        See :func:`borrow_rates`; a short that is held without a rate pays the default one until it is covered.
    costs : CostSettings
        Default rate and stress.
    """
    charged = np.where(np.isfinite(rates), rates, costs.stress * costs.borrow_rate)
    return np.asarray(np.abs(short_value) * charged / SESSIONS_PER_YEAR)


def break_even_rate(gross_pnl: float, traded_value: float) -> float | None:
    """Cost per traded dollar at which a signal's gross result is used up, fraction; None where nothing was traded.

    Parameters
    ----------
    gross_pnl : float
        Result before costs, USD; a loss has a negative break-even: it pays at no cost.
    traded_value : float
        Sum of absolute trades, USD.
    """
    return gross_pnl / traded_value if traded_value > 0.0 else None
