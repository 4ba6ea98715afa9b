"""Small simulated markets shared by the tests; each is simulated once per test run."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from aurora_pipeline.market.simulation.folder import write_market
from aurora_pipeline.market.simulation.price_path import PricePath

SESSIONS, SYMBOLS = 30, 24


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PricePath]:
    """A market of 24 stocks in three sectors over 30 sessions of 5-minute bars, and its simulated path."""
    directory = tmp_path_factory.mktemp("simulated") / "market"
    path = write_market(directory, preset="small", seed=7, sessions=SESSIONS, symbols=SYMBOLS)
    return directory, path


@pytest.fixture(scope="session")
def market(simulated: tuple[Path, PricePath]) -> Path:
    """The folder of `simulated`."""
    return simulated[0]


@pytest.fixture(scope="session")
def daily_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A market of frequency `session` with 40 stocks."""
    directory = tmp_path_factory.mktemp("simulated-daily") / "market"
    write_market(directory, preset="reference-long", seed=7, sessions=120, symbols=40)
    return directory


@pytest.fixture(scope="session")
def bars(market: Path) -> pl.DataFrame:
    """All 5-minute bars of `market`."""
    return pl.read_parquet(market / "bars" / "*.parquet")
