"""The identity a book's NAV obeys, to the cent: the blocking check of its account.

nav[t] = nav[t-1] + gross_pnl[t] - cost[t]
"""

from __future__ import annotations

import polars as pl

from aurora_pipeline.execution.session_result import SessionResult

CENT = 0.01


def nav_identity_violations(result: SessionResult) -> pl.DataFrame:
    """Bars of a session whose account does not add up to the cent.

    Checked are the NAV identity from bar to bar (the first from the NAV the session opened with), NAV against cash
    plus the positions' value, the costs against their terms, the trading costs against the fills, and, for the session,
    the attribution by name against gross P&L and costs.

    Returns
    -------
    polars.DataFrame
        `session`, `decision_time`, `identity`, `difference` (USD); empty when all is well.
    """
    portfolio = result.portfolio.sort("decision_time")
    value = result.positions.group_by("decision_time", maintain_order=True).agg(
        (pl.col("shares") * pl.col("price")).sum().alias("value")
    )
    charged = result.fills.group_by(pl.col("fill_time").alias("decision_time"), maintain_order=True).agg(
        (pl.col("spread_cost") + pl.col("impact_cost") + pl.col("fee_cost")).sum().alias("charged")
    )
    before = pl.col("nav").shift(1, fill_value=result.opening_nav)
    terms = pl.col("spread_cost") + pl.col("impact_cost") + pl.col("fee_cost")
    differences = (
        portfolio.join(value, on="decision_time", how="left")
        .join(charged, on="decision_time", how="left")
        .sort("decision_time")
        .select(
            "session",
            "decision_time",
            (pl.col("nav") - before - pl.col("gross_pnl") + pl.col("cost")).alias("nav_change"),
            (pl.col("nav") - pl.col("cash") - pl.col("value").fill_null(0.0)).alias("market_value"),
            (pl.col("cost") - terms - pl.col("borrow_cost")).alias("cost_terms"),
            (terms - pl.col("charged").fill_null(0.0)).alias("fill_costs"),
        )
    )
    found = differences.unpivot(index=["session", "decision_time"], variable_name="identity", value_name="difference")
    session = portfolio.group_by("session", maintain_order=True).agg(
        pl.col("decision_time").last(), pl.col("gross_pnl", "cost").sum()
    )
    attributed = result.attribution.select(pl.col("gross_pnl", "cost").sum()).row(0)
    whole = session.select(
        "session",
        "decision_time",
        (pl.col("gross_pnl") - attributed[0]).alias("attributed_pnl"),
        (pl.col("cost") - attributed[1]).alias("attributed_cost"),
    ).unpivot(index=["session", "decision_time"], variable_name="identity", value_name="difference")
    return pl.concat([found, whole]).filter(~(pl.col("difference").abs() < CENT))
