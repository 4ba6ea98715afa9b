"""Permanent names of instruments: a rename changes the symbol, not the instrument.

An instrument's id is the first symbol it had. The life of a symbol is cut where an instrument leaves it (rename, delisting)
and where one takes it over (rename into it); each piece belongs to one instrument. A symbol used again by somebody else gives
an id with a running number, such as ``ABC.2``. An id depends on earlier events only, so knowing a later rename changes nothing
about an earlier row.

An event told late counts from the first session that opens with it known: rows of the days before keep the names they were
traded under. A name never changes within a session, nor in a session that is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from operator import itemgetter
from typing import Any

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP, SessionCalendar
from aurora_pipeline.market.action_versions import REDATED_DAYS, with_superseded

MAPPING = {"symbol": pl.String, "valid_from": pl.Date, "valid_to": pl.Date, "instrument_id": pl.String}


def instrument_map(universe: pl.DataFrame, corporate_actions: pl.DataFrame, calendar: SessionCalendar) -> pl.DataFrame:
    """Which instrument a symbol stood for, and when.

    Parameters
    ----------
    universe : polars.DataFrame
        `symbol`, `valid_from` (inclusive), `valid_to` (exclusive).
    corporate_actions : polars.DataFrame
        Columns of the feed, every version; renames and delistings count.
    calendar : SessionCalendar
        Openings by which an event must be known.

    Returns
    -------
    polars.DataFrame
        `symbol`, `valid_from` and `valid_to` (null where open), `instrument_id`; the pieces of a symbol do not overlap.
    """
    taken_over: dict[tuple[str, date], str] = {}
    cuts: dict[str, set[date]] = {}
    for symbol, day, target in _changes(corporate_actions, calendar):
        cuts.setdefault(symbol, set()).add(day)
        if target is not None:
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


def _changes(actions: pl.DataFrame, calendar: SessionCalendar) -> list[tuple[str, date, str | None]]:
    """Symbols that an instrument leaves, from which day on, and the symbol it goes to; None for a delisting.

    A version that was superseded before it counted is none. After one that counted, the same event told again changes nothing,
    but for a new symbol that was corrected: the instrument goes on to that one from the one it was taken to.
    """
    found: list[tuple[date, date, str, str | None]] = []
    counted: list[dict[str, Any]] = []
    for row in _with_first_day(actions, calendar).iter_rows(named=True):
        symbol, target = row["symbol"], row["new_symbol"] if row["kind"] == "rename" else None
        before = [each for each in counted if _tells_again(row, each)]
        if before:
            counted.append(row)
            symbol = before[-1]["new_symbol"]
            if target in (None, symbol):
                continue
        elif row["counts"]:
            counted.append(row)
        else:
            continue
        found.append((row["first_day"], row["ex_date"], symbol, target))
    # Of two that lead to one symbol on one day, the earlier is where the instrument began: it comes last and stands.
    latest_first = sorted(found, key=itemgetter(1), reverse=True)
    return [(symbol, day, _gone_on_to(target, ex_date, day, found)) for day, ex_date, symbol, target in latest_first]


def _with_first_day(actions: pl.DataFrame, calendar: SessionCalendar) -> pl.DataFrame:
    """Renames and delistings as they were told, with `first_day`, from which each counts, and `counts`: whether it then did."""
    events = with_superseded(actions.filter(pl.col("kind").is_in(["rename", "delist"])), "symbol")
    opens = pl.Series(calendar.open_moments).cast(TIMESTAMP)
    sessions = pl.Series(calendar.session_days).cast(pl.Int32).cast(pl.Date)
    due = sessions.search_sorted(events["ex_date"], side="left")
    told = opens.search_sorted(events["known_at"], side="left")
    late, place = told > due, pl.select(pl.max_horizontal(due, told)).to_series()
    return (
        events.with_columns(
            pl.when(late).then(sessions.gather(place, null_on_oob=True)).otherwise("ex_date").alias("first_day"),
            opens.gather(place, null_on_oob=True).alias("_opening"),
        )
        .filter(pl.col("first_day").is_not_null())
        .with_columns(
            (pl.col("superseded_at").is_null() | (pl.col("superseded_at") > pl.col("_opening")))
            .fill_null(value=False)
            .alias("counts")
        )
        .sort("known_at", "symbol", "ex_date")
    )


def _tells_again(row: Mapping[str, Any], earlier: Mapping[str, Any]) -> bool:
    """Whether a row tells an earlier event once more."""
    same = all(row[name] == earlier[name] for name in ("symbol", "kind"))
    near = abs((row["ex_date"] - earlier["ex_date"]).days) <= REDATED_DAYS
    return same and near and row["known_at"] == earlier["superseded_at"]


def _gone_on_to(
    target: str | None, ex_date: date, day: date, changes: Sequence[tuple[date, date, str, str | None]]
) -> str | None:
    """Symbol that a rename which counts from `day` leads to, if its target was renamed in turn between its ex-date and then."""
    while following := [
        (other, following)
        for first_day, other, symbol, following in changes
        if symbol == target and ex_date < other and first_day <= day and following is not None
    ]:
        ex_date, target = min(following)
    return target


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


def instrument_intervals(universe: pl.DataFrame, mapping: pl.DataFrame) -> pl.DataFrame:
    """Intervals of a universe with the instrument of each, cut where the symbol passes to another one.

    Parameters
    ----------
    universe : polars.DataFrame
        `symbol`, `valid_from` (inclusive, null: ever), `valid_to` (exclusive, null: open) and more; the order of rows is kept.
    mapping : polars.DataFrame
        From :func:`instrument_map` of the same universe.

    Returns
    -------
    polars.DataFrame
        The columns with `instrument_id`.
    """
    both = universe.join(mapping, on="symbol", maintain_order="left_right", suffix="_here").with_columns(
        pl.max_horizontal("valid_from", "valid_from_here"), pl.min_horizontal("valid_to", "valid_to_here")
    )
    inside = (pl.col("valid_from") < pl.col("valid_to")).fill_null(value=True)
    return both.filter(inside).select(*universe.columns, "instrument_id")
