"""Validation of the feeds: which rows are accepted, and why the others are not.

A feed is judged as a whole, each row by what was known when it came: the plausibility of a filing is measured against
earlier filings only, so that a row's verdict never depends on what was published later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP, SessionCalendar
from aurora_pipeline.market.columns import FEEDS
from aurora_pipeline.market.own_history import with_own_history
from aurora_pipeline.market.quarantine import quarantine_rows
from aurora_pipeline.market.rules import Rule, judged, not_a_number, price_rules, with_duplicates
from aurora_pipeline.market.universe import inside_interval

ACTION_KINDS = ("split", "dividend", "rename", "delist")
UNREACHABLE = 130
"""Sessions at the calendar's end, the second half of the year to come, in which no row can have become known."""
SPLIT_BOUNDS = (1e-4, 1e4)
IMPLIED_VOLATILITY_BOUNDS = (0.01, 5.0)
_NOT_NEGATIVE_STATEMENT = ("revenue", "total_assets", "total_debt", "shares_outstanding", "capital_expenditure")
_IMPLIED = ("iv_30d", "iv_call_25d", "iv_put_25d")
_CONTRACTS = ("put_volume", "call_volume", "put_open_interest", "call_open_interest")


@dataclass(frozen=True)
class FeedContext:
    """What a feed's rows are checked against.

    Attributes
    ----------
    calendar : SessionCalendar
    span : tuple of date
        First and last session of the market: verdicts on rows outside it are filed under its edge.
    intervals : polars.DataFrame
        `symbol`, `valid_from`, `valid_to` of the universe.
    future : bool
        Whether rows after the span's last session are refused (daily bars at frequency `session`).
    """

    calendar: SessionCalendar
    span: tuple[date, date]
    intervals: pl.DataFrame
    future: bool

    @cached_property
    def closes(self) -> dict[date, datetime]:
        """Close of every session, in time order."""
        return {day: self.calendar.close(day) for day in self.calendar.sessions(date(1998, 1, 1), date(2100, 1, 1))}


def validate_feed(feed: str, raw: pl.DataFrame, context: FeedContext) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a feed's raw rows.

    Parameters
    ----------
    feed : str
        Name of the feed.
    raw : polars.DataFrame
        Contract columns, from :meth:`MarketFolder.read`.
    context : FeedContext

    Returns
    -------
    tuple of polars.DataFrame
        Accepted rows in raw form, `known_at` filled; rows of the `quarantine` table.
    """
    form = FEEDS[feed]
    # `_known` keeps the raw row untouched: the quarantine shows what the file says, not what was filled in.
    rows = raw.with_columns(_known_at(feed, context).alias("_known"))
    if feed == "daily_bars":
        rows = _with_calendar(rows, context)
    rows = judged(rows, [*_common_rules(feed, context), *_RULES[feed](context)])
    rows = with_own_history(feed, rows)
    rows = with_duplicates(rows, [*form.key, "_known"], [name for name in form.columns if name != "known_at"])
    accepted = rows.filter(pl.col("reason").is_null()).with_columns(pl.col("_known").alias("known_at"))
    refused = filed(rows.filter(pl.col("reason").is_not_null()), row_moment(feed), context)
    return accepted.select(list(form.columns)), quarantine_rows(refused, feed, list(form.columns))


def row_moment(feed: str) -> pl.Expr:
    """Moment a refused row is filed under: when it came, else its event's day."""
    event = "ex_date" if feed == "corporate_actions" else FEEDS[feed].event
    day = pl.col(event).cast(TIMESTAMP) if event else pl.lit(None, TIMESTAMP)
    return pl.coalesce("_known", day)


def filed(refused: pl.DataFrame, moment: pl.Expr, context: FeedContext) -> pl.DataFrame:
    """Add `session`, `row_time` and `known_at_verdict` to refused rows: the session of their moment, inside the span."""
    calendar, (first, last) = context.calendar, context.span
    days = calendar.sessions(first, last)
    closes = pl.Series([calendar.close(day) for day in days], dtype=TIMESTAMP)
    when = refused.select(moment.alias("moment"))["moment"]
    position = closes.search_sorted(when.fill_null(calendar.close(first)), side="left").clip(0, len(days) - 1)
    return refused.with_columns(
        pl.Series(days, dtype=pl.Date).gather(position).alias("session"),
        when.alias("row_time"),
        when.fill_null(calendar.open(first)).alias("known_at_verdict"),
    )


def _known_at(feed: str, context: FeedContext) -> pl.Expr:
    if feed != "daily_bars":
        return pl.col("known_at")
    return pl.coalesce("known_at", _close_of_session(context))


def _close_of_session(context: FeedContext) -> pl.Expr:
    return pl.col("session").replace_strict(context.closes, default=None, return_dtype=TIMESTAMP)


def _with_calendar(rows: pl.DataFrame, context: FeedContext) -> pl.DataFrame:
    outside = rows.with_row_index("_row").join(context.intervals, on="symbol").filter(inside_interval("session"))
    listed = outside["_row"].unique()
    return (
        rows.with_row_index("_row")
        .with_columns(
            _close_of_session(context).alias("_close"), pl.col("_row").is_in(listed.implode()).alias("_listed")
        )
        .drop("_row")
    )


def _common_rules(feed: str, context: FeedContext) -> list[Rule]:
    key = [name for name in (*FEEDS[feed].key, "known_at") if name in FEEDS[feed].required]
    known = context.intervals["symbol"].unique().sort().to_list()
    rules = [
        Rule("null_key", pl.any_horizontal(pl.col(key).is_null()), f"a value in {', '.join(key)}"),
        Rule("unknown_symbol", ~pl.col("symbol").is_in(known), "a symbol of universe.parquet"),
    ]
    bound = list(context.closes.values())[-UNREACHABLE]
    rules.append(Rule("known_after_calendar", pl.col("_known") > bound, f"known_at by {bound:%Y-%m-%d}", ("known_at",)))
    event = FEEDS[feed].event
    if event is not None:
        happened = pl.col("_close") if feed == "daily_bars" else pl.col(event).cast(TIMESTAMP)
        rules.append(
            Rule("known_before_event", pl.col("_known") < happened, f"known_at not before {event}", ("known_at", event))
        )
    return rules


def _daily_rules(context: FeedContext) -> list[Rule]:
    rules = [Rule("not_a_session", pl.col("_close").is_null(), f"a session of {context.calendar.code}", ("session",))]
    if context.future:
        last = context.span[1]
        rules.append(Rule("future_bar", pl.col("session") > last, f"a session up to {last}", ("session",)))
    rules.append(
        Rule("outside_validity", ~pl.col("_listed"), "a session inside the symbol's universe intervals", ("session",))
    )
    return [*rules, *price_rules()]


def _action_rules(context: FeedContext) -> list[Rule]:
    known = context.intervals["symbol"].unique().sort().to_list()
    ratio, amount, target = pl.col("ratio"), pl.col("amount"), pl.col("new_symbol")
    kind = pl.col("kind")
    return [
        Rule("unknown_kind", ~kind.is_in(list(ACTION_KINDS)), f"one of {', '.join(ACTION_KINDS)}", ("kind",)),
        Rule(
            "wrong_ratio",
            (kind == "split") & (ratio.is_null() | ~ratio.is_between(*SPLIT_BOUNDS)),
            "new shares per old share, from {:g} to {:g}".format(*SPLIT_BOUNDS),
            ("ratio",),
        ),
        Rule(
            "wrong_amount",
            ((kind == "dividend") & amount.is_null())
            | (kind.is_in(["dividend", "delist"]) & (not_a_number(amount) | (amount < 0.0))),
            "cash per share, at least 0",
            ("amount",),
        ),
        Rule(
            "wrong_new_symbol",
            (kind == "rename") & (target.is_null() | ~target.is_in(known) | (target == pl.col("symbol"))),
            "another symbol of universe.parquet",
            ("new_symbol",),
        ),
    ]


def _earnings_rules(_: FeedContext) -> list[Rule]:
    return [_finite("eps_estimate", "eps_actual")]


def _fundamental_rules(_: FeedContext) -> list[Rule]:
    statement = [name for name, dtype in FEEDS["fundamentals"].columns.items() if dtype == pl.Float64]
    return [_empty(statement), _finite(*statement), *(_not_negative(name) for name in _NOT_NEGATIVE_STATEMENT)]


def _short_rules(_: FeedContext) -> list[Rule]:
    return [
        Rule("null_value", pl.col("shares_short").is_null(), "a number of shares", ("shares_short",)),
        _finite("shares_short", "avg_daily_volume"),
        _not_negative("shares_short"),
        _not_negative("avg_daily_volume"),
    ]


def _flow_rules(_: FeedContext) -> list[Rule]:
    return [
        Rule("null_value", pl.col("net_flow_usd").is_null(), "a flow in USD", ("net_flow_usd",)),
        _finite("net_flow_usd", "shares_outstanding", "nav"),
        Rule("not_positive_nav", pl.col("nav") <= 0.0, "a net asset value above 0", ("nav",)),
        _not_negative("shares_outstanding"),
        Rule(
            "flow_beyond_assets",
            pl.col("net_flow_usd").abs() > pl.col("nav") * pl.col("shares_outstanding"),
            "a flow within the fund's assets",
            ("net_flow_usd", "nav", "shares_outstanding"),
        ),
    ]


def _option_rules(_: FeedContext) -> list[Rule]:
    low, high = IMPLIED_VOLATILITY_BOUNDS
    values = [*_IMPLIED, "hv_30d", *_CONTRACTS]
    outside = pl.any_horizontal(~pl.col(_IMPLIED).is_between(low, high))
    return [
        _empty(values),
        _finite(*values),
        Rule("implied_volatility_out_of_range", outside, f"a fraction a year from {low} to {high}", _IMPLIED),
        *(_not_negative(name) for name in ("hv_30d", *_CONTRACTS)),
    ]


def _borrow_rules(_: FeedContext) -> list[Rule]:
    """A rate that is null is a fact: nobody lends the name."""
    return [_finite("rate"), _not_negative("rate")]


def _empty(columns: Sequence[str]) -> Rule:
    return Rule("empty_row", pl.all_horizontal(pl.col(list(columns)).is_null()), "at least one value")


def _finite(*columns: str) -> Rule:
    return Rule("not_finite", pl.any_horizontal(not_a_number(pl.col(list(columns)))), "finite numbers", columns)


def _not_negative(column: str) -> Rule:
    return Rule(f"negative_{column}", pl.col(column) < 0.0, "a value of at least 0", (column,))


_RULES = {
    "daily_bars": _daily_rules,
    "corporate_actions": _action_rules,
    "earnings": _earnings_rules,
    "fundamentals": _fundamental_rules,
    "short_interest": _short_rules,
    "etf_flows": _flow_rules,
    "options": _option_rules,
    "borrow": _borrow_rules,
}
