"""Information coefficient (IC): how well scores rank what happened next, and how sure that is.

1. :func:`decision_time_correlations`: Spearman correlation of score and label within each decision time, average
   ranks for ties;
2. :func:`session_means`: mean over the decision times of a session, the unit of independent evidence;
3. :func:`mean_with_interval`: mean over sessions with a t-statistic whose long-run variance is the equal-weighted
   cosine estimate.

Labels overlap, so neighbouring sessions' ICs are correlated and a plain t overstates. The equal-weighted cosine (EWC)
estimator projects the series on its B lowest cosines; the t-statistic then follows Student's t with B degrees of
freedom. With B = floor(0.41 T^(2/3)) it is the recommendation of Lazarus, Lewis, Stock and Watson, "HAR Inference:
Recommendations for Practice", Journal of Business & Economic Statistics 36(4), 2018, equations 4, 6 and 10.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from aurora_pipeline.monitoring.paired_scores import pair_scores

MINIMUM_NAMES = 5
"""Names a decision time needs before its rank correlation counts."""
MINIMUM_SESSIONS = 5
"""Sessions needed for a long-run variance with at least one degree of freedom."""


@dataclass(frozen=True)
class MeanEstimate:
    """A mean over sessions with its uncertainty.

    Attributes
    ----------
    mean : float or None
        Sample mean; None without observations.
    t : float or None
        Mean over its standard error; None where there are too few sessions or no variation.
    p_value : float or None
        Two-sided, Student's t with `degrees_of_freedom`.
    lower, upper : float or None
        95 % interval of the mean.
    critical : float or None
        The 5 % point of the absolute t.
    degrees_of_freedom : int
        Number of cosines, floor(0.41 T^(2/3)).
    sessions : int
        Observations.
    """

    mean: float | None
    t: float | None
    p_value: float | None
    lower: float | None
    upper: float | None
    critical: float | None
    degrees_of_freedom: int
    sessions: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain mapping, ready for JSON."""
        return asdict(self)


def decision_time_correlations(
    scores: pl.DataFrame,
    outcomes: pl.DataFrame,
    score: str = "score",
    outcome: str = "label",
    by: Sequence[str] = (),
) -> pl.DataFrame:
    """Spearman correlation of scores and outcomes within each decision time.

    Parameters
    ----------
    scores : polars.DataFrame
        `session`, `symbol`, `decision_time`, the score column and the columns of `by`.
    outcomes : polars.DataFrame
        `symbol`, `decision_time`, the outcome column and, optionally, `matured_at`.
    score, outcome : str
        Columns to correlate. Rows where either is null or NaN are left out.
    by : sequence of str
        Further grouping columns of `scores`, such as ``["model"]``.

    Returns
    -------
    polars.DataFrame
        `session`, *by*, `decision_time`, `ic` (null where undefined: fewer than :data:`MINIMUM_NAMES` names or a
        constant), `names` (pairs present) and, if the outcomes have it, `matured_at` (latest of the pairs); sorted by
        *by* and time.
    """
    paired = pair_scores(scores, outcomes, score, outcome, by)
    ic = rank_correlations(paired.scores, paired.outcomes, paired.ends)
    wanted = ["session", *by, "decision_time", "ic", "names", *paired.groups.columns[len(by) + 3 :]]
    return paired.groups.with_columns(pl.Series("ic", ic).fill_nan(None)).select(wanted)


def session_means(correlations: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """Mean IC of each session: `session`, *by*, `ic`, `decision_times`; undefined decision times are left out."""
    defined = correlations.drop_nulls("ic").sort([*by, "decision_time"])
    keys = [*by, "session"]
    groups = defined.group_by(keys, maintain_order=True).agg(pl.len().cast(pl.Int64).alias("decision_times"))
    ends = np.cumsum(groups.get_column("decision_times").to_numpy())
    means = segment_means(defined.get_column("ic").to_numpy(), ends)
    return groups.with_columns(pl.Series("ic", means)).select(*keys, "ic", "decision_times").sort(keys)


def information_coefficient(
    scores: pl.DataFrame, outcomes: pl.DataFrame, score: str = "score", outcome: str = "label"
) -> MeanEstimate:
    """IC of one series of scores: mean over decision times within sessions, then over sessions, with its t."""
    sessions = session_means(decision_time_correlations(scores, outcomes, score, outcome))
    return mean_with_interval(sessions.get_column("ic").to_numpy())


def correlation_with_truth(
    scores: pl.DataFrame, truth: pl.DataFrame, score: str = "score", outcome: str = "expected_residual_return"
) -> MeanEstimate:
    """Mean per-decision-time Spearman correlation of scores with a planted truth, equal weight per decision time."""
    correlations = decision_time_correlations(scores, truth, score, outcome).drop_nulls("ic")
    estimate = mean_with_interval(session_means(correlations).get_column("ic").to_numpy())
    if correlations.is_empty():
        return estimate
    mean = float(correlations.get_column("ic").to_numpy().mean())
    return MeanEstimate(**(estimate.as_dict() | {"mean": mean}))  # type: ignore[arg-type]


def mean_with_interval(series: npt.NDArray[np.float64]) -> MeanEstimate:
    """Mean of a series of sessions, its t-statistic and 95 % interval under autocorrelation.

    Parameters
    ----------
    series : ndarray of shape (n_sessions,)
        One value per session in time order, without NaN.

    Returns
    -------
    MeanEstimate
        Without t and interval where there are fewer than :data:`MINIMUM_SESSIONS` sessions or all values are equal.
    """
    count = len(series)
    mean = float(np.mean(series)) if count else None
    freedom = cosine_terms(count)
    error = math.sqrt(long_run_variance(series) / count) if count >= MINIMUM_SESSIONS else 0.0
    if mean is None or error <= 1e-12 * max(1.0, abs(mean)):
        return MeanEstimate(mean, None, None, None, None, None, freedom, count)
    from scipy.special import stdtr, stdtrit

    t = mean / error
    critical = float(stdtrit(freedom, 0.975))
    p_value = float(2.0 * stdtr(freedom, -abs(t)))
    return MeanEstimate(mean, t, p_value, mean - critical * error, mean + critical * error, critical, freedom, count)


def cosine_terms(count: int) -> int:
    """Return B = floor(0.41 T^(2/3)), the number of cosines and degrees of freedom for T observations."""
    return math.floor(0.41 * math.cbrt(count) ** 2)


def long_run_variance(series: npt.NDArray[np.float64]) -> float:
    """Equal-weighted cosine estimate of the long-run variance of a series of shape (n_sessions,)."""
    from scipy.fft import dct

    count = len(series)
    # Type II of the discrete cosine transform is 2 * sum over t of x[t] cos(pi k (t + 1/2) / T).
    projections = dct(series - series.mean(), type=2)[1 : cosine_terms(count) + 1] / math.sqrt(2.0 * count)
    return float(np.mean(projections**2))


@njit(cache=True)  # type: ignore[untyped-decorator]
def rank_correlations(x: Any, y: Any, ends: Any) -> Any:
    """Spearman correlation within consecutive groups of rows.

    Parameters
    ----------
    x, y : ndarray of shape (n_rows,)
        Values without NaN, rows of a group side by side.
    ends : ndarray of shape (n_groups,)
        Row after the last one of each group.

    Returns
    -------
    ndarray of shape (n_groups,)
        NaN for fewer than :data:`MINIMUM_NAMES` rows or where either side is constant. Ranks are multiples of 1/2 and
        their sums exact, so the result does not depend on the order of rows within a group.
    """
    correlations = np.full(len(ends), np.nan)
    start = 0
    for group in range(len(ends)):
        stop = ends[group]
        size = stop - start
        if size >= MINIMUM_NAMES:
            a = average_ranks(x[start:stop])
            b = average_ranks(y[start:stop])
            center = (size + 1) / 2.0
            ab = aa = bb = 0.0
            for i in range(size):
                da, db = a[i] - center, b[i] - center
                ab += da * db
                aa += da * da
                bb += db * db
            if aa > 0.0 and bb > 0.0:
                correlations[group] = ab / math.sqrt(aa * bb)
        start = stop
    return correlations


@njit(cache=True)  # type: ignore[untyped-decorator]
def segment_means(values: Any, ends: Any) -> Any:
    """Mean of consecutive segments, each added from first to last so that it does not depend on what else is there."""
    means = np.empty(len(ends), np.float64)
    start = 0
    for segment in range(len(ends)):
        total = 0.0
        for i in range(start, ends[segment]):
            total += values[i]
        means[segment] = total / (ends[segment] - start)
        start = ends[segment]
    return means


@njit(cache=True)  # type: ignore[untyped-decorator]
def average_ranks(values: Any) -> Any:
    """Ranks from 1 to n of a one-dimensional array without NaN; tied values share their mean rank."""
    size = len(values)
    order = np.argsort(values)
    ranks = np.empty(size, np.float64)
    i = 0
    while i < size:
        j = i
        while j + 1 < size and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in range(i, j + 1):
            ranks[order[k]] = (i + j) / 2.0 + 1.0
        i = j + 1
    return ranks
