"""What is written is a market folder: files, columns, types, keys, known_at."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import yaml

from aurora_pipeline.calendar import TIMESTAMP, session_calendar

FEEDS = {
    "corporate_actions": ["symbol", "ex_date", "kind"],
    "earnings": ["symbol", "fiscal_period_end"],
    "fundamentals": ["symbol", "fiscal_period_end"],
    "short_interest": ["symbol", "settlement_date"],
    "etf_flows": ["symbol", "date"],
    "options": ["symbol", "date"],
}
COLUMNS = {
    "universe": {
        "symbol": pl.String,
        "kind": pl.String,
        "sector": pl.String,
        "valid_from": pl.Date,
        "valid_to": pl.Date,
    },
    "daily_bars": {
        "symbol": pl.String,
        "session": pl.Date,
        **dict.fromkeys(("open", "high", "low", "close"), pl.Float64),
    },
    "corporate_actions": {
        "symbol": pl.String,
        "ex_date": pl.Date,
        "known_at": TIMESTAMP,
        "kind": pl.String,
        "ratio": pl.Float64,
        "amount": pl.Float64,
        "new_symbol": pl.String,
    },
    "earnings": {
        "known_at": TIMESTAMP,
        "fiscal_period_end": pl.Date,
        "eps_estimate": pl.Float64,
        "eps_actual": pl.Float64,
    },
    "fundamentals": {
        "known_at": TIMESTAMP,
        "fiscal_period_end": pl.Date,
        **dict.fromkeys(
            (
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
            ),
            pl.Float64,
        ),
    },
    "short_interest": {
        "settlement_date": pl.Date,
        "known_at": TIMESTAMP,
        "shares_short": pl.Int64,
        "avg_daily_volume": pl.Int64,
    },
    "etf_flows": {"date": pl.Date, "known_at": TIMESTAMP, "net_flow_usd": pl.Float64, "nav": pl.Float64},
    "options": {
        "date": pl.Date,
        "known_at": TIMESTAMP,
        **dict.fromkeys(("iv_30d", "hv_30d", "iv_call_25d", "iv_put_25d", "put_volume", "call_volume"), pl.Float64),
    },
    "truth": {
        "symbol": pl.String,
        "decision_time": TIMESTAMP,
        "expected_residual_return": pl.Float64,
        "attainable_residual_return": pl.Float64,
        "horizon_bars": pl.Int32,
    },
}


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_columns_and_types(market: Path, name: str) -> None:
    schema = pl.read_parquet_schema(market / f"{name}.parquet")
    assert {column: schema[column] for column in COLUMNS[name]} == COLUMNS[name]


def test_bar_columns_and_types(bars: pl.DataFrame) -> None:
    prices = dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), pl.Float64)
    expected = {"symbol": pl.String, "bar_start": TIMESTAMP, **prices, "trade_count": pl.Int64, "known_at": TIMESTAMP}
    assert dict(bars.schema) == expected


def test_bars_are_consistent(bars: pl.DataFrame) -> None:
    sound = (
        (pl.col("low") <= pl.min_horizontal("open", "close"))
        & (pl.col("high") >= pl.max_horizontal("open", "close"))
        & pl.col("low").gt(0)
        & pl.col("volume").ge(1)
    )
    assert bars.select((~sound).sum()).item() == 0
    first_versions = bars.filter(pl.col("known_at").is_null())
    inside = pl.col("vwap").is_between(pl.col("low") - 1e-4, pl.col("high") + 1e-4)
    assert first_versions.select((~inside).sum()).item() == 0


@pytest.mark.parametrize("name", sorted(FEEDS))
def test_natural_key_with_known_at_is_unique(market: Path, name: str) -> None:
    frame = pl.read_parquet(market / f"{name}.parquet")
    assert frame.height > 0
    assert frame["known_at"].null_count() == 0
    assert not frame.select(*FEEDS[name], "known_at").is_duplicated().any()


def test_bars_are_unique_but_for_corrections(bars: pl.DataFrame) -> None:
    assert not bars.select("symbol", "bar_start", "known_at").is_duplicated().any()
    corrected = bars.filter(pl.col("known_at").is_not_null())
    assert corrected.height > 0
    assert (corrected["known_at"] > corrected["bar_start"].dt.offset_by("5m")).all()
    versions = bars.group_by("symbol", "bar_start").len()
    assert versions.filter(pl.col("len") == 2).height == corrected.height


def test_bars_lie_on_the_calendar(market: Path, bars: pl.DataFrame) -> None:
    generator = yaml.safe_load((market / "simulation.yaml").read_text())
    calendar = session_calendar("XNYS")
    first, last = (pl.Series([generator[key]]).str.to_date()[0] for key in ("first_session", "last_session"))
    grid = calendar.grid(calendar.sessions(first, last))
    starts = bars["bar_start"].unique().sort()
    assert starts.to_list() == grid["bar_start"].to_list()
    assert grid.group_by("session").len()["len"].unique().sort().to_list() == [42, 78]  # a half-day is inside


def test_daily_bars_agree_with_five_minute_bars(market: Path, bars: pl.DataFrame) -> None:
    last_version = bars.sort("known_at", nulls_last=False).unique(["symbol", "bar_start"], keep="last")
    days = (
        last_version.sort("bar_start")
        .group_by("symbol", session=pl.col("bar_start").dt.date())
        .agg(
            pl.col("high").max().alias("top"),
            pl.col("low").min().alias("bottom"),
            pl.col("close").last().alias("last"),
            pl.col("volume").sum().alias("traded"),
            pl.len().alias("bars"),
        )
    )
    joined = days.join(pl.read_parquet(market / "daily_bars.parquet"), on=["symbol", "session"], how="left")
    assert joined["close"].null_count() == 0
    assert (joined["last"] == joined["close"]).all()
    assert (joined["top"] <= joined["high"]).all()
    assert (joined["bottom"] >= joined["low"]).all()
    whole = joined.filter(pl.col("bars").is_in([42, 78]))
    assert (whole["top"] == whole["high"]).mean() > 0.99
    ratio = whole["volume"] / whole["traded"]
    assert 1.05 < ratio.min() < ratio.max() < 1.30


def test_market_yaml_names_everything(market: Path) -> None:
    described = yaml.safe_load((market / "market.yaml").read_text())
    allowed = {
        "name",
        "calendar",
        "frequency",
        "benchmark",
        "sector_etfs",
        "price_adjustment",
        "survivorship",
        "redistribution",
        "notes",
        "decoys",
    }
    assert set(described) <= allowed
    assert described["name"] == "small-seed7"
    assert described["price_adjustment"] == "none"
    assert "SYNTHETIC" in described["notes"]
    universe = pl.read_parquet(market / "universe.parquet")
    assert set(described["sector_etfs"].values()) | {"SPY"} == set(universe.filter(pl.col("kind") == "etf")["symbol"])
    for entry in described["decoys"]:
        feed, column = entry.split(".")
        assert column in pl.read_parquet_schema(market / f"{feed}.parquet")
    assert {entry.split(".")[0] for entry in described["decoys"]} == set(FEEDS)


def test_every_optional_feed_knows_after_the_fact(market: Path) -> None:
    calendar = session_calendar("XNYS")
    options = pl.read_parquet(market / "options.parquet")
    closes = {day: calendar.close(day) for day in options["date"].unique()}
    assert (options["known_at"] > options["date"].replace_strict(closes, return_dtype=TIMESTAMP)).all()
    flows = pl.read_parquet(market / "etf_flows.parquet")
    assert (flows["known_at"].dt.date() > flows["date"]).all()
    assert ((flows["known_at"].dt.date() - flows["date"]).dt.total_days() <= 5).all()
    short = pl.read_parquet(market / "short_interest.parquet")
    lag = (short["known_at"].dt.date() - short["settlement_date"]).dt.total_days()
    assert lag.is_between(10, 16).all()
    actions = pl.read_parquet(market / "corporate_actions.parquet")
    assert ((actions["ex_date"] - actions["known_at"].dt.date()).dt.total_days() >= 14).all()
    reports = pl.read_parquet(market / "earnings.parquet")
    filings = pl.read_parquet(market / "fundamentals.parquet")
    assert ((reports["known_at"].dt.date() - reports["fiscal_period_end"]).dt.total_days() > 7).all()
    joined = filings.join(reports, on=["symbol", "fiscal_period_end"], suffix="_announced")
    assert (joined["known_at"] > joined["known_at_announced"]).all()


def test_session_frequency_has_daily_bars_only(daily_market: Path) -> None:
    assert not (daily_market / "bars").exists()
    assert yaml.safe_load((daily_market / "market.yaml").read_text())["frequency"] == "session"
    truth = pl.read_parquet(daily_market / "truth.parquet")
    assert truth["horizon_bars"].unique().to_list() == [5]
    assert truth["decision_time"].n_unique() == 120
