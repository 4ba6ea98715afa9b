"""Volatilities over sessions and within them, and the random input of one session.

Log volatilities of the market, the sector factors and the residuals follow AR(1) paths with a common part.
Within a session the profiles of volatility and volume are those of real 5-minute bars: high after the open,
volume high again at the close.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.market.simulation import bar_kernel
from aurora_pipeline.market.simulation.population import Population, random_stream
from aurora_pipeline.market.simulation.presets import SECTORS
from aurora_pipeline.market.simulation.signals import Quarters, autoregression
from aurora_pipeline.market.simulation.timeline import Timeline

Floats = NDArray[np.float64]
OVERNIGHT_SHARE = 0.32  # of a session's variance
MARKET_VOLATILITY = 0.175 / np.sqrt(252)


def volatility_profile(n_bars: int) -> Floats:
    """Volatility of each bar relative to the intraday volatility of a full session (a half-day has less in total)."""
    if n_bars == 1:
        return np.ones(1)
    bar = np.arange(n_bars)
    left = n_bars - 1 - bar
    shape = 17.0 + 26.0 * np.exp(-bar / 22.0) + 56.0 * np.exp(-bar / 1.5) + 8.0 * np.exp(-left / 1.5)
    return np.asarray(shape / np.sqrt(np.sum(shape**2)) * np.sqrt(n_bars / 78.0))


def log_volume_profile(n_bars: int) -> Floats:
    """Log share of a full session's usual volume in each bar."""
    if n_bars == 1:
        return np.zeros(1)
    bar = np.arange(n_bars)
    left = n_bars - 1 - bar
    shape = 0.62 + 1.15 * np.exp(-bar / 14.0) + 2.2 * np.exp(-bar / 0.8) + 3.2 * np.exp(-left / 0.9)
    return np.asarray(np.log(shape / shape.sum() * n_bars / 78.0))


def usual_deviation(n_bars: int) -> Floats:
    """Usual size of a bar's residual return, close to close, in units of the session's intraday residual volatility."""
    variance = volatility_profile(n_bars) ** 2
    variance[0] += OVERNIGHT_SHARE / (1.0 - OVERNIGHT_SHARE)
    return np.asarray(np.sqrt(variance))


@dataclass(frozen=True)
class Volatilities:
    """Volatility per session of the market, the sector factors and the residuals, and the slow part of log volume."""

    market: Floats
    sectors: Floats
    residual: Floats
    log_volume: Floats


def volatility_paths(timeline: Timeline, population: Population, seed: int) -> Volatilities:
    """Draw the volatility of every session."""
    rng = random_stream(seed, 5)
    days, n = len(timeline.days), len(population.symbols)
    common = 0.45 * autoregression(rng, days, 1, 0.96)
    sectors = 0.5 * common + 0.25 * autoregression(rng, days, len(population.sectors), 0.96)
    own = 0.25 * common + 0.24 * autoregression(rng, days, n, 0.965)
    scale = np.array([SECTORS[name][4] for name in population.sectors]) / np.sqrt(252)
    volume = 0.15 * autoregression(rng, days, 1, 0.8) + 0.15 * autoregression(rng, days, n, 0.9)
    return Volatilities(
        market=MARKET_VOLATILITY * np.exp(common[:, 0] - 0.45**2),
        sectors=scale * np.exp(sectors - 0.5**2 * 0.45**2 - 0.25**2),
        residual=population.volatility * np.exp(own - 0.25**2 * 0.45**2 - 0.24**2),
        log_volume=volume,
    )


@dataclass(frozen=True)
class SessionDraws:
    """Random input of one session."""

    normals: Floats
    uniforms: Floats
    market: Floats
    sectors: Floats
    factor_variance: Floats
    overnight_residual: Floats
    overnight_market: float
    overnight_sectors: Floats

    def overnight(self, market_beta: Floats, population: Population) -> Floats:
        """Overnight return of every symbol."""
        own = np.where(population.sector >= 0, self.overnight_sectors[population.sector], 0.0)
        return np.asarray(market_beta * self.overnight_market + population.sector_beta * own + self.overnight_residual)


def session_draws(
    rng: np.random.Generator,
    bars: int,
    population: Population,
    paths: Volatilities,
    session: int,
    quarters: Quarters,
) -> SessionDraws:
    """Draw the random input of one session; announcements in force from it on move prices overnight."""
    symbols, n, k = len(population.symbols), population.n_stocks, len(population.sectors)
    profile = volatility_profile(bars)
    loud = np.exp(0.40 * rng.standard_normal((bars, k + 1)) - 0.16)
    shocks = rng.standard_normal((bars, k + 1)) * loud
    intraday, night = np.sqrt(1.0 - OVERNIGHT_SHARE), np.sqrt(OVERNIGHT_SHARE)
    scale = np.concatenate([[paths.market[session]], paths.sectors[session]])
    moves = shocks * profile[:, None] * intraday * scale
    moves[:, 0] += 0.0003 / bars
    gaps = rng.standard_normal(k + 1) * np.exp(0.35 * rng.standard_normal(k + 1) - 0.1225) * night * scale
    own = rng.standard_normal(symbols) * np.exp(0.60 * rng.standard_normal(symbols) - 0.36) * night
    own *= paths.residual[session]
    noise = rng.standard_normal(n)
    rows, stocks = np.nonzero(quarters.in_force == session)
    # An announcement moves the price at once, by its surprise and by what else was said.
    jump = 1.3 * quarters.surprise[rows, stocks] + 2.0 * noise[stocks]
    own[stocks] += jump * paths.residual[session, stocks]
    variance = (profile[:, None] * intraday) ** 2 * np.array(
        [[paths.market[session] ** 2, float(np.mean(paths.sectors[session] ** 2))]]
    )
    return SessionDraws(
        normals=rng.standard_normal((bars, bar_kernel.NORMALS, symbols)),
        uniforms=1.0 - rng.random((bars, 2, symbols)),
        market=moves[:, 0].copy(),
        sectors=moves[:, 1:].copy(),
        factor_variance=variance,
        overnight_residual=own,
        overnight_market=float(gaps[0]),
        overnight_sectors=gaps[1:],
    )
