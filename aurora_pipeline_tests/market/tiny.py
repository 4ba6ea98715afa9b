"""Tiny hand-made market folders and frames."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from aurora_pipeline.calendar import TIMESTAMP, session_calendar
from aurora_pipeline.market.columns import BARS, FEEDS

CALENDAR = session_calendar("XNYS")
MANIFEST: dict[str, Any] = {
    "name": "tiny",
    "calendar": "XNYS",
    "frequency": "5min",
    "benchmark": None,
    "sector_etfs": {},
    "price_adjustment": "none",
    "survivorship": "none",
    "redistribution": "free",
    "notes": "made by a test",
}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def universe(*symbols: str, **columns: Any) -> pl.DataFrame:
    rows = {"symbol": list(symbols), "kind": ["stock"] * len(symbols), "sector": ["Energy"] * len(symbols)}
    frame = pl.DataFrame(rows).with_columns(
        pl.lit(None, pl.Date).alias("valid_from"), pl.lit(None, pl.Date).alias("valid_to")
    )
    return frame.with_columns(pl.Series(name, values) for name, values in columns.items())


def bar_rows(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Raw bars; absent prices are 10, absent volume is 100."""
    default = {"symbol": "AAA", "open": 10.0, "high": 10.0, "low": 10.0, "close": 10.0, "volume": 100.0}
    return pl.DataFrame([default | row for row in rows], schema=pl.Schema(BARS.columns))


def flat_sessions(
    symbols: Sequence[str], sessions: Sequence[date], price: float = 10.0, moves: Sequence[float] = (0.0, 0.01)
) -> pl.DataFrame:
    """Full 5-minute sessions around one price: bars alternate between the moves, volume 100."""
    grid = CALENDAR.grid(sessions)
    close = price + pl.lit(pl.Series(list(moves))).gather(pl.col("bar_index") % len(moves))
    frames = [
        grid.select(
            pl.lit(symbol).alias("symbol"),
            "bar_start",
            close.alias("open"),
            (close + 0.01).alias("high"),
            (close - 0.01).alias("low"),
            close.alias("close"),
            pl.lit(100.0).alias("volume"),
            pl.lit(None, pl.Float64).alias("vwap"),
            pl.lit(None, pl.Float64).alias("trade_count"),
            pl.lit(None, TIMESTAMP).alias("known_at"),
        )
        for symbol in symbols
    ]
    return pl.concat(frames)


def feed_rows(feed: str, rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=pl.Schema(FEEDS[feed].columns))


def daily_rows(symbol: str, sessions: Sequence[date], closes: Sequence[float], span: float = 0.5) -> pl.DataFrame:
    """Daily bars that open and close at the given price, `span` either way."""
    return feed_rows(
        "daily_bars",
        [
            {
                "symbol": symbol,
                "session": day,
                "open": close,
                "high": close + span,
                "low": close - span,
                "close": close,
                "volume": 7800.0,
            }
            for day, close in zip(sessions, closes, strict=True)
        ],
    )


def write_market(
    path: Path,
    symbols: pl.DataFrame,
    bars: pl.DataFrame | None = None,
    *,
    manifest: dict[str, Any] | None = None,
    **feeds: pl.DataFrame,
) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "market.yaml").write_text(yaml.safe_dump(MANIFEST | (manifest or {})), encoding="utf-8")
    symbols.write_parquet(path / "universe.parquet")
    if bars is not None:
        (path / "bars").mkdir(exist_ok=True)
        bars.write_parquet(path / "bars" / "all.parquet")
    for name, frame in feeds.items():
        frame.write_parquet(path / f"{name}.parquet")
    return path


def sessions_from(first: str, count: int) -> list[date]:
    start = date.fromisoformat(first)
    return CALENDAR.sessions(start, start + timedelta(days=2 * count + 10))[:count]
