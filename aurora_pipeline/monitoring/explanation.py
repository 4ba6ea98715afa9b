"""One decision explained: from the bar over features, scores, weights, calibration and limits to the order and its fill.

Frames of one symbol and decision time in, titled tables out, in the order in which the decision came about. What features
contribute is exact for the linear families (:mod:`.linear_contributions`), in units of the ensemble's score; what the other
families add is given as one number each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from aurora_pipeline.execution.events import ACTIONS
from aurora_pipeline.monitoring.explained_decision import ExplainedDecision
from aurora_pipeline.monitoring.linear_contributions import linear_contributions

TOP_FEATURES = 12
REASONS = {
    "enter": "opens a position: the edge pays for the trade",
    "increase": "adds to the position: the edge pays for the trade",
    "reduce": "takes part of the position back: it is more than the edge is worth at its risk",
    "exit": "closes the position",
    "flip": "changes sides",
    "hold": "what is held stays: no trade pays for itself",
    "hold_no_edge": "nothing is held and no trade pays for itself",
    "turnover_budget": "a trade would pay, but the turnover budget is spent, or worth more elsewhere",
    "circuit_breaker": "a circuit breaker lets nothing grow",
    "gross_cap": "a trade would pay, but gross exposure is at its cap",
    "build_ramp": "a trade would pay, but the first positions are built over several sessions",
    "drawdown": "a trade would pay, but the drawdown throttle holds exposure down",
    "net_cap": "net exposure is at its cap",
    "name_cap": "the name is at its cap",
    "sector_cap": "the sector's net weight is at its cap",
    "volatility_target": "the book's volatility is at its target",
    "participation": "the bar's volume carries no more",
    "long_only": "the book is long-only",
    "no_borrow": "the name cannot be borrowed",
    "no_risk_estimate": "nothing says what the name would cost or risk",
    "uncalibrated": "the signal is not calibrated yet",
}
"""What a target's reason means; a reason that is an event is explained by its action."""
COST_TERMS = ("spread_cost", "impact_cost", "fee_cost")


@dataclass(frozen=True)
class Section:
    """One step of an explanation.

    Attributes
    ----------
    title : str
        What it is.
    table : polars.DataFrame
        Its numbers; empty where there are none.
    remark : str
        What to know beside them, or why there are none.
    """

    title: str
    table: pl.DataFrame
    remark: str = ""


def explain(decision: ExplainedDecision, *, every_feature: bool) -> list[Section]:
    """Sections from bar to position, each with numbers or with the reason why there are none."""
    return [
        _bar(decision),
        _quarantine(decision),
        _universe(decision),
        _features(decision, every_feature=every_feature),
        _scores(decision),
        _ensemble(decision),
        _calibration(decision),
        _target(decision),
        _orders(decision),
        _positions(decision),
    ]


def _bar(decision: ExplainedDecision) -> Section:
    columns = ("bar_start", "open", "high", "low", "close", "volume", "known_at", "quarantined_at")
    table = decision.bars.select(columns).sort("known_at")
    known = table.filter(pl.col("known_at") <= decision.at)
    late = table.height - known.height
    remark = "" if known.height else "no bar of the symbol that ends then was known by then"
    if late:
        remark = f"{late} version(s) became known after the decision and did not count; {remark}".rstrip("; ")
    move = decision.residual_returns
    if not move.is_empty():
        first = move.row(0, named=True)
        remark += (
            f"{'; ' if remark else ''}return {_bps(first['bar_return'])} = {first['beta_market']:.2f} * market "
            f"{_bps(first['market_return'])} + {first['beta_sector']:.2f} * sector {_bps(first['sector_return'])} "
            f"+ residual {_bps(first['residual_return'])}"
        )
    return Section("bar", table, remark)


def _quarantine(decision: ExplainedDecision) -> Section:
    table = decision.quarantine.select("source", "reason", "detail", "row_time", "known_at")
    return Section("quarantine verdicts of the session", table, "" if table.height else "none on this symbol")


def _universe(decision: ExplainedDecision) -> Section:
    return Section("universe", decision.universe.select("instrument_id", "kind", "sector", "eligible", "reason"))


def _features(decision: ExplainedDecision, *, every_feature: bool) -> Section:
    own = decision.features.filter(pl.col("symbol") == decision.symbol)
    if own.is_empty():
        return Section(
            "features", pl.DataFrame(), "none: the symbol was not eligible, or had no bar that could be used"
        )
    names = [name for name in own.columns if name not in {"session", "symbol", "decision_time"}]
    seen = pl.DataFrame(
        {"feature": names, "as_seen": list(own.select(names).row(0))},
        schema={"feature": pl.String, "as_seen": pl.Float64},
    )
    weights = dict(decision.weights.select("model", "weight").iter_rows())
    parts = linear_contributions(decision.features, decision.symbol, decision.coefficients, weights)
    scale = _scale(decision, weights)
    parts = parts.with_columns(pl.col("contribution") * scale)
    table = (
        seen.join(decision.raw, on="feature", how="left")
        .join(parts, on="feature", how="left")
        .sort(pl.col("contribution").abs(), "feature", descending=[True, False], nulls_last=True)
        .select("feature", "view", "raw", "as_seen", "contribution")
    )
    families = sorted(model for model in decision.coefficients if weights.get(model, 0.0) > 0.0)
    share = sum(weights[model] for model in families)
    remark = (
        f"contribution to the ensemble's score through {', '.join(families)} ({100 * share:.0f} % of the weight), "
        f"{parts.get_column('contribution').sum():+.3f} in all; the other families give no contributions at this price"
        if families
        else "no linear family has a weight here, so there are no contributions"
    )
    if every_feature:
        return Section("features", table, remark)
    missing = table.get_column("as_seen").null_count()
    return Section(
        f"features, {min(TOP_FEATURES, table.height)} of {table.height}",
        table.head(TOP_FEATURES),
        f"{remark}; {missing} missing; --all shows every one",
    )


def _scale(decision: ExplainedDecision, weights: Mapping[str, float]) -> float:
    """From a weighted sum of z-scores to the ensemble's score, which is divided by its deviation over the symbols."""
    table = _z_scores(decision)
    own = table.filter(pl.col("symbol") == decision.symbol, "trades")
    total = sum(weights.get(model, 0.0) * z for model, z in own.select("model", "z").iter_rows())
    score = decision.ensemble.filter(pl.col("symbol") == decision.symbol).get_column("score")
    return float(score[0]) / total if score.len() and total else 1.0


def _z_scores(decision: ExplainedDecision) -> pl.DataFrame:
    mean, deviation = pl.col("score").mean().over("model"), pl.col("score").std(ddof=0).over("model")
    place = pl.col("score").rank("ordinal", descending=True).over("model")
    return decision.predictions.with_columns(
        pl.when(deviation > 0.0).then((pl.col("score") - mean) / deviation).otherwise(0.0).alias("z"),
        (place.cast(pl.String) + " of " + pl.len().over("model").cast(pl.String)).alias("place"),
    )


def _scores(decision: ExplainedDecision) -> Section:
    own = _z_scores(decision).filter(pl.col("symbol") == decision.symbol)
    table = (
        own.join(decision.weights.select("model", "weight", "information_coefficient"), on="model", how="left")
        .join(decision.states.select("model", "state"), on="model", how="left")
        .with_columns(pl.when("trades").then(pl.col("weight")).alias("weight"))
        .with_columns((pl.col("weight") * pl.col("z")).alias("weight_times_z"))
        .sort("model")
        .select(
            "model",
            "model_version",
            "state",
            "score",
            "z",
            "place",
            "weight",
            "information_coefficient",
            "weight_times_z",
        )
        .rename({"information_coefficient": "matured_ic"})
    )
    return Section("scores and weights by model", table, "" if table.height else "no model scored the symbol then")


def _ensemble(decision: ExplainedDecision) -> Section:
    own = decision.ensemble.filter(pl.col("symbol") == decision.symbol)
    if own.is_empty():
        return Section("ensemble", pl.DataFrame(), "no ensemble score")
    place = int(decision.ensemble.filter(pl.col("score") > own["score"][0]).height) + 1
    table = own.select("score", "equal_weight_score", "best_single_score", "disagreement")
    return Section("ensemble", table, f"place {place} of {decision.ensemble.height} symbols, 1 is best")


def _calibration(decision: ExplainedDecision) -> Section:
    if decision.signal.is_empty():
        return Section("calibration", pl.DataFrame(), "no signal")
    row = decision.signal.row(0, named=True)
    if not row["calibrated"]:
        return Section("calibration", pl.DataFrame(), "not calibrated: too little had matured")
    levels = [("expected return", _bps(row["expected_return"]), "")]
    levels += [
        (f"{level} % interval", _bps(row[f"lower_{level}"]), _bps(row[f"upper_{level}"])) for level in (50, 80, 90)
    ]
    levels += [
        ("residual volatility", _bps(row["residual_volatility"], sign=""), ""),
        ("disagreement of the families", _bps(row["disagreement"], sign=""), ""),
    ]
    table = pl.DataFrame(
        levels,
        schema=["over_the_horizon", "value_or_from", "to"],
        orient="row",
    )
    evidence = (
        f"{row['calibrator']}, {row['evidence_rows']} matured pairs through {row['evidence_through']:%Y-%m-%d %H:%M}"
    )
    return Section("calibration", table, f"{evidence}; horizon {row['horizon_bars']} bars")


def _target(decision: ExplainedDecision) -> Section:
    if decision.target.is_empty():
        why = f"book {decision.book} decided nothing on the symbol then: {_undecided(decision)}"
        return Section("limits and target", pl.DataFrame(), why)
    row = decision.target.row(0, named=True)
    meaning = REASONS.get(row["reason"]) or ACTIONS.get(row["reason"]) or "the limit of that name bound"
    table = decision.target.select("current_weight", "target_weight", "expected_return", "reason")
    remark = f"{row['reason']}: {meaning}"
    if not decision.account.is_empty():
        book = decision.account.row(0, named=True)
        remark += f"; the book then: NAV {book['nav']:,.0f} USD, gross {100 * book['gross']:.2f} %, net {100 * book['net']:.2f} %"
    for event in decision.events.sort("decision_time").iter_rows(named=True):
        remark += f"; {event['decision_time']:%H:%M} {event['event']} ({event['detail']}): {event['action']}"
    return Section(f"limits and target of book {decision.book}", table, remark)


def _undecided(decision: ExplainedDecision) -> str | None:
    """Why nothing was decided on the symbol; None where something was."""
    if not decision.target.is_empty():
        return None
    listed = decision.universe.row(0, named=True)
    if listed["kind"] != "stock":
        return f"{decision.symbol} is listed as {listed['kind']}, and only stocks are traded"
    if not listed["eligible"]:
        return f"the symbol was not eligible in this session ({listed['reason'] or 'no reason is stored'})"
    if decision.features.filter(pl.col("symbol") == decision.symbol).is_empty():
        return "the symbol had no bar that could be used"
    if decision.predictions.is_empty():
        return "no model scored at that time, which lies in the warm-up or has not been predicted yet"
    if decision.signal.is_empty():
        return "the symbol had no signal"
    return "the book did not trade it at that time"


def _orders(decision: ExplainedDecision) -> Section:
    if decision.orders.is_empty():
        why = _undecided(decision) or "what was wanted was what was held"
        return Section("order, fill and costs", pl.DataFrame(), f"no order: {why}")
    fills = decision.fills.group_by("order_id").agg(
        (pl.col("shares") * pl.col("price")).sum().alias("value"),
        pl.col("shares").sum().alias("filled"),
        pl.col("fill_time").max(),
        pl.col(*COST_TERMS).sum(),
    )
    table = decision.orders.join(fills, on="order_id", how="left").select(
        "order_id",
        "side",
        "shares",
        "reference_price",
        "status",
        "reason",
        "filled",
        (pl.col("value") / pl.col("filled")).alias("price"),
        "fill_time",
        *COST_TERMS,
    )
    cost = sum(float(fills.get_column(term).sum()) for term in COST_TERMS)
    value = float(fills.get_column("value").sum())
    remark = (
        f"costs {cost:,.2f} USD, {1e4 * cost / value:.2f} bps of {value:,.0f} USD" if value else "nothing was filled"
    )
    return Section("order, fill and costs", table, remark)


def _positions(decision: ExplainedDecision) -> Section:
    table = decision.positions.sort("decision_time").select("decision_time", "shares", "price", "weight")
    return Section("position at the decision and after the next bar", table, "" if table.height else "nothing is held")


def _bps(value: float | None, *, sign: str = "+") -> str:
    return "-" if value is None else f"{1e4 * value:{sign}.2f} bps"
