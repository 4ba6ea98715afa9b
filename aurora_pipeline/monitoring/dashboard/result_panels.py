"""What the book earned, what it cost, how much it traded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.monitoring.book_quality import costs_by_term, forgone_by_limit
from aurora_pipeline.monitoring.dashboard.charts import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SMALLEST,
    YELLOW,
    at_least,
    calendar_period,
    dated,
    drawn,
    in_percent,
    line,
    named,
)
from aurora_pipeline.monitoring.dashboard.panel import (
    DASH,
    Absent,
    Block,
    Chart,
    Fact,
    Facts,
    Note,
    Rows,
    Tagged,
    counted,
    interval,
    number,
    percent,
    usd,
)
from aurora_pipeline.monitoring.performance import COST_TERMS, book_performance, book_returns
from aurora_pipeline.policy.turnover_manager import MONTH_SESSIONS, WEEK_SESSIONS
from aurora_pipeline.settings import BookSettings

NO_BOOK = Absent("nothing has been traded in this book yet", "aurora run")
TERM_COLOURS = {"spread_cost": BLUE, "impact_cost": ORANGE, "fee_cost": YELLOW, "borrow_cost": PURPLE}
SHOWN_LIMITS = 6


def profit_and_loss(portfolio: pl.DataFrame, seed: int) -> Sequence[Block]:
    """Cumulative net and gross result, drawdown on NAV, Sharpe ratio with its interval.

    Parameters
    ----------
    portfolio : polars.DataFrame
        Table `portfolio` of one book.
    seed : int
        Seed of the bootstrap.
    """
    sessions = book_returns(portfolio)
    if sessions.is_empty():
        return [NO_BOOK]
    found = book_performance(portfolio, seed)
    account = portfolio.sort("decision_time")
    closes = account.group_by("session", maintain_order=True).agg(pl.col("nav").last())
    nav = account.get_column("nav").to_numpy()
    falls = account.select("session", pl.Series("fall", nav / np.maximum.accumulate(nav) - 1.0))
    lowest = falls.group_by("session", maintain_order=True).agg(pl.col("fall").min())
    days = sessions.get_column("session").to_list()

    def draw(above: Any, below: Any) -> None:
        for column, colour in (("gross", GREY), ("net", BLUE)):
            line(above, days, sessions.get_column(column).cum_sum(), color=colour, label=column)
        above.axhline(0.0, color=GREY, linewidth=0.6)
        above.legend(loc="upper left", ncols=2)
        above.set_ylabel("sum of returns\n% of NAV")
        below.fill_between(lowest["session"].to_list(), lowest["fall"], 0.0, color=RED, alpha=0.35, linewidth=0)
        line(below, lowest["session"].to_list(), lowest["fall"], color=RED, linewidth=0.6)
        below.set_ylabel("below peak\n% of NAV")
        for axes in (above, below):
            at_least(axes, SMALLEST)
            in_percent(axes, digits=1 if axes is above else 2)
        dated(below)

    alone = sessions.height == 1
    newest = sessions.tail(1)
    return [
        Facts(
            (
                Fact(
                    "NAV",
                    usd(float(closes.get_column("nav")[-1])),
                    f"{counted(sessions.height, 'session')} since {days[0]}",
                ),
                Fact(
                    "net return",
                    percent(found["net_return"], 2),
                    f"gross {percent(found['gross_return'], 2)}; sums over sessions",
                ),
                Fact(
                    "Sharpe ratio, a year",
                    number(found["sharpe"], 2),
                    interval(found["sharpe_lower"], found["sharpe_upper"], lambda value: number(value, 1)),
                ),
                Fact(
                    "largest drawdown",
                    percent(found["max_drawdown"], 2),
                    "" if alone else f"{percent(found['max_drawdown_at_10pct_volatility'], 1)} at 10 % volatility",
                ),
                Fact(
                    "volatility, a year",
                    percent(None if alone else found["volatility"], 2),
                    "takes two sessions" if alone else "of NAV",
                ),
                Fact("newest session", percent(newest.get_column("net")[0], 3), str(days[-1])),
            )
        ),
        Chart(
            drawn(draw, rows=2, height=3.0, sharex=True, gridspec_kw={"height_ratios": [2, 1]}),
            f"{'one session so far: ' if alone else ''}"
            f"the sum of net returns reaches {percent(found['net_return'], 2)} on {days[-1]}; "
            f"largest drawdown {percent(found['max_drawdown'], 2)}",
        ),
        _months(sessions),
    ]


def _months(sessions: pl.DataFrame) -> Rows:
    by_month = sessions.group_by(pl.col("session").dt.strftime("%Y-%m").alias("month"), maintain_order=True).agg(
        pl.len().alias("sessions"), pl.col("gross", "cost", "net", "turnover").sum(), pl.col("utilisation").mean()
    )
    return Rows(
        ("month", "sessions", "gross", "cost", "net", "turnover", "utilisation"),
        tuple(
            (month, str(count), percent(gross, 2), percent(cost, 3), percent(net, 2), percent(turned), percent(used))
            for month, count, gross, cost, net, turned, used in by_month.iter_rows()
        ),
        "by month, % of NAV",
        folded=True,
    )


def costs_and_alpha(
    portfolio: pl.DataFrame, fills: pl.DataFrame, alpha_forgone: pl.DataFrame, seed: int
) -> Sequence[Block]:
    """Costs by term and month, alpha kept with its interval, alpha forgone to each limit.

    Parameters
    ----------
    portfolio, fills, alpha_forgone : polars.DataFrame
        Tables of one book.
    seed : int
        Seed of the bootstrap.
    """
    if book_returns(portfolio).is_empty():
        return [NO_BOOK]
    found = book_performance(portfolio, seed)
    kept, terms = found["alpha_kept"], costs_by_term(portfolio, fills)
    account = portfolio.sort("decision_time")
    unit, pattern = calendar_period(account["session"][0], account["session"][-1])
    by_period = account.group_by(pl.col("session").dt.strftime(pattern).alias("period"), maintain_order=True).agg(
        pl.col(*COST_TERMS).sum(), pl.col("nav").mean()
    )
    periods = by_period.get_column("period").to_list()

    def draw(axes: Any) -> None:
        base = np.zeros(by_period.height)
        for term in COST_TERMS:
            height = 1e4 * (by_period.get_column(term) / by_period.get_column("nav")).to_numpy()
            label = term.removesuffix("_cost")
            axes.bar(periods, height, bottom=base, color=TERM_COLOURS[term], width=0.6, label=label)
            base = base + height
        named(axes, periods)
        axes.set_ylabel(f"bps of NAV in the {unit}")
        axes.grid(visible=False, axis="x")
        axes.set_ylim(0.0, 1.3 * max(float(base.max()), 1e-6))
        axes.legend(loc="upper right", ncols=4)

    traded = dict(terms.select("term", "bps_of_trades").iter_rows())
    note = (
        f"gross P&L's 95 % interval reaches 0: {_span(found)}"
        if isinstance(kept, str)
        else interval(found["alpha_kept_lower"], found["alpha_kept_upper"], percent)
    )
    forgone = forgone_by_limit(alpha_forgone).head(SHOWN_LIMITS)
    return [
        Facts(
            (
                Fact("alpha kept", kept if isinstance(kept, str) else percent(kept), note),
                Fact(
                    "all costs",
                    usd(sum(found["costs_usd"].values())),
                    f"{number(traded['all costs'], 2)} bps of trades",
                ),
                _break_even(traded["break-even"]),
            )
        ),
        Chart(drawn(draw, height=2.1), f"costs by term and {unit}, bps of NAV"),
        Rows(
            ("term", "USD", "bps of trades"),
            tuple(
                (str(term).replace("_", " "), number(cost, 0), number(rate, 2))
                for term, cost, rate in terms.iter_rows()
            ),
            "costs by term, whole book",
        ),
        Rows(
            ("limit", "withheld a decision, bps of NAV", "sessions in which it did", "over sessions"),
            tuple(
                (str(limit).replace("_", " "), number(mean, 3), percent(share, 0), number(span, 1))
                for limit, mean, share, span in forgone.iter_rows()
            ),
            "expected value forgone to each limit",
            folded=True,
        ),
    ]


def _break_even(rate: float | None) -> Fact:
    """Cost at which the gross result is used up, and what it means where there is none."""
    if rate is None:
        return Fact("break-even cost", DASH, "nothing was traded, so there is no such cost")
    lost = "negative: gross P&L is a loss, so the book would have lost without any cost too"
    return Fact(
        "break-even cost",
        f"{number(rate, 1)} bps",
        lost if rate < 0.0 else "of trades: where gross P&L is used up",
    )


def _span(found: dict[str, Any]) -> str:
    bounds = found["gross_return_interval"]
    return "too few sessions" if bounds is None else f"{percent(bounds[0], 2)} to {percent(bounds[1], 2)}"


def turnover(
    portfolio: pl.DataFrame, rules: BookSettings, step_downs: Sequence[tuple[date, float]] = ()
) -> Sequence[Block]:
    """Budgeted turnover of a session, 5 and 21 sessions against their budgets.

    Parameters
    ----------
    portfolio : polars.DataFrame
        Table `portfolio` of one book.
    rules : BookSettings
        Budgets in force.
    step_downs : sequence of (date, float)
        First sessions of smaller capital steps with their share of the step before: what was spent earlier counts as that share
        of itself, as it does for the book.
    """
    spent = (
        portfolio.group_by("session")
        .agg((pl.col("turnover") - pl.col("exempt_turnover")).sum().alias("spent"), pl.col("exempt_turnover").sum())
        .sort("session")
    )
    if spent.is_empty():
        return [NO_BOOK]
    for since, share in step_downs:
        counted_less = pl.when(pl.col("session") < since).then(share).otherwise(1.0)
        spent = spent.with_columns(pl.col("spent") * counted_less)
    days = spent.get_column("session").to_list()
    budgets = (
        ("day", 1, rules.turnover_day),
        ("week", WEEK_SESSIONS, rules.turnover_week),
        ("month", MONTH_SESSIONS, rules.turnover_month),
    )
    sums = {
        name: spent.get_column("spent").rolling_sum(span, min_samples=1).clip(lower_bound=0.0)
        for name, span, _ in budgets
    }

    def draw(*axes: Any) -> None:
        for panel, (name, span, budget) in zip(axes, budgets, strict=True):
            panel.fill_between(days, sums[name], color=BLUE, alpha=0.18, linewidth=0)
            line(panel, days, sums[name], color=BLUE, linewidth=1.0)
            panel.axhline(budget, color=RED, linewidth=1.0, linestyle=(0, (4, 2)))
            panel.set_ylim(0.0, 1.25 * max(budget, float(sums[name].max() or 0.0)))  # type: ignore[arg-type]
            panel.set_title(f"{name}: {span} session{'s' if span > 1 else ''}, budget {percent(budget, 0)}")
            panel.set_ylabel("% of NAV")
            in_percent(panel, digits=0)
        dated(axes[-1])

    exempt = float(spent.get_column("exempt_turnover").sum())
    rows = []
    for name, span, budget in budgets:
        now, largest = float(sums[name][-1]), float(sums[name].max() or 0.0)  # type: ignore[arg-type]
        held = Tagged("within", "good") if largest <= budget * (1.0 + 1e-9) else Tagged("exceeded", "bad")
        rows.append(
            (name, str(span), percent(budget), percent(now, 2), percent(budget - now, 2), percent(largest, 2), held)
        )
    return [
        Chart(
            drawn(draw, rows=3, height=4.0, sharex=True), "budgeted turnover of 1, 5 and 21 sessions with their budgets"
        ),
        Rows(("budget", "sessions", "allowed", "spent now", "left", "largest", "held"), tuple(rows)),
        Note(
            f"Turnover is the sum of absolute trades / 2 / NAV. Forced reductions are exempt: {percent(exempt, 2)} of NAV over "
            "the whole book."
        ),
    ]
