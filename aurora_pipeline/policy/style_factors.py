"""Style factors of the risk model: size, momentum, volatility.

Loadings are z-scores over the names, cut at 3. The return of a style in a session is the slope of the names' residual
returns on the loadings they had before it, all three at once (Fama and MacBeth, 1973). Momentum, which is made of the
same returns, therefore uses only sessions before the one explained; size and volatility change slowly and are taken as
they are now.

Size is the log of the average traded value: market capitalisation needs filings that not every market has, and of the
two it is the traded value that every market folder can give.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STYLES = ("size", "momentum", "volatility")
MINIMUM_NAMES = 20
"""Names below which no style is estimated: three slopes need something to rest on."""
MOMENTUM_SESSIONS = 40
MOMENTUM_MINIMUM = 20
LARGEST_LOADING = 3.0
RIDGE = 1e-3


class Styles(NamedTuple):
    """What styles explain.

    Attributes
    ----------
    loadings : ndarray of shape (n_names, 3)
        In force now.
    returns : ndarray of shape (n_sessions, 3)
        Of each session, fraction; momentum is 0 while it has too little history.
    residual : ndarray of shape (n_sessions, n_names)
        Residual returns less what the styles explain; NaN where the input is.
    """

    loadings: Floats
    returns: Floats
    residual: Floats


def estimate_styles(
    total_return: Floats, residual_return: Floats, average_value: Floats, volatility: Floats
) -> Styles | None:
    """Explain residual returns by style.

    Parameters
    ----------
    total_return, residual_return : ndarray of shape (n_sessions, n_names)
        Per session in time order, NaN where there is none.
    average_value : ndarray of shape (n_names,)
        Traded value per session, USD; NaN where unknown.
    volatility : ndarray of shape (n_names,)
        Per session, fraction.

    Returns
    -------
    Styles or None
        None with fewer than 20 names that have returns.
    """
    sessions = total_return.shape[0]
    if int(np.isfinite(residual_return).any(axis=0).sum()) < MINIMUM_NAMES:
        return None
    value = np.where(average_value > 0.0, average_value, np.nan)
    size, risky = z_scores(np.log(value)), z_scores(np.log(volatility))
    returns, residual = np.zeros((sessions, len(STYLES))), residual_return.copy()
    for session in range(sessions):
        design = np.column_stack([size, _momentum(total_return[:session]), risky])
        known = np.isfinite(residual_return[session])
        if int(known.sum()) < MINIMUM_NAMES:
            continue
        rows = design[known]
        matrix = rows.T @ rows + RIDGE * len(rows) * np.eye(len(STYLES))
        returns[session] = np.linalg.solve(matrix, rows.T @ residual_return[session, known])
        residual[session, known] -= rows @ returns[session]
    return Styles(np.column_stack([size, _momentum(total_return), risky]), returns, residual)


def z_scores(values: Floats) -> Floats:
    """Standardise over the names that have a value, cut at 3; a name without one loads 0, like its average peer."""
    known = np.isfinite(values)
    if int(known.sum()) < 2 or np.ptp(values[known]) == 0.0:
        return np.zeros(values.shape)
    centred = (values - values[known].mean()) / values[known].std()
    return np.asarray(np.where(known, np.clip(np.nan_to_num(centred), -LARGEST_LOADING, LARGEST_LOADING), 0.0))


def _momentum(earlier: Floats) -> Floats:
    """Loading from the up to 40 sessions before; 0 for everyone with fewer than 20."""
    window = earlier[-MOMENTUM_SESSIONS:]
    if window.shape[0] < MOMENTUM_MINIMUM:
        return np.zeros(earlier.shape[1])
    known = np.isfinite(window)
    total = np.where(known, window, 0.0).sum(axis=0)
    return z_scores(np.where(known.sum(axis=0) >= MOMENTUM_MINIMUM, total, np.nan))
