"""A market of four stocks and one fund, small enough to work every feed feature by hand.

Prices and volumes are constant over 130 sessions, so every number in a test comes from the feed rows the test adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from aurora_pipeline.calendar import session_calendar
from aurora_pipeline.contracts import empty
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.market.manifest import MarketManifest
from aurora_pipeline.settings import Settings

CALENDAR = session_calendar("XNYS")
SESSIONS = CALENDAR.sessions(date(2024, 1, 2), date(2024, 7, 8))
TODAY = date(2024, 7, 8)
CLOSES = {"AAA": 100.0, "BBB": 50.0, "CCC": 20.0, "DDD": 10.0, "XTF": 40.0}
VOLUMES = {"AAA": 1_000.0, "BBB": 4_000.0, "CCC": 20_000.0, "DDD": 80_000.0, "XTF": 5_000.0}
STOCKS = ("AAA", "BBB", "CCC", "DDD")
FEEDS = ("corporate_actions", "earnings", "fundamentals", "short_interest", "etf_flows", "options")


def at(day: date, hour: int = 21) -> datetime:
    """A moment of a day, UTC; 21:00 is after the close."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def feed(name: str, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows of a feed; columns left out are null, `instrument_id` is the symbol."""
    schema = dict(empty(name).schema)
    filled = [{"instrument_id": row["symbol"]} | dict(row) for row in rows]
    return pl.DataFrame(filled, schema=schema) if filled else empty(name)


def daily_bars(closes: Mapping[str, float], volumes: Mapping[str, float], until: date = TODAY) -> pl.DataFrame:
    """Constant bars of every session."""
    days = pl.DataFrame({"session": [day for day in SESSIONS if day <= until]}).with_columns(
        pl.Series("known_at", [CALENDAR.close(day) for day in SESSIONS if day <= until], dtype=pl.Datetime("us", "UTC"))
    )
    levels = pl.DataFrame(
        {"symbol": list(closes), "close": list(closes.values()), "volume": [volumes[name] for name in closes]}
    )
    bars = days.join(levels, how="cross").with_columns(
        pl.col("symbol").alias("instrument_id"),
        *(pl.col("close").alias(name) for name in ("open", "high", "low")),
        pl.lit(None, pl.Datetime("us", "UTC")).alias("quarantined_at"),
    )
    return bars.select(empty("daily_bars").columns)


def market(sessions: Sequence[date] = (TODAY,), **changes: Any) -> FeatureInputs:
    """Inputs of a 5-minute market; `manifest` takes a dict of manifest changes, feeds take frames."""
    manifest = {
        "name": "feeds",
        "calendar": "XNYS",
        "frequency": "5min",
        "benchmark": None,
        "sector_etfs": {"Technology": "XTF"},
        "price_adjustment": "none",
        "survivorship": "none",
        "redistribution": "free",
        "notes": "by hand",
    } | changes.pop("manifest", {})
    universe = (
        pl.DataFrame({"session": list(sessions)}, schema={"session": pl.Date})
        .join(pl.DataFrame({"symbol": STOCKS}), how="cross")
        .with_columns(
            pl.col("symbol").alias("instrument_id"),
            pl.lit("stock").alias("kind"),
            pl.lit("Technology").alias("sector"),
            pl.lit(True).alias("eligible"),
            pl.lit(None, pl.String).alias("reason"),
        )
    )
    frames: dict[str, Any] = {name: empty(name) for name in ("bars", "session_bars", "residual_returns", *FEEDS)}
    frames |= {"universe": universe, "daily_bars": daily_bars(CLOSES, VOLUMES), "settings": Settings(), "until": None}
    return FeatureInputs(
        sessions=list(sessions),
        calendar=CALENDAR,
        frequency=manifest["frequency"],
        manifest=MarketManifest.model_validate(manifest),
        **(frames | changes),
    )


def decision_rows(inputs: FeatureInputs, symbols: Sequence[str] = STOCKS) -> pl.DataFrame:
    """All decision times of the sessions for some stocks."""
    grid = inputs.calendar.grid(list(inputs.sessions), inputs.frequency)
    names = pl.DataFrame({"symbol": list(symbols)})
    return (
        grid.select("session", pl.col("bar_end").alias("decision_time"))
        .join(names, how="cross")
        .select(
            "session",
            "symbol",
            pl.col("symbol").alias("instrument_id"),
            pl.lit("Technology").alias("sector"),
            "decision_time",
        )
    )


def last_value(features: pl.DataFrame, name: str, symbol: str = "AAA") -> float | None:
    """A feature of a stock at its last decision time."""
    value = features.filter(pl.col("symbol") == symbol).sort("decision_time").get_column(name)[-1]
    return None if value is None else float(value)
