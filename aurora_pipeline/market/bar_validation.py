"""Structural validation of intraday bars: rows that can be refused at sight, the moment they come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from aurora_pipeline.calendar import BAR_MINUTES, TIMESTAMP, SessionCalendar
from aurora_pipeline.market.columns import BARS
from aurora_pipeline.market.rules import PRICE_COLUMNS, Rule, judged, not_a_number, price_rules, with_duplicates
from aurora_pipeline.market.session_bounds import owned_from, with_session

_CONTENT = [name for name in BARS.columns if name != "known_at"]


def judged_bars(
    raw: pl.DataFrame, sessions: Sequence[date], calendar: SessionCalendar, listed: pl.DataFrame, symbols: Sequence[str]
) -> pl.DataFrame:
    """Judge raw 5-minute bars.

    Parameters
    ----------
    raw : polars.DataFrame
        Contract columns of `bars/`, from :meth:`MarketFolder.read_bars`.
    sessions : sequence of date
        Sessions asked for, sorted.
    calendar : SessionCalendar
    listed : polars.DataFrame
        `session`, `symbol`, `instrument_id`: who is listed, from :func:`listed_on`.
    symbols : sequence of str
        Every symbol of the universe, listed or not.

    Returns
    -------
    polars.DataFrame
        The raw rows with `row` (running number), `session`, `instrument_id`, `bar_end`, `known` (the later of bar end and
        known_at), `session_open`, `session_close`, `flat`, and `reason` and `detail`, null where sound.
    """
    rows = with_session(raw, "bar_start", sessions, calendar)
    rows = rows.join(_hours(sessions, calendar), on="session", how="left", maintain_order="left")
    rows = rows.join(
        listed.select("session", "symbol", "instrument_id"), on=["session", "symbol"], how="left", maintain_order="left"
    )
    still = pl.all_horizontal(pl.col(name) == pl.col("open") for name in PRICE_COLUMNS)
    bar_end = pl.col("bar_start") + timedelta(minutes=BAR_MINUTES)
    rows = rows.with_columns(
        bar_end.alias("bar_end"),
        pl.max_horizontal("known_at", bar_end).alias("known"),
        ((pl.col("volume") == 0.0) & still).fill_null(value=False).alias("flat"),
    )
    rows = judged(rows, [*_time_rules(symbols), *price_rules(), *_volume_detail_rules()])
    rows = with_duplicates(rows, ["symbol", "bar_start", "known"], _CONTENT)
    return rows.with_row_index("row")


def _hours(sessions: Sequence[date], calendar: SessionCalendar) -> pl.DataFrame:
    """Opening hours of each session; `regular_close` is where a session cut short would usually have ended."""
    regular = [
        max(
            calendar.close(day) - calendar.open(day)
            for day in (calendar.shift(each, -1), each, calendar.shift(each, 1))
        )
        for each in sessions
    ]
    opens = [calendar.open(day) for day in sessions]
    return pl.DataFrame(
        {
            "session": list(sessions),
            "session_open": opens,
            "session_close": [calendar.close(day) for day in sessions],
            "regular_close": [start + length for start, length in zip(opens, regular, strict=True)],
            "owned_from": [owned_from(calendar, day) for day in sessions],
            "owned_to": [owned_from(calendar, calendar.shift(day, 1)) for day in sessions],
        },
        schema={"session": pl.Date}
        | dict.fromkeys(["session_open", "session_close", "regular_close", "owned_from", "owned_to"], TIMESTAMP),
    )


def _time_rules(symbols: Sequence[str]) -> list[Rule]:
    start, opened, closed = pl.col("bar_start"), pl.col("session_open"), pl.col("session_close")
    other_day = start.dt.date() != opened.dt.date()
    offset = (start - opened).dt.total_microseconds() % (BAR_MINUTES * 60 * 1_000_000)
    shown = ("bar_start",)
    hours = "a bar inside the session's hours"
    return [
        Rule("null_key", pl.col("symbol").is_null() | start.is_null(), "a symbol and a bar_start"),
        Rule("unknown_symbol", ~pl.col("symbol").is_in(list(symbols)), "a symbol of universe.parquet"),
        Rule("future_bar", start >= pl.col("owned_to"), "a bar up to the market's last session", shown),
        Rule("before_market", start < pl.col("owned_from"), "a bar from the market's first session on", shown),
        Rule("not_a_session", ((start < opened) | (start >= closed)) & other_day, "a bar on a day of trading", shown),
        Rule(
            "after_early_close",
            (start >= closed) & (start < pl.col("regular_close")),
            hours,
            ("bar_start", "session_close"),
        ),
        Rule(
            "outside_session",
            (start < opened) | (start >= closed),
            hours,
            ("bar_start", "session_open", "session_close"),
        ),
        Rule("off_grid", offset != 0, f"a start every {BAR_MINUTES} minutes from the open", shown),
        Rule(
            "outside_validity",
            pl.col("instrument_id").is_null(),
            "a session inside the symbol's universe intervals",
            shown,
        ),
    ]


def _volume_detail_rules() -> list[Rule]:
    vwap, trades = pl.col("vwap"), pl.col("trade_count")
    return [
        Rule("wrong_vwap", not_a_number(vwap) | (vwap <= 0.0), "a finite price above 0", ("vwap",)),
        Rule("wrong_trade_count", not_a_number(trades) | (trades < 0.0), "a count of at least 0", ("trade_count",)),
    ]
