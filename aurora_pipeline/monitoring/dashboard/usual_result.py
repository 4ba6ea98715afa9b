"""What a book earns in a session, and how far from what is usual that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from aurora_pipeline.monitoring.dashboard.panel import counted

LONG = 63
"""Sessions that say what is usual."""
ENOUGH = 21
"""Sessions from which on the book's own results say what is usual; before that its volatility forecast does."""
UNUSUAL = 3.0
"""Standard deviations beyond which a person should look."""
ACCOUNT = (
    "book",
    "session",
    "decision_time",
    "nav",
    "gross",
    "net",
    "gross_pnl",
    "cost",
    "turnover",
    "forecast_volatility",
)
"""Columns of table `portfolio` an account is made of."""


@dataclass(frozen=True)
class Swing:
    """A net result against what is usual.

    Attributes
    ----------
    net : float
        Fraction of NAV.
    deviations : float or None
        In standard deviations of what is usual; None where nothing says what that is.
    basis : str
        What says it.
    """

    net: float
    deviations: float | None
    basis: str


def account(portfolio: pl.DataFrame) -> pl.DataFrame:
    """One row per session: opening NAV, gross, cost, net (fractions of it), turnover, mean gross exposure, closing NAV.

    `forecast` is the largest volatility of a session that was forecast at its bars, `held` whether there was a position by then.
    """
    bars = portfolio.sort("decision_time").with_columns(
        (pl.col("nav") - pl.col("gross_pnl") + pl.col("cost")).alias("opening")
    )
    sessions = bars.group_by("session", maintain_order=True).agg(
        pl.col("opening").first(),
        pl.col("nav").last(),
        pl.col("gross_pnl", "cost", "turnover").sum(),
        pl.col("gross").mean().alias("utilisation"),
        pl.col("net").last().alias("net_exposure"),
        pl.col("forecast_volatility").max().alias("forecast"),
    )
    return sessions.with_columns(
        (pl.col("gross_pnl") / pl.col("opening")).alias("gross"),
        (pl.col("cost") / pl.col("opening")).alias("cost"),
        ((pl.col("gross_pnl") - pl.col("cost")) / pl.col("opening")).alias("net"),
        (pl.col("utilisation") > 0.0).cum_max().alias("held"),
    )


def swing(sessions: pl.DataFrame, days: Sequence[date]) -> Swing:
    """Hold the net result of some days against the sessions before them, or against the forecast where those are too few.

    Parameters
    ----------
    sessions : polars.DataFrame
        As of :func:`account`, with the sessions before the days.
    days : sequence of date
        In time order.
    """
    this = sessions.filter(pl.col("session").is_in(list(days)))
    earlier = sessions.filter(pl.col("session") < days[0])
    usual = earlier.filter("held").tail(LONG)
    count = counted(usual.height, "session")
    spread: object
    if usual.height >= ENOUGH:
        spread, basis = usual.get_column("net").std(), f"of {count} before"
    else:
        forecasts = pl.concat([earlier.tail(1), this]).get_column("forecast").drop_nulls().drop_nans()
        spread, basis = forecasts.max(), f"of the forecast; {count} before: too few"
    net = float(this.get_column("net").sum())
    if not isinstance(spread, float) or spread <= 0.0:
        return Swing(net, None, basis)
    return Swing(net, net / (spread * len(days) ** 0.5), basis)
