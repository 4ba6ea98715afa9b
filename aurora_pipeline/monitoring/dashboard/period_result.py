"""A day or week of a book, and its result beside the one before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from aurora_pipeline.monitoring.dashboard.charts import (
    BLUE,
    GREY,
    RED,
    SMALLEST,
    at_least,
    clocked,
    dated,
    drawn,
    in_percent,
    line,
)
from aurora_pipeline.monitoring.dashboard.panel import Absent, Block, Chart, Fact, Facts, Rows, bps, number, percent
from aurora_pipeline.monitoring.dashboard.usual_result import LONG, account, swing


@dataclass(frozen=True)
class Period:
    """A day or week with what came before it.

    Attributes
    ----------
    this, before : tuple of date
        Sessions of the period, and of the one before; the latter may be empty.
    unit : str
        `session` or `week`.
    portfolio, fills, attribution : polars.DataFrame
        Tables of one book; `portfolio` reaches back :data:`LONG` sessions.
    weights, states, data_quality : polars.DataFrame
        Tables `ensemble_weights`, `model_states` and `data_quality` of both periods.
    ticks : polars.DataFrame
        Columns :data:`~aurora_pipeline.monitoring.dashboard.data_panels.TICKS` of the period.
    closes : mapping of date to mapping
        Reports of the end of day of the period.
    attention : polars.DataFrame
        Columns :data:`~aurora_pipeline.monitoring.dashboard.attention.ITEM`.
    first_decision : date or None
        First session after the warm-up, None where there is none yet.
    begins : date or None
        First session of the book.
    """

    this: tuple[date, ...]
    before: tuple[date, ...]
    unit: str
    portfolio: pl.DataFrame
    fills: pl.DataFrame
    attribution: pl.DataFrame
    weights: pl.DataFrame
    states: pl.DataFrame
    data_quality: pl.DataFrame
    ticks: pl.DataFrame
    closes: Mapping[date, Mapping[str, Any]]
    attention: pl.DataFrame
    first_decision: date | None = None
    begins: date | None = None

    def absent(self, why: str, command: str = "", *, of_book: bool = True) -> Absent:
        """Say why there is nothing; of the warm-up, and of the time before the book, nothing ever will be."""
        if self.first_decision is not None and self.this[-1] < self.first_decision:
            return Absent(f"warm-up: the first decision is of {self.first_decision}")
        if of_book and self.begins is not None and self.this[-1] < self.begins:
            return Absent(f"the book begins with {self.begins}")
        return Absent(why, command)


def result(period: Period) -> Sequence[Block]:
    """Net, gross, costs, turnover and exposure beside the period before, and how unusual the net result is."""
    sessions = account(period.portfolio)
    this, before = (sessions.filter(pl.col("session").is_in(list(days))) for days in (period.this, period.before))
    if this.is_empty():
        return [period.absent(f"the book has nothing of this {period.unit}", "aurora run")]
    measures: tuple[tuple[str, Callable[[pl.DataFrame], float | None], Callable[[float | None], str]], ...] = (
        ("gross return", lambda rows: _total(rows, "gross"), lambda value: bps(value, 2)),
        ("costs", lambda rows: _total(rows, "cost"), lambda value: bps(value, 2)),
        ("net return", lambda rows: _total(rows, "net"), lambda value: bps(value, 2)),
        ("turnover", lambda rows: _total(rows, "turnover"), lambda value: percent(value, 2)),
        ("mean gross exposure", lambda rows: _mean(rows, "utilisation"), lambda value: percent(value, 2)),
        ("net exposure at the end", lambda rows: _last(rows, "net_exposure"), lambda value: percent(value, 2)),
    )
    table = []
    for name, measure, show in measures:
        now, then = measure(this), measure(before)
        change = None if now is None or then is None else now - then
        table.append((name, show(now), show(then), show(change)))
    found = swing(sessions, period.this)
    lead = Facts(
        (
            Fact("net", bps(found.net, 1), f"{number(float((this['net'] * this['opening']).sum()), 0)} USD"),
            Fact("against what is usual", f"{number(found.deviations, 1)} sd", found.basis),
            Fact("NAV", f"{number(float(this['nav'][-1]), 0)} USD", str(period.this[-1])),
        )
    )
    return [lead, _drawing(period, sessions), Rows(("of NAV", f"this {period.unit}", "before", "change"), tuple(table))]


def _drawing(period: Period, sessions: pl.DataFrame) -> Chart:
    if len(period.this) == 1:
        bars = period.portfolio.filter(pl.col("session") == period.this[0]).sort("decision_time")
        opening = float(sessions.filter(pl.col("session") == period.this[0])["opening"][0])
        times = bars.get_column("decision_time").to_list()

        def draw(axes: Any) -> None:
            line(axes, times, 1e4 * (bars["nav"] / opening - 1.0), color=BLUE)
            axes.axhline(0.0, color=GREY, linewidth=0.6)
            axes.set_ylabel("net, bps of NAV")
            at_least(axes, 0.1)
            clocked(axes)

        return Chart(drawn(draw, height=1.9), f"net result through {period.this[0]}, bps of opening NAV")
    shown = sessions.tail(LONG)

    def by_session(axes: Any) -> None:
        colours = [
            (BLUE if net >= 0.0 else RED) if day in period.this else GREY
            for day, net in shown.select("session", "net").iter_rows()
        ]
        axes.bar(shown["session"].to_list(), shown["net"], color=colours, width=0.8)
        axes.axhline(0.0, color=GREY, linewidth=0.6)
        axes.set_ylabel("net, % of NAV")
        axes.grid(visible=False, axis="x")
        at_least(axes, SMALLEST)
        in_percent(axes, digits=2)
        dated(axes)

    return Chart(drawn(by_session, height=1.9), f"net result by session; this {period.unit} in colour")


def _total(rows: pl.DataFrame, column: str) -> float | None:
    return float(rows.get_column(column).sum()) if rows.height else None


def _mean(rows: pl.DataFrame, column: str) -> float | None:
    found = rows.get_column(column).mean()
    return float(found) if isinstance(found, float) else None


def _last(rows: pl.DataFrame, column: str) -> float | None:
    return float(rows.get_column(column)[-1]) if rows.height else None
