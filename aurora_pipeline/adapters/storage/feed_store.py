"""Feeds from the market folder into the lake, with what was refused of them."""

from __future__ import annotations

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.storage.lake import partition_of
from aurora_pipeline.contracts import FEED_TABLES
from aurora_pipeline.market.ingest import FeedTables

FEED_SOURCE = "feeds"


def store_feeds(home: Home, feeds: FeedTables, fingerprint: str) -> int:
    """Write the feeds' quarantine, then every feed table; returns the number of refused rows.

    In this order what is cut off in between leaves a table without the fingerprint, see :func:`feeds_are_stored`.
    """
    quarantined = _write_quarantine(home, feeds.quarantine, fingerprint)
    for name in FEED_TABLES:
        home.lake.write(name, feeds[name], fingerprint=fingerprint)
    return quarantined


def feeds_are_stored(home: Home, fingerprint: str) -> bool:
    """Whether every feed table is there and was made from what the fingerprint stands for."""
    return all(home.lake.fingerprint(name) == fingerprint for name in FEED_TABLES)


def _write_quarantine(home: Home, rows: pl.DataFrame, fingerprint: str) -> int:
    keys = rows.select(pl.col("session").unique().sort()).to_series().to_list()
    wanted = {partition_of(day, home.frequency): fingerprint for day in keys}
    for key in home.lake.partitions("quarantine", source=FEED_SOURCE):
        if key not in wanted:
            home.lake.remove("quarantine", key, source=FEED_SOURCE)
    home.lake.write_sessions("quarantine", rows, wanted, source=FEED_SOURCE)
    return rows.height
