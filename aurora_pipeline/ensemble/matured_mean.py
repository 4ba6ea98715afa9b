"""Exponentially weighted mean of evidence that arrives session by session, with its standard error.

The mean is a ratio sum(w P) / sum(w Q): with P the sum of score times outcome and Q the sum of squared scores it is a slope. Its
standard error is that of a ratio of sums whose terms are correlated over neighbouring sessions, because labels overlap: Bartlett
weights up to the label's reach (Newey and West, Econometrica 55(3), 1987), inflated by n / (n - 1) for the n sessions that
effectively weigh (Kish, "Survey Sampling", 1965).

How much of a mean to believe follows from its signal-to-noise ratio: with a normal prior around 0 whose variance is estimated
from the mean itself, the best guess is (1 - 1 / t^2) of it, and 0 where |t| < 1 (positive part of James and Stein, Proceedings of
the Fourth Berkeley Symposium, 1961; as empirical Bayes, Efron and Morris, JASA 68, 1973).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


@dataclass
class MaturedMean:
    """Running sums; a deterministic function of what it was given, session by session.

    Parameters
    ----------
    decay : float
        Factor by which evidence weighs less each session.
    lags : int
        Sessions over which evidence is correlated.
    """

    decay: float
    lags: int
    moment: float = 0.0
    information: float = 0.0
    products: Float64 = field(init=False)
    recent: Float64 = field(init=False)

    def __post_init__(self) -> None:
        self.products = np.zeros((3, self.lags + 1))
        self.recent = np.zeros((2, self.lags + 1))

    def add(self, moment: float, information: float) -> None:
        """Let one session pass and take in what matured in it: P and Q, both 0 if nothing did."""
        self.moment = self.moment * self.decay + moment
        self.information = self.information * self.decay + information
        self.products *= self.decay**2
        self.recent[:, 1:] = self.decay * self.recent[:, :-1]
        self.recent[:, 0] = (moment, information)
        past_moment, past_information = self.recent
        self.products[0] += moment * past_moment
        self.products[1] += moment * past_information + information * past_moment
        self.products[2] += information * past_information

    @property
    def mean(self) -> float | None:
        """Weighted mean; None without evidence."""
        return self.moment / self.information if self.information > 0.0 else None

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean; None with fewer than two sessions' worth of evidence."""
        mean = self.mean
        if mean is None or self.information**2 <= 2.0 * self.products[2, 0]:
            return None
        effective = self.information**2 / self.products[2, 0]
        kernel = 2.0 * (1.0 - np.arange(self.lags + 1) / (self.lags + 1.0))
        kernel[0] = 1.0
        by_lag = self.products[0] - mean * self.products[1] + mean**2 * self.products[2]
        variance = max(float((kernel * by_lag).sum()), 0.0) * effective / (effective - 1.0)
        return float(np.sqrt(variance)) / self.information

    @property
    def t(self) -> float | None:
        """Mean over its standard error; None where there is no standard error or it is 0."""
        error = self.standard_error
        return self.mean / error if self.mean is not None and error else None

    @property
    def believable_share(self) -> float:
        """Part of the mean to believe, 0 to 1; 0 where nothing is known about its noise."""
        error, mean = self.standard_error, self.mean
        if mean is None or error is None or mean == 0.0:
            return 0.0
        return max(0.0, 1.0 - (error / mean) ** 2)
