"""A market fetched through the vendors' interfaces: it checks, has the original's bars, and its data stages run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("alpaca", reason="alpaca-py is not installed")

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.defs import jobs
from aurora_pipeline.defs.instances import instance_of
from aurora_pipeline.defs.launcher import Launcher
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.folder_growth import extend_universe, started_folder
from aurora_pipeline.market.inspection import inspect_market
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.workflows.fetch import fetch_alpaca, fetch_edgar, fetch_finra
from aurora_pipeline.workflows.main_job import prepare_home
from aurora_pipeline_tests.adapters.vendors.alpaca_server import AlpacaMarket
from aurora_pipeline_tests.adapters.vendors.edgar_server import STAMPS, EdgarSite, fact, facts_of
from aurora_pipeline_tests.adapters.vendors.finra_server import FinraSite, record
from aurora_pipeline_tests.end_to_end.conftest import FEW

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FORMS = {
    "split": "forward_splits",
    "dividend": "cash_dividends",
    "rename": "name_changes",
    "delist": "worthless_removals",
}


def vendor_of(source: MarketFolder) -> AlpacaMarket:
    """Alpaca, holding what a market folder holds."""
    rows = pl.concat(
        [pl.read_parquet(path) for path in sorted((source.path / "bars").glob("*.parquet"))], how="diagonal"
    )
    ends = pl.col("bar_start") + timedelta(minutes=5)
    seen = pl.max_horizontal(ends, "known_at") if "known_at" in rows.columns else ends
    market = AlpacaMarket(rows.with_columns(seen.alias("seen_from")), rows_per_page=10_000)
    for row in source.read("corporate_actions").iter_rows(named=True):
        day = row["ex_date"].isoformat()
        entry = {"symbol": row["symbol"], "ex_date": day, "process_date": day}
        entry |= {"new_rate": row["ratio"], "old_rate": 1, "rate": row["amount"]}
        entry |= {"old_symbol": row["symbol"], "new_symbol": row["new_symbol"]} if row["kind"] == "rename" else {}
        market.actions.setdefault(FORMS[row["kind"]], []).append(entry)
    return market


def newest(bars: pl.DataFrame) -> pl.DataFrame:
    """Prices and volume of the newest version of every bar."""
    key = ["symbol", "bar_start"]
    rows = bars.sort(*key, "known_at", nulls_last=False).unique(key, keep="last", maintain_order=True)
    return rows.select(*key, "open", "high", "low", "close", "volume")


def made(folder: MarketFolder, path: Path) -> Home:
    """Home with the data stages of every session, through Dagster."""
    home, _, settings = prepare_home(Home(path), folder.path, list(FEW))
    sessions = home.sessions(settings)
    with instance_of(home) as instance:
        launcher = Launcher(home, instance)
        launcher.job(jobs.FEEDS_JOB)
        launcher.job(jobs.DATA_JOB, first=str(sessions[0]), last=str(sessions[-1]))
    return home


@pytest.mark.slow
def test_a_fetched_market_checks_and_its_data_stages_run(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    simulate_market(tmp_path / "source", preset="small", sessions=14, symbols=10, seed=3)
    source = MarketFolder.open(tmp_path / "source")
    first, last = source.span
    listed = source.universe()
    target = tmp_path / "fetched"
    manifest = started_folder(
        target,
        frequency="5min",
        calendar=source.manifest.calendar,
        benchmark=source.manifest.benchmark,
        sector_etfs=source.manifest.sector_etfs,
        price_adjustment="none",
        notes="fetched from loopback",
    )
    assert source.manifest.price_adjustment == "none"
    symbols = sorted(set(listed["symbol"]))
    stocks = sorted(set(listed.filter(pl.col("kind") == "stock")["symbol"]))
    extend_universe(target, symbols, manifest, listed)
    quarters = facts_of(
        Revenues=[
            fact("2024-04-01", "2024-06-30", 5e8, "summer", "2024-08-01"),
            fact("2024-07-01", "2024-09-30", 6e8, "autumn", "2024-10-30"),
        ]
    )
    cycles = [record(name, day, 1e6) for name in stocks for day in ("2024-10-31", "2024-11-15", "2024-11-29")]
    companies = dict.fromkeys(stocks, quarters)
    with (
        vendor_of(source).running() as alpaca,
        EdgarSite(companies, STAMPS).running() as edgar,
        FinraSite(cycles, page=5000).running() as finra,
    ):
        fetch_alpaca(target, alpaca.data(), symbols, first, last, source.calendar, NOW)
        monkeypatch.setattr("aurora_pipeline.adapters.vendors.edgar.REQUESTS_PER_SECOND", 1000)
        fetch_edgar(target, edgar.edgar(), stocks, first, last, NOW)
        fetch_finra(target, finra.finra(), stocks, first, last, NOW)
    fetched = MarketFolder.open(target)
    assert fetched.span == source.span
    home = made(fetched, tmp_path / "home")
    found = inspect_market(fetched, home.settings(), lambda *_: None)
    assert found.refused_share < 0.001, found.refusals
    assert {feed.name for feed in found.feeds if feed.status == "present"} >= {
        "corporate_actions",
        "fundamentals",
        "short_interest",
    }
    sessions = source.calendar.sessions(first, last)
    assert newest(fetched.read_bars(sessions)).equals(newest(source.read_bars(sessions)))
    (renamed,) = source.read("corporate_actions").filter(kind="rename").iter_rows(named=True)
    bars = home.read("bars").filter(symbol=renamed["new_symbol"])
    assert set(bars["instrument_id"]) == {renamed["symbol"]}
    features = home.read("features")
    assert not features.filter(pl.col("session") == last).is_empty()
    assert not home.read("labels").is_empty()
