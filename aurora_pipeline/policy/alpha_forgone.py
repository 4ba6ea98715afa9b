"""What each limit costs: the value of the best book without it, less the value of the one chosen.

Every limit is lifted on its own, everything else staying in force, and the decision is taken again. The difference is in
fractions of NAV over the holding period and sums over limits to more than all of them cost together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from aurora_pipeline.policy.cost_aware_sizer import SizingResult, objective, size_positions
from aurora_pipeline.policy.sizing_request import SizingRequest

UNLIMITED = 10.0


def alpha_forgone(request: SizingRequest, chosen: SizingResult) -> Iterator[tuple[str, float]]:
    """Name of each limit and what it withholds, fraction of NAV over the holding period, not negative."""
    held = objective(request, chosen.target, chosen.base)
    for name, freed in _lifted(request):
        other = size_positions(freed)
        yield name, max(0.0, objective(freed, other.target, other.base) - held)


def _lifted(request: SizingRequest) -> Iterator[tuple[str, SizingRequest]]:
    limits = request.limits
    yield "turnover_budget", replace(request, turnover=UNLIMITED, hurdle=0.0)
    yield "name_cap", replace(request, limits=replace(limits, name=UNLIMITED))
    yield "sector_cap", replace(request, limits=replace(limits, sector=UNLIMITED))
    yield "net_cap", replace(request, limits=replace(limits, net=UNLIMITED))
    yield request.gross_reason, replace(request, limits=replace(limits, gross=UNLIMITED))
    yield "volatility_target", replace(request, volatility=UNLIMITED)
    tradable = np.where(request.max_trade > 0.0, UNLIMITED, 0.0)
    yield "participation", replace(request, max_trade=tradable)
    if limits.long_only:
        yield "long_only", replace(request, limits=replace(limits, long_only=False))
