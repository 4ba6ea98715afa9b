"""What the book is exposed to, where its risk comes from, and how much capital it could carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from aurora_pipeline.calendar import SESSIONS_PER_YEAR
from aurora_pipeline.monitoring.book_quality import risk_quality
from aurora_pipeline.monitoring.dashboard.charts import BLUE, GREY, ORANGE, dated, drawn, from_zero, in_percent, line
from aurora_pipeline.monitoring.dashboard.panel import (
    DASH,
    Absent,
    Block,
    Chart,
    Fact,
    Facts,
    Note,
    Rows,
    number,
    percent,
    usd,
)
from aurora_pipeline.monitoring.dashboard.result_panels import NO_BOOK
from aurora_pipeline.monitoring.performance import book_returns
from aurora_pipeline.settings import BookSettings

_NO_MARKET = pl.DataFrame(schema={"session": pl.Date, "return": pl.Float64})
TRAILING = 21
"""Sessions of the realised volatility that is drawn beside the forecast."""
LARGEST = 10


def exposures(
    portfolio: pl.DataFrame, exposures: pl.DataFrame, attribution: pl.DataFrame, rules: BookSettings
) -> Sequence[Block]:
    """Exposure to each factor, share of variance, names with the most risk, forecast against realised volatility.

    Parameters
    ----------
    portfolio, exposures, attribution : polars.DataFrame
        Tables of one book.
    rules : BookSettings
        Caps and the volatility target.
    """
    sessions = book_returns(portfolio)
    if sessions.is_empty() or exposures.is_empty():
        return [NO_BOOK]
    last = exposures.filter(pl.col("session") == pl.col("session").max())
    account = portfolio.sort("decision_time").tail(1).row(0, named=True)
    factors = last.filter(pl.col("factor") != "specific").sort(pl.col("variance_share").abs())
    names = factors.get_column("factor").to_list()

    def draw(left: Any, right: Any) -> None:
        left.barh(names, factors.get_column("exposure"), color=BLUE, height=0.65)
        left.set_xlabel("exposure, % of NAV")
        right.barh(names, factors.get_column("variance_share"), color=ORANGE, height=0.65)
        right.set_xlabel("share of ex-ante variance, %")
        right.tick_params(labelleft=False)
        for axes in (left, right):
            axes.axvline(0.0, color=GREY, linewidth=0.6)
            axes.grid(visible=False, axis="y")
            axes.margins(y=0.02)
            in_percent(axes, "x")

    yearly = SESSIONS_PER_YEAR**0.5
    quality = dict(risk_quality(portfolio, _NO_MARKET).iter_rows())
    return [
        Facts(
            (
                Fact("gross", percent(account["gross"], 2), f"cap {percent(rules.utilisation_cap, 0)} of NAV"),
                Fact(
                    "net",
                    percent(account["net"], 2),
                    f"limit {percent(rules.net_cap * rules.utilisation_cap, 1)} of NAV",
                ),
                Fact("market beta", number(account["market_beta"], 4), "of NAV, ex ante"),
                Fact(
                    "forecast volatility",
                    percent((account["forecast_volatility"] or 0.0) * yearly, 2),
                    f"target {percent(rules.volatility_target, 1)} a year",
                ),
                Fact(
                    "realised over forecast",
                    number(quality["realised over forecast (bias statistic)"], 2),
                    _band(quality),
                ),
                Fact("specific risk", percent(_specific(last), 0), "of the variance"),
            )
        ),
        Chart(
            drawn(draw, columns=2, height=2.9), f"exposures and risk contributions by factor on {last['session'][0]}"
        ),
        Chart(
            drawn(_volatility(portfolio, sessions), height=1.9),
            "forecast and realised volatility, a year"
            if sessions.height >= TRAILING
            else f"forecast volatility, a year; the realised one takes {TRAILING} sessions",
        ),
        _risky_names(attribution),
        Rows(
            ("factor", "exposure, % of NAV", "share of variance"),
            tuple(
                (str(f), percent(e, 3), percent(v, 2))
                for f, e, v in last.select("factor", "exposure", "variance_share").iter_rows()
            ),
            f"every factor, {last['session'][0]}",
            folded=True,
        ),
    ]


def _band(quality: Mapping[str, float | None]) -> str:
    lower, upper = quality["  95 % band from"], quality["  95 % band to"]
    return "" if lower is None or upper is None else f"a right model stays in {number(lower, 2)} to {number(upper, 2)}"


def _specific(last: pl.DataFrame) -> float | None:
    found = last.filter(pl.col("factor") == "specific").get_column("variance_share")
    return float(found[0]) if found.len() else None


def _volatility(portfolio: pl.DataFrame, sessions: pl.DataFrame) -> Any:
    yearly = SESSIONS_PER_YEAR**0.5
    closing = (
        portfolio.sort("decision_time")
        .group_by("session", maintain_order=True)
        .agg(pl.col("forecast_volatility").last())
    )
    realised = sessions.get_column("net").rolling_std(TRAILING, min_samples=TRAILING)

    def draw(axes: Any) -> None:
        forecast = yearly * closing["forecast_volatility"]
        line(axes, closing["session"].to_list(), forecast, color=BLUE, label="forecast")
        if sessions.height >= TRAILING:
            label = f"realised, {TRAILING} sessions"
            axes.plot(sessions["session"].to_list(), yearly * realised, color=ORANGE, label=label)
        axes.set_ylabel("% of NAV a year")
        from_zero(axes)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        in_percent(axes, digits=1)
        dated(axes)

    return draw


def _risky_names(attribution: pl.DataFrame) -> Rows:
    newest = attribution.filter(pl.col("session") == pl.col("session").max())
    rows = newest.sort("variance_share", descending=True).head(LARGEST)
    return Rows(
        ("name", "share of variance", "result, USD", "expected, USD", "cost, USD"),
        tuple(
            (
                row["symbol"],
                percent(row["variance_share"], 2),
                number(row["gross_pnl"], 0),
                number(row["alpha"], 0),
                number(row["cost"], 0),
            )
            for row in rows.iter_rows(named=True)
        ),
        "names with the most risk, and their newest session",
        folded=True,
    )


def capacity(capacity: Mapping[str, Any] | None) -> Sequence[Block]:
    """Result of the same signals at other amounts of capital and multiples of the costs.

    Parameters
    ----------
    capacity : mapping or None
        What `aurora book capacity` wrote: `title`, `capacity` and `stress`, rows as of
        :class:`~aurora_pipeline.reports.book_reports.CapacityReport`.
    """
    if capacity is None:
        return [Absent("the book has not been run at other amounts of capital", "aurora book capacity")]
    curve, stress = capacity["capacity"], capacity["stress"]
    if all(row["net_return"] is None for row in curve):
        return [Absent(f"{capacity['title']}: nothing was traded at any amount of capital", "aurora book capacity")]

    def draw(left: Any, right: Any) -> None:
        for axes, rows, label in ((left, curve, "capital, USD"), (right, stress, "multiple of the costs")):
            for column, colour in (("gross_return", GREY), ("net_return", BLUE)):
                points = [(row["at"], row[column]) for row in rows if row[column] is not None]
                axes.plot(
                    [at for at, _ in points],
                    [value for _, value in points],
                    "o-",
                    color=colour,
                    markersize=3,
                    label=column.replace("_return", ""),
                )
            axes.axhline(0.0, color=GREY, linewidth=0.6)
            axes.set_xlabel(label)
            in_percent(axes, digits=1)
        left.set_ylabel("return over the span, % of NAV")
        left.set_xscale("log")
        left.legend(loc="lower left")

    best = max((row for row in curve if row["net_usd"] is not None), key=lambda row: row["net_usd"])
    most = Fact("most dollars", usd(best["net_usd"]), f"at {usd(best['at'])} of capital")
    return [
        Facts((most,)),
        Chart(
            drawn(draw, columns=2, height=2.3),
            "gross and net return against capital and against multiples of the costs",
        ),
        Rows(
            ("capital, USD", "gross", "cost", "net", "net, USD", "Sharpe", "turnover a session"),
            tuple(
                (
                    number(row["at"], 0),
                    percent(row["gross_return"], 2),
                    percent(row["cost"], 2),
                    percent(row["net_return"], 2),
                    number(row["net_usd"], 0),
                    number(row["sharpe"], 2),
                    percent(row["turnover_per_session"], 2),
                )
                for row in curve
            ),
        ),
        Note(
            f"Measured on {capacity['title']}. More capital can lower gross as well: participation and impact leave targets "
            f"unreached. {DASH} marks what was not traded."
        ),
    ]
