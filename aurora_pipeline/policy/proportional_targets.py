"""The naive book: weights in proportion to the signal, whatever they cost; a baseline for the sizer.

Same names, caps, participation, volatility limit and turnover budget as the optimiser, but no view on who brings which risk or
cost: every name gets its demeaned expected return's share of the gross cap, all of them less where that would be more volatile
than the book may be, and the way there is cut short where a budget or limit ends it. (Without the volatility limit it would sit
above it up to where forced reductions begin, and these are exempt from the budgets: a baseline with rules of its own.)
"""

from __future__ import annotations

import numpy as np

from aurora_pipeline.policy.limits_in_force import Floats
from aurora_pipeline.policy.sizing_request import SizingRequest


def proportional_targets(request: SizingRequest, lower: Floats, upper: Floats) -> Floats:
    """Weights proportional to the signal within a box, shape (n_names,).

    Parameters
    ----------
    request : SizingRequest
        Signal, gross cap, and the volatility limit, which an unknown variance leaves aside.
    lower, upper : ndarray of shape (n_names,)
        What each name may take.

    Returns
    -------
    ndarray
        Names without a signal stay as near to zero as the box allows.
    """
    known = np.isfinite(request.alpha)
    signal = np.where(known, request.alpha, 0.0)
    if known.any() and not request.limits.long_only:
        signal = np.where(known, signal - signal[known].mean(), 0.0)
    signal = np.maximum(signal, 0.0) if request.limits.long_only else signal
    size = float(np.abs(signal).sum())
    wanted = signal * (request.limits.gross / size) if size > 0.0 else signal
    volatility = np.sqrt(max(request.risk.variance(wanted), 0.0))
    if volatility > request.volatility:
        wanted = wanted * (request.volatility / volatility)
    return np.asarray(np.clip(wanted, lower, upper))
