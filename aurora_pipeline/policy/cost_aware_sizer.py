"""Target weights that are worth their costs, inside every limit.

    maximise  alpha'w - gamma H / 2 w'Sigma w - linear'|w - base| - impact'|w - base|^1.5 - borrow'(-w)+

over the H sessions a position is expected to be held, where `base` is what is held after forced reductions. Caps of names,
sectors, net and gross are planned with 98 % of what is allowed, so that price moves do not force trades; where `base` is above
that, or above the volatility limit, what `base` has is the limit.

The linear cost leaves a no-trade band around `base`; the turnover budget widens the band to what may be spent, so trades go
where the net edge per unit of turnover is highest. What a unit of turnover has been worth lately is a cost too
(:mod:`aurora_pipeline.policy.turnover_price`): an edge below it leaves its budget to a better one. The answer is feasible or
the book stays at `base`; each name says why.

Solved by :mod:`aurora_pipeline.policy.interior_point`; :mod:`aurora_pipeline.policy.standby_solver` answers where that
does not converge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.policy.forced_reductions import forced_reductions, room_for_drift
from aurora_pipeline.policy.interior_point import Solution, solve
from aurora_pipeline.policy.limits_in_force import (
    Floats,
    largest_step,
    sector_nets,
)
from aurora_pipeline.policy.newton_system import Problem
from aurora_pipeline.policy.proportional_targets import proportional_targets
from aurora_pipeline.policy.sizing_request import Flags, SizingRequest
from aurora_pipeline.policy.standby_solver import solve_standby
from aurora_pipeline.policy.trade_reasons import trade_reasons

DUST = 1e-7
LEAST_TURNOVER = 5e-6
"""Budget below which nothing is optimised: a share or two of a book of 10 M USD."""
SMALLEST_VARIANCE = 1e-10
UNLIMITED = 10.0


@dataclass(frozen=True)
class SizingResult:
    """Targets of one decision.

    Attributes
    ----------
    target : ndarray of shape (n_names,)
        Weights, fractions of NAV.
    base : ndarray of shape (n_names,)
        Weights after forced reductions only; the way from there is what needs turnover budget.
    reasons : ndarray of str of shape (n_names,)
        Why each name is where it is.
    solution : Solution or None
        Of the optimiser, scaled; None where nothing could be optimised.
    turnover_price : float or None
        What the last unit of turnover was worth, fraction of a trade's value over the holding period: the hurdle and the budget's
        shadow price on top. None where nothing was optimised.
    """

    target: Floats
    base: Floats
    reasons: NDArray[np.object_]
    solution: Solution | None
    turnover_price: float | None = None


def objective(request: SizingRequest, weights: Floats, base: Floats) -> float:
    """Value of target weights: edge minus risk and costs over the holding period, fraction of NAV."""
    trade = np.abs(weights - base)
    moved = trade > 0.0
    edge = float(np.where(weights != 0.0, np.nan_to_num(request.alpha), 0.0) @ weights)
    variance = request.risk.variance(weights)
    cost = float((request.linear[moved] * trade[moved] + request.impact[moved] * trade[moved] ** 1.5).sum())
    short = float(request.short_rate @ np.maximum(-weights, 0.0))
    risk = 0.5 * request.risk_aversion * request.holding_sessions * variance
    return edge - risk - cost - short


def size_positions(request: SizingRequest) -> SizingResult:
    """Choose the target weights of one decision.

    Returns
    -------
    SizingResult
        Each exposure of the target is at most its cap or, where drift put the book above, at most what is held; trades
        beyond forced reductions stay within the turnover budget and each within `max_trade`.
    """
    base, forced = forced_reductions(
        request.held,
        request.sectors,
        request.must_close,
        request.max_trade,
        request.limits,
        request.gross_reason,
        request.risk,
        request.volatility,
        request.closing_reason,
    )
    lower, upper = _box(request, base, forced)
    target: Floats = base
    solution: Solution | None = None
    price: float | None = None
    active = upper - lower > DUST
    if request.turnover > LEAST_TURNOVER and request.limits.gross > 0.0 and active.any():
        if request.proportional:
            target = _inside(request, base, proportional_targets(request, lower, upper))
        else:
            priced = replace(request, linear=request.linear + request.hurdle) if request.hurdle else request
            target, solution, units = _optimised(priced, base, lower, upper, active)
            solution = solution._replace(
                turnover=solution.turnover + request.hurdle / units.money,
                variance=solution.variance / (units.variance * units.weight),
            )
            price = solution.turnover * units.money
    reasons = trade_reasons(request, base, target, forced, (lower, upper), solution)
    return SizingResult(target, base, reasons, solution, price)


class Units(NamedTuple):
    """The weight, the return and the variance that are 1 in the solver's problem."""

    weight: float
    money: float
    variance: float


def _optimised(
    request: SizingRequest, base: Floats, lower: Floats, upper: Floats, active: Flags
) -> tuple[Floats, Solution, Units]:
    """Best feasible weights found, `base` where nothing is better, what the fast solver said, and its units."""
    scaled, units = _scaled_problem(request, base, lower, upper, active)
    solution = solve(scaled)
    found = [solution.weights]
    if not solution.converged:
        found = [weights for weights in (solution.weights, solve_standby(scaled)) if np.isfinite(weights).all()]
    target, best = base, objective(request, base, base)
    for weights in found:
        candidate = base.copy()
        candidate[active] = weights * units.weight
        candidate = np.clip(candidate, lower, upper)  # an iterate that did not converge may lie outside
        for corner in (lower, upper, base):
            candidate = np.where(np.abs(candidate - corner) > DUST, candidate, corner)
        candidate = _inside(request, base, candidate)
        value = objective(request, candidate, base)
        if value > best:
            target, best = candidate, value
    return target, solution, units


def _box(request: SizingRequest, base: Floats, forced: NDArray[np.object_]) -> tuple[Floats, Floats]:
    """Weights a name may take: its cap, what a bar takes, and no growth without a signal or after a forced cut."""
    cap = room_for_drift(request.limits.name)
    reach = 2.0 * request.turnover  # no trade is larger than the whole budget
    floor = 0.0 if request.limits.long_only else -cap
    lower = np.maximum(np.maximum(floor, request.held - request.max_trade), base - reach)
    upper = np.minimum(np.minimum(cap, request.held + request.max_trade), base + reach)
    lower = np.where(request.no_short, np.maximum(lower, np.minimum(base, 0.0)), lower)
    reduce_only = ~np.isfinite(request.alpha) | (forced != "")
    lower = np.where(reduce_only, np.maximum(lower, np.minimum(base, 0.0)), lower)
    upper = np.where(reduce_only, np.minimum(upper, np.maximum(base, 0.0)), upper)
    fixed = (
        request.frozen
        | request.must_close
        | ~np.isfinite(request.risk.specific_variance)
        | ~np.isfinite(request.linear + request.impact)
    )
    return np.where(fixed, base, np.minimum(lower, base)), np.where(fixed, base, np.maximum(upper, base))


def _scaled_problem(
    request: SizingRequest, base: Floats, lower: Floats, upper: Floats, active: Flags
) -> tuple[Problem, Units]:
    """Express the free names in units that make every number about 1; what the others hold becomes offsets."""
    risk, outside = request.risk, np.where(active, 0.0, base)
    unit = float((upper - lower)[active].max())
    alpha = np.nan_to_num(request.alpha[active])
    money = max(float(np.abs(alpha).max()), float(request.linear[active].max()), DUST)
    variance_unit = max(float(risk.specific_variance[active].mean()), SMALLEST_VARIANCE)
    root = risk.factor_root / np.sqrt(variance_unit)
    held_outside = outside != 0.0
    specific_outside = float(outside[held_outside] ** 2 @ risk.specific_variance[held_outside])
    limits = request.limits
    nets = sector_nets(base, request.sectors)
    sector_limit = np.maximum(room_for_drift(limits.sector), np.abs(nets))
    gross_outside = float(np.abs(outside).sum())
    net_limit = min(max(room_for_drift(limits.net), abs(float(base.sum()))), UNLIMITED)
    gross_limit = max(room_for_drift(limits.gross), float(np.abs(base).sum()))
    variance_limit = max(request.volatility**2, risk.variance(base))
    problem = Problem(
        alpha=alpha / money,
        base=base[active] / unit,
        lower=lower[active] / unit,
        upper=upper[active] / unit,
        linear=request.linear[active] / money,
        impact=request.impact[active] * np.sqrt(unit) / money,
        short=0.5 * request.short_rate[active] / money,
        exposure=risk.loadings[active] @ root,
        exposure_offset=(outside @ risk.loadings) @ root / unit,
        specific=risk.specific_variance[active] / variance_unit,
        variance_offset=specific_outside / variance_unit / unit**2,
        gamma=request.risk_aversion * request.holding_sessions * unit * variance_unit / money,
        sector=request.sectors[active],
        sector_offset=sector_nets(outside, request.sectors) / unit,
        sector_limit=sector_limit / unit,
        net_offset=float(outside.sum()) / unit,
        net_limit=net_limit / unit,
        gross_limit=(gross_limit - gross_outside) / unit,
        turnover_limit=2.0 * request.turnover / unit,
        variance_limit=variance_limit / variance_unit / unit**2,
        variance_scale=unit / max(float(np.abs(base).max()), unit),
    )
    return problem, Units(unit, money, variance_unit)


def _inside(request: SizingRequest, base: Floats, candidate: Floats) -> Floats:
    """Go back towards `base` as far as solver tolerance, turnover or a limit ask for."""
    turnover = 0.5 * float(np.abs(candidate - base).sum())
    step = min(1.0, request.turnover / turnover) if turnover > 0.0 else 1.0
    moved = candidate if step == 1.0 else base + step * (candidate - base)
    share = largest_step(base, moved, request.sectors, request.limits)
    return moved if share == 1.0 else base + share * (moved - base)
