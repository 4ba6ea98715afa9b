"""Feeds about companies: corporate actions, earnings with estimates, quarterly filings.

What is planted: the earnings surprise (actual - estimate) / price, and gross profit / total assets of the last
filing. `capital_expenditure`, `estimate_count` and the amount of dividends are decoys.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.market.simulation.bar_files import write_parquet
from aurora_pipeline.market.simulation.population import Events, Population, random_stream, symbol_on
from aurora_pipeline.market.simulation.presets import SECTORS
from aurora_pipeline.market.simulation.price_path import PricePath
from aurora_pipeline.market.simulation.signals import Quarters
from aurora_pipeline.market.simulation.timeline import AHEAD, HISTORY, Timeline

Floats = NDArray[np.float64]
Schema = dict[str, pl.DataType | type[pl.DataType]]
FUNDAMENTALS = (
    "revenue",
    "gross_profit",
    "operating_income",
    "net_income",
    "total_assets",
    "total_debt",
    "stockholders_equity",
    "operating_cash_flow",
    "capital_expenditure",
    "shares_outstanding",
)
RESTATED_AFTER = 12  # sessions
SURPRISE_PER_PRICE = 0.003  # earnings surprise of one standard deviation, as a fraction of the price


def _day(timeline: Timeline, index: int) -> date:
    return timeline.all_days()[index + HISTORY]


def write_corporate_actions(
    directory: Path, timeline: Timeline, population: Population, events: Events, actions: pl.DataFrame
) -> None:
    """Write corporate_actions.parquet: splits, dividends, the rename and the delisting, each announced weeks before."""
    rows: list[tuple[str, date, datetime, str, float | None, float | None, str | None]] = []
    every = timeline.all_days()
    plan = [(*row, None) for row in actions.iter_rows()]
    stock, index, new_symbol = events.renamed
    plan.append((stock, index, index - 20, "rename", None, None, new_symbol))
    plan.append((*events.delisted, events.delisted[1] - 25, "delist", None, None, None))
    for stock, index, announced, kind, ratio, amount, other in plan:
        moment = timeline.close(every[announced + HISTORY]) + timedelta(minutes=30)
        name = (
            population.symbols[stock]
            if kind == "rename"
            else symbol_on(population, events, timeline, stock, moment.date())
        )
        rows.append((name, timeline.days[index], moment, kind, ratio, amount, other))
    schema: Schema = {
        "symbol": pl.String,
        "ex_date": pl.Date,
        "known_at": TIMESTAMP,
        "kind": pl.String,
        "ratio": pl.Float64,
        "amount": pl.Float64,
        "new_symbol": pl.String,
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row").sort("known_at", "symbol", "kind")
    write_parquet(frame, directory / "corporate_actions.parquet")


@dataclass(frozen=True)
class _Levels:
    """What a company's reports look like, by stock: sizes in USD, the rest as fractions."""

    assets: Floats
    margin: Floats
    earnings_yield: Floats
    leverage: Floats
    equity_share: Floats
    estimates: NDArray[np.int64]


def _draw_levels(rng: np.random.Generator, population: Population) -> _Levels:
    n = population.n_stocks
    assets = population.price[:n] * population.shares[:n] * np.exp(rng.normal(-0.3, 0.5, n))
    margin = np.array([SECTORS[name][3] for name in population.sectors])[population.sector[:n]] * 0.25 + 0.15
    return _Levels(
        assets=assets,
        margin=np.clip(margin * np.exp(0.2 * rng.standard_normal(n)), 0.08, 0.9),
        earnings_yield=0.05 * np.exp(0.3 * rng.standard_normal(n)) / 4,
        leverage=rng.uniform(0.1, 0.4, n),
        equity_share=rng.uniform(0.25, 0.55, n),
        estimates=rng.integers(6, 30, n),
    )


def write_company_reports(
    directory: Path,
    timeline: Timeline,
    population: Population,
    events: Events,
    path: PricePath,
    quarters: Quarters,
    factors: tuple[Floats, Floats],
    seed: int,
) -> None:
    """Write earnings.parquet and fundamentals.parquet; per-share figures are those of the shares of the day."""
    rng = random_stream(seed, 9)
    n, days = population.n_stocks, len(timeline.days)
    price_factor, share_factor = factors
    levels = _draw_levels(rng, population)
    usual_price = _trailing_mean(path.daily[:, 3, :n], 250)
    noise = rng.standard_normal((len(quarters.ends), n, 8))
    restated = _restated_filing(timeline, quarters, events)
    issued = _issuance(seed, len(quarters.ends), n)
    earnings: list[tuple[object, ...]] = []
    filings: list[tuple[object, ...]] = []
    for quarter, stock in itertools.product(range(len(quarters.ends)), range(n)):
        announced, filed = int(quarters.announced[quarter, stock]), int(quarters.filed[quarter, stock])
        gone = events.delisted[1] if stock == events.delisted[0] else days
        if announced >= gone or announced < -HISTORY:
            continue
        early = bool(quarters.before_open[quarter, stock])
        before = min(max(announced - early, 0), days - 1)
        raw_price = path.daily[before, 3, stock] * price_factor[before, stock]
        draws = noise[quarter, stock]
        split = share_factor[min(max(announced, 0), days - 1), stock]
        base = usual_price[max(announced, 0), stock] / split * levels.earnings_yield[stock]
        estimate = round(base * (1.0 + 0.12 * draws[0]), 4)
        actual = round(estimate + quarters.surprise[quarter, stock] * SURPRISE_PER_PRICE * raw_price, 2)
        day = _day(timeline, announced)
        if early:
            moment = timeline.open(day) - timedelta(minutes=90 + 15 * (stock % 5))
        else:
            moment = timeline.close(day) + timedelta(minutes=5 + 5 * (stock % 6))
        count = int(max(2, levels.estimates[stock] + round(2 * draws[1])))
        end = quarters.ends[quarter]
        earnings.append((symbol_on(population, events, timeline, stock, day), moment, end, estimate, actual, count))
        if filed >= gone:
            continue
        income = actual * population.shares[stock] * split
        shares = population.shares[stock] * share_factor[min(max(filed, 0), days - 1), stock] * issued[quarter, stock]
        figures = _figures(levels, stock, quarter, float(quarters.profitability[quarter, stock]), income, shares, draws)
        versions = [(filed, 35 + 10 * (stock % 4), figures)]
        if (quarter, stock) == restated:
            versions.append((filed + RESTATED_AFTER, 40, _restate(figures)))
        for index, minutes, values in versions:
            day = _day(timeline, index)
            name = symbol_on(population, events, timeline, stock, day)
            filings.append((name, timeline.close(day) + timedelta(minutes=minutes), end, *values.values()))
    end_of_data = timeline.close(timeline.days[-1]) + timedelta(hours=4)
    _write(earnings, directory / "earnings.parquet", ("eps_estimate", "eps_actual"), end_of_data, ("estimate_count",))
    _write(filings, directory / "fundamentals.parquet", FUNDAMENTALS, end_of_data, ())


def _issuance(seed: int, quarters: int, stocks: int) -> Floats:
    """Share count of each quarter against the first one: buybacks and issues that carry nothing; shape (quarters, stocks)."""
    rng = random_stream(seed, 13)
    usual = rng.uniform(-0.004, 0.004, stocks)
    steps = usual + 0.002 * rng.standard_normal((quarters, stocks))
    return np.asarray(np.exp(np.cumsum(steps, axis=0)))


def _figures(
    levels: _Levels, stock: int, quarter: int, profitability: float, income: float, shares: float, draws: Floats
) -> dict[str, float]:
    """Figures of one filing in the order of `FUNDAMENTALS`, rounded to thousands."""
    total = levels.assets[stock] * (1.0 + 0.012) ** quarter * (1.0 + 0.01 * draws[2])
    gross = total * (0.075 + 0.018 * profitability)
    values = (
        gross / levels.margin[stock] * np.exp(0.02 * draws[3]),
        gross,
        gross * (0.45 + 0.05 * draws[4]),
        income,
        total,
        total * levels.leverage[stock] * np.exp(0.05 * draws[5]),
        total * levels.equity_share[stock] * np.exp(0.02 * draws[5]),
        income * 1.2 + 0.01 * total * draws[6],
        total * 0.012 * np.exp(0.4 * draws[7]),
        shares,
    )
    return {name: round(float(value), -3) for name, value in zip(FUNDAMENTALS, values, strict=True)}


def _restate(figures: dict[str, float]) -> dict[str, float]:
    """Return the same filing with a lower income and equity, as restated later."""
    lower = {"net_income": 0.93, "stockholders_equity": 0.99}
    return {name: round(value * lower.get(name, 1.0), -3) for name, value in figures.items()}


def _trailing_mean(values: Floats, window: int) -> Floats:
    """Mean over the last `window` rows up to the row before; earnings follow the price only slowly."""
    total = np.cumsum(np.vstack([np.zeros(values.shape[1]), values]), axis=0)
    rows = np.arange(len(values) + AHEAD)
    last = np.clip(rows, 1, len(values))
    first = np.maximum(last - window, 0)
    return np.asarray((total[last] - total[first]) / (last - first)[:, None])


def _restated_filing(timeline: Timeline, quarters: Quarters, events: Events) -> tuple[int, int]:
    """Quarter and stock of the filing that is restated: the first stock's last one early enough in the bar span."""
    stock = next(i for i in range(quarters.filed.shape[1]) if i not in (events.delisted[0], events.renamed[0]))
    early = np.flatnonzero(quarters.filed[:, stock] + RESTATED_AFTER < len(timeline.days))
    return int(early[-1]), stock


def _write(
    rows: Sequence[tuple[object, ...]], path: Path, numbers: tuple[str, ...], end: datetime, counts: tuple[str, ...]
) -> None:
    schema: Schema = {
        "symbol": pl.String,
        "known_at": TIMESTAMP,
        "fiscal_period_end": pl.Date,
        **dict.fromkeys(numbers, pl.Float64),
        **dict.fromkeys(counts, pl.Int64),
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row").filter(pl.col("known_at") <= end.astimezone(UTC))
    write_parquet(frame.sort("known_at", "symbol", "fiscal_period_end"), path)
