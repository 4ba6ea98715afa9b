"""Corporate actions of Alpaca, kind by kind, as rows of the market folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from aurora_pipeline.errors import VendorFormatError
from aurora_pipeline.market.columns import FEEDS

NEW_YORK = ZoneInfo("America/New_York")


def _split(entry: Mapping[str, Any]) -> dict[str, Any]:
    ratio = float(entry["new_rate"]) / float(entry["old_rate"])
    return {"symbol": entry["symbol"], "ex_date": entry["ex_date"], "kind": "split", "ratio": ratio}


def _stock_dividend(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "symbol": entry["symbol"],
        "ex_date": entry["ex_date"],
        "kind": "split",
        "ratio": 1.0 + float(entry["rate"]),
    }


def _dividend(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "symbol": entry["symbol"],
        "ex_date": entry["ex_date"],
        "kind": "dividend",
        "amount": float(entry["rate"]),
        "special": bool(entry.get("special")),
    }


def _rename(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    old, new = entry["old_symbol"], entry["new_symbol"]
    row = {"symbol": old, "ex_date": entry["process_date"], "kind": "rename", "new_symbol": new}
    return row if old != new else None


def _merged(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"symbol": entry["acquiree_symbol"], "ex_date": entry["effective_date"], "kind": "delist"}


def _bought(entry: Mapping[str, Any]) -> dict[str, Any]:
    return _merged(entry) | {"amount": float(entry["rate"])}


def _removed(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"symbol": entry["symbol"], "ex_date": entry["process_date"], "kind": "delist", "amount": 0.0}


ACTIONS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any] | None]] = {
    "forward_splits": _split,
    "reverse_splits": _split,
    "stock_dividends": _stock_dividend,
    "cash_dividends": _dividend,
    "name_changes": _rename,
    "cash_mergers": _bought,
    "stock_mergers": _merged,
    "stock_and_cash_mergers": _merged,
    "worthless_removals": _removed,
}


def contract_rows(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Actions in the contract columns of `corporate_actions`, each once.

    The regular and the special dividends of one ex-date are one row, their amounts added up: to the holder they are one payment.
    """
    columns = pl.Schema(FEEDS["corporate_actions"].columns)
    frame = pl.DataFrame(rows, schema=pl.Schema({**columns, "special": pl.Boolean()})).unique(maintain_order=True)
    paid = pl.col("kind") == "dividend"
    others = [name for name in columns if name != "amount"]
    dividends = frame.filter(paid).group_by(others, maintain_order=True).agg(pl.col("amount").sum())
    return pl.concat([frame.filter(~paid).select(columns.names()), dividends.select(columns.names())])


def contract_row(kind: str, entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an action as a row of :func:`contract_rows`; None for one that changes nothing.

    Raises
    ------
    VendorFormatError
        The entry is not as documented.
    """
    try:
        row = ACTIONS[kind](entry)
        if row is None:
            return None
        day = date.fromisoformat(row["ex_date"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise VendorFormatError(f"Alpaca: {kind} {dict(entry)} is not in its documented form: {error!r}") from error
    known = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).astimezone(UTC)
    return row | {"ex_date": day, "known_at": known}
