"""Feeds are stored when every one of their tables is, with the fingerprint; anything less is made again."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.adapters.storage.feed_store import feeds_are_stored, store_feeds
from aurora_pipeline.adapters.storage.lake import Lake
from aurora_pipeline.calendar import session_calendar
from aurora_pipeline.contracts import FEED_TABLES, empty
from aurora_pipeline.market.ingest import FeedTables

DAY = date(2025, 1, 2)


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    made.record_market(MarketRecord(name="hand", first_session=DAY, last_session=date(2025, 1, 7)))
    return Home(tmp_path)


def _feeds():
    tables = {name: empty(name) for name in FEED_TABLES}
    refused = {
        "session": DAY,
        "source": "earnings",
        "row_id": "1",
        "reason": "negative",
        "detail": "x",
        "row": "{}",
        "known_at": datetime(2025, 1, 2, 15, tzinfo=UTC),
    }
    quarantine = pl.DataFrame([refused], schema=empty("quarantine").schema)
    return FeedTables(tables, pl.DataFrame(), quarantine, session_calendar("XNYS"))


@pytest.mark.parametrize("lost", FEED_TABLES)
def test_feeds_are_stored_only_while_no_table_is_lost(home, lost):
    assert not feeds_are_stored(home, "now")
    store_feeds(home, _feeds(), "now")
    assert feeds_are_stored(home, "now")
    assert not feeds_are_stored(home, "later")
    home.lake.remove(lost)
    assert not feeds_are_stored(home, "now")


@pytest.mark.parametrize("name", [*FEED_TABLES, "quarantine"])
def test_feeds_cut_off_at_any_table_are_not_stored(home, monkeypatch, name):
    store = Lake._store

    def cut_off(lake, key, *rest):
        if key.startswith(f"{name}/"):
            raise OSError("No space left on device")
        store(lake, key, *rest)

    monkeypatch.setattr(Lake, "_store", cut_off)
    with pytest.raises(OSError, match="No space"):
        store_feeds(home, _feeds(), "now")
    assert not feeds_are_stored(home, "now")
