"""Conformal quantiles of volatility-scaled forecast errors, adapted to the coverage they really had.

Past errors are kept as a histogram that is exponentially weighted over sessions: its quantiles bound the next error
(Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005; scaled by a volatility forecast as in Lei
et al., JASA 113, 2018). After each session the miss rate asked for is moved by a step times the gap between nominal
and realised misses, so that coverage is right in the long run even when volatility forecasts are not (Gibbs and
Candes, "Adaptive Conformal Inference Under Distribution Shift", NeurIPS 2021).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

LEVELS = (0.50, 0.80, 0.90)
"""Nominal coverages."""
LIMIT = 12.0
BINS_PER_UNIT = 100
"""Errors are counted in bins of 1/100 volatility up to 12 volatilities either side; the rest counts at the edge."""
_BINS = int(2 * LIMIT * BINS_PER_UNIT)
_SMALLEST_MISS = 0.005


@dataclass
class AdaptiveConformal:
    """Running state of the intervals; a deterministic function of the errors it was given.

    Parameters
    ----------
    decay : float
        Factor by which evidence weighs less each session.
    step : float
        Adaptive update per session.
    """

    decay: float
    step: float
    histogram: Float64 = field(default_factory=lambda: np.zeros(_BINS))
    miss: Float64 = field(default_factory=lambda: 1.0 - np.array(LEVELS))

    def quantiles(self) -> Float64:
        """Bounds in force, shape (n_levels, 2): lower and upper error, in volatilities."""
        cumulative = np.cumsum(self.histogram)
        tails = np.stack([self.miss / 2.0, 1.0 - self.miss / 2.0], axis=1)
        edges = np.linspace(-LIMIT, LIMIT, _BINS + 1)
        heights = np.concatenate([[0.0], cumulative])
        bounds = np.interp(tails * cumulative[-1], heights, edges)
        # Each level adapts on its own; the wider one never ends inside the narrower, and all contain the forecast.
        lower = np.minimum.accumulate(np.minimum(bounds[:, 0], 0.0))
        upper = np.maximum.accumulate(np.maximum(bounds[:, 1], 0.0))
        return np.stack([lower, upper], axis=1)

    def age(self) -> None:
        """Let one session pass."""
        self.histogram *= self.decay

    def observe(self, errors: Float64, share: float, issued: Float64 | None) -> None:
        """Take in matured errors.

        Parameters
        ----------
        errors : ndarray of shape (n_rows,)
            Realised minus expected, in volatilities, of rows of one session.
        share : float
            Part of that session's rows these are.
        issued : ndarray of shape (n_levels, 2) or None
            Bounds the rows were given; None where they had none, then only the histogram learns.
        """
        bins = np.clip(((errors + LIMIT) * BINS_PER_UNIT).astype(np.int64), 0, _BINS - 1)
        self.histogram += np.bincount(bins, minlength=_BINS) * (share / len(errors))
        if issued is not None:
            outside = (errors[:, None] < issued[:, 0]) | (errors[:, None] > issued[:, 1])
            missed = np.count_nonzero(outside, axis=0) / len(errors)
            nominal = 1.0 - np.array(LEVELS)
            self.miss = np.clip(self.miss + self.step * share * (nominal - missed), _SMALLEST_MISS, 1 - _SMALLEST_MISS)
