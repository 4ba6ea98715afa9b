"""Every configured limit, checked on what a session decided and did: the blocking check of the trade book.

Decisions and drift are told apart: a *target* must be inside each exposure cap or, where prices had already carried
the book above it, must not be further out than what was held. Positions are not compared with the caps at later
prices; a fill is, at the price of its decision. Turnover counts what the budgets govern, forced reductions apart.
"""

from __future__ import annotations

import polars as pl

from aurora_pipeline.execution.session_inputs import SessionInputs
from aurora_pipeline.execution.session_result import SessionResult
from aurora_pipeline.policy.limits_in_force import LIMIT_TOLERANCE, exposure_limits
from aurora_pipeline.policy.turnover_manager import MONTH_SESSIONS, WEEK_SESSIONS
from aurora_pipeline.settings import Settings

VIOLATIONS = {
    "session": pl.Date(),
    "decision_time": pl.Datetime("us", "UTC"),
    "limit": pl.String(),
    "name": pl.String(),
    "value": pl.Float64(),
    "cap": pl.Float64(),
}
_BAR = ["session", "decision_time"]


def limit_violations(result: SessionResult, inputs: SessionInputs, settings: Settings) -> pl.DataFrame:
    """Limits that did not hold in a session.

    Parameters
    ----------
    result : SessionResult
        What the book decided and did.
    inputs : SessionInputs
        What it knew.
    settings : Settings
        The limits.

    Returns
    -------
    polars.DataFrame
        `session`, `decision_time`, `limit` (the settings key), `name` (symbol or sector, null for the whole book),
        `value` and `cap` (fractions of NAV; shares for participation); empty when all is well.
    """
    rows = [
        *_exposures(result.targets, inputs, settings),
        _filled_weights(result, settings),
        _participation(result, inputs, settings),
        *_turnover(result, settings),
    ]
    found = pl.concat(rows).filter(~(pl.col("value") <= pl.col("cap") + LIMIT_TOLERANCE))
    return found.sort("decision_time", "limit", "name")


def _measure(frame: pl.DataFrame, limit: str, cap: float, name: str | None = None) -> pl.DataFrame:
    """Rows `value` and `drifted` as a limit's measure: drift counts as far as it was there before."""
    return frame.select(
        *_BAR,
        pl.lit(limit).alias("limit"),
        (pl.col(name) if name else pl.lit(None, pl.String)).alias("name"),
        "value",
        pl.max_horizontal(pl.lit(cap, pl.Float64), "drifted").alias("cap"),
    ).cast(VIOLATIONS)  # type: ignore[arg-type]


def _exposures(targets: pl.DataFrame, inputs: SessionInputs, settings: Settings) -> list[pl.DataFrame]:
    caps = exposure_limits(settings.book)
    target, held = pl.col("target_weight"), pl.col("current_weight")
    names = targets.select(*_BAR, "symbol", target.abs().alias("value"), held.abs().alias("drifted"))
    sector_of = pl.DataFrame(
        {
            "symbol": inputs.symbols,
            "sector": [inputs.sector_names[index] if index >= 0 else None for index in inputs.sectors],
        },
        schema={"symbol": pl.String, "sector": pl.String},
    )
    sectors = (
        targets.join(sector_of, on="symbol", how="left")
        .filter(pl.col("sector").is_not_null())
        .group_by(*_BAR, "sector")
        .agg(target.sum().abs().alias("value"), held.sum().abs().alias("drifted"))
    )
    books = targets.group_by(_BAR)
    net = books.agg(target.sum().abs().alias("value"), held.sum().abs().alias("drifted"))
    gross = books.agg(target.abs().sum().alias("value"), held.abs().sum().alias("drifted"))
    measured = [
        _measure(names, "name_cap", caps.name, "symbol"),
        _measure(sectors, "sector_cap", caps.sector, "sector"),
        _measure(net, "net_cap", caps.net),
        _measure(gross, "utilisation_cap", caps.gross),
    ]
    if caps.long_only:
        shorts = targets.select(*_BAR, "symbol", (-target).clip(0.0).alias("value"), (-held).clip(0.0).alias("drifted"))
        measured.append(_measure(shorts, "long_only", 0.0, "symbol"))
    return measured


def _filled_weights(result: SessionResult, settings: Settings) -> pl.DataFrame:
    """Positions after fills that opened or increased them, at the price and NAV of their decision."""
    key = ["instrument_id", "decision_time"]
    account = result.portfolio.select("decision_time", "nav")
    opening = result.opening_nav
    held = result.positions.select(*key, "shares")
    fills = (
        result.fills.join(result.orders.select("order_id", "reference_price"), on="order_id")
        .join(account.rename({"nav": "decided_nav"}), on="decision_time", how="left")
        .with_columns(pl.col("decided_nav").fill_null(opening))
        .drop("decision_time")
        .rename({"fill_time": "decision_time", "shares": "filled"})
        .join(held, on=key, how="left")
        .with_columns(pl.col("shares").fill_null(0.0))
    )
    signed = pl.when(pl.col("side") == "buy").then(pl.col("filled")).otherwise(-pl.col("filled"))
    unit = pl.col("reference_price") / pl.col("decided_nav")
    measured = fills.select(
        *_BAR,
        "symbol",
        (pl.col("shares").abs() * unit).alias("value"),
        ((pl.col("shares") - signed).abs() * unit).alias("drifted"),
    )
    return _measure(measured, "name_cap", settings.book.name_cap, "symbol")


def _participation(result: SessionResult, inputs: SessionInputs, settings: Settings) -> pl.DataFrame:
    """Shares filled and the share of the bar's volume they were bounded by; 0 where the bar or name is not of the session."""
    bars = {time: index for index, time in enumerate(inputs.decision_times)}
    names = {symbol: index for index, symbol in enumerate(inputs.symbols)}
    asked = zip(result.fills.get_column("fill_time"), result.fills.get_column("symbol"), strict=True)
    volume = [
        inputs.fill_volume[bars[time], names[symbol]] if time in bars and symbol in names else 0.0
        for time, symbol in asked
    ]
    cap = pl.Series("cap", volume, dtype=pl.Float64) * settings.book.participation
    return result.fills.select(
        "session",
        pl.col("fill_time").alias("decision_time"),
        pl.lit("participation").alias("limit"),
        pl.col("symbol").alias("name"),
        pl.col("shares").alias("value"),
        cap,
    ).cast(VIOLATIONS)  # type: ignore[arg-type]


def _turnover(result: SessionResult, settings: Settings) -> list[pl.DataFrame]:
    rules = settings.book
    spent = (pl.col("turnover") - pl.col("exempt_turnover")).cum_sum()
    running = result.portfolio.sort("decision_time").select(*_BAR, spent.alias("spent"))
    found = []
    for limit, sessions, cap in (
        ("turnover_day", 0, rules.turnover_day),
        ("turnover_week", WEEK_SESSIONS - 1, rules.turnover_week),
        ("turnover_month", MONTH_SESSIONS - 1, rules.turnover_month),
    ):
        # A budget that has been lowered may be spent already: then nothing may be added to it.
        before = sum(result.opening_turnover.spent[-sessions:] if sessions else ())
        found.append(
            running.select(
                *_BAR,
                pl.lit(limit).alias("limit"),
                pl.lit(None, pl.String).alias("name"),
                (pl.col("spent") + before).alias("value"),
                pl.lit(max(cap, before), pl.Float64).alias("cap"),
            ).cast(VIOLATIONS)  # type: ignore[arg-type]
        )
    return found
