"""The scorecard as rows for a person: measure, value, 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MISSING = "-"


def scorecard_title(card: Mapping[str, Any]) -> str:
    """Market, span and book; a synthetic market says so."""
    run = card["run"]
    label = " (SYNTHETIC)" if run.get("synthetic") else ""
    return f"{run.get('market')}{label}, {run.get('first_session')} to {run.get('last_session')}, {run.get('book')}"


def scorecard_rows(card: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Format every measure; what could not be measured shows as a dash, never as zero."""
    signal, calibration, book = card["signal"], card["calibration"], card["book"]
    fit, covered = calibration["mincer_zarnowitz"], calibration["coverage"].get("overall", {})
    estimates = {
        "equal weight": signal["equal_weight_ic"],
        "best single by matured IC": signal["best_single_ic"],
        **signal["family_ic"],
    }
    whole = signal["rank_ic"]
    rows = [_ic("rank IC, ensemble", whole)]
    rows += [_ic(f"rank IC, {name}", estimate, whole["sessions"]) for name, estimate in estimates.items()]
    if signal["correlation_with_truth"] is not None:
        rows.append(("correlation with the planted truth", _number(signal["correlation_with_truth"]), ""))
        rows += [
            (f"  {family}", _number(value), "") for family, value in signal["family_correlation_with_truth"].items()
        ]
    rows += [
        ("calibration slope", _number(fit["slope"], 2), _span(fit["slope_lower"], fit["slope_upper"], 2)),
        *((f"coverage of the {level} % interval", _percent(share), "") for level, share in covered.items()),
        ("calibration error", _percent(calibration["calibration_error"]), ""),
        ("gross return", _percent(book["gross_return"], 2), ""),
        ("net return", _percent(book["net_return"], 2), ""),
        ("Sharpe ratio, net", _number(book["sharpe"], 2), _span(book["sharpe_lower"], book["sharpe_upper"], 2)),
        ("largest drawdown", _percent(book["max_drawdown"], 2), ""),
        ("  scaled to 10 % volatility", _percent(book["max_drawdown_at_10pct_volatility"], 2), ""),
        ("turnover per session", _percent(book["turnover_per_session"], 2), ""),
        ("alpha kept after costs", *_kept(book)),
        ("utilisation", _percent(book["utilisation"]), ""),
        ("sessions scored", str(signal["sessions_scored"]), ""),
    ]
    return rows


def _ic(name: str, estimate: Mapping[str, Any], sessions: int | None = None) -> tuple[str, str, str]:
    """Row of a mean IC; means over other sessions than the ensemble's do not compare, so their number stands beside them."""
    t = "" if estimate["t"] is None else f"  (t {estimate['t']:.1f})"
    own = "" if sessions is None or estimate["sessions"] == sessions else f", {estimate['sessions']} sessions"
    return name + own, _number(estimate["mean"]) + t, _span(estimate["lower"], estimate["upper"], 3)


def _kept(book: Mapping[str, Any]) -> tuple[str, str]:
    kept = book["alpha_kept"]
    if isinstance(kept, str):
        return kept, ""
    lower, upper = book.get("alpha_kept_lower"), book.get("alpha_kept_upper")
    span = "" if lower is None or upper is None else f"{100 * lower:.1f} to {_percent(upper)}"
    return _percent(kept), span


def _number(value: float | None, digits: int = 3) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def _percent(value: float | None, digits: int = 1) -> str:
    return MISSING if value is None else f"{100 * value:.{digits}f} %"


def _span(lower: float | None, upper: float | None, digits: int) -> str:
    return "" if lower is None or upper is None else f"{lower:.{digits}f} to {upper:.{digits}f}"
