"""The stocks and funds of a simulated market: names, sectors, sizes, betas, volatilities, spreads, events.

Everything here is drawn once per market, from its own random stream, before any price moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.market.simulation.presets import BENCHMARK, SECTORS, stocks_per_sector
from aurora_pipeline.market.simulation.timeline import Timeline

Floats = NDArray[np.float64]


def random_stream(seed: int, purpose: int) -> np.random.Generator:
    """Return an independent random stream; one per purpose keeps the noise equal when only the alpha changes."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose])))


@dataclass(frozen=True)
class Population:
    """Stocks first, then SPY and the sector funds; arrays run over all of them unless they say `stock`.

    Attributes
    ----------
    symbols : list of str
        Symbol at the start; a renamed stock's later symbol is in `Events`.
    sector : ndarray of int
        Sector index; -1 for SPY.
    market_beta, sector_beta : ndarray
        Long-run exposure to the market and to the sector factor.
    volatility : ndarray
        Long-run residual volatility per session (a fraction).
    half_spread : ndarray
        Half of the bid-ask spread as a fraction of the price.
    price : ndarray
        First price, USD.
    shares : ndarray
        Shares outstanding at the first session.
    turnover : ndarray
        Usual fraction of the shares that trades in one session.
    """

    sectors: list[str]
    symbols: list[str]
    n_stocks: int
    sector: NDArray[np.int64]
    market_beta: Floats
    sector_beta: Floats
    volatility: Floats
    half_spread: Floats
    price: Floats
    shares: Floats
    turnover: Floats


def build_population(timeline: Timeline, seed: int) -> Population:
    """Draw the stocks and funds of a market."""
    rng = random_stream(seed, 1)
    sizes = stocks_per_sector(timeline.preset)
    sectors = list(sizes)
    symbols, sector = [], []
    for index, (name, size) in enumerate(sizes.items()):
        prefix = SECTORS[name][1]
        symbols += [f"{prefix}{number:02d}" for number in range(1, size + 1)]
        sector += [index] * size
    n = len(symbols)
    beta_of_sector = np.array([SECTORS[name][3] for name in sectors])
    own = np.array(sector)
    size_score = rng.standard_normal(n)
    volatility = 0.30 / np.sqrt(252) * np.exp(0.24 * rng.standard_normal(n) - 0.08 * size_score)
    funds = [BENCHMARK, *(SECTORS[name][0] for name in sectors)]
    k = len(funds)
    spread = np.clip(3.0 * np.exp(0.35 * rng.standard_normal(n) - 0.25 * size_score), 2.0, 10.0) / 1e4
    price = np.exp(rng.uniform(np.log(25.0), np.log(320.0), n))
    capitalisation = 4e10 * np.exp(1.1 * size_score)
    return Population(
        sectors=sectors,
        symbols=[*symbols, *funds],
        n_stocks=n,
        sector=np.array([*sector, -1, *range(k - 1)]),
        market_beta=np.concatenate(
            [np.clip(0.75 * beta_of_sector[own] + 0.4 + 0.25 * rng.standard_normal(n), 0.2, 2.4), [1.0], beta_of_sector]
        ),
        sector_beta=np.concatenate([np.clip(1.0 + 0.3 * rng.standard_normal(n), 0.1, 2.0), [0.0], np.ones(k - 1)]),
        volatility=np.concatenate([volatility, np.full(k, 0.0004)]),
        half_spread=np.concatenate([spread / 2, np.full(k, 0.3e-4)]),
        price=np.concatenate([price, [380.0], rng.uniform(35.0, 180.0, k - 1)]),
        shares=np.concatenate([np.round(capitalisation / price, -3), np.full(k, 2e8)]),
        turnover=np.concatenate([0.006 * np.exp(0.35 * rng.standard_normal(n)), np.full(k, 0.06)]),
    )


@dataclass(frozen=True)
class Split:
    """A split: `ratio` new shares for one old share from the session `index` on; announced at `announced`."""

    stock: int
    index: int
    ratio: float
    announced: int


@dataclass(frozen=True)
class Events:
    """What happens to single stocks; every index counts sessions of the timeline.

    Attributes
    ----------
    dividend_yield : ndarray
        Annual yield of each stock, 0 for those that pay none.
    renamed : tuple of (stock, index, new symbol)
        The stock trades under its new symbol from this session on.
    delisted : tuple of (stock, index)
        First session in which the stock no longer trades.
    halted : tuple of (stock, index, first bar, last bar)
        Bars without trading, both inclusive.
    """

    splits: list[Split]
    dividend_yield: Floats
    dividend_phase: NDArray[np.int64]
    renamed: tuple[int, int, str]
    delisted: tuple[int, int]
    halted: tuple[int, int, int, int]


def build_events(timeline: Timeline, population: Population, seed: int) -> Events:
    """Place splits, dividends, the rename, the delisting and the halt."""
    rng = random_stream(seed, 2)
    n, warmup, sessions = population.n_stocks, timeline.warmup, timeline.preset.sessions

    def at(fraction: float) -> int:
        return warmup + max(1, min(sessions - 2, int(fraction * sessions)))

    order = [int(stock) for stock in rng.permutation(n)]
    pick = order[:8]
    plan = [(pick[0], at(0.28), 4.0), (pick[1], at(0.62), 2.0), (pick[2], at(0.45), 0.2)]
    plan += [(pick[3], warmup // 3, 2.0), (pick[4], 2 * warmup // 3, 10.0)]
    pays = rng.permutation(n) < n // 2
    old = population.symbols[pick[5]]
    return Events(
        splits=[Split(stock, index, ratio, index - 15) for stock, index, ratio in plan],
        dividend_yield=np.where(pays, 0.01 + 0.03 * rng.random(n), 0.0),
        dividend_phase=rng.integers(5, 58, n),
        renamed=(pick[5], at(0.4), f"{old[:3]}N{old[3:]}"),
        delisted=(pick[6], at(0.75)),
        halted=(pick[7], at(0.55), 20, 43),
    )


def symbol_on(population: Population, events: Events, timeline: Timeline, stock: int, day: date) -> str:
    """Return the symbol under which a stock or fund trades on a calendar day."""
    renamed, index, new_symbol = events.renamed
    if stock == renamed and day >= timeline.days[index]:
        return new_symbol
    return population.symbols[stock]
