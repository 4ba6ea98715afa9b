"""What must be sold or covered before any edge is considered.

A name that left the universe is closed, a short in a long-only book covered, a position above its cap cut back, and
sector, net and gross exposure above theirs shrunk, as is a book whose ex-ante volatility is too high. All of it
within what a bar can take; the rest follows in the next one. These trades are exempt from the turnover budgets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.policy.limits_in_force import ExposureLimits, Floats, Integers, largest_step, sector_nets
from aurora_pipeline.policy.risk_model import RiskModel

DRIFT_MARGIN = 0.02
VOLATILITY_BAND = 0.10
Reasons = NDArray[np.str_]


def room_for_drift(cap: float) -> float:
    """What of a cap is planned with: 2 % are left to price moves, so that they do not force trades."""
    return cap * (1.0 - DRIFT_MARGIN)


def forced_reductions(
    held: Floats,
    sectors: Integers,
    must_close: NDArray[np.bool_],
    max_trade: Floats,
    limits: ExposureLimits,
    gross_reason: str,
    risk: RiskModel,
    volatility_limit: float,
    closing_reason: str = "left_universe",
) -> tuple[Floats, NDArray[np.object_]]:
    """Move a book towards its limits, never across zero.

    Parameters
    ----------
    held : ndarray of shape (n_names,)
        Weights before the decision.
    sectors : ndarray of shape (n_names,)
        Sector indices, -1 for none.
    must_close : ndarray of bool of shape (n_names,)
        Names that left the universe.
    max_trade : ndarray of shape (n_names,)
        Largest trade of each name in the next bar, fraction of NAV; 0 where it cannot trade.
    limits : ExposureLimits
        Caps, `gross` already scaled by ramp and drawdown.
    gross_reason : str
        Which rule the gross cap comes from.
    risk : RiskModel
        Covariance; unknown variances skip the volatility rule.
    volatility_limit : float
        Per session, fraction of NAV.
    closing_reason : str
        Why the names in `must_close` are closed.

    Returns
    -------
    tuple of ndarray of shape (n_names,)
        Weights after the reductions, and the rule that moved each name ("" where none did).
    """
    weights = held.copy()
    reasons = np.full(held.size, "", dtype=object)
    closing = must_close & (held != 0.0)
    covering = (held < 0.0) & limits.long_only
    above = (np.abs(held) > limits.name) & ~closing & ~covering
    for selected, keep, reason in (
        (closing, 0.0, closing_reason),
        (covering, 0.0, "long_only"),
        (above, room_for_drift(limits.name), "name_cap"),
    ):
        cut = np.minimum(np.abs(held) - keep, max_trade)
        weights = np.where(selected, held - np.sign(held) * cut, weights)
        reasons[selected & (cut > 0.0)] = reason
    everyone = np.ones(held.size, dtype=bool)
    _shrink(weights, held, max_trade, reasons, everyone, _over(np.abs(weights).sum(), limits.gross), gross_reason)
    for index, net in enumerate(sector_nets(weights, sectors)):
        heavy = (sectors == index) & (np.sign(weights) == np.sign(net))
        _shrink(weights, held, max_trade, reasons, heavy, _over(abs(net), limits.sector), "sector_cap")
    net = weights.sum()
    heavy = np.sign(weights) == np.sign(net)
    _shrink(weights, held, max_trade, reasons, heavy, _over(abs(net), limits.net), "net_cap")
    volatility = np.sqrt(max(risk.variance(weights), 0.0))
    if volatility > volatility_limit * (1.0 + VOLATILITY_BAND):
        surplus = np.abs(weights).sum() * (1.0 - volatility_limit / volatility)
        _shrink(weights, held, max_trade, reasons, everyone, surplus, "volatility_target")
    # Closing one side while the other cannot trade may break a limit that held: go only as far as none does.
    step = largest_step(held, weights, sectors, limits)
    reasons[weights == held] = ""
    return (weights if step == 1.0 else held + step * (weights - held)), reasons


def _over(value: float, cap: float) -> float:
    """What to cut so that a value above its cap ends with room for drift; 0 while it is inside."""
    return value - room_for_drift(cap) if value > cap else 0.0


def _shrink(
    weights: Floats,
    held: Floats,
    max_trade: Floats,
    reasons: NDArray[np.object_],
    selected: NDArray[np.bool_],
    surplus: float,
    reason: str,
) -> None:
    """Cut `surplus` of exposure from the selected names in proportion to their size, as far as they can trade."""
    for _ in range(3):
        room = np.maximum(0.0, np.minimum(np.abs(weights), max_trade - np.abs(weights - held)))
        size = np.where(selected & (room > 0.0), np.abs(weights), 0.0)
        if surplus <= 0.0 or size.sum() == 0.0:
            return
        cut = np.minimum(room, surplus * size / size.sum())
        weights -= np.sign(weights) * cut
        surplus -= cut.sum()
        reasons[(cut > 0.0) & (reasons == "")] = reason
