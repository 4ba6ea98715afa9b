"""Feeds about positions: short interest, options, flows of the sector funds.

What is planted: shares short / shares outstanding, the 25-delta put-call volatility skew relative to implied
volatility, log(call volume / put volume), and the 5-session fund flow / assets. Open interest, the average
daily volume printed beside the short interest, and `gross_creations_usd` are decoys.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.market.simulation.bar_files import write_parquet
from aurora_pipeline.market.simulation.population import Events, Population, random_stream, symbol_on
from aurora_pipeline.market.simulation.price_path import PricePath
from aurora_pipeline.market.simulation.signals import Signals, autoregression
from aurora_pipeline.market.simulation.timeline import HISTORY, Timeline

Floats = NDArray[np.float64]
Schema = dict[str, pl.DataType | type[pl.DataType]]


def write_short_interest(
    directory: Path,
    timeline: Timeline,
    population: Population,
    events: Events,
    signals: Signals,
    share_factor: Floats,
    seed: int,
) -> None:
    """Write short_interest.parquet: twice a month, published 8 sessions after settlement."""
    rng = random_stream(seed, 10)
    n, days = population.n_stocks, len(timeline.days)
    every = timeline.all_days()
    usual = 0.03 * np.exp(0.12 * rng.standard_normal(n))
    volume = population.shares[:n] * population.turnover[:n]
    rows = []
    settlements = signals.settlements
    for step, settled in enumerate(settlements.dates):
        published = int(settlements.published[step])
        misprint = np.exp(0.35 * rng.standard_normal(n))
        if published >= days:
            break
        session = int(settlements.session[step])
        day = every[published + HISTORY]
        ratio = usual * np.exp(0.45 * signals.short_interest[step])
        factor = share_factor[min(max(session, 0), days - 1), :n]
        for stock in range(n):
            if stock == events.delisted[0] and published >= events.delisted[1]:
                continue
            rows.append(
                (
                    symbol_on(population, events, timeline, stock, day),
                    settled,
                    timeline.close(day) + timedelta(minutes=45),
                    int(ratio[stock] * population.shares[stock] * factor[stock]),
                    int(volume[stock] * factor[stock] * misprint[stock]),
                )
            )
    schema: Schema = {
        "symbol": pl.String,
        "settlement_date": pl.Date,
        "known_at": TIMESTAMP,
        "shares_short": pl.Int64,
        "avg_daily_volume": pl.Int64,
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row").sort("known_at", "symbol")
    write_parquet(frame, directory / "short_interest.parquet")


def write_etf_flows(
    directory: Path, timeline: Timeline, population: Population, path: PricePath, signals: Signals, seed: int
) -> None:
    """Write etf_flows.parquet: a session's flow is known before the next session opens."""
    rng = random_stream(seed, 11)
    n, days = population.n_stocks, len(timeline.days)
    funds = population.symbols[n:]
    nav = np.round(path.daily[:, 3, n:] * (1.0 + 0.0002 * rng.standard_normal((days, len(funds)))), 4)
    shares = np.array([9e8, *(2e8 * np.exp(0.4 * rng.standard_normal(len(funds) - 1)))])
    every = timeline.all_days()
    gross = np.exp(0.6 * rng.standard_normal((days, len(funds))))
    rows = []
    for index, day in enumerate(timeline.days):
        moment = timeline.open(every[index + HISTORY + 1]) - timedelta(minutes=75)
        flow = np.round(signals.flow[index + 6] * shares * nav[index], 0)
        shares = np.round(shares + flow / nav[index], 0)
        for position, fund in enumerate(funds):
            size = 0.004 * shares[position] * nav[index, position] * gross[index, position]
            rows.append(
                (
                    fund,
                    day,
                    moment,
                    float(flow[position]),
                    float(shares[position]),
                    float(nav[index, position]),
                    round(size, 0),
                )
            )
    schema: Schema = {
        "symbol": pl.String,
        "date": pl.Date,
        "known_at": TIMESTAMP,
        "net_flow_usd": pl.Float64,
        "shares_outstanding": pl.Float64,
        "nav": pl.Float64,
        "gross_creations_usd": pl.Float64,
    }
    write_parquet(
        pl.DataFrame(rows, schema=schema, orient="row").sort("known_at", "symbol"), directory / "etf_flows.parquet"
    )


def write_options(
    directory: Path,
    timeline: Timeline,
    population: Population,
    events: Events,
    path: PricePath,
    signals: Signals,
    seed: int,
) -> None:
    """Write options.parquet: one row per stock and session, known after the close; it drives the next session."""
    rng = random_stream(seed, 12)
    n, days = population.n_stocks, len(timeline.days)
    close = np.log(path.daily[:, 3, :n])
    returns = np.diff(close, axis=0, prepend=close[:1])
    realised = _trailing_deviation(returns, 21) * np.sqrt(252)
    premium = 1.08 + 0.05 * autoregression(rng, days, n, 0.97)
    implied = path.total_volatility * np.sqrt(252) * premium * np.exp(0.02 * rng.standard_normal((days, n)))
    skew = 0.09 + 0.035 * signals.skew[1 : days + 1]
    tilt = 0.30 * signals.call_put[1 : days + 1] + 0.25
    activity = np.exp(10.0 + 0.6 * rng.standard_normal(n) + 0.35 * rng.standard_normal((days, n)))
    interest = np.exp(
        12.5
        + 0.6 * rng.standard_normal((2, 1, n))
        + 0.3 * np.stack([autoregression(rng, days, n, 0.95) for _ in range(2)])
    )
    columns = {
        "iv_30d": np.round(implied, 4),
        "hv_30d": np.round(realised, 4),
        "iv_call_25d": np.round(implied * (1.0 - skew / 2), 4),
        "iv_put_25d": np.round(implied * (1.0 + skew / 2), 4),
        "put_volume": np.round(activity / (1.0 + np.exp(tilt))),
        "call_volume": np.round(activity / (1.0 + np.exp(-tilt))),
        "put_open_interest": np.round(interest[0]),
        "call_open_interest": np.round(interest[1]),
    }
    trades = np.ones((days, n), dtype=bool)
    trades[events.delisted[1] :, events.delisted[0]] = False
    where = np.nonzero(trades)
    closes = [timeline.close(day) + timedelta(minutes=40) for day in timeline.days]
    names = [
        symbol_on(population, events, timeline, int(stock), timeline.days[day])
        for day, stock in zip(*where, strict=True)
    ]
    frame = pl.DataFrame(
        {
            "symbol": pl.Series(names, dtype=pl.String),
            "date": np.array(timeline.days, dtype="datetime64[D]")[where[0]],
            "known_at": pl.Series(closes, dtype=TIMESTAMP).gather(where[0]),
            **{name: values[where] for name, values in columns.items()},
        }
    )
    write_parquet(frame.sort("known_at", "symbol"), directory / "options.parquet")


def _trailing_deviation(returns: Floats, window: int) -> Floats:
    """Standard deviation over the last `window` rows; the first rows use the first full window."""
    total = np.cumsum(np.vstack([np.zeros(returns.shape[1]), returns]), axis=0)
    square = np.cumsum(np.vstack([np.zeros(returns.shape[1]), returns**2]), axis=0)
    mean = (total[window:] - total[:-window]) / window
    variance = (square[window:] - square[:-window]) / window - mean**2
    deviation = np.sqrt(np.maximum(variance, 1e-12))
    return np.concatenate([np.repeat(deviation[:1], window - 1, axis=0), deviation])
