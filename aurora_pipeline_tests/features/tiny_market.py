"""Small made-up markets for the feature tests: a few stocks, a benchmark, two sector ETFs, daily history, 5-minute bars."""

from datetime import date

import numpy as np
import polars as pl

from aurora_pipeline.calendar import session_calendar
from aurora_pipeline.contracts import FEATURE_FEEDS, empty
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.sector_neutralizer import compute_residual_returns
from aurora_pipeline.market.manifest import MarketManifest
from aurora_pipeline.settings import Settings

CALENDAR = session_calendar("XNYS")
SECTORS = {
    "AAA": "Tech",
    "BBB": "Tech",
    "CCC": "Tech",
    "DDD": "Tech",
    "EEE": "Energy",
    "FFF": "Energy",
    "GGG": "Energy",
}
ETFS = {"Tech": "XLK", "Energy": "XLE"}
BENCHMARK = "SPY"
TIMESTAMP = pl.Datetime("us", "UTC")


def manifest(frequency="5min", **changes):
    """A market with a benchmark and two sector ETFs, unadjusted prices."""
    content = {
        "name": "tiny",
        "calendar": "XNYS",
        "frequency": frequency,
        "benchmark": BENCHMARK,
        "sector_etfs": ETFS,
        "price_adjustment": "none",
        "survivorship": "none",
        "redistribution": "yes",
        "notes": "",
    }
    return MarketManifest(**(content | changes))


def price_rows(prices, symbol, *, daily):
    """Rows of `bars` or `daily_bars` from a frame with session, bar_start, bar_end and open .. volume."""
    return prices.with_columns(
        pl.lit(symbol).alias("symbol"),
        pl.lit(symbol).alias("instrument_id"),
        pl.col("bar_end").alias("known_at"),
        pl.lit(None, TIMESTAMP).alias("quarantined_at"),
        ((pl.col("open") + 2.0 * pl.col("close")) / 3.0).alias("vwap"),
        pl.lit(None, pl.Float64).alias("trade_count"),
        pl.lit(value=False).alias("flat"),
    ).select(empty("daily_bars" if daily else "bars").columns)


def random_prices(random, grid, start, volatility):
    """A random walk on a grid of bars, ending where the next one can start."""
    count = grid.height
    close = start * np.exp(np.cumsum(volatility * random.standard_normal(count)))
    opened = np.concatenate([[start], close[:-1]]) * np.exp(0.2 * volatility * random.standard_normal(count))
    top = np.maximum(opened, close) * np.exp(0.5 * volatility * random.random(count))
    bottom = np.minimum(opened, close) * np.exp(-0.5 * volatility * random.random(count))
    volume = np.round(1e5 * np.exp(0.5 * random.standard_normal(count))) + 100.0
    return grid.with_columns(
        open=pl.Series(opened),
        high=pl.Series(top),
        low=pl.Series(bottom),
        close=pl.Series(close),
        volume=pl.Series(volume),
    )


def random_inputs(seed=0, history=80, sessions=3, frequency="5min", end=date(2025, 3, 20), **changes):
    """Inputs of the last `sessions` sessions up to `end`, bars of the 6 before them, `history` daily bars before those."""
    random = np.random.default_rng(seed)
    asked = CALENDAR.sessions(CALENDAR.shift(end, 1 - sessions), end)
    barred = CALENDAR.sessions(CALENDAR.shift(asked[0], -6), end)
    dated = CALENDAR.sessions(CALENDAR.shift(barred[0], -history), end)
    daily, bars = [], []
    for symbol in [*SECTORS, *ETFS.values(), BENCHMARK]:
        day_grid = CALENDAR.grid(dated, "session")
        daily_prices = random_prices(random, day_grid, 20.0 + 80.0 * random.random(), 0.015)
        daily.append(price_rows(daily_prices, symbol, daily=True))
        bar_grid = CALENDAR.grid(barred, frequency)
        last = daily_prices.filter(pl.col("session") < barred[0]).get_column("close")[-1]
        prices = random_prices(random, bar_grid, last, 0.002) if frequency == "5min" else daily_prices
        bars.append(price_rows(prices.filter(pl.col("session") >= barred[0]), symbol, daily=False))
    return make_inputs(asked, pl.concat(bars), pl.concat(daily), frequency=frequency, **changes)


def make_inputs(asked, bars, daily, frequency="5min", universe=None, market=None, settings=None, **feeds):
    """Inputs from bars and daily bars; residual returns are computed from them unless given."""
    market = market or manifest(frequency)
    universe = stock_universe(bars.get_column("session").unique().sort().to_list()) if universe is None else universe
    session_bars = (
        bars.sort("bar_end")
        .group_by("session", "symbol", "instrument_id", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
            pl.col("known_at").max(),
            pl.lit(None, TIMESTAMP).alias("quarantined_at"),
        )
        .select(empty("session_bars").columns)
    )
    frames = {name: empty(name) for name in FEATURE_FEEDS} | {"daily_bars": daily} | feeds
    inputs = FeatureInputs(
        sessions=asked,
        until=None,
        calendar=CALENDAR,
        frequency=frequency,
        manifest=market,
        settings=settings or Settings(),
        bars=bars,
        session_bars=session_bars,
        universe=universe,
        **({"residual_returns": empty("residual_returns")} | frames),
    )
    return inputs if "residual_returns" in feeds else with_residuals(inputs)


def with_residuals(inputs):
    """Replace the residual returns by those of the inputs' bars, over every session that has any."""
    days = inputs.bars.get_column("session").unique().sort().to_list()
    rows = compute_residual_returns(inputs.with_frames(sessions=days))
    return inputs.with_frames(residual_returns=rows)


def stock_universe(sessions, sectors=None):
    """Universe of the tiny market: all stocks eligible."""
    names = sectors or SECTORS
    rows = [
        {"session": day, "symbol": name, "instrument_id": name, "kind": "stock", "sector": sector, "eligible": True}
        for day in sessions
        for name, sector in names.items()
    ]
    funds = [
        {"session": day, "symbol": name, "instrument_id": name, "kind": "etf", "sector": None, "eligible": False}
        for day in sessions
        for name in [*ETFS.values(), BENCHMARK]
    ]
    return pl.DataFrame(rows + funds, schema_overrides={"sector": pl.String}).with_columns(
        pl.lit(None, pl.String).alias("reason")
    )


def bars_of(session, closes, first=0):
    """5-minute bars of 100 shares from bar `first` of a session on: closes per symbol, None for no bar."""
    grid = CALENDAR.grid([session])
    parts = []
    for symbol, series in closes.items():
        close = pl.Series(series, dtype=pl.Float64)
        prices = grid[first : first + len(series)].with_columns(
            open=close, high=close, low=close, close=close, volume=pl.lit(100.0)
        )
        parts.append(price_rows(prices.filter(pl.col("close").is_not_null()), symbol, daily=False))
    return pl.concat(parts)


def daily_of(sessions, closes):
    """Daily bars with the given closes per symbol; open = high = low = close, 1000 shares."""
    grid = CALENDAR.grid(sessions, "session")
    parts = []
    for symbol, series in closes.items():
        close = pl.Series(series, dtype=pl.Float64)
        prices = grid.with_columns(open=close, high=close, low=close, close=close, volume=pl.lit(1000.0))
        parts.append(price_rows(prices.filter(pl.col("close").is_not_null()), symbol, daily=True))
    return pl.concat(parts)


def action(symbol, ex_date, kind, ratio=None, amount=None, known_at=None):
    """One row of `corporate_actions`, known at the close two sessions before unless said otherwise."""
    row = {
        "symbol": symbol,
        "instrument_id": symbol,
        "ex_date": ex_date,
        "kind": kind,
        "known_at": known_at or CALENDAR.close(CALENDAR.shift(ex_date, -2)),
        "ratio": ratio,
        "amount": amount,
        "new_symbol": None,
    }
    return pl.DataFrame([row], schema=empty("corporate_actions").schema)
