"""Alpaca's market data on loopback, in the form of its documentation (Market Data API v2 and v1, read in July 2026).

Bars come as `{"bars": {"AAA": [{"t", "o", "h", "l", "c", "v", "n", "vw"}]}, "next_page_token": ...}`, corporate actions as
`{"corporate_actions": {"forward_splits": [...], ...}, "next_page_token": ...}`; pages are cut by rows over all symbols.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from aurora_pipeline.adapters.vendors.alpaca import AlpacaKeys, AlpacaMarketData
from aurora_pipeline.adapters.vendors.http import Pace, Patience
from aurora_pipeline_tests.adapters.vendors.loopback import Reply, Request, Vendor

KEYS = AlpacaKeys("PKTESTKEY", "secret-sesame")
QUICK = Patience(tries=3, pause=0.01, longest_pause=0.5, timeout=20.0)


class AlpacaMarket(Vendor):
    """What the vendor holds.

    `bars` has the market folder's columns and `seen_from`: the moment the vendor begins to serve a row, by default its bar's end;
    of several rows of one bar it serves the newest. `now` is the vendor's clock.
    """

    def __init__(self, bars: pl.DataFrame, now: datetime | None = None, rows_per_page: int = 50) -> None:
        super().__init__(self.market_data)
        seen = pl.col("bar_start") + timedelta(minutes=5)
        self.bars = bars if "seen_from" in bars.columns else bars.with_columns(seen.alias("seen_from"))
        self.now = now or datetime(2100, 1, 1, tzinfo=UTC)
        self.rows_per_page = rows_per_page
        self.actions: dict[str, list[dict[str, Any]]] = {}
        self.renamed_field: tuple[str, str] | None = None
        self.recent_sip = True

    def data(self, tape="iex", patience=QUICK, keys=KEYS):
        return AlpacaMarketData(keys, tape, patience, Pace(10_000, 1.0), self.url)

    def market_data(self, request: Request) -> Reply:
        if request.headers.get("apca-api-key-id") != KEYS.key:
            return Reply(401, {"message": "unauthorized."})
        if request.headers.get("apca-api-secret-key") != KEYS.secret:
            return Reply(403, b"Forbidden")
        if request.path == "/v2/stocks/bars":
            return self._bars(request.query)
        if request.path == "/v1/corporate-actions":
            return self._actions(request.query)
        return Reply(404, {"message": "endpoint not found."})

    def _bars(self, query: dict[str, str]) -> Reply:
        if query["feed"] == "sip" and not self.recent_sip:
            return Reply(403, {"message": "subscription does not permit querying recent SIP data"})
        assert (query["timeframe"], query["adjustment"], query["asof"]) == ("5Min", "raw", "-")
        symbols = query["symbols"].split(",")
        if bad := [symbol for symbol in symbols if not symbol.replace(".", "").isalnum()]:
            return Reply(400, {"message": f"invalid symbol: {bad[0]}"})
        begin, end = (datetime.fromisoformat(query[name]) for name in ("start", "end"))
        rows = (
            self.bars.filter(
                pl.col("symbol").is_in(symbols),
                pl.col("bar_start").is_between(begin, end),
                pl.col("seen_from") <= self.now,
            )
            .sort("symbol", "bar_start", "seen_from")
            .unique(["symbol", "bar_start"], keep="last", maintain_order=True)
        )
        first = int(query.get("page_token") or 0)
        stop = first + min(self.rows_per_page, int(query["limit"]))
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows[first:stop].iter_rows(named=True):
            found[row["symbol"]].append(self._bar(row))
        return Reply(body={"bars": found, "next_page_token": str(stop) if stop < rows.height else None})

    def _bar(self, row: dict[str, Any]) -> dict[str, Any]:
        bar = {
            "t": f"{row['bar_start']:%Y-%m-%dT%H:%M:%SZ}",
            "o": row["open"],
            "h": row["high"],
            "l": row["low"],
            "c": row["close"],
            "v": int(row["volume"]),
            "n": 7,
            "vw": round((row["high"] + row["low"] + row["close"]) / 3, 6),
        }
        if self.renamed_field:
            bar[self.renamed_field[1]] = bar.pop(self.renamed_field[0])
        return bar

    def _actions(self, query: dict[str, str]) -> Reply:
        symbols = set(query["symbols"].split(","))
        rows = [
            (kind, row)
            for kind, entries in sorted(self.actions.items())
            for row in entries
            if query["start"] <= row["process_date"] <= query["end"]
            and symbols & {row.get(name) for name in ("symbol", "old_symbol", "acquiree_symbol", "source_symbol")}
        ]
        first = int(query.get("page_token") or 0)
        stop = first + min(self.rows_per_page, int(query["limit"]))
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for kind, row in rows[first:stop]:
            found[kind].append(row)
        return Reply(body={"corporate_actions": found, "next_page_token": str(stop) if stop < len(rows) else None})
