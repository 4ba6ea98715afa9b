"""Acceptance on real markets: what is faulty there ends in quarantine, what is genuine does not."""

from pathlib import Path

import polars as pl
import pytest

from aurora_pipeline.contracts import empty, validated
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.ingest import LOOKBACK_SESSIONS, grid_violations, ingest_bars, ingest_feeds
from aurora_pipeline.settings import Settings

MARKETS = Path(__file__).resolve().parents[3] / "shared" / "markets"
SETTINGS = Settings()


def opened(name):
    if not (MARKETS / name).is_dir():
        pytest.skip(f"real market {name} is not at ../shared/markets")
    return MarketFolder.open(MARKETS / name)


def ingested(folder):
    """Ingest the whole market in blocks of 40 sessions; tables by name, and the feeds."""
    feeds = ingest_feeds(folder, SETTINGS)
    sessions = folder.calendar.sessions(*folder.span)
    recent, made, gaps, raw_rows = empty("bars"), [], [], 0
    for start in range(0, len(sessions), 40):
        part = sessions[start : start + 40]
        raw = folder.read_bars(part)
        tables = ingest_bars(raw, part, feeds, folder.manifest, folder.calendar, recent, SETTINGS)
        made.append(tables)
        gaps.append(grid_violations(tables.data_quality, SETTINGS))
        raw_rows += raw.height
        first = folder.calendar.shift(part[-1], 1 - LOOKBACK_SESSIONS)
        recent = pl.concat([recent, tables.bars]).filter(pl.col("session") >= first)
    names = ("universe", "bars", "session_bars", "quarantine", "data_quality")
    tables_by_name = {name: validated(name, pl.concat([getattr(each, name) for each in made])) for name in names}
    return feeds, tables_by_name, pl.concat(gaps), raw_rows


def test_dirty_intraday_market():
    folder = opened("dirty-5min-2026")
    feeds, tables, gaps, _ = ingested(folder)
    bars = tables["bars"]
    last = (
        bars.sort("bar_end")
        .group_by("symbol", "session")
        .agg(pl.col("close").last(), pl.col("quarantined_at").is_not_null().all().alias("whole"))
    )
    compared = last.join(feeds["daily_bars"], on=["symbol", "session"], suffix="_daily")
    off = ((compared["close"] / compared["close_daily"] - 1.0).abs() > 0.01).alias("off")
    caught, others = compared.filter(off)["whole"], compared.filter(~off)["whole"]
    assert off.sum() >= 50
    assert caught.mean() >= 0.60
    assert others.mean() <= 0.01
    first, last_bad = (pl.date(2026, 2, 3), pl.date(2026, 2, 9))
    inside = tables["quarantine"].filter(pl.col("session").is_between(first, last_bad)).height
    assert inside >= 0.95 * tables["quarantine"].height, "the sound sessions stay sound"
    assert gaps.is_empty(), "sector ETFs without intraday bars do not block"


def test_dirty_daily_market():
    folder = opened("dirty-daily-2026")
    feeds, tables, gaps, _ = ingested(folder)
    broken = feeds.quarantine.filter(pl.col("reason") == "unexplained_split")
    assert broken["symbol"].unique().to_list() == ["KLAC"]
    days = folder.calendar.sessions(pl.select(pl.date(2026, 3, 13)).item(), folder.span[1])
    assert sorted(broken["session"]) == days
    assert tables["bars"].filter((pl.col("symbol") == "KLAC") & (pl.col("session") >= days[0])).is_empty()
    assert gaps.is_empty(), "the rest of the market goes on"


@pytest.mark.slow
def test_clean_intraday_market():
    folder = opened("us64-5min-2025")
    feeds, tables, gaps, raw_rows = ingested(folder)
    quarantine = tables["quarantine"]
    assert quarantine["reason"].unique().to_list() == ["after_early_close"]
    assert quarantine.height == 62
    assert {day.isoformat() for day in quarantine["session"]} == {"2025-11-28", "2025-12-24"}
    assert quarantine.height + feeds.quarantine.height < 0.001 * raw_rows
    assert feeds.quarantine.filter(pl.col("source") == "daily_bars").is_empty()
    flat = tables["data_quality"].group_by("symbol").agg(pl.col("flat_bars").sum())
    assert flat.filter(pl.col("symbol") == "MELI")["flat_bars"].item() == 803
    goog = tables["universe"].filter(pl.col("symbol") == "GOOG")
    assert goog["eligible"].to_list() == [False] * 20 + [True] * (goog.height - 20), "no daily bars: it has to season"
    assert gaps.is_empty()


@pytest.mark.slow
def test_clean_daily_market():
    folder = opened("us100-daily-2005")
    feeds, tables, gaps, raw_rows = ingested(folder)
    daily = feeds.quarantine.filter(pl.col("source") == "daily_bars")
    below = daily.filter(pl.col("reason") == "below_low").select("symbol", pl.col("session").cast(pl.String)).rows()
    assert below == [("KLAC", "2015-03-30")]
    assert "unexplained_split" not in set(daily["reason"]), "moves of a third and more there are genuine"
    assert daily.height <= 5
    fundamentals = feeds.quarantine.filter(pl.col("source") == "fundamentals")
    assert {"unit_error", "negative_shares_outstanding", "negative_capital_expenditure"} <= set(fundamentals["reason"])
    assert feeds.quarantine.height < 0.001 * raw_rows
    assert tables["bars"].height == raw_rows - daily.height
    assert gaps.is_empty()
