"""Why each name is where it is after a decision: "why not" can be read off for every name and decision time.

A traded name says what was done, or which limit forced it. A name that was left alone says that no edge pays for the
trade, or which limit stood in the way: the one whose shadow price, as the optimiser found it, is highest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.policy.forced_reductions import room_for_drift
from aurora_pipeline.policy.interior_point import Solution
from aurora_pipeline.policy.limits_in_force import Floats
from aurora_pipeline.policy.sizing_request import SizingRequest

BLOCKERS = np.array(["turnover_budget", "gross", "net_cap", "sector_cap", "volatility_target"], dtype=object)
NO_PRICE = 1e-6
"""Shadow price, in the solver's money, up to which no name waits for a limit: what the solver's accuracy leaves open."""


def trade_reasons(
    request: SizingRequest,
    base: Floats,
    target: Floats,
    forced: NDArray[np.object_],
    box: tuple[Floats, Floats],
    solution: Solution | None,
) -> NDArray[np.object_]:
    """Return the reason of every name, shape (n_names,).

    Parameters
    ----------
    request : SizingRequest
        What was asked.
    base, target : ndarray of shape (n_names,)
        Weights after forced reductions and after optimisation.
    forced : ndarray of str of shape (n_names,)
        Rule that forced a reduction, "" where none did.
    box : tuple of ndarray
        Lowest and highest weight each name could take.
    solution : Solution or None
        Multipliers in the solver's money per unit of weight, that of the variance per session covariance; None where nothing
        was optimised.
    """
    held = request.held
    reasons = _untraded(request, base, target, box, solution)
    for selected, reason in (
        ((held == 0.0) & (target != 0.0), "enter"),
        ((held != 0.0) & (np.abs(target) > np.abs(held)), "increase"),
        ((held != 0.0) & (np.abs(target) < np.abs(held)), "reduce"),
        ((held != 0.0) & (target == 0.0), "exit"),
        (held * target < 0.0, "flip"),
    ):
        reasons[selected] = reason
    return np.where((forced != "") & (target != held), forced, reasons)


def _untraded(
    request: SizingRequest, base: Floats, target: Floats, box: tuple[Floats, Floats], solution: Solution | None
) -> NDArray[np.object_]:
    """Reason of a name as if it was left at `base` while the others go to their targets."""
    alpha = np.nan_to_num(request.alpha)
    covariance_row = _covariance_row(request, target)
    growth = request.risk_aversion * request.holding_sessions * covariance_row
    edge = alpha - growth + np.where(base < 0.0, request.short_rate, 0.0)
    down = -edge - request.linear - np.where(base == 0.0, request.short_rate, 0.0)
    up = edge - request.linear
    direction = np.where(up >= down, 1.0, -1.0)
    blocker = _blocker(request, base, direction, covariance_row, solution)
    pays = np.maximum(up, down) > 0.0
    reasons = np.where(pays & (blocker != ""), blocker, "hold_no_edge")
    reasons[(reasons == "hold_no_edge") & (base != 0.0)] = "hold"
    lower, upper = box
    at_bound = pays & np.where(direction > 0.0, base >= upper, base <= lower)
    at_cap = np.abs(base) >= room_for_drift(request.limits.name)
    reasons[at_bound & (request.max_trade <= np.abs(base - request.held))] = "participation"
    reasons[at_bound & at_cap & (direction * base > 0.0)] = "name_cap"
    reasons[at_bound & request.limits.long_only & (direction < 0.0) & (base <= 0.0)] = "long_only"
    reasons[at_bound & request.no_short & (direction < 0.0) & (base <= 0.0)] = "no_borrow"
    unknown = ~np.isfinite(request.risk.specific_variance) | ~np.isfinite(request.linear + request.impact)
    reasons[unknown] = "no_risk_estimate"
    reasons[~np.isfinite(request.alpha)] = "no_signal"
    reasons[request.frozen] = "uncalibrated"
    reasons[request.max_trade == 0.0] = "no_price"
    reasons[request.must_close & (base == 0.0)] = request.closing_reason
    return reasons


def _covariance_row(request: SizingRequest, weights: Floats) -> Floats:
    """Covariance of each name with the book, per session; 0 where the model knows nothing."""
    risk = request.risk
    exposure = weights @ risk.loadings
    return np.asarray(
        np.nan_to_num(risk.loadings @ (risk.factor_covariance @ exposure) + risk.specific_variance * weights)
    )


def _blocker(
    request: SizingRequest, base: Floats, direction: Floats, covariance_row: Floats, solution: Solution | None
) -> NDArray[np.object_]:
    """Name the limit with the highest shadow price along the trade each name would make, "" where none has one."""
    names = BLOCKERS.copy()
    names[:2] = request.turnover_reason, request.gross_reason
    if solution is None:
        blocked_by_gross = request.limits.gross <= 0.0
        return np.full(base.size, names[1] if blocked_by_gross else names[0], dtype=object)
    n = base.size
    grows = np.where(base == 0.0, 1.0, np.sign(base) * direction)
    sector_price = np.append(solution.sector, 0.0)[request.sectors]
    prices = np.stack(
        [
            np.full(n, solution.turnover),
            solution.gross * grows,
            solution.net * direction,
            sector_price * direction,
            solution.variance * direction * covariance_row,
        ]
    )
    return np.where(prices.max(axis=0) > NO_PRICE, names[prices.argmax(axis=0)], "")
