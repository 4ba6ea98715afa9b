"""Probability of backtest overfitting: how often the best in one half of time is below the middle in the other.

Time is cut into S blocks; each choice of S/2 of them is once the half in which the best strategy is picked, by Sharpe ratio, and
the rest the half in which it has to stand. Combinatorially symmetric cross-validation of Bailey, Borwein, López de Prado and
Zhu, "The Probability of Backtest Overfitting", Journal of Computational Finance 20(4), 2017. Where the record overlaps in time
the halves come from :mod:`aurora_pipeline.models.combinatorial_splits`, purged.

Two departures, so that strategies which differ by chance only give exactly 1/2: a pick that lands on the middle rank counts half
(with few strategies that is often), and strategies that tie for the best share the pick.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BacktestOverfitting:
    """Outcome over all splits.

    Attributes
    ----------
    probability : float
        Share of splits in which the pick ends below the middle rank out of sample.
    logit : float
        Median over splits of log(w / (1 - w)), w the pick's rank out of sample over n_strategies + 1; positive is good.
    loss : float
        Share of splits in which the pick loses out of sample.
    splits : int
        Splits that could be judged.
    """

    probability: float
    logit: float
    loss: float
    splits: int

    def as_dict(self) -> dict[str, float | int]:
        """Plain mapping, ready for JSON."""
        return asdict(self)


def probability_of_backtest_overfitting(returns: Float64, chosen: Masks, judged: Masks) -> BacktestOverfitting | None:
    """Estimate how often picking the best strategy picks noise.

    Parameters
    ----------
    returns : ndarray of shape (n_observations, n_strategies)
        Without NaN.
    chosen, judged : ndarray of bool of shape (n_splits, n_observations)
        Observations on which each split picks, and on which it judges.

    Returns
    -------
    BacktestOverfitting or None
        None for a single strategy, without splits, or if none of them has two observations on both sides.
    """
    strategies = returns.shape[1]
    usable = (chosen.sum(axis=1) >= 2) & (judged.sum(axis=1) >= 2)
    if strategies < 2 or not usable.any():
        return None
    inside, outside = _sharpe_ratios(returns, chosen[usable]), _sharpe_ratios(returns, judged[usable])
    best = inside >= inside.max(axis=1, keepdims=True) - 1e-12
    share = best / best.sum(axis=1, keepdims=True)
    from scipy.stats import rankdata

    place = rankdata(outside, axis=1) / (strategies + 1)
    below = (place < 0.5 - 1e-12) + 0.5 * (np.abs(place - 0.5) <= 1e-12)
    logit = (share * np.log(place / (1.0 - place))).sum(axis=1)
    return BacktestOverfitting(
        probability=float((share * below).sum(axis=1).mean()),
        logit=float(np.median(logit)),
        loss=float((share * (outside < 0.0)).sum(axis=1).mean()),
        splits=int(usable.sum()),
    )


def _sharpe_ratios(returns: Float64, masks: Masks) -> Float64:
    """Sharpe ratio of each strategy over each mask, shape (n_splits, n_strategies); 0 without variation."""
    # Centred first: the sums of squares of a half must not lose the deviations beside the mean.
    middle = returns.mean(axis=0)
    held, count = masks.astype(np.float64), masks.sum(axis=1, keepdims=True)
    mean = held @ (returns - middle) / count
    variance = held @ (returns - middle) ** 2 / count - mean**2
    scale = np.sqrt(np.maximum(variance, 0.0))
    floor = 1e-9 * np.abs(returns).max(axis=0)
    ratios: Float64 = np.where(scale > floor, (mean + middle) / np.where(scale > floor, scale, 1.0), 0.0)
    return ratios
