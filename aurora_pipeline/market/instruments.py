"""Permanent names of instruments: a rename changes the symbol, not the instrument.

An instrument's id is the first symbol it had. The life of a symbol is cut where an instrument leaves it (rename, delisting)
and where one takes it over (rename into it); each piece belongs to one instrument. A symbol used again by somebody else gives
an id with a running number, such as ``ABC.2``. An id depends on earlier events only, so knowing a later rename changes nothing
about an earlier row.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import polars as pl

from aurora_pipeline.market.action_versions import with_superseded

MAPPING = {"symbol": pl.String, "valid_from": pl.Date, "valid_to": pl.Date, "instrument_id": pl.String}


def instrument_map(universe: pl.DataFrame, corporate_actions: pl.DataFrame) -> pl.DataFrame:
    """Which instrument a symbol stood for, and when.

    Parameters
    ----------
    universe : polars.DataFrame
        `symbol`, `valid_from` (inclusive), `valid_to` (exclusive).
    corporate_actions : polars.DataFrame
        Columns of the feed, every version; renames and delistings count, as they were told last.

    Returns
    -------
    polars.DataFrame
        `symbol`, `valid_from` and `valid_to` (null where open), `instrument_id`; the pieces of a symbol do not overlap.
    """
    events = corporate_actions.filter(pl.col("kind").is_in(["rename", "delist"]))
    events = with_superseded(events, "symbol").filter(pl.col("superseded_at").is_null())
    taken_over: dict[tuple[str, date], str] = {}
    cuts: dict[str, set[date]] = {}
    for symbol, day, kind, target in events.select("symbol", "ex_date", "kind", "new_symbol").iter_rows():
        cuts.setdefault(symbol, set()).add(day)
        if kind == "rename" and target is not None:
            cuts.setdefault(target, set()).add(day)
            taken_over[target, day] = symbol
    listed: dict[str, list[tuple[date, date]]] = {}
    for symbol, begin, end in universe.select("symbol", "valid_from", "valid_to").iter_rows():
        listed.setdefault(symbol, []).append((begin or date.min, end or date.max))
    pieces = [
        (begin, symbol, end)
        for symbol, intervals in listed.items()
        for begin, end in _pieces(cuts.get(symbol, set()))
        if any(start < end and begin < stop for start, stop in intervals) or (symbol, begin) in taken_over
    ]
    return _named(sorted(pieces), taken_over)


def _pieces(cuts: set[date]) -> list[tuple[date, date]]:
    edges = [date.min, *sorted(cuts), date.max]
    return list(pairwise(edges))


def _named(pieces: list[tuple[date, str, date]], taken_over: dict[tuple[str, date], str]) -> pl.DataFrame:
    ending: dict[tuple[str, date], str] = {}
    uses: dict[str, int] = {}
    rows: list[tuple[str, date | None, date | None, str]] = []
    for begin, symbol, end in pieces:
        name = ending.get((taken_over.get((symbol, begin), ""), begin))
        if name is None:
            uses[symbol] = uses.get(symbol, 0) + 1
            name = symbol if uses[symbol] == 1 else f"{symbol}.{uses[symbol]}"
        ending[symbol, end] = name
        rows.append((symbol, None if begin == date.min else begin, None if end == date.max else end, name))
    return pl.DataFrame(rows, schema=MAPPING, orient="row").sort("symbol", "valid_from", nulls_last=False)


def with_instrument(frame: pl.DataFrame, mapping: pl.DataFrame, day: pl.Expr) -> pl.DataFrame:
    """Add `instrument_id` to rows that carry the symbol of the day.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows with `symbol`; order is kept.
    mapping : polars.DataFrame
        From :func:`instrument_map`.
    day : polars.Expr
        Date of a row. Days outside a symbol's known life go to its nearest earlier instrument, else to its first.

    Returns
    -------
    polars.DataFrame
        The rows with `instrument_id`, null where the symbol is unknown.
    """
    ordered = mapping.with_columns(pl.col("valid_from").fill_null(date.min)).sort("valid_from", "symbol")
    if not mapping["symbol"].is_duplicated().any():
        return frame.join(ordered.select("symbol", "instrument_id"), on="symbol", how="left", maintain_order="left")
    first = ordered.group_by("symbol", maintain_order=True).agg(pl.col("instrument_id").first().alias("_first"))
    placed = (
        frame.with_row_index("_row")
        .with_columns(day.alias("_day"))
        .sort("_day")
        .join_asof(
            ordered.select("symbol", "valid_from", "instrument_id"),
            left_on="_day",
            right_on="valid_from",
            by="symbol",
            check_sortedness=False,
        )
        .join(first, on="symbol", how="left")
        .sort("_row")
    )
    return placed.with_columns(pl.coalesce("instrument_id", "_first").alias("instrument_id")).select(
        *frame.columns, "instrument_id"
    )
