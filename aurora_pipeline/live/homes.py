"""Homes that trade: one made live, or a copy of one as it was before a past session, for a replay.

A replay runs in a home of its own (`<home>/replays/<session>` unless told otherwise), which shares the files of its source and
knows nothing that was not known when the session opened: labels that matured later, corrections that came later and models
of later folds are left out.
"""

from __future__ import annotations

import json
import shutil
from datetime import date, datetime
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.clock import ReplayClock
from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.adapters.live_market import adopt_market, link, live_folder
from aurora_pipeline.adapters.models.champion_set import champion_set_before
from aurora_pipeline.adapters.models.configuration_log import LOG as CONFIGURATIONS
from aurora_pipeline.adapters.models.lifecycle_log import LOG as DECISIONS
from aurora_pipeline.adapters.storage.feed_store import store_feeds
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.contracts import TABLES
from aurora_pipeline.errors import LakeError, SettingsError
from aurora_pipeline.fingerprints import feeds_fingerprint
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.ingest import ingest_feeds
from aurora_pipeline.models.walk_forward import make_folds

_LATE_PARTITIONS = 40
"""Newest sessions before a replay in which something may have become known after its open."""


def make_live(home: Home) -> Home:
    """Let a home trade: it gets a market folder of its own, to which the inbox's rows are added.

    Raises
    ------
    SettingsError
        The market is not one of 5-minute bars.
    LakeError
        The home has no market yet.
    """
    record = home.market()
    if record.live:
        return home
    folder = home.folder()
    _require_bars(folder)
    adopt_market(folder, live_folder(home))
    return _remember(home, record.model_copy(update={"directory": live_folder(home), "live": True}))


def require_live(home: Home) -> None:
    """Refuse a home that was never made live, nor for a replay. Raises LakeError."""
    if not home.market().live:
        raise LakeError(f"home {home.path} is not live; `aurora live --home {home.path}` makes it so")


def extend_market(home: Home, session: date) -> Home:
    """Let a live home's market reach a session.

    Raises
    ------
    LakeError
        The home is not live.
    """
    require_live(home)
    record = home.market()
    if session <= record.last_session:
        return home
    home.record_market(record.model_copy(update={"last_session": session}))
    return Home(home.path)


def make_replay(source: Home, session: date, target: Path) -> Home:
    """Make a home as the source was before a session opened; an earlier one there is replaced.

    Raises
    ------
    LakeError
        The source's market does not have the session.
    SettingsError
        The market is not one of 5-minute bars.
    """
    record, folder, settings = source.market(), source.folder(), source.settings()
    _require_bars(folder)
    sessions = source.sessions(settings)
    if session not in sessions:
        raise LakeError(f"home {source.path} has no session {session}; it has {sessions[0]} to {sessions[-1]}")
    if target.exists() and not (target / "live").exists():
        raise LakeError(f"{target} exists and is no replay; name another folder with --replay-home")
    shutil.rmtree(target, ignore_errors=True)
    home, opened = Home(target), source.calendar.open(session)
    adopt_market(folder, live_folder(home), before=opened)
    home = _remember(
        home,
        MarketRecord(**{**record.model_dump(), "directory": live_folder(home), "live": True, "last_session": session}),
        source,
    )
    _share_lake(source, home, session, opened)
    live = home.folder()
    store_feeds(home, ingest_feeds(live, settings), feeds_fingerprint(live, settings))
    fold = make_folds([day for day in sessions if day <= session], source.frequency, settings)[-1].key
    champions = {
        family: {key: place for key, place in folds.items() if key <= fold}
        for family, folds in source.champions().items()
    }
    challengers = home.lake.read("challengers", columns=["directory"]).get_column("directory").to_list()
    for place in [*challengers, *(place for folds in champions.values() for place in folds.values())]:
        _share(source.models / place, home.models / place)
    champion_set_before(source, home, session)
    for log in (DECISIONS, CONFIGURATIONS):
        if (source.path / log).exists():
            shutil.copy(source.path / log, home.path / log)
    atomic_text(home.champions_file, json.dumps(champions, indent=1, sort_keys=True) + "\n")
    (target / "live").mkdir(exist_ok=True)
    ReplayClock(target / "live" / "replay-clock.json").set(opened)
    return home


def _require_bars(folder: MarketFolder) -> None:
    if folder.manifest.frequency != "5min":
        raise SettingsError(
            f"market {folder.manifest.name} has frequency {folder.manifest.frequency}; the five-minute loop needs 5-minute bars"
        )


def _remember(home: Home, record: MarketRecord, settings_of: Home | None = None) -> Home:
    home.path.mkdir(parents=True, exist_ok=True)
    settings = (settings_of or home).settings([f"market.directory={record.directory}"])
    home.record_market(record)
    home.save_settings(settings)
    return Home(home.path)


def _share_lake(source: Home, home: Home, session: date, opened: datetime) -> None:
    """Link the partitions before a session; those in which something became known later are cut."""
    for name, table in TABLES.items():
        if table.partitioning != "session" or "book" in table.branches:
            continue
        root = source.lake.root / name
        days = sorted(entry for entry in root.glob("session=*") if entry.name < f"session={session}")
        for position, day in enumerate(days):
            for file in day.rglob("data.parquet"):
                target = home.lake.root / file.relative_to(source.lake.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                if position < len(days) - _LATE_PARTITIONS or not _cut(file, target, opened):
                    link(file, target)


def _cut(file: Path, target: Path, opened: datetime) -> bool:
    """Write a partition as it was known at a moment; False where that is the whole of it."""
    moments = {"known_at", "matured_at", "quarantined_at"} & set(pl.read_parquet_schema(file))
    if not moments:
        return False
    rows = pl.read_parquet(file, hive_partitioning=False, glob=False)
    kept = rows.filter(pl.col(name) < opened for name in moments - {"quarantined_at"})
    if "quarantined_at" in moments:
        kept = kept.with_columns(
            pl.when(pl.col("quarantined_at") < opened).then("quarantined_at").alias("quarantined_at")
        )
    if kept.equals(rows):
        return False
    kept.write_parquet(target, metadata=pl.read_parquet_metadata(file))
    return True


def _share(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        link(file, target / file.name)
