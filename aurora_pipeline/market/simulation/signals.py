"""Signals that change between sessions: their latent paths, and what the feeds have published of them.

A path's value at session d is the one in force during d. Latent signals are standard normal AR(1) series; a value
observed `lag` sessions before the one in force predicts it with correlation decay**lag.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from aurora_pipeline.market.simulation.components import SLOW_HALF_LIVES, decay
from aurora_pipeline.market.simulation.population import Population, random_stream
from aurora_pipeline.market.simulation.timeline import HISTORY, Timeline

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ACCRUAL_LAG = 4  # sessions from short-interest settlement until the position moves prices
PUBLICATION_LAG = 8  # business days from short-interest settlement to publication
PROFITABILITY_THRESHOLD = 0.5
SATURATION = 1.7


def autoregression(rng: np.random.Generator, steps: int, width: int, rho: float) -> Floats:
    """Return stationary standard normal AR(1) paths of shape (steps, width)."""
    shocks = rng.standard_normal((steps, width))
    path = np.empty_like(shocks)
    path[0] = shocks[0]
    for step in range(1, steps):
        path[step] = rho * path[step - 1] + np.sqrt(1.0 - rho**2) * shocks[step]
    return path


def threshold_signal(values: Floats) -> Floats:
    """+1 above half a standard deviation, -1 below minus half, else 0; unit variance for a standard normal."""
    edge = PROFITABILITY_THRESHOLD
    return np.asarray(((values > edge).astype(float) - (values < -edge)) / np.sqrt(2.0 * ndtr(-edge)))


def expected_saturation(values: Floats, correlation: float) -> Floats:
    """Expected saturating signal 2 Phi(a x) - 1 of a standard normal x that correlates with the observed values.

    Scaled to unit variance; exact for jointly normal values.
    """
    a2 = SATURATION**2
    inner = SATURATION * correlation * values / np.sqrt(1.0 + a2 * (1.0 - correlation**2))
    return np.asarray((2.0 * ndtr(inner) - 1.0) / np.sqrt(2.0 / np.pi * np.arcsin(a2 / (1.0 + a2))))


@dataclass(frozen=True)
class Settlements:
    """Short-interest settlement dates.

    Attributes
    ----------
    dates : list of date
        Settlement dates, ascending.
    session : ndarray of int
        Their session index, counted from the first daily bar (negative in the history).
    published : ndarray of int
        Session index at whose close the figures appear.
    """

    dates: list[date]
    session: Ints
    published: Ints


@dataclass(frozen=True)
class Signals:
    """Latent paths; stock arrays have shape (sessions, n_stocks).

    Attributes
    ----------
    short_interest : ndarray of shape (n_settlements, n_stocks)
        State at each settlement date.
    settled, published : ndarray of shape (sessions + 15,)
        Settlement whose position moves prices in the session, and the last published before it.
    skew, call_put : ndarray of shape (sessions + 1, n_stocks)
        State at the close of the session before; row d drives session d and is published in the evening before it.
    flow : ndarray of shape (sessions + 6, n_sectors + 1)
        Net flow as a fraction of assets, SPY first; row d + 6 is the flow of session d, known before the next
        one opens.
    """

    settlements: Settlements
    short_interest: Floats
    settled: Ints
    published: Ints
    skew: Floats
    call_put: Floats
    flow: Floats


def settlement_dates(timeline: Timeline) -> Settlements:
    """List the middle and the end of every month, each moved back to a session, with publication 8 sessions later."""
    every = timeline.all_days()
    dates: list[date] = []
    for position, day in enumerate(every[:-1]):
        following = every[position + 1]
        middle = day.day <= 15 and (following.day > 15 or following.month != day.month)
        if middle or following.month != day.month:
            dates.append(day)
    index = {day: position - HISTORY for position, day in enumerate(every)}
    session = np.array([index[day] for day in dates])
    return Settlements(dates, session, session + PUBLICATION_LAG)


def build_signals(timeline: Timeline, population: Population, seed: int) -> Signals:
    """Draw all latent paths of a market."""
    rng = random_stream(seed, 3)
    n, days = population.n_stocks, len(timeline.days)
    settlements = settlement_dates(timeline)
    gaps = np.diff(settlements.session)
    rho = decay(SLOW_HALF_LIVES["short_interest"])
    short = rng.standard_normal((len(settlements.dates), n))
    for step, gap in enumerate(gaps, start=1):
        keep = rho ** float(gap)
        short[step] = keep * short[step - 1] + np.sqrt(1.0 - keep**2) * short[step]
    sessions = np.arange(days + 15)
    latent = autoregression(rng, days + 6, len(population.sectors) + 1, decay(SLOW_HALF_LIVES["sector_flow"]))
    flow = 0.004 * (0.75 * latent + 0.66 * rng.standard_normal(latent.shape))
    return Signals(
        settlements=settlements,
        short_interest=short,
        settled=np.searchsorted(settlements.session + ACCRUAL_LAG, sessions, side="left") - 1,
        published=np.searchsorted(settlements.published, sessions, side="left") - 1,
        skew=autoregression(rng, days + 1, n, decay(SLOW_HALF_LIVES["skew"])),
        call_put=autoregression(rng, days + 1, n, decay(SLOW_HALF_LIVES["call_put_volume"])),
        flow=flow,
    )


def flow_sum_correlations(lags: int) -> Floats:
    """Autocorrelation of the 5-session sum of flows at lags 0 .. lags - 1."""
    rho = decay(SLOW_HALF_LIVES["sector_flow"])
    distance = np.abs(np.arange(5)[:, None] - np.arange(5)[None, :])
    out = []
    for lag in range(lags):
        gap = np.abs(np.arange(5)[:, None] + lag - np.arange(5)[None, :])
        out.append(np.sum(0.75**2 * rho**gap + 0.66**2 * (gap == 0)))
    return np.asarray(np.array(out) / np.sum(0.75**2 * rho**distance + 0.66**2 * (distance == 0)))


def flow_sum_scale() -> float:
    """Standard deviation of the 5-session sum of flows, as a fraction of assets."""
    rho = decay(SLOW_HALF_LIVES["sector_flow"])
    distance = np.abs(np.arange(5)[:, None] - np.arange(5)[None, :])
    return float(0.004 * np.sqrt(np.sum(0.75**2 * rho**distance + 0.66**2 * (distance == 0))))


@dataclass(frozen=True)
class Quarters:
    """Quarterly reports of every stock; arrays have shape (n_quarters, n_stocks).

    Attributes
    ----------
    ends : list of date
        Fiscal period ends.
    announced, filed : ndarray of int
        Session index of the announcement and of the filing, counted from the first daily bar.
    before_open : ndarray of bool
        Announced before that session's open, otherwise after its close.
    in_force, filed_in_force : ndarray of int
        First session in which the announcement, the filing is known at every decision time.
    surprise, profitability : ndarray
        Standardised earnings surprise and gross profitability.
    """

    ends: list[date]
    announced: Ints
    filed: Ints
    before_open: NDArray[np.bool_]
    in_force: Ints
    filed_in_force: Ints
    surprise: Floats
    profitability: Floats


def build_quarters(timeline: Timeline, population: Population, seed: int) -> Quarters:
    """Draw announcement and filing sessions and the standardised content of every quarterly report."""
    rng = random_stream(seed, 4)
    n = population.n_stocks
    every = timeline.all_days()
    ends: list[date] = []
    for year in range(every[0].year, every[-1].year + 1):
        ends += [date(year, 3, 31), date(year, 6, 30), date(year, 9, 30), date(year, 12, 31)]
    ends = [end for end in ends if every[0] <= end and end + timedelta(days=90) <= every[-1] + timedelta(days=60)]
    base = np.array([bisect.bisect_right(every, end) - HISTORY for end in ends])
    usual = rng.integers(9, 32, n)
    announced = base[:, None] + usual[None, :] + rng.integers(-2, 3, (len(ends), n))
    before_open = np.broadcast_to(rng.random(n) < 0.45, announced.shape)
    filed = announced + rng.integers(1, 13, announced.shape)
    rho = 0.3
    return Quarters(
        ends=ends,
        announced=announced,
        filed=filed,
        before_open=before_open,
        in_force=announced + np.where(before_open, 0, 1),
        filed_in_force=filed + 1,
        surprise=np.clip(rng.standard_normal(announced.shape), -2.5, 2.5),
        profitability=autoregression(rng, len(ends), n, rho),
    )
