"""What a book earned: returns by session, Sharpe ratio with interval, drawdown, turnover, costs, alpha kept.

Everything is read from table `portfolio`, whose NAV moves by realised P&L and costs bar by bar; overlapping forward
returns are never used. Sessions before the book first held anything are left out. Intervals come from the stationary
bootstrap over sessions (Politis and Romano, "The Stationary Bootstrap", JASA 89, 1994) with a fixed seed and mean
block length T^(1/3), rounded up.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aurora_pipeline.calendar import SESSIONS_PER_YEAR

Float64 = npt.NDArray[np.float64]

SESSIONS_PER_MONTH = 21
REFERENCE_VOLATILITY = 0.10
"""Yearly volatility to which the scaled drawdown refers."""
RESAMPLES = 2000
MINIMUM_SESSIONS = 20
"""Sessions below which no interval is given."""
NOT_TESTABLE = "not testable"
COST_TERMS = ("spread_cost", "impact_cost", "fee_cost", "borrow_cost")


def book_returns(portfolio: pl.DataFrame) -> pl.DataFrame:
    """Account of each session from the first with a position.

    Parameters
    ----------
    portfolio : polars.DataFrame
        Table `portfolio` of one book.

    Returns
    -------
    polars.DataFrame
        `session`, `opening_nav`, `net` and `gross` return and `cost` (fractions of opening NAV; net = gross - cost),
        `turnover` (sum over its bars), `utilisation` (mean gross exposure).
    """
    bars = portfolio.sort("decision_time").with_columns(
        (pl.col("nav") - pl.col("gross_pnl") + pl.col("cost")).alias("nav_before")
    )
    sessions = bars.group_by("session", maintain_order=True).agg(
        pl.col("nav_before").first().alias("opening_nav"),
        pl.col("gross_pnl").sum(),
        pl.col("cost").sum(),
        pl.col("turnover").sum(),
        pl.col("gross").mean().alias("utilisation"),
        (pl.col("gross") > 0.0).any().alias("held"),
    )
    sessions = sessions.filter(pl.col("held").cum_max())
    nav = pl.col("opening_nav")
    return sessions.select(
        "session",
        "opening_nav",
        ((pl.col("gross_pnl") - pl.col("cost")) / nav).alias("net"),
        (pl.col("gross_pnl") / nav).alias("gross"),
        (pl.col("cost") / nav).alias("cost"),
        "turnover",
        "utilisation",
    )


def book_performance(portfolio: pl.DataFrame, seed: int) -> dict[str, Any]:
    """Performance of one book; numbers are None where there is nothing to compute them from.

    Parameters
    ----------
    portfolio : polars.DataFrame
        Table `portfolio` of one book; may be empty.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    dict
        `sessions`; `gross_return`, `net_return` (sums over sessions, fractions of NAV); `volatility` (yearly);
        `sharpe`, `sharpe_lower`, `sharpe_upper` (net, yearly, 95 %); `max_drawdown` on NAV,
        `max_drawdown_at_10pct_volatility`; `turnover_per_session`, `turnover_per_month`; `utilisation`; `alpha_kept`
        with bounds or ``"not testable"``; `costs_usd` by term.
    """
    sessions = book_returns(portfolio)
    net, gross, cost = (sessions.get_column(name).to_numpy() for name in ("net", "gross", "cost"))
    count = len(net)
    costs = {term: float(portfolio.get_column(term).sum()) for term in COST_TERMS}
    result: dict[str, Any] = {"sessions": count, "costs_usd": costs}
    if not count:
        names = ("gross_return", "net_return", "volatility", "max_drawdown", "max_drawdown_at_10pct_volatility")
        empty = dict.fromkeys((*names, "turnover_per_session", "turnover_per_month", "utilisation"))
        return result | empty | _sharpe(net, None) | {"alpha_kept": NOT_TESTABLE, "gross_return_interval": None}
    volatility = float(np.std(net, ddof=1) * math.sqrt(SESSIONS_PER_YEAR)) if count > 1 else 0.0
    draws = stationary_bootstrap(count, RESAMPLES, seed) if count >= MINIMUM_SESSIONS else None
    turnover = float(sessions.get_column("turnover").to_numpy().mean())
    return (
        result
        | {
            "gross_return": float(gross.sum()),
            "net_return": float(net.sum()),
            "volatility": volatility,
            "max_drawdown": max_drawdown(portfolio.sort("decision_time").get_column("nav").to_numpy()),
            "max_drawdown_at_10pct_volatility": _scaled_drawdown(net, volatility),
            "turnover_per_session": turnover,
            "turnover_per_month": SESSIONS_PER_MONTH * turnover,
            "utilisation": float(sessions.get_column("utilisation").to_numpy().mean()),
        }
        | _sharpe(net, draws)
        | _alpha_kept(gross, cost, draws)
    )


def max_drawdown(nav: Float64) -> float:
    """Largest fall from a running peak, as a positive fraction of the peak.

    Parameters
    ----------
    nav : ndarray of shape (n,)
        Positive values in time order.
    """
    return float((1.0 - nav / np.maximum.accumulate(nav)).max())


def stationary_bootstrap(count: int, resamples: int, seed: int) -> npt.NDArray[np.int64]:
    """Indices of shape (resamples, count) that draw blocks of geometric length, wrapping at the end."""
    generator = np.random.default_rng(seed)
    restart = generator.random((resamples, count)) < 1.0 / math.ceil(count ** (1.0 / 3.0))
    restart[:, 0] = True
    fresh = generator.integers(0, count, (resamples, count))
    position = np.arange(count)
    last_restart = np.maximum.accumulate(np.where(restart, position, 0), axis=1)
    start = np.take_along_axis(fresh, last_restart, axis=1)
    indices: npt.NDArray[np.int64] = (start + position - last_restart) % count
    return indices


def _scaled_drawdown(net: Float64, volatility: float) -> float | None:
    if volatility == 0.0:
        return None
    growth = np.maximum(1.0 + net * (REFERENCE_VOLATILITY / volatility), 0.0)
    return max_drawdown(np.concatenate([[1.0], np.cumprod(growth)]))


def _sharpe(net: Float64, draws: npt.NDArray[np.int64] | None) -> dict[str, float | None]:
    result: dict[str, float | None] = dict.fromkeys(("sharpe", "sharpe_lower", "sharpe_upper"))
    if len(net) < 2 or np.ptp(net) == 0.0:
        return result
    yearly = math.sqrt(SESSIONS_PER_YEAR)
    result["sharpe"] = float(net.mean() / net.std(ddof=1) * yearly)
    if draws is not None:
        drawn = net[draws]
        deviation = drawn.std(axis=1, ddof=1)
        ratios = (drawn.mean(axis=1) / np.where(deviation > 0.0, deviation, np.nan))[deviation > 0.0] * yearly
        lower, upper = np.percentile(ratios, [2.5, 97.5])
        result |= {"sharpe_lower": float(lower), "sharpe_upper": float(upper)}
    return result


def _alpha_kept(gross: Float64, cost: Float64, draws: npt.NDArray[np.int64] | None) -> dict[str, Any]:
    """(gross - cost) / gross with its interval; not testable where the interval of gross P&L reaches 0."""
    if draws is None:
        return {"alpha_kept": NOT_TESTABLE, "gross_return_interval": None}
    drawn_gross, drawn_cost = gross[draws].sum(axis=1), cost[draws].sum(axis=1)
    interval = [float(bound) for bound in np.percentile(drawn_gross, [2.5, 97.5])]
    if interval[0] <= 0.0:
        return {"alpha_kept": NOT_TESTABLE, "gross_return_interval": interval}
    positive = drawn_gross > 0.0
    kept = 1.0 - drawn_cost[positive] / drawn_gross[positive]
    lower, upper = np.percentile(kept, [2.5, 97.5])
    return {
        "alpha_kept": float(1.0 - cost.sum() / gross.sum()),
        "alpha_kept_lower": float(lower),
        "alpha_kept_upper": float(upper),
        "gross_return_interval": interval,
    }
