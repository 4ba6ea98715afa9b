"""What each limit costs: the value of the best book without it, less the value of the one chosen.

Every limit is lifted on its own, everything else staying in force, and the decision is taken again. The difference is in
fractions of NAV over the holding period and sums over limits to more than all of them cost together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from aurora_pipeline.policy.cost_aware_sizer import SizingResult, objective, size_positions
from aurora_pipeline.policy.forced_reductions import room_for_drift
from aurora_pipeline.policy.limits_in_force import sector_nets
from aurora_pipeline.policy.sizing_request import SizingRequest

UNLIMITED = 10.0
REACHED = 1e-3
"""Share of what a limit leaves to plan with within which it counts as reached: far more than what the solver leaves open."""


def alpha_forgone(request: SizingRequest, chosen: SizingResult) -> Iterator[tuple[str, float]]:
    """Name of each limit and what it withholds, fraction of NAV over the holding period, not negative.

    A limit that the chosen book does not reach withholds nothing, the problem being convex; only the others are decided again.
    """
    held = objective(request, chosen.target, chosen.base)
    away = _not_reached(request, chosen)
    for name, freed in _lifted(request):
        if name in away:
            yield name, 0.0
            continue
        other = size_positions(freed)
        yield name, max(0.0, objective(freed, other.target, other.base) - held)


def _not_reached(request: SizingRequest, chosen: SizingResult) -> set[str]:
    """Limits the chosen book stays away from; none where it was not optimised or something forced a reduction."""
    target, limits = chosen.target, request.limits
    if chosen.solution is None or request.proportional or not np.array_equal(chosen.base, request.held):
        return set()
    nets = np.abs(sector_nets(target, request.sectors))
    tradable = request.max_trade > 0.0
    used = {
        "name_cap": (np.abs(target).max(initial=0.0), limits.name),
        "sector_cap": (nets.max(initial=0.0), limits.sector),
        "net_cap": (abs(target.sum()), limits.net),
        request.gross_reason: (np.abs(target).sum(), limits.gross),
        "volatility_target": (np.sqrt(max(request.risk.variance(target), 0.0)), request.volatility),
        "participation": (
            np.max(np.abs(target - request.held)[tradable] / request.max_trade[tradable], initial=0.0),
            1.0,
        ),
    }
    if not request.hurdle:
        used[request.turnover_reason] = (0.5 * np.abs(target - chosen.base).sum(), request.turnover)
    return {name for name, (value, cap) in used.items() if value < (1.0 - REACHED) * room_for_drift(cap)}


def _lifted(request: SizingRequest) -> Iterator[tuple[str, SizingRequest]]:
    limits = request.limits
    yield request.turnover_reason, replace(request, turnover=UNLIMITED, hurdle=0.0)
    yield "name_cap", replace(request, limits=replace(limits, name=UNLIMITED))
    yield "sector_cap", replace(request, limits=replace(limits, sector=UNLIMITED))
    yield "net_cap", replace(request, limits=replace(limits, net=UNLIMITED))
    yield request.gross_reason, replace(request, limits=replace(limits, gross=UNLIMITED))
    yield "volatility_target", replace(request, volatility=UNLIMITED)
    tradable = np.where(request.max_trade > 0.0, UNLIMITED, 0.0)
    yield "participation", replace(request, max_trade=tradable)
    if limits.long_only:
        yield "long_only", replace(request, limits=replace(limits, long_only=False))
