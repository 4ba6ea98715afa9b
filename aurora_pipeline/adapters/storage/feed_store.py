"""Feeds from the market folder into the lake, with what was refused of them."""

from __future__ import annotations

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.storage.lake import partition_of
from aurora_pipeline.contracts import FEED_TABLES
from aurora_pipeline.market.ingest import FeedTables

FEED_SOURCE = "feeds"


def store_feeds(home: Home, feeds: FeedTables, fingerprint: str) -> int:
    """Write every feed table and the feeds' quarantine; returns the number of refused rows."""
    for name in FEED_TABLES:
        home.lake.write(name, feeds[name], fingerprint=fingerprint)
    return _write_quarantine(home, feeds.quarantine, fingerprint)


def _write_quarantine(home: Home, rows: pl.DataFrame, fingerprint: str) -> int:
    keys = rows.select(pl.col("session").unique().sort()).to_series().to_list()
    wanted = {partition_of(day, home.frequency): fingerprint for day in keys}
    for key in home.lake.partitions("quarantine", source=FEED_SOURCE):
        if key not in wanted:
            home.lake.remove("quarantine", key, source=FEED_SOURCE)
    home.lake.write_sessions("quarantine", rows, wanted, source=FEED_SOURCE)
    return rows.height
