"""Tests of a mean information coefficient (IC) that may be looked at after every session, for ever.

An e-process starts at 1 and, while its null hypothesis holds, has expectation at most 1 at any stopping time, so it ever
reaches 1/a with probability at most a (Ville, 1939; Ramdas, Grünwald, Vovk and Shafer, "Game-Theoretic Statistics and Safe
Anytime-Valid Inference", Statistical Science 38(4), 2023). Three things decide its form here:

1. *What a factor is.* A session IC lies in [-1, 1] but spreads by 0.08: a test that knows the range only (Waudby-Smith and
   Ramdas, "Estimating Means of Bounded Random Variables by Betting", JRSS B 86(1), 2024) may bet no more than the range
   allows, a fraction of what the spread calls for. Correlations of ranks are close to symmetric around their mean, and
   for d = distance from the null, ``exp(b d - b^2 d^2 / 2)`` has expectation at most 1 for every bet b under symmetry (de la
   Peña, Annals of Probability 27(1), 1999; Howard, Ramdas, McAuliffe and Sekhon, Probability Surveys 17, 2020). It stays so
   where the mean lies on the null's side. `benchmarks/lifecycle_power.py` measures both.
2. *Overlapping labels.* Neighbouring sessions share returns. Sessions are dealt into lanes within which labels do not
   overlap; a lane is a test of its own, whose null is about the mean given everything matured at its session's open.
   The average over lanes is no e-process of all sessions together (Choe and Ramdas, "Combining Evidence Across
   Filtrations", 2024), so lanes share the false-alarm rate: evidence is the best lane's less the log of their number.
3. *Decay.* A model that was good for years has wealth to lose before a test begun at its birth notices. Tests are begun every
   quarter, those begun in one year share that year's false-alarm rate by averaging (they see the same sessions), and the
   rate is therefore one per year of service; compare e-detectors (Shin, Ramdas and Rinaldo, NEJSDS 2(2), 2024).

Evidence is a natural logarithm; a test with false-alarm rate a rejects where it reaches ``log(1 / a)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from aurora_pipeline.calendar import SESSIONS_PER_YEAR

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

BETS = (0.5, 1.0, 2.0, 6.0)
"""Bets, in multiples of effect / variance: 1 is the best one if the effect is as large as supposed, the last is for much more."""
BET_SHARES = (0.2, 0.4, 0.2, 0.2)
"""Share of the wealth on each."""
PRIOR_SPREAD = 0.08
"""Standard deviation of a session IC before any is seen; the reference market's with 130 names."""
PRIOR_WEIGHT = 5.0
"""Sessions that prior counts for."""
QUARTER = 63
"""Sessions."""


@dataclass(frozen=True)
class MeanTest:
    """A one-sided test of a mean.

    Attributes
    ----------
    null : float
        Boundary of the null hypothesis.
    above : bool
        True: the null is ``mean <= null`` and evidence grows when the mean is above it. False: the other way round.
    effect : float
        Distance from the null the bets are meant for; changes power, not validity.
    restart : bool
        Begin anew every quarter, so that a decay is noticed; the false-alarm rate is then one per year.
    """

    null: float
    above: bool
    effect: float
    restart: bool = False


def lane_count(bars_per_session: int, horizon_bars: int) -> int:
    """Lanes needed: sessions until the labels of a session's last decision (one bar of lag, then the horizon) have matured."""
    return math.ceil((bars_per_session + horizon_bars) / bars_per_session)


def deal_lanes(decided: Int64, matured: Int64, count: int) -> Int64:
    """Deal sessions into lanes whose labels do not overlap.

    Parameters
    ----------
    decided : ndarray of shape (n_sessions,)
        First decision time of each session, increasing.
    matured : ndarray of shape (n_sessions,)
        Latest moment one of its labels matured.
    count : int
        Lanes.

    Returns
    -------
    ndarray of shape (n_sessions,)
        Lane, or -1 where every lane is taken (around a half-day): such a session is left out of the test.
    """
    free_from = np.full(count, np.iinfo(np.int64).min, dtype=np.int64)
    lanes = np.full(len(decided), -1, dtype=np.int64)
    for session, (start, end) in enumerate(zip(decided, matured, strict=True)):
        free = np.flatnonzero(free_from <= start)
        if free.size:
            # The lane that waited longest, so that lanes fill evenly.
            lane = int(free[np.argmin(free_from[free])])
            lanes[session], free_from[lane] = lane, end
    return lanes


def evidence_path(values: Float64, lanes: Int64, count: int, test: MeanTest) -> Float64:
    """Evidence against a null hypothesis after each session.

    Parameters
    ----------
    values : ndarray of shape (n_sessions,)
        IC, or difference of two ICs, of each session in time order; NaN where there is none (no bet is made).
    lanes : ndarray of shape (n_sessions,)
        Result of :func:`deal_lanes`.
    count : int
        Lanes; they share the false-alarm rate.
    test : MeanTest
        The null hypothesis.

    Returns
    -------
    ndarray of shape (n_sessions,)
        Natural logarithm; ``-log(count)`` before any session counts.
    """
    starts = np.arange(0, max(len(values), 1), QUARTER) if test.restart else np.zeros(1, dtype=np.int64)
    cohorts = starts // SESSIONS_PER_YEAR
    return np.asarray(
        _evidence_kernel(
            np.ascontiguousarray(values, dtype=np.float64),
            lanes,
            count,
            test.null,
            1.0 if test.above else -1.0,
            test.effect,
            starts,
            cohorts,
            SESSIONS_PER_YEAR // QUARTER if test.restart else 1,
            np.log(BET_SHARES),
            np.array(BETS),
        )
    )


@njit(cache=True)  # type: ignore[untyped-decorator]
def _log_sum(values: Any) -> float:
    top = values.max()
    return float(top + np.log(np.exp(values - top).sum()))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _evidence_kernel(
    values: Any,
    lanes: Any,
    count: int,
    null: float,
    side: float,
    effect: float,
    starts: Any,
    cohorts: Any,
    per_cohort: int,
    log_shares: Any,
    bets: Any,
) -> Any:
    begun = len(starts)
    wealth = np.zeros((begun, count, len(bets)))
    squares = np.full(count, PRIOR_WEIGHT * PRIOR_SPREAD**2)
    seen = np.full(count, PRIOR_WEIGHT)
    # Tests of a cohort that have not begun hold their wealth of 1.
    held = np.zeros((cohorts[-1] + 1, count))
    out = np.empty(len(values))
    shares = np.empty(per_cohort)
    for session in range(len(values)):
        lane = lanes[session]
        if lane >= 0 and not np.isnan(values[session]):
            distance = side * (values[session] - null)
            unit = effect / (squares[lane] / seen[lane])
            for start in range(begun):
                if starts[start] <= session:
                    for k in range(len(bets)):
                        bet = bets[k] * unit
                        wealth[start, lane, k] += bet * distance - 0.5 * (bet * distance) ** 2
            squares[lane] += (values[session] - null) ** 2
            seen[lane] += 1.0
            for cohort in range(cohorts[-1] + 1):
                if starts[cohort * per_cohort] <= session:
                    for place in range(per_cohort):
                        start = cohort * per_cohort + place
                        shares[place] = 0.0
                        if start < begun:
                            shares[place] = _log_sum(log_shares + wealth[start, lane])
                    held[cohort, lane] = _log_sum(shares) - np.log(per_cohort)
        best = held[0].max()
        for cohort in range(1, cohorts[-1] + 1):
            if starts[cohort * per_cohort] <= session:
                best = max(best, held[cohort].max())
        out[session] = best - np.log(count)
    return out
