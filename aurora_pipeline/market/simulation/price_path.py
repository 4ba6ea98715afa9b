"""The path of every price, session by session, with the truth beside it.

Returns are beta * market + sector beta * sector factor + residual; the residual carries the planted drift.
Prices here are total-return prices without splits and dividends; `bar_files` turns them into the raw prices of
the day.

1. volatilities of market, sectors and residuals over sessions (`factor_draws.volatility_paths`);
2. each session: slow signals in force (`SlowAlpha.expected`) and their drift, overnight returns with earnings jumps
   (`factor_draws.session_draws`), then the bars (`bar_kernel.simulate_session`);
3. for sessions with decisions, the expectation over the label's bars (`label_expectation`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.market.simulation import bar_kernel
from aurora_pipeline.market.simulation.components import COMPONENTS, fast_decays, weights
from aurora_pipeline.market.simulation.factor_draws import (
    OVERNIGHT_SHARE,
    Volatilities,
    log_volume_profile,
    session_draws,
    usual_deviation,
    volatility_paths,
    volatility_profile,
)
from aurora_pipeline.market.simulation.label_expectation import fast_reach, label_terms, slow_persistence
from aurora_pipeline.market.simulation.population import Events, Population, random_stream
from aurora_pipeline.market.simulation.signals import Quarters, Signals, autoregression
from aurora_pipeline.market.simulation.slow_alpha import REACH, SlowAlpha
from aurora_pipeline.market.simulation.timeline import Timeline, horizon_counts

Floats = NDArray[np.float64]
SIZE_SESSIONS = 60
_FIELDS = 6  # open, high, low, close, volume, vwap


@dataclass
class PricePath:
    """Simulated bars; n_symbols counts stocks and funds, n_bars the bars of the sessions with decisions.

    Attributes
    ----------
    daily : ndarray of shape (n_sessions, 5, n_symbols)
        Open, high, low, close, volume of every session.
    bars : ndarray of shape (n_bars, 6, n_symbols)
        Open, high, low, close, volume, vwap.
    session_of_bar, bar_of_session : ndarray of shape (n_bars,)
        Index of the session and of the bar within it.
    expected, attainable : ndarray of shape (n_bars, n_stocks)
        Residual return expected over the label of a decision at the end of each bar.
    residual : ndarray of shape (n_bars, n_stocks)
        True residual return from the close before to the close of each bar.
    residual_volatility : ndarray of shape (n_sessions, n_stocks)
        Forecastable residual volatility per session.
    total_volatility : ndarray of shape (n_sessions, n_stocks)
        The same with the market and sector parts.
    moments : ndarray of shape (3, n_components)
        Sums over decisions of each component's part in the standardised forecast: oracle squared, oracle *
        attainable, attainable squared. What share of the alpha each component really has.
    """

    daily: Floats
    bars: Floats
    session_of_bar: NDArray[np.int64]
    bar_of_session: NDArray[np.int64]
    expected: Floats
    attainable: Floats
    residual: Floats
    residual_volatility: Floats
    total_volatility: Floats
    moments: Floats


@dataclass(frozen=True)
class _Constants:
    """What stays the same over all sessions.

    Attributes
    ----------
    unit : float
        Expected residual return over one horizon per unit of signal, relative to residual volatility per session.
    fast_total, slow_total : ndarray
        Sum of each component's expected decays over the bars of a label: turns weights into drift per bar.
    """

    unit: float
    decays: Floats
    fast_total: Floats
    slow_total: Floats
    reversal_scale: float
    wick: float
    gains: Floats


def _constants(timeline: Timeline, population: Population, alpha_scale: float) -> _Constants:
    preset = timeline.preset
    decays = fast_decays(preset.frequency, preset.bars_per_session)
    fast_total = decays * (1.0 - decays**preset.horizon) / (1.0 - decays)
    # Taking out the sector mean costs one degree of freedom per sector; this gives unit variance back.
    fast_total *= np.sqrt(1.0 - len(population.sectors) / population.n_stocks)
    volume_noise = bar_kernel.VOLUME_NOISE / bar_kernel.VOLUME_SURPRISE
    return _Constants(
        unit=alpha_scale * float(np.sqrt(preset.horizon / preset.bars_per_session)),
        decays=decays,
        fast_total=fast_total,
        slow_total=slow_persistence(timeline) * preset.horizon,
        reversal_scale=float(1.0 / np.sqrt(1.0 - decays[0] ** 2)),
        # A daily bar shows the imbalance only by its shape, so there it shows more.
        wick=0.4 if preset.frequency == "5min" else 0.8,
        gains=np.array(
            [
                bar_kernel.filter_gain(decays[1], bar_kernel.IMBALANCE_NOISE),
                bar_kernel.filter_gain(decays[2], volume_noise),
            ]
        ),
    )


def _empty_path(timeline: Timeline, population: Population, paths: Volatilities) -> PricePath:
    days, symbols, n = len(timeline.days), len(population.symbols), population.n_stocks
    sizes = np.array([timeline.bars(index) for index in range(timeline.warmup, days)])
    total = int(sizes.sum())
    return PricePath(
        daily=np.empty((days, 5, symbols)),
        bars=np.empty((total, _FIELDS, symbols)),
        session_of_bar=np.repeat(np.arange(timeline.warmup, days), sizes),
        bar_of_session=np.concatenate([np.arange(size) for size in sizes]),
        expected=np.zeros((total, n)),
        attainable=np.zeros((total, n)),
        residual=np.zeros((total, n)),
        moments=np.zeros((3, len(COMPONENTS))),
        residual_volatility=paths.residual[:, :n],
        total_volatility=np.sqrt(
            paths.residual[:, :n] ** 2
            + population.market_beta[:n] ** 2 * paths.market[:, None] ** 2
            + population.sector_beta[:n] ** 2 * paths.sectors[:, population.sector[:n]] ** 2
        ),
    )


def simulate_path(
    timeline: Timeline,
    population: Population,
    events: Events,
    signals: Signals,
    quarters: Quarters,
    *,
    seed: int,
    alpha_scale: float,
    break_index: int | None,
    progress: Callable[[str, int, int], None] | None = None,
) -> PricePath:
    """Simulate every session of a market.

    Parameters
    ----------
    alpha_scale : float
        Standard deviation of the expected residual return over one horizon, as a fraction of residual volatility.
    break_index : int or None
        First session in which the components pay by their weights after the break.
    """
    n, symbols, days = population.n_stocks, len(population.symbols), len(timeline.days)
    paths = volatility_paths(timeline, population, seed)
    constants = _constants(timeline, population, alpha_scale)
    result = _empty_path(timeline, population, paths)
    rng = random_stream(seed, 6)
    slow = SlowAlpha(population, signals, quarters)
    beta_drift = np.stack([autoregression(rng, days, symbols, 0.995) for _ in range(2)]) * 0.08
    beta_drift[:, :, n:] = 0.0
    log_price = np.log(population.price)
    log_shares = np.log(population.shares * population.turnover)
    states = rng.standard_normal((6, symbols))
    states[0] *= constants.reversal_scale
    states[3:5] = states[1:3]
    dollars = np.zeros((days, n))
    done = 0
    for session in range(days):
        if session == events.delisted[1]:
            slow.set_active(np.arange(n) != events.delisted[0])
        slow.size = _size(dollars, session, population)
        deciding = session >= timeline.warmup
        steps = REACH if deciding and alpha_scale else 1
        seen = slow.expected(session, steps, published=False)
        after = [break_index is not None and session + lag >= break_index for lag in range(REACH)]
        fast_weights, slow_weights = weights(after[0])
        bars = timeline.bars(session)
        draws = session_draws(rng, bars, population, paths, session, quarters)
        market_beta = population.market_beta + beta_drift[0, session]
        out, residual = np.empty((bars, _FIELDS, symbols)), np.empty((bars, n))
        fast, filtered = np.empty((bars, 4, n)), np.empty((bars, 4, n))
        bar_kernel.simulate_session(
            draws.normals,
            draws.uniforms,
            volatility_profile(bars),
            usual_deviation(bars),
            log_volume_profile(bars),
            draws.market,
            draws.sectors,
            draws.factor_variance,
            population.sector,
            slow.active,
            market_beta,
            population.sector_beta * (1.0 + beta_drift[1, session]),
            paths.residual[session] * np.sqrt(1.0 - OVERNIGHT_SHARE),
            draws.overnight_residual,
            draws.overnight(market_beta, population),
            population.half_spread,
            log_shares + paths.log_volume[session],
            (slow_weights / constants.slow_total) @ seen[0],
            fast_weights / constants.fast_total,
            constants.unit * paths.residual[session, :n],
            constants.decays,
            constants.reversal_scale,
            constants.wick,
            constants.gains,
            log_price,
            states,
            out,
            fast,
            filtered,
            residual,
        )
        log_price = np.round(log_price, 11)  # keeps differences in the last bit between processors from growing
        _collect_daily(result.daily[session], out)
        dollars[session] = result.daily[session, 3, :n] * result.daily[session, 4, :n]
        if deciding:
            rows = slice(done, done + bars)
            done += bars
            result.bars[rows], result.residual[rows] = out, residual
            if alpha_scale:
                known = slow.expected(session, steps, published=True)
                counts = horizon_counts(timeline, session)
                _add_truth(result, rows, slow, constants, session, counts, after, (seen, known), (fast, filtered))
        if progress is not None and (session % 20 == 0 or session == days - 1):
            progress("prices", session + 1, days)
    return result


def _add_truth(
    result: PricePath,
    rows: slice,
    slow: SlowAlpha,
    constants: _Constants,
    session: int,
    counts: NDArray[np.int64],
    after: list[bool],
    slow_parts: tuple[Floats, Floats],
    fast_parts: tuple[Floats, Floats],
) -> None:
    """Fill the oracle (first of the parts) and the attainable forecast (second) of one session."""
    scale = constants.unit * result.residual_volatility[session]
    reach = fast_reach(counts, constants.decays) / constants.fast_total
    terms = [
        label_terms(counts, reach, slow_part / constants.slow_total[:, None], fast_part, after)
        for slow_part, fast_part in zip(slow_parts, fast_parts, strict=True)
    ]
    result.expected[rows] = slow.center(terms[0].sum(axis=0) * scale)
    result.attainable[rows] = slow.center(terms[1].sum(axis=0) * scale)
    for row, (left, right) in enumerate(((0, 0), (0, 1), (1, 1))):
        result.moments[row] += np.einsum("jbn,jbn->j", terms[left], terms[right])


def _size(dollars: Floats, session: int, population: Population) -> Floats:
    """Log dollar volume of the last 60 sessions, standardised within the sector, clipped at 2."""
    n = population.n_stocks
    recent = dollars[max(0, session - SIZE_SESSIONS) : session].mean(axis=0) if session >= 20 else None
    first = population.price[:n] * population.shares[:n] * population.turnover[:n]
    log_size = np.log(np.maximum(first if recent is None else recent, 1.0))
    out = np.empty(n)
    for own in range(len(population.sectors)):
        members = population.sector[:n] == own
        out[members] = (log_size[members] - log_size[members].mean()) / log_size[members].std()
    return np.clip(out, -2.0, 2.0)


def _collect_daily(target: Floats, bars: Floats) -> None:
    target[0], target[3] = bars[0, 0], bars[-1, 3]
    target[1], target[2] = bars[:, 1].max(axis=0), bars[:, 2].min(axis=0)
    target[4] = bars[:, 4].sum(axis=0)
