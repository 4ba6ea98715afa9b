"""A market folder as dense arrays, for measuring it: realism, calibration, tests.

This reader is deliberately independent of the pipeline's own: it checks what was written, with hindsight. Prices are
adjusted for splits and dividends, renamed stocks are one column, of corrected bars the last version counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from aurora_pipeline.calendar import BAR_MINUTES, TIMESTAMP, session_calendar
from aurora_pipeline.errors import MarketDataError

Floats = NDArray[np.float64]
FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Panel:
    """A market as arrays; NaN where there is no bar.

    Attributes
    ----------
    symbols : list of str
        Last symbol of each instrument.
    sector_fund : ndarray of int
        Column of the stock's sector fund; -1 for funds and for stocks without one.
    days : list of date
        Sessions of the daily bars.
    daily : dict of ndarray of shape (n_days, n_symbols)
        Open, high, low, close, volume.
    bars : dict of ndarray of shape (n_bars, n_symbols)
        The same for 5-minute bars; the daily ones at frequency ``session``. `vwap` where it exists.
    bar_end : polars.Series
        Decision times.
    day_of_bar : ndarray of int
        Row of `days`; -1 where there is no daily bar.
    """

    frequency: str
    symbols: list[str]
    names: dict[str, int]
    is_stock: NDArray[np.bool_]
    sectors: list[str | None]
    sector_fund: NDArray[np.int64]
    benchmark: int
    days: list[date]
    daily: dict[str, Floats]
    bars: dict[str, Floats]
    bar_end: pl.Series
    day_of_bar: NDArray[np.int64]
    bar_of_day: NDArray[np.int64]
    price_factor: Floats
    share_factor: Floats


def read_panel(directory: Path) -> Panel:
    """Read a market folder."""
    if not (directory / "market.yaml").exists():
        raise MarketDataError(f"{directory} is no market folder: it has no market.yaml")
    market = yaml.safe_load((directory / "market.yaml").read_text(encoding="utf-8"))
    universe = pl.read_parquet(directory / "universe.parquet").unique("symbol", keep="last").sort("symbol")
    actions = _actions(directory)
    renames = {row["symbol"]: row["new_symbol"] for row in actions.filter(pl.col("kind") == "rename").to_dicts()}
    symbols = [name for name in universe["symbol"] if name not in renames]
    names = {name: position for position, name in enumerate(symbols)}
    names |= {old: names[new] for old, new in renames.items()}
    rows = {row["symbol"]: row for row in universe.to_dicts()}
    funds = market.get("sector_etfs") or {}
    is_stock = np.array([rows[name]["kind"] == "stock" for name in symbols])
    sectors = [rows[name]["sector"] for name in symbols]
    fund = np.array(
        [names.get(funds.get(sector, ""), -1) if stock else -1 for sector, stock in zip(sectors, is_stock, strict=True)]
    )
    daily_bars = pl.read_parquet(directory / "daily_bars.parquet").filter(pl.col("symbol").is_in(list(names)))
    days = daily_bars["session"].unique().sort().to_list()
    day_row = {day: row for row, day in enumerate(days)}
    daily = _dense(daily_bars, daily_bars["session"].replace_strict(day_row).to_numpy(), names, len(days), FIELDS)
    price_factor, share_factor = _factors(actions, names, days, daily["close"])
    daily = {field: values / (share_factor if field == "volume" else price_factor) for field, values in daily.items()}
    if market["frequency"] == "session":
        calendar = session_calendar(market["calendar"])
        ends = pl.Series([calendar.close(day) for day in days], dtype=TIMESTAMP)
        every = np.arange(len(days))
        bars, day_of_bar, bar_of_day = daily, every, np.zeros_like(every)
    else:
        frame = pl.read_parquet(directory / "bars" / "*.parquet").filter(pl.col("symbol").is_in(list(names)))
        if "known_at" in frame.columns:
            frame = frame.sort("known_at", nulls_last=False).unique(["symbol", "bar_start"], keep="last")
        starts = frame["bar_start"].unique().sort()
        position = starts.search_sorted(frame["bar_start"]).to_numpy()
        fields = (*FIELDS, "vwap") if "vwap" in frame.columns else FIELDS
        bars = _dense(frame, np.asarray(position), names, len(starts), fields)
        ends = starts.dt.offset_by(f"{BAR_MINUTES}m")
        bar_days = starts.dt.date().to_list()
        day_of_bar = np.array([day_row.get(day, -1) for day in bar_days])
        bar_of_day = _count_within(bar_days)
        factor = np.where(day_of_bar[:, None] >= 0, price_factor[day_of_bar], 1.0)
        shares = np.where(day_of_bar[:, None] >= 0, share_factor[day_of_bar], 1.0)
        bars = {field: values / (shares if field == "volume" else factor) for field, values in bars.items()}
    return Panel(
        frequency=market["frequency"],
        symbols=symbols,
        names=names,
        is_stock=is_stock,
        sectors=sectors,
        sector_fund=fund,
        benchmark=names[market["benchmark"]],
        days=days,
        daily=daily,
        bars=bars,
        bar_end=ends,
        day_of_bar=day_of_bar,
        bar_of_day=bar_of_day,
        price_factor=price_factor,
        share_factor=share_factor,
    )


def _actions(directory: Path) -> pl.DataFrame:
    path = directory / "corporate_actions.parquet"
    if path.exists():
        return pl.read_parquet(path).sort("ex_date")
    schema = {"symbol": pl.String, "ex_date": pl.Date, "kind": pl.String, "ratio": pl.Float64, "amount": pl.Float64}
    return pl.DataFrame(schema={**schema, "new_symbol": pl.String})


def _factors(actions: pl.DataFrame, names: dict[str, int], days: list[date], close: Floats) -> tuple[Floats, Floats]:
    """Raw price / adjusted price and raw shares / adjusted shares of every session."""
    price, shares = np.ones_like(close), np.ones_like(close)
    sessions = np.array(days, dtype="datetime64[D]")
    splits_first = actions.sort("ex_date", pl.col("kind") != "split", maintain_order=True)
    for row in splits_first.to_dicts():
        column = names.get(row["symbol"], -1)
        index = int(np.searchsorted(sessions, np.datetime64(row["ex_date"])))
        if column < 0 or index == 0 or index >= len(days):
            continue
        if row["kind"] == "split":
            price[index:, column] /= row["ratio"]
            shares[index:, column] *= row["ratio"]
        elif row["kind"] == "dividend":
            split_today = shares[index, column] / shares[index - 1, column]
            price[index:, column] *= 1.0 - row["amount"] / (close[index - 1, column] / split_today)
    return price, shares


def _dense(
    frame: pl.DataFrame, position: NDArray[np.int64], names: dict[str, int], count: int, fields: tuple[str, ...]
) -> dict[str, Floats]:
    columns = frame["symbol"].replace_strict(names, return_dtype=pl.Int64).to_numpy()
    width = max(names.values()) + 1
    out = {}
    for field in fields:
        dense = np.full((count, width), np.nan)
        dense[position, columns] = frame[field].cast(pl.Float64).to_numpy()
        out[field] = dense
    return out


def _count_within(groups: list[date]) -> NDArray[np.int64]:
    out = np.zeros(len(groups), dtype=np.int64)
    for row in range(1, len(groups)):
        out[row] = out[row - 1] + 1 if groups[row] == groups[row - 1] else 0
    return out


def forward_fill(values: Floats) -> Floats:
    """Carry the last finite value of each column forward."""
    rows = np.where(np.isfinite(values), np.arange(len(values))[:, None], 0)
    np.maximum.accumulate(rows, axis=0, out=rows)
    return np.asarray(values[rows, np.arange(values.shape[1])[None, :]])
