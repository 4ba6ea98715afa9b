"""How likely a Sharpe ratio is skill, given how many were tried: probabilistic and deflated Sharpe ratio.

Of N strategies without any skill the best still shows a Sharpe ratio of about :func:`expected_largest_sharpe`. The deflated
Sharpe ratio is the probability that the true one exceeds that bar, allowing for skewness, fat tails and the length of the record.
Bailey and López de Prado, "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting and Non-Normality",
Journal of Portfolio Management 40(5), 2014, equations 1 and 2; the probabilistic one is theirs of 2012, "The Sharpe Ratio
Efficient Frontier".

Sharpe ratios here are per observation, not yearly: mean over standard deviation of the returns as they come.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
MINIMUM_OBSERVATIONS = 10
"""Returns needed before skewness and kurtosis, hence a probability, say anything."""


def sharpe_ratio(returns: Float64) -> float | None:
    """Mean over standard deviation of returns of shape (n_observations,); None for fewer than 2 or without variation."""
    if len(returns) < 2 or np.ptp(returns) == 0.0:
        return None
    return float(returns.mean() / returns.std(ddof=1))


def expected_largest_sharpe(trials: int, variance: float) -> float:
    """Sharpe ratio the best of several skill-less trials is expected to show.

    Parameters
    ----------
    trials : int
        Number of independent trials N; one trial selects nothing and gives 0.
    variance : float
        Variance of the trials' Sharpe ratios, per observation.
    """
    if trials < 2:
        return 0.0
    from scipy.special import ndtri

    upper, beyond = ndtri(1.0 - 1.0 / trials), ndtri(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * float((1.0 - np.euler_gamma) * upper + np.euler_gamma * beyond)


def probabilistic_sharpe_ratio(
    sharpe: float, benchmark: float, observations: int, skewness: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Probability that the true Sharpe ratio exceeds a benchmark.

    Parameters
    ----------
    sharpe, benchmark : float
        Estimated and required, per observation.
    observations : int
        Length of the record.
    skewness, kurtosis : float
        Of the returns; a normal distribution has 0 and 3.
    """
    from scipy.special import ndtr

    # Kurtosis is at least 1 + skewness^2, so this is never negative; it is 0 only for returns of two values.
    spread = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if spread <= 0.0:
        return float(sharpe > benchmark)
    return float(ndtr((sharpe - benchmark) * math.sqrt((observations - 1) / spread)))


def deflated_sharpe_ratio(returns: Float64, trials: int, variance: float | None) -> float | None:
    """Probability that a strategy has skill although it was chosen among trials.

    Parameters
    ----------
    returns : ndarray of shape (n_observations,)
        Returns that do not overlap, without NaN.
    trials : int
        Strategies tried, all of them, whether or not they are shown.
    variance : float or None
        Variance of the trials' Sharpe ratios, per observation. None (one trial's is unknown) takes
        1 / (n_observations - 1): what independent trials without skill would show.

    Returns
    -------
    float or None
        None for fewer than :data:`MINIMUM_OBSERVATIONS` returns or without variation.
    """
    sharpe = sharpe_ratio(returns)
    count = len(returns)
    if sharpe is None or count < MINIMUM_OBSERVATIONS:
        return None
    centred = returns - returns.mean()
    deviation = math.sqrt(float((centred**2).mean()))
    skewness, kurtosis = (float((centred**power).mean()) / deviation**power for power in (3, 4))
    bar = expected_largest_sharpe(trials, 1.0 / (count - 1) if variance is None else variance)
    return probabilistic_sharpe_ratio(sharpe, bar, count, skewness, kurtosis)
