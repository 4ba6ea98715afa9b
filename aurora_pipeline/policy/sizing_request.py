"""One decision's question to the sizer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.policy.limits_in_force import ExposureLimits, Floats, Integers
from aurora_pipeline.policy.risk_model import RiskModel

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class SizingRequest:
    """What is held, what is believed, what trading costs, and what is allowed. All arrays of shape (n_names,).

    Attributes
    ----------
    held : ndarray
        Weights before the decision, fractions of NAV.
    alpha : ndarray
        Expected residual return over the holding period; NaN where there is none: such a name is at most reduced.
    frozen : ndarray of bool
        Names that must not be traded for their edge, such as those with an uncalibrated signal.
    must_close : ndarray of bool
        Names that left the universe.
    max_trade : ndarray
        Largest trade in the next bar, fraction of NAV; 0 where a name cannot trade.
    linear, impact : ndarray
        Cost ``linear |trade| + impact |trade|**1.5``, fractions of NAV.
    borrow : ndarray
        Cost of a short over the holding period, fraction of its value; NaN where a short must not be opened or grown.
    sectors : ndarray of int
        Sector indices, -1 for none.
    risk : RiskModel
        Per session.
    holding_sessions : float
        Sessions a position is expected to be held, H in :mod:`aurora_pipeline.policy.cost_aware_sizer`.
    risk_aversion : float
        Weight of variance against alpha, gamma there.
    limits : ExposureLimits
        With the gross cap as ramp and drawdown leave it.
    gross_reason : str
        Which rule that gross cap comes from.
    volatility : float
        Largest volatility per session, fraction of NAV.
    turnover : float
        Remaining budget: sum of absolute trades / 2 beyond the forced ones.
    hurdle : float
        Price of turnover: what a trade must be worth beside its costs, fraction of its value over the holding period.
    turnover_reason : str
        What a trade is blocked by where that budget is the obstacle: ``turnover_budget`` or a circuit breaker.
    closing_reason : str
        Why the names in `must_close` are closed.
    proportional : bool
        Weights in proportion to the signal instead of optimised ones: the naive baseline.
    """

    held: Floats
    alpha: Floats
    frozen: Flags
    must_close: Flags
    max_trade: Floats
    linear: Floats
    impact: Floats
    borrow: Floats
    sectors: Integers
    risk: RiskModel
    holding_sessions: float
    risk_aversion: float
    limits: ExposureLimits
    gross_reason: str
    volatility: float
    turnover: float
    hurdle: float = 0.0
    turnover_reason: str = "turnover_budget"
    closing_reason: str = "left_universe"
    proportional: bool = False

    @property
    def no_short(self) -> Flags:
        """Names whose short must not be opened or grown."""
        return np.isnan(self.borrow)

    @property
    def short_rate(self) -> Floats:
        """Cost of a short over the holding period; 0 where it is unknown, which only existing shorts meet."""
        return np.nan_to_num(self.borrow)
