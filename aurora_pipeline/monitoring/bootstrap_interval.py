"""Interval of a mean over sessions from the stationary bootstrap, beside the one from the session-mean t.

Blocks of geometric length keep the series' dependence (Politis and Romano, "The Stationary Bootstrap", JASA 89, 1994); their mean
length is chosen from the series' own autocorrelation (Politis and White, "Automatic Block-Length Selection for the Dependent
Bootstrap", Econometric Reviews 23, 2004, with the correction of Patton, Politis and White, 2009). Both come from the library
`arch`. The bootstrap assumes no distribution and tends to be a little narrow in short, strongly dependent series; the t of
:func:`~aurora_pipeline.monitoring.information_coefficient.mean_with_interval` keeps its level there and is what decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
MINIMUM_SESSIONS = 20
"""Sessions below which no interval is given, as for the book's."""


@dataclass(frozen=True)
class BootstrapInterval:
    """95 % percentile interval of a mean.

    Attributes
    ----------
    lower, upper : float
        2.5 and 97.5 % points of the resampled means.
    block_sessions : float
        Mean length of a block, at least 1.
    """

    lower: float
    upper: float
    block_sessions: float


def bootstrap_interval(
    series: npt.NDArray[np.float64], seed: int, resamples: int = RESAMPLES
) -> BootstrapInterval | None:
    """Resample the mean of a series of sessions.

    Parameters
    ----------
    series : ndarray of shape (n_sessions,)
        One value per session in time order, without NaN.
    seed : int
        Same seed, same interval.
    resamples : int
        Number of resampled series.

    Returns
    -------
    BootstrapInterval or None
        None for fewer than :data:`MINIMUM_SESSIONS` sessions or without variation.
    """
    if len(series) < MINIMUM_SESSIONS or np.ptp(series) <= 1e-12 * max(1.0, float(np.abs(series).max())):
        return None
    from arch.bootstrap import StationaryBootstrap, optimal_block_length

    automatic = float(optimal_block_length(series).loc[0, "stationary"])
    block = max(1.0, automatic)
    interval = StationaryBootstrap(block, series, seed=seed).conf_int(np.mean, resamples, method="percentile")
    return BootstrapInterval(float(interval[0, 0]), float(interval[1, 0]), block)
