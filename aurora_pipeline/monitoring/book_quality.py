"""Was the book what it was meant to be: risk forecast, turnover, costs, alpha forgone, events; from its tables only."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.calendar import SESSIONS_PER_YEAR
from aurora_pipeline.monitoring.cost_shortfall import cost_shortfall
from aurora_pipeline.monitoring.performance import COST_TERMS, book_returns, max_drawdown
from aurora_pipeline.policy.capital_schedule import StepEvidence
from aurora_pipeline.policy.cost_model import break_even_rate
from aurora_pipeline.policy.risk_measures import bias_statistic, historical_loss, parametric_loss, realised_beta
from aurora_pipeline.policy.turnover_manager import MONTH_SESSIONS, WEEK_SESSIONS
from aurora_pipeline.settings import BookSettings

Floats = NDArray[np.float64]
BPS = 1e4
CONFIDENCE_NAMES = ("low", "middle", "high")


def risk_quality(portfolio: pl.DataFrame, market: pl.DataFrame) -> pl.DataFrame:
    """Forecast against realised risk.

    Parameters
    ----------
    portfolio : polars.DataFrame
        Table `portfolio` of one book.
    market : polars.DataFrame
        `session` and the market's `return`, fraction.

    Returns
    -------
    polars.DataFrame
        `measure` and `value`, null where it could not be measured; volatilities a year, losses a session, fractions of NAV.
    """
    sessions, forecast = _forecasts(portfolio)
    net = sessions.get_column("net").to_numpy()
    bias = bias_statistic(net, forecast)
    yearly = float(np.sqrt(SESSIONS_PER_YEAR))
    known = forecast[forecast > 0.0]
    at_risk, shortfall = parametric_loss(float(known[-1])) if known.size else (None, None)
    history = historical_loss(net)
    joined = sessions.join(market, on="session", how="left")
    ex_ante = portfolio.sort("decision_time").get_column("market_beta").mean()
    rows: dict[str, float | None] = {
        "forecast volatility, mean": float(known.mean()) * yearly if known.size else None,
        "realised volatility": float(net.std(ddof=1)) * yearly if net.size > 1 else None,
        "realised over forecast (bias statistic)": bias.value,
        "  95 % band from": bias.lower,
        "  95 % band to": bias.upper,
        "value at risk 95 %, from the forecast": at_risk,
        "expected shortfall 95 %, from the forecast": shortfall,
        "value at risk 95 %, from the sessions": history[0] if history else None,
        "expected shortfall 95 %, from the sessions": history[1] if history else None,
        "beta to the market, ex ante, mean": float(ex_ante) if isinstance(ex_ante, float) else None,
        "beta to the market, realised": realised_beta(net, joined.get_column("return").to_numpy()),
    }
    return pl.DataFrame(
        {"measure": list(rows), "value": list(rows.values())}, schema={"measure": pl.String, "value": pl.Float64}
    )


def _forecasts(portfolio: pl.DataFrame) -> tuple[pl.DataFrame, Floats]:
    """Sessions with their net return, and the volatility forecast at the end of the session before each."""
    sessions = book_returns(portfolio)
    last = (
        portfolio.sort("decision_time")
        .group_by("session", maintain_order=True)
        .agg(pl.col("forecast_volatility").last())
    )
    earlier = last.with_columns(pl.col("forecast_volatility").shift(1))
    joined = sessions.join(earlier, on="session", how="left").sort("session")
    return joined, joined.get_column("forecast_volatility").cast(pl.Float64).fill_null(np.nan).to_numpy()


def turnover_used(portfolio: pl.DataFrame, settings: BookSettings) -> pl.DataFrame:
    """Largest budgeted turnover of a session, 5 and 21 sessions beside their budgets, fractions of NAV."""
    spent = (
        portfolio.group_by("session", maintain_order=True)
        .agg((pl.col("turnover") - pl.col("exempt_turnover")).sum().alias("spent"))
        .sort("session")
        .get_column("spent")
        .to_numpy()
    )
    rows = []
    for name, span, budget in (
        ("day", 1, settings.turnover_day),
        ("week", WEEK_SESSIONS, settings.turnover_week),
        ("month", MONTH_SESSIONS, settings.turnover_month),
    ):
        sums = [float(spent[max(0, end - span) : end].sum()) for end in range(1, len(spent) + 1)]
        rows.append((name, max(sums, default=0.0), budget))
    return pl.DataFrame(rows, schema=["budget", "largest", "allowed"], orient="row")


def costs_by_term(portfolio: pl.DataFrame, fills: pl.DataFrame) -> pl.DataFrame:
    """Costs in USD and bps of what was traded, and the cost at which the gross result would be used up."""
    traded = float((fills.get_column("shares") * fills.get_column("price")).sum())
    totals = {term: float(portfolio.get_column(term).sum()) for term in COST_TERMS}
    gross = float(portfolio.get_column("gross_pnl").sum())
    totals |= {"all costs": sum(totals.values()), "break-even": gross}
    rates = {name: break_even_rate(value, traded) for name, value in totals.items()}
    return pl.DataFrame(
        {
            "term": list(totals),
            "usd": list(totals.values()),
            "bps_of_trades": [None if rate is None else BPS * rate for rate in rates.values()],
        },
        schema={"term": pl.String, "usd": pl.Float64, "bps_of_trades": pl.Float64},
    )


def forgone_by_limit(alpha_forgone: pl.DataFrame) -> pl.DataFrame:
    """Mean value each limit withheld at a decision, bps of NAV over the holding period, and how often it withheld any."""
    return (
        alpha_forgone.group_by("limit", maintain_order=True)
        .agg(
            (BPS * pl.col("forgone").mean()).alias("mean_bps"),
            (pl.col("forgone") > 1e-8).mean().alias("share_of_sessions"),
            pl.col("holding_sessions").mean(),
        )
        .sort("mean_bps", descending=True)
    )


def by_confidence(attribution: pl.DataFrame) -> pl.DataFrame:
    """Share of risk, and alpha, result and cost in USD, of the least, middle and most confident third of what was held.

    Confidence is the expected return over the specific volatility of the same span; terciles are taken within a session.
    """
    held = attribution.filter(pl.col("variance_share") != 0.0)
    third = ((pl.col("confidence").rank("ordinal").over("session") - 1) * 3 // pl.len().over("session")).clip(0, 2)
    sessions = max(1, held.get_column("session").n_unique())
    return (
        held.with_columns(third.cast(pl.Int64).alias("third"))
        .group_by("third", maintain_order=True)
        .agg(
            (pl.col("variance_share").sum() / sessions).alias("share_of_risk"),
            pl.col("alpha", "gross_pnl", "cost").sum(),
        )
        .sort("third")
        .select(
            pl.col("third")
            .replace_strict(dict(enumerate(CONFIDENCE_NAMES)), return_dtype=pl.String)
            .alias("confidence"),
            "share_of_risk",
            "alpha",
            "gross_pnl",
            "cost",
        )
    )


def events_counted(events: pl.DataFrame) -> pl.DataFrame:
    """Events by kind: sessions, times, action."""
    return (
        events.group_by("event", "action", maintain_order=True)
        .agg(pl.col("session").n_unique().alias("sessions"), pl.col("times").sum())
        .sort("times", descending=True)
        .select("event", "sessions", "times", "action")
    )


def step_evidence(
    portfolio: pl.DataFrame, events: pl.DataFrame, fills: pl.DataFrame, settings: BookSettings
) -> StepEvidence:
    """Evidence for the capital schedule from tables `portfolio`, `events` and `fills` of the sessions that count."""
    sessions, forecast = _forecasts(portfolio)
    net = sessions.get_column("net").to_numpy()
    deviation = float(net.std(ddof=1)) if net.size > 1 else 0.0
    drawdown = max_drawdown(portfolio.sort("decision_time").get_column("nav").to_numpy()) if portfolio.height else 0.0
    target = settings.volatility_target
    cost = cost_shortfall(fills)
    return StepEvidence(
        sessions=int(net.size),
        bias=bias_statistic(net, forecast).value,
        cost_ratio=cost.ratio,
        cost_error=cost.error,
        fills=cost.fills,
        net_t=float(net.mean() / deviation * np.sqrt(net.size)) if deviation > 0.0 else None,
        breaches=events.filter(pl.col("event") == "limits_out_of_reach").height,
        drawdown=drawdown / target if target > 0.0 else 0.0,
        drift=events.filter(pl.col("event") == "position_drift").height,
    )
