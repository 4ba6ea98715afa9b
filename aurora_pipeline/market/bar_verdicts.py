"""Verdicts on intraday bars that need other bars or the daily bar: broken levels, contradicted sessions, spikes.

In the order in which each needs the one before:

1. :func:`~aurora_pipeline.market.daily_check.contradicted_sessions` compares each symbol-session with its daily bar;
2. :func:`~aurora_pipeline.market.levels.level_breaks` walks on from the last sound price. Where the day before had a daily bar,
   this session's is awaited: it vouches for a jump, or, if it has not come by the next open, the rows are withdrawn then.
   Symbols without daily bars are judged at once, and such rows never enter `bars`;
3. :func:`~aurora_pipeline.market.daily_check.contradicted_spikes` withdraws single bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP, SessionCalendar
from aurora_pipeline.market.daily_check import contradicted_sessions, contradicted_spikes, outside_daily, with_daily
from aurora_pipeline.market.levels import NORMAL_MEDIAN, SMALLEST_SIGMA, LevelRules, in_time_order, level_breaks
from aurora_pipeline.market.universe import LOOKBACK_SESSIONS
from aurora_pipeline.settings import QualitySettings

SCALE_SESSIONS = LOOKBACK_SESSIONS - 1
"""Earlier sessions that scale a step: one less than the look-back, whose first night needs the close before it."""
_PAIR = ["instrument_id", "session"]
_SERIES = ["row", *_PAIR, "bar_end", "known_at", "quarantined_at", "open", "high", "low", "close"]


@dataclass(frozen=True)
class BarVerdicts:
    """Verdicts by `row`.

    Attributes
    ----------
    refused : polars.DataFrame
        `row`, `detail`: rows that do not enter `bars`.
    withdrawn : polars.DataFrame
        `row`, `quarantined_at`, `reason`, `detail`: rows that stay, unusable from that moment on.
    """

    refused: pl.DataFrame
    withdrawn: pl.DataFrame

    def instruments(self, bars: pl.DataFrame) -> pl.Series:
        """Instruments with any verdict."""
        rows = pl.concat([self.refused.select("row"), self.withdrawn.select("row")])
        return bars.join(rows, on="row", how="semi")["instrument_id"].unique().sort()

    def standing(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Rows that enter `bars`, with their `quarantined_at`."""
        accepted = bars.join(self.refused.select("row"), on="row", how="anti", maintain_order="left")
        verdicts = self.withdrawn.select("row", "quarantined_at")
        return accepted.join(verdicts, on="row", how="left", maintain_order="left")


def judge_bars(
    bars: pl.DataFrame,
    recent: pl.DataFrame,
    daily: pl.DataFrame,
    splits: pl.DataFrame,
    sessions: Sequence[date],
    calendar: SessionCalendar,
    settings: QualitySettings,
) -> BarVerdicts:
    """Judge structurally sound bars.

    Parameters
    ----------
    bars : polars.DataFrame
        `row`, `instrument_id`, `session`, `session_close`, `bar_end`, `known_at` and prices of the sessions asked for.
    recent : polars.DataFrame
        Contract `bars` of the sessions before.
    daily : polars.DataFrame
        Accepted daily bars.
    splits : polars.DataFrame
        Splits raw prices still contain.
    sessions : sequence of date
        Sorted.
    calendar : SessionCalendar
    settings : QualitySettings
    """
    # A verdict looks at its own session's daily bar and asks whether the session before had one.
    near = daily.filter(pl.col("session").is_between(calendar.shift(sessions[0], -1), sessions[-1]))
    judge = partial(_judge, daily=near, splits=splits, calendar=calendar, settings=settings)
    at_once = judge(bars, recent, sessions)
    suspects = at_once.instruments(bars)
    if suspects.is_empty() or len(sessions) == 1:
        return at_once
    # A verdict changes what later sessions start from, and it must be what they would have found alone. An instrument
    # without any verdict starts each session from the same rows either way.
    own = bars.filter(pl.col("instrument_id").is_in(suspects.implode()))
    past = recent.filter(pl.col("instrument_id").is_in(suspects.implode())).select(_SERIES[1:])
    found: list[BarVerdicts] = []
    for session in sessions:
        part = own.filter(pl.col("session") == session)
        verdicts = judge(part, past, [session])
        found.append(verdicts)
        past = pl.concat([past, verdicts.standing(part).select(_SERIES[1:])])
    return BarVerdicts(pl.concat([each.refused for each in found]), pl.concat([each.withdrawn for each in found]))


def _judge(
    bars: pl.DataFrame,
    recent: pl.DataFrame,
    sessions: Sequence[date],
    daily: pl.DataFrame,
    splits: pl.DataFrame,
    calendar: SessionCalendar,
    settings: QualitySettings,
) -> BarVerdicts:
    whole = contradicted_sessions(bars, daily, settings)
    first = calendar.shift(sessions[0], -LOOKBACK_SESSIONS)
    axis = calendar.sessions(first, sessions[-1])
    marked = bars.join(whole.select(*_PAIR, pl.col("verdict_at").alias("quarantined_at")), on=_PAIR, how="left")
    marked = marked.with_columns(_from_verdict()).join(_coverage(bars, daily, axis, calendar), on=_PAIR, how="left")
    earlier = recent.filter(pl.col("session") >= first).select(
        pl.lit(None, pl.UInt32).alias("row"),
        *_SERIES[1:],
        pl.lit(value=False).alias("tested"),
        pl.lit(None, TIMESTAMP).alias("await_until"),
    )
    series = pl.concat([marked.select(*_SERIES, "tested", "await_until"), earlier])
    rules = LevelRules.of(settings, SCALE_SESSIONS, LOOKBACK_SESSIONS)
    breaks = level_breaks(series, splits, axis, rules).join(marked.select("row", "await_until"), on="row")
    refused = breaks.filter(pl.col("await_until").is_null()).select("row", "detail")
    awaited = breaks.filter(pl.col("await_until").is_not_null()).select(
        "row", pl.col("await_until").alias("quarantined_at"), pl.lit("unexplained_split").alias("reason"), "detail"
    )
    spikes = _spikes(series, refused, daily, sessions, axis, settings)
    of_session = (
        bars.select("row", *_PAIR, "known_at")
        .join(whole, on=_PAIR)
        .filter(pl.col("known_at") <= pl.col("verdict_at"))
        .select("row", pl.col("verdict_at").alias("quarantined_at"), "reason", "detail")
    )
    withdrawn = pl.concat([of_session, spikes, awaited]).join(refused.select("row"), on="row", how="anti")
    # Several verdicts on one row: the earliest counts, and among equals the widest.
    return BarVerdicts(
        refused, withdrawn.sort("quarantined_at", maintain_order=True).unique("row", keep="first", maintain_order=True)
    )


def _from_verdict() -> pl.Expr:
    """A verdict withdraws what was known when it fell; a later correction stands."""
    return pl.when(pl.col("known_at") <= pl.col("quarantined_at")).then("quarantined_at").alias("quarantined_at")


def _coverage(bars: pl.DataFrame, daily: pl.DataFrame, axis: Sequence[date], calendar: SessionCalendar) -> pl.DataFrame:
    """Whether a symbol-session's level is tested, and until when its daily bar is awaited.

    Covered is a symbol with a daily bar of the session before, known by this session's open.
    """
    days = list(axis[1:])
    sessions = pl.DataFrame(
        {
            "session": days,
            "before": list(axis[:-1]),
            "opened": [calendar.open(day) for day in days],
            "await_until": [calendar.open(calendar.shift(day, 1)) for day in days],
        },
        schema={"session": pl.Date, "before": pl.Date, "opened": TIMESTAMP, "await_until": TIMESTAMP},
    )
    known = daily.group_by(_PAIR).agg(pl.col("known_at").min())
    return (
        bars.select(_PAIR)
        .unique()
        .join(sessions, on="session")
        .join(known, left_on=["instrument_id", "before"], right_on=_PAIR, how="left")
        .join(known, on=_PAIR, how="left", suffix="_own")
        .with_columns((pl.col("known_at") <= pl.col("opened")).fill_null(value=False).alias("covered"))
        .select(
            *_PAIR,
            (~(pl.col("covered") & (pl.col("known_at_own") <= pl.col("await_until")).fill_null(value=False))).alias(
                "tested"
            ),
            pl.when("covered").then("await_until").alias("await_until"),
        )
    )


def _spikes(
    series: pl.DataFrame,
    refused: pl.DataFrame,
    daily: pl.DataFrame,
    sessions: Sequence[date],
    axis: Sequence[date],
    settings: QualitySettings,
) -> pl.DataFrame:
    """Withdraw single bars; the scales are worked out only for instruments that left their daily range at all."""
    asked = series.filter(pl.col("row").is_not_null())
    outside = with_daily(asked, daily).filter(outside_daily(settings.daily_tolerance))["instrument_id"].unique()
    left = series.filter(pl.col("instrument_id").is_in(outside.implode()))
    suspects = with_previous(in_time_order(left.join(refused.select("row"), on="row", how="anti")))
    found = contradicted_spikes(
        suspects.filter(pl.col("row").is_not_null()), daily, return_scales(suspects, sessions, axis), settings
    )
    return found.select(
        "row", pl.col("verdict_at").alias("quarantined_at"), pl.lit("spike_off_daily").alias("reason"), "detail"
    )


def with_previous(series: pl.DataFrame) -> pl.DataFrame:
    """Add `previous_close`, the newest version's of the bar before, and `first_of_session` to rows in time order.

    The versions of one bar share both; an instrument's first bar has no previous close.
    """
    same = pl.col("instrument_id") == pl.col("instrument_id").shift(1)
    new_bar = (~(same & (pl.col("bar_end") == pl.col("bar_end").shift(1)))).fill_null(value=True)
    new_session = (~(same & (pl.col("session") == pl.col("session").shift(1)))).fill_null(value=True)
    # NaN stands for "none" while values are carried from a bar's first version to its later ones.
    before = pl.when(same).then(pl.col("close").shift(1)).otherwise(float("nan"))
    return series.with_columns(
        pl.when(new_bar).then(before).forward_fill().fill_nan(None).alias("previous_close"),
        pl.when(new_bar).then(new_session).forward_fill().alias("first_of_session"),
    )


def return_scales(series: pl.DataFrame, sessions: Sequence[date], axis: Sequence[date]) -> pl.DataFrame:
    """Scale of bar returns and of opening gaps for each session, from the `SCALE_SESSIONS` before it.

    `series` comes from :func:`with_previous`.

    The scale of a session's bar returns is their median absolute size over 0.6745; the session before takes the median of those
    over the window, so that one faulty session does not move it. Nights are taken likewise.

    Returns
    -------
    polars.DataFrame
        `instrument_id`, `session`, `bar_sigma`, `night_sigma`; null without history.
    """
    steps = series.with_columns(
        (pl.col("close") / pl.col("previous_close")).log().abs().alias("bar"),
        (pl.col("open") / pl.col("previous_close")).log().abs().alias("night"),
    )
    each = steps.group_by(_PAIR).agg(
        pl.col("bar").filter(~pl.col("first_of_session")).median(),
        pl.col("night").filter(pl.col("first_of_session")).first(),
    )
    position = {day: index for index, day in enumerate(axis)}
    numbered = each.with_columns(pl.col("session").replace_strict(position, return_dtype=pl.Int64).alias("index"))
    asked = pl.DataFrame(
        {"session": list(sessions), "now": [position[day] for day in sessions]},
        schema={"session": pl.Date, "now": pl.Int64},
    )
    window = numbered.drop("session").join(asked, how="cross")
    window = window.filter(pl.col("index").is_between(pl.col("now") - SCALE_SESSIONS, pl.col("now") - 1))
    return window.group_by(_PAIR).agg(
        (pl.col(name).median() / NORMAL_MEDIAN).clip(lower_bound=SMALLEST_SIGMA).alias(f"{name}_sigma")
        for name in ("bar", "night")
    )
