"""Daily and 5-minute bars as a vendor would deliver them: raw prices of the day, gaps, corrections, symbols of the day.

`price_factors` gives what turns simulated total-return prices into raw ones: each split and dividend multiplies
all later prices. Faults are few, and each kind exists: bars missing at random, a halt, bars corrected minutes
or a day later.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.market.simulation.population import Events, Population, random_stream
from aurora_pipeline.market.simulation.price_path import PricePath
from aurora_pipeline.market.simulation.timeline import Timeline

Floats = NDArray[np.float64]
PRICE_DECIMALS = 4
MISSING_SHARE = 0.0007
CORRECTED_SHARE = 0.00008
BAR_COLUMNS = ("open", "high", "low", "close", "volume", "vwap")


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write one file of the folder; fixed options keep its bytes equal for equal content."""
    frame.write_parquet(path, compression="zstd", compression_level=3, statistics=True, row_group_size=250_000)


def price_factors(
    timeline: Timeline, population: Population, events: Events, path: PricePath
) -> tuple[Floats, Floats, pl.DataFrame]:
    """Work out splits and dividends.

    Returns
    -------
    price_factor : ndarray of shape (n_sessions, n_symbols)
        Raw price / simulated price.
    share_factor : ndarray of shape (n_sessions, n_symbols)
        Raw shares / simulated shares (splits only).
    actions : polars.DataFrame
        Splits and dividends: `stock`, `index` (ex-session), `announced` (session index), `kind`, `ratio`, `amount`.
    """
    days, symbols = len(timeline.days), len(population.symbols)
    price_factor, share_factor = np.ones((days, symbols)), np.ones((days, symbols))
    rows: list[tuple[int, int, int, str, float | None, float | None]] = []
    for split in events.splits:
        if 0 < split.index < days:
            price_factor[split.index :, split.stock] /= split.ratio
            share_factor[split.index :, split.stock] *= split.ratio
            rows.append((split.stock, split.index, split.announced, "split", split.ratio, None))
    for stock in np.flatnonzero(events.dividend_yield):
        for index in range(int(events.dividend_phase[stock]), days, 63):
            if stock == events.delisted[0] and index >= events.delisted[1]:
                break
            raw = path.daily[index - 1, 3, stock] * price_factor[index - 1, stock]
            amount = max(0.01, round(events.dividend_yield[stock] / 4 * raw, 2))
            split_today = share_factor[index, stock] / share_factor[index - 1, stock]
            price_factor[index:, stock] *= 1.0 - amount / (raw / split_today)
            rows.append((int(stock), index, index - 17, "dividend", None, amount))
    schema = {"stock": pl.Int64, "index": pl.Int64, "announced": pl.Int64, "kind": pl.String}
    actions = pl.DataFrame(rows, schema={**schema, "ratio": pl.Float64, "amount": pl.Float64}, orient="row")
    return price_factor, share_factor, actions.sort("index", "stock")


def _symbol_rows(timeline: Timeline, population: Population, events: Events, first: int) -> NDArray[np.object_]:
    """Symbol of the day, shape (n_sessions from `first`, n_symbols)."""
    table = np.empty((len(timeline.days) - first, len(population.symbols)), dtype=object)
    table[:] = np.array(population.symbols, dtype=object)[None, :]
    stock, index, new_symbol = events.renamed
    table[max(index - first, 0) :, stock] = new_symbol
    return table


def write_daily_bars(
    directory: Path,
    timeline: Timeline,
    population: Population,
    events: Events,
    path: PricePath,
    factors: tuple[Floats, Floats],
    seed: int,
) -> None:
    """Write daily_bars.parquet; volume is that of the bars plus the auctions."""
    rng = random_stream(seed, 7)
    days, symbols = len(timeline.days), len(population.symbols)
    price_factor, share_factor = factors
    auctions = 1.10 + 0.12 * rng.random((days, symbols))
    trades = np.ones((days, symbols), dtype=bool)
    trades[events.delisted[1] :, events.delisted[0]] = False
    keep = trades.ravel()
    columns = {
        name: np.round(path.daily[:, position] * price_factor, PRICE_DECIMALS).ravel()[keep]
        for position, name in enumerate(("open", "high", "low", "close"))
    }
    volume = np.round(path.daily[:, 4] * share_factor * (auctions if timeline.preset.frequency == "5min" else 1.0))
    names = _symbol_rows(timeline, population, events, 0).ravel()[keep]
    session = np.repeat(np.array(timeline.days, dtype="datetime64[D]"), symbols)[keep]
    frame = pl.DataFrame(
        {
            "symbol": pl.Series(names.tolist(), dtype=pl.String),
            "session": session,
            **columns,
            "volume": volume.ravel()[keep],
        }
    )
    write_parquet(frame.sort("session", "symbol"), directory / "daily_bars.parquet")


def write_bars(
    directory: Path,
    timeline: Timeline,
    population: Population,
    events: Events,
    path: PricePath,
    factors: tuple[Floats, Floats],
    seed: int,
) -> NDArray[np.bool_]:
    """Write bars/YYYY-MM.parquet.

    Returns
    -------
    ndarray of shape (n_bars, n_symbols)
        Whether the bar is in the files.
    """
    rng = random_stream(seed, 8)
    price_factor, share_factor = factors
    total, symbols = len(path.bars), len(population.symbols)
    grid = timeline.calendar.grid(timeline.days[timeline.warmup :])
    session = path.session_of_bar
    raw = price_factor[session]
    table = {
        name: np.round(path.bars[:, position] * raw, PRICE_DECIMALS)
        for position, name in enumerate(BAR_COLUMNS)
        if name != "volume"
    }
    table["volume"] = np.maximum(np.round(path.bars[:, 4] * share_factor[session]), 1.0)
    lot = 90.0 * np.exp(0.25 * rng.standard_normal((total, symbols)))
    trade_count = np.maximum(np.round(table["volume"] / lot), 1.0)
    draws = rng.random((total, symbols))
    last_bar = np.append(session[1:] != session[:-1], True)
    present = (draws >= MISSING_SHARE) | last_bar[:, None]
    corrected = present & (draws >= 1.0 - CORRECTED_SHARE) & ~last_bar[:, None]
    stock, halt_session, halt_first, halt_last = events.halted
    halted = (session == halt_session) & (path.bar_of_session >= halt_first) & (path.bar_of_session <= halt_last)
    present[halted, stock] = False
    present[session >= events.delisted[1], events.delisted[0]] = False
    corrected &= present

    names = _symbol_rows(timeline, population, events, timeline.warmup)[session - timeline.warmup]
    starts = np.broadcast_to(grid["bar_start"].to_numpy()[:, None], present.shape)
    order: dict[str, type[pl.DataType]] = {
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Float64,
    }
    schema: dict[str, type[pl.DataType] | pl.DataType] = {
        "symbol": pl.String,
        "bar_start": TIMESTAMP,
        **order,
        "vwap": pl.Float64,
        "trade_count": pl.Int64,
    }

    def rows(chosen: NDArray[np.bool_]) -> pl.DataFrame:
        where = np.nonzero(chosen)
        values = {name: table[name][where] for name in ("open", "high", "low", "close", "volume", "vwap")}
        frame = pl.DataFrame({"symbol": pl.Series(names[where].tolist(), dtype=pl.String), "bar_start": starts[where]})
        stamps = frame["bar_start"].cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        return frame.with_columns(stamps, trade_count=trade_count[where].astype(np.int64), **values).select(
            [pl.col(name).cast(kind) for name, kind in schema.items()]
        )

    final = rows(present).with_columns(known_at=pl.lit(None, dtype=TIMESTAMP))
    faulty = _corrections(rows(corrected), timeline, rng)
    keys = ["symbol", "bar_start"]
    first_versions = faulty.drop("corrected_at").with_columns(known_at=pl.lit(None, dtype=TIMESTAMP))
    later = faulty.select(*keys, "corrected_at")
    final = final.join(later, on=keys, how="left", maintain_order="left")
    final = final.with_columns(known_at=pl.col("corrected_at")).drop("corrected_at")
    frame = pl.concat([final, first_versions.select(final.columns)]).sort(
        "bar_start", "symbol", "known_at", nulls_last=False
    )
    folder = directory / "bars"
    folder.mkdir()
    months = frame["bar_start"].dt.strftime("%Y-%m")
    for month in months.unique().sort():
        write_parquet(frame.filter(months == month), folder / f"{month}.parquet")
    return np.asarray(present)


def _corrections(rows: pl.DataFrame, timeline: Timeline, rng: np.random.Generator) -> pl.DataFrame:
    """First, wrong versions of bars, with the moment `corrected_at` at which the right one appeared."""
    count = rows.height
    off = 1.0 + np.where(rng.random(count) < 0.5, -1.0, 1.0) * rng.uniform(0.002, 0.006, count)
    same_session = rng.random(count) < 0.5
    delay = rng.integers(2, 9, count)
    moments = []
    for start, soon, bars in zip(rows["bar_start"].to_list(), same_session, delay, strict=True):
        end = start + timedelta(minutes=5)
        close = timeline.close(end.date())
        quick = end + timedelta(minutes=5 * int(bars) - 2)
        following = timeline.open(timeline.calendar.shift(end.date(), 1)) - timedelta(hours=2)
        moments.append(quick if soon and quick < close else following)
    wrong = pl.Series("close", np.round(rows["close"].to_numpy() * off, PRICE_DECIMALS))
    return rows.with_columns(wrong, corrected_at=pl.Series(moments, dtype=TIMESTAMP)).with_columns(
        high=pl.max_horizontal("high", "close"), low=pl.min_horizontal("low", "close")
    )
