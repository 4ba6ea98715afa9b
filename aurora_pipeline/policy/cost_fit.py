"""Fit spread and impact to a book's own fills, where there are enough of them.

A fill's shortfall is what it cost against the close of its decision: ``side * (price / reference - 1)`` (Perold, *The
implementation shortfall*, 1988). Regressed on the half-spread and on ``sigma * sqrt(Q / ADV)``, the two slopes say which
multiple of the assumed spread and which impact coefficient the fills show. Fills of the simulated broker are at VWAP,
before costs, so both slopes are then expected to be 0: the fit is for fills of a real broker or a vendor's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MINIMUM_FILLS = 200
NORMAL_95 = 1.96


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
