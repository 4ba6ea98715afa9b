"""Splits, dividends, the rename, the delisting, the halt and the restatement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from aurora_pipeline.market.simulation.panel import read_panel


def test_adjusted_returns_across_ex_dates_are_ordinary(market: Path) -> None:
    panel = read_panel(market)
    actions = pl.read_parquet(market / "corporate_actions.parquet").filter(pl.col("kind").is_in(["split", "dividend"]))
    returns = np.diff(np.log(panel.daily["close"]), axis=0)
    raw = np.diff(np.log(panel.daily["close"] * panel.price_factor), axis=0)
    usual = np.nanstd(returns, axis=0)
    jumps = 0
    for row in actions.to_dicts():
        column, day = panel.names[row["symbol"]], panel.days.index(row["ex_date"]) - 1
        assert abs(returns[day, column]) < 8 * usual[column]
        if row["kind"] == "split":
            jumps += 1
            assert abs(raw[day, column] + np.log(row["ratio"])) < 8 * usual[column]
    ratios = set(actions.drop_nulls("ratio")["ratio"])
    assert jumps >= 4
    assert min(ratios) < 1 < max(ratios)


def test_split_scales_volume_and_reported_shares(market: Path) -> None:
    panel = read_panel(market)
    actions = pl.read_parquet(market / "corporate_actions.parquet").filter(pl.col("kind") == "split")
    for row in actions.to_dicts():
        column, day = panel.names[row["symbol"]], panel.days.index(row["ex_date"])
        volume = panel.daily["volume"][:, column]
        before, after = np.nanmedian(volume[max(day - 20, 0) : day]), np.nanmedian(volume[day : day + 20])
        assert 0.3 < after / before < 3.0


def test_rename_keeps_one_instrument(market: Path) -> None:
    action = pl.read_parquet(market / "corporate_actions.parquet").filter(pl.col("kind") == "rename").to_dicts()[0]
    old, new, day = action["symbol"], action["new_symbol"], action["ex_date"]
    universe = pl.read_parquet(market / "universe.parquet")
    assert universe.filter(pl.col("symbol") == old)["valid_to"].to_list() == [day]
    assert universe.filter(pl.col("symbol") == new)["valid_from"].to_list() == [day]
    daily = pl.read_parquet(market / "daily_bars.parquet")
    assert daily.filter(pl.col("symbol") == old)["session"].max() < day
    assert daily.filter(pl.col("symbol") == new)["session"].min() == day
    for feed in ("options", "short_interest", "earnings", "fundamentals"):
        frame = pl.read_parquet(market / f"{feed}.parquet")
        assert (frame.filter(pl.col("symbol") == old)["known_at"].dt.date() < day).all()
        assert (frame.filter(pl.col("symbol") == new)["known_at"].dt.date() >= day).all()


def test_delisted_stock_disappears_everywhere(market: Path) -> None:
    action = pl.read_parquet(market / "corporate_actions.parquet").filter(pl.col("kind") == "delist").to_dicts()[0]
    symbol, day = action["symbol"], action["ex_date"]
    assert pl.read_parquet(market / "universe.parquet").filter(pl.col("symbol") == symbol)["valid_to"].to_list() == [
        day
    ]
    for name, column in (("daily_bars", "session"), ("options", "date")):
        frame = pl.read_parquet(market / f"{name}.parquet")
        assert frame.filter(pl.col("symbol") == symbol)[column].max() < day
    truth = pl.read_parquet(market / "truth.parquet")
    assert truth.filter(pl.col("symbol") == symbol)["decision_time"].dt.date().max() < day


def test_halt_and_missing_bars(bars: pl.DataFrame) -> None:
    full = bars["bar_start"].n_unique()
    counts = bars.unique(["symbol", "bar_start"]).group_by("symbol").len()
    missing = (full - counts["len"].sort(descending=True)).to_list()
    assert missing[0] <= 10
    day = bars.unique(["symbol", "bar_start"]).group_by("symbol", session=pl.col("bar_start").dt.date()).len()
    halted = day.filter(pl.col("len").is_between(50, 58))
    assert halted.height == 1


def test_one_filing_is_restated(market: Path) -> None:
    filings = pl.read_parquet(market / "fundamentals.parquet")
    versions = filings.filter(pl.struct("symbol", "fiscal_period_end").is_duplicated()).sort("known_at")
    assert versions.height == 2
    assert versions["net_income"][0] != versions["net_income"][1]
    assert versions["gross_profit"][0] == versions["gross_profit"][1]
