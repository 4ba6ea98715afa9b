"""Fit spread and impact to a book's own fills, where there are enough of them.

A fill's shortfall is what it cost against the close of its decision: ``side * (price / reference - 1)`` (Perold, *The
implementation shortfall*, 1988). Regressed on the half-spread and on ``sigma * sqrt(Q / ADV)``, the two slopes say which
multiple of the assumed spread and which impact coefficient the fills show (:func:`fit_costs`, a report).

A book whose broker fills at prices that contain spread and impact carries the sums of that regression from session to session
(:class:`CostEvidence`) and sizes with its cost model times the slopes (:func:`cost_scale`), shrunk towards 1. Fills of the
simulated broker are at VWAP, before costs: they say nothing of spread and impact, both slopes are expected to be 0, and they
are never counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MINIMUM_FILLS = 200
NORMAL_95 = 1.96
PRIOR_DEVIATION = 0.5
"""Standard deviation of the slopes around 1 before any fill is seen: assumed costs are right within a half or so."""
SCALE_RANGE = (0.25, 4.0)


@dataclass(frozen=True)
class CostEvidence:
    """Sums over fills of the regression of shortfall on assumed spread and impact.

    Attributes
    ----------
    fills : int
        Fills counted.
    spread_spread, spread_impact, impact_impact : float
        Of the squares and product of the assumed rates, fractions of value.
    spread_shortfall, impact_shortfall : float
        Of the products with the shortfall.
    shortfall_shortfall : float
        Of the squared shortfall.
    """

    fills: int = 0
    spread_spread: float = 0.0
    spread_impact: float = 0.0
    impact_impact: float = 0.0
    spread_shortfall: float = 0.0
    impact_shortfall: float = 0.0
    shortfall_shortfall: float = 0.0

    def add(self, spread: float, impact: float, shortfall: float) -> CostEvidence:
        """Count a fill: rates the cost model assumes before any scale, and what it cost, fractions of value."""
        return CostEvidence(
            self.fills + 1,
            self.spread_spread + spread * spread,
            self.spread_impact + spread * impact,
            self.impact_impact + impact * impact,
            self.spread_shortfall + spread * shortfall,
            self.impact_shortfall + impact * shortfall,
            self.shortfall_shortfall + shortfall * shortfall,
        )


NO_EVIDENCE = CostEvidence()


@dataclass(frozen=True)
class CostScale:
    """What spread and impact of the cost model are multiplied by."""

    spread: float = 1.0
    impact: float = 1.0


AS_ASSUMED = CostScale()


def cost_scale(evidence: CostEvidence) -> CostScale:
    """Slopes the evidence shows, shrunk towards 1.

    The posterior mean of a linear regression with prior N(1, 0.5**2) on each slope. The variance of a fill's shortfall is what
    the assumed costs leave unexplained, so that few or noisy fills move nothing.

    Returns
    -------
    CostScale
        Within 0.25 to 4; as assumed with fewer than 200 fills.
    """
    if evidence.fills < MINIMUM_FILLS:
        return AS_ASSUMED
    squares = np.array(
        [[evidence.spread_spread, evidence.spread_impact], [evidence.spread_impact, evidence.impact_impact]]
    )
    products = np.array([evidence.spread_shortfall, evidence.impact_shortfall])
    left = evidence.shortfall_shortfall - 2.0 * float(products.sum()) + float(squares.sum())
    variance = max(left, 0.0) / evidence.fills
    prior = variance / PRIOR_DEVIATION**2
    if prior == 0.0:
        return AS_ASSUMED
    slopes = np.linalg.solve(squares + prior * np.eye(2), products + prior)
    spread, impact = np.clip(slopes, *SCALE_RANGE).tolist()
    return CostScale(spread, impact)


@dataclass(frozen=True)
class CostFit:
    """Slopes with 95 % intervals, heteroscedasticity-robust (White, 1980).

    Attributes
    ----------
    fills : int
        Fills used.
    spread_multiple, impact_coefficient : tuple of float
        Estimate, lower and upper bound.
    """

    fills: int
    spread_multiple: tuple[float, float, float]
    impact_coefficient: tuple[float, float, float]


def fit_costs(
    side: Floats, price: Floats, reference: Floats, half_spread: Floats, sigma: Floats, share_of_volume: Floats
) -> CostFit | None:
    """Regress the shortfall of fills on spread and square-root impact.

    Parameters
    ----------
    side : ndarray of shape (n_fills,)
        +1 for a buy, -1 for a sell.
    price, reference : ndarray of shape (n_fills,)
        Fill and decision price, USD/share.
    half_spread, sigma : ndarray of shape (n_fills,)
        Fraction of price, and volatility per session.
    share_of_volume : ndarray of shape (n_fills,)
        Traded value over average traded value per session.

    Returns
    -------
    CostFit or None
        None with fewer than 200 complete fills, or where the two regressors cannot be told apart.
    """
    target = side * (price / reference - 1.0)
    design = np.column_stack([half_spread, sigma * np.sqrt(share_of_volume)])
    complete = np.isfinite(design).all(axis=1) & np.isfinite(target)
    design, target = design[complete], target[complete]
    if len(target) < MINIMUM_FILLS or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    inverse = np.linalg.inv(design.T @ design)
    slopes = inverse @ design.T @ target
    residual = target - design @ slopes
    covariance = inverse @ (design.T * residual**2) @ design @ inverse
    errors = NORMAL_95 * np.sqrt(np.diag(covariance))
    spread, impact = ((float(b), float(b - e), float(b + e)) for b, e in zip(slopes, errors, strict=True))
    return CostFit(len(target), spread, impact)
