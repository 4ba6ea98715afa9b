"""A simulated market brought into a home as far as residual returns: what the feature benchmark starts from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.stage_inputs.features import read_feature_inputs, read_view_inputs
from aurora_pipeline.adapters.storage.lake import partition_of
from aurora_pipeline.contracts import FEED_TABLES
from aurora_pipeline.features.inputs import FeatureInputs, ResidualInputs
from aurora_pipeline.features.sector_neutralizer import compute_residual_returns
from aurora_pipeline.lookback import BAR_LOOKBACK, SESSION_LOOKBACK
from aurora_pipeline.market.ingest import LOOKBACK_SESSIONS, ingest_bars, ingest_feeds
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.workflows.main_job import prepare_home

BLOCK = {"5min": 40, "session": 2600}
_TABLES = ("universe", "bars", "session_bars", "data_quality")


def made_home(root: Path, preset: str, stocks: int, sessions: int, seed: int = 1) -> Home:
    """Simulate a market and store its bars, feeds and residual returns; what is there already is kept.

    Parameters
    ----------
    root : Path
        Folder for market and home.
    preset : str
        `reference-long` for daily bars, `reference` for 5-minute bars.
    stocks, sessions : int
        Size.
    """
    market, path = root / f"{preset}-{stocks}-{sessions}", root / f"home-{preset}-{stocks}-{sessions}"
    if not (market / "truth.parquet").exists():
        simulate_market(market, preset=preset, seed=seed, sessions=sessions, symbols=stocks)
    home, folder, settings = prepare_home(Home(path), market, [])
    days = home.sessions(settings)
    if set(home.lake.partitions("residual_returns")) >= {partition_of(day, home.frequency) for day in days}:
        return home
    feeds = ingest_feeds(folder, settings)
    for name in FEED_TABLES:
        home.lake.write(name, feeds[name], fingerprint="benchmark")
    size = BLOCK[home.frequency]
    for start in range(0, len(days), size):
        block = days[start : start + size]
        recent = _read_back(home, days, "bars", block, LOOKBACK_SESSIONS).filter(pl.col("session") < block[0])
        made = ingest_bars(folder.read_bars(block), block, feeds, folder.manifest, folder.calendar, recent, settings)
        stamps = {partition_of(day, home.frequency): "benchmark" for day in block}
        for name in _TABLES:
            home.lake.write_sessions(name, getattr(made, name), stamps)
        inputs = ResidualInputs(
            sessions=block,
            calendar=home.calendar,
            frequency=home.frequency,
            manifest=folder.manifest,
            settings=settings,
            bars=_read_back(home, days, "bars", block, BAR_LOOKBACK),
            session_bars=_read_back(home, days, "session_bars", block, SESSION_LOOKBACK),
            universe=_read_back(home, days, "universe", block, BAR_LOOKBACK),
            daily_bars=feeds["daily_bars"],
            corporate_actions=feeds["corporate_actions"],
        )
        home.lake.write_sessions("residual_returns", compute_residual_returns(inputs), stamps)
    return home


def _read_back(
    home: Home,
    days: Sequence[date],
    name: str,
    block: Sequence[date],
    count: int,
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    return home.lake.read(name, days[max(0, days.index(block[0]) - count)], block[-1], columns)


def read_inputs(
    home: Home, block: Sequence[date], until: datetime | None = None, *, whole: bool = False
) -> FeatureInputs:
    """Inputs of the features of some sessions, from the lake; `whole` also what only leak checks look at."""
    settings = home.settings()
    days = home.sessions(settings)

    def back(name: str, own: Sequence[date], count: int, columns: Sequence[str] | None = None) -> pl.DataFrame:
        return _read_back(home, days, name, own, count, columns)

    read = read_feature_inputs if whole else read_view_inputs
    return read(home, settings, block, back, until)


def forget(folder: Path) -> int:
    """Drop a folder's files from the operating system's cache, so that the next read is cold; returns their bytes."""
    total = 0
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            total += path.stat().st_size
    return total
