"""Homes of a few rows."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.reports.dashboard.server import DashboardServer
from aurora_pipeline.stages import book_name
from aurora_pipeline_tests.monitoring.dashboard.stored_rows import day, moment, rows
from aurora_pipeline_tests.monitoring.dashboard.test_result_panels import account

GAINS = (3.0, 5.0, -2.0)


@contextmanager
def serving(home: Home) -> Iterator[DashboardServer]:
    """Serve the dashboard of a home from another thread."""
    with DashboardServer(home, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def store_session(home: Home, book: str, number: int) -> None:
    """Write what one session leaves behind."""
    key = day(number).isoformat()
    portfolio = account(*((gain, 1.0, 0.01, 0.0) for gain in GAINS[: number + 1])).tail(1)
    home.lake.write("portfolio", portfolio, key, fingerprint="made", book=book)
    quality = rows("data_quality", {"session": day(number), "symbol": "A", "expected_bars": 78, "missing_bars": 1})
    home.lake.write("data_quality", quality, key, fingerprint="made")
    bar = {"session": day(number), "bar_end": moment(number), "bar_start": moment(number), "known_at": moment(number)}
    prices = dict.fromkeys(("open", "high", "low", "close"), 10.0)
    home.lake.write("bars", rows("bars", bar | prices), key, fingerprint="made")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Home with two sessions of the settings' book, bars and their quality, and nothing else."""
    made = Home(tmp_path / "home")
    made.path.mkdir()
    book = book_name(made.settings())
    for number in (0, 1):
        store_session(made, book, number)
    return made


@pytest.fixture
def tables(home: Home) -> Home:
    """The same with what a capacity run and an end of day left."""
    home.reports.mkdir()
    line = dict.fromkeys(("gross_return", "cost", "net_return", "net_usd", "sharpe", "turnover_per_session"), 1.0)
    curve = [line | {"at": 1e6}, line | {"at": 1e7}]
    home.reports.joinpath("capacity.json").write_text(json.dumps({"title": "t", "capacity": curve, "stress": curve}))
    folder = home.path / "live" / "sessions" / str(day(1))
    folder.mkdir(parents=True)
    close = {"decided": 1, "reasons": {}, "differences": 0, "backfill_differences": 0, "computation_ms": {"p50": 5.0}}
    folder.joinpath("close.json").write_text(json.dumps(close))
    return home
