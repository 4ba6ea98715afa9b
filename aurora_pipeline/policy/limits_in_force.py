"""The limits of one decision and how much of them a book uses.

One measure per limit, so that forced reductions, the optimiser, the pre-trade gate and the blocking check all mean
the same. Passive drift is told from a breach here: prices may carry a held position over a cap, a decision may not. A
target is inside as long as each measure is at most its cap or, where drift already put the book above, at most what
is held.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.settings import BookSettings

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
LIMIT_TOLERANCE = 1e-9
PLANNED_TOLERANCE = LIMIT_TOLERANCE / 4.0
"""What a planned step may use of it: forced reductions and the trades after them are two, and both together are checked."""


@dataclass(frozen=True)
class ExposureLimits:
    """Caps of one decision, fractions of NAV.

    Attributes
    ----------
    name : float
        Absolute weight of a name.
    sector : float
        Absolute net weight of a sector.
    net : float
        Absolute net exposure; infinite for a long-only book, whose net is its gross.
    gross : float
        Gross exposure.
    long_only : bool
        Whether shorts are forbidden.
    """

    name: float
    sector: float
    net: float
    gross: float
    long_only: bool = False


def exposure_limits(settings: BookSettings, gross: float | None = None) -> ExposureLimits:
    """Caps of the book; `gross` is what ramp and drawdown leave of the utilisation cap.

    A long-only book has no net cap of its own: its net is its gross.
    """
    return ExposureLimits(
        name=settings.name_cap,
        sector=settings.sector_cap,
        net=np.inf if settings.long_only else settings.net_cap * settings.utilisation_cap,
        gross=settings.utilisation_cap if gross is None else gross,
        long_only=settings.long_only,
    )


def sector_nets(weights: Floats, sectors: Integers) -> Floats:
    """Net weight of each sector, shape (n_sectors,); index -1 belongs to none."""
    member = sectors >= 0
    count = int(sectors.max(initial=-1)) + 1
    return np.bincount(sectors[member], weights=weights[member], minlength=count).astype(np.float64)


def measures(weights: Floats, sectors: Integers, limits: ExposureLimits) -> tuple[Floats, Floats]:
    """Every measure of a book beside its cap.

    Returns
    -------
    tuple of ndarray of shape (n_names + n_names + n_sectors + 2,)
        Values and caps: absolute weights, short weights (cap 0 if long-only), absolute sector nets, absolute net,
        gross.
    """
    n = weights.size
    nets = np.abs(sector_nets(weights, sectors))
    values = np.concatenate(
        [np.abs(weights), np.maximum(-weights, 0.0), nets, [abs(weights.sum()), np.abs(weights).sum()]]
    )
    short_cap = 0.0 if limits.long_only else np.inf
    caps = np.concatenate(
        [
            np.full(n, limits.name),
            np.full(n, short_cap),
            np.full(nets.size, limits.sector),
            [limits.net, limits.gross],
        ]
    )
    return values, caps


def excess(
    target: Floats, held: Floats, sectors: Integers, limits: ExposureLimits, tolerance: float = LIMIT_TOLERANCE
) -> Floats:
    """By how much a target breaks each measure, drift allowed for; positive where it does."""
    values, caps = measures(target, sectors, limits)
    drifted, _ = measures(held, sectors, limits)
    return np.asarray(values - np.maximum(caps, drifted) - tolerance)


def largest_step(held: Floats, target: Floats, sectors: Integers, limits: ExposureLimits) -> float:
    """Largest share of the way from `held` to `target` at which no measure is broken.

    Every measure is convex and holds at `held`, so the feasible shares are an interval from 0; it is halved until the
    last one found is within 1e-9 of the end.
    """
    if (excess(target, held, sectors, limits, PLANNED_TOLERANCE) <= 0.0).all():
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        if (excess(held + middle * (target - held), held, sectors, limits, PLANNED_TOLERANCE) <= 0.0).all():
            low = middle
        else:
            high = middle
    return low
