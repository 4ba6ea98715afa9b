"""The scorecard as a person reads it."""

from __future__ import annotations

from typing import Any

from aurora_pipeline.monitoring.scorecard_table import scorecard_rows


def estimate(mean: float, sessions: int) -> dict[str, Any]:
    return {"mean": mean, "t": 2.0, "lower": mean - 0.01, "upper": mean + 0.01, "sessions": sessions}


def card(best_single_sessions: int) -> dict[str, Any]:
    fit = {"slope": 1.0, "slope_lower": 0.9, "slope_upper": 1.1}
    figures = "gross_return net_return sharpe sharpe_lower sharpe_upper max_drawdown max_drawdown_at_10pct_volatility"
    book = dict.fromkeys(f"{figures} turnover_per_session alpha_kept utilisation".split())
    return {
        "signal": {
            "rank_ic": estimate(0.109, 99),
            "equal_weight_ic": estimate(0.108, 99),
            "best_single_ic": estimate(0.111, best_single_sessions),
            "family_ic": {"ridge": estimate(0.1, 99)},
            "correlation_with_truth": None,
            "sessions_scored": 100,
        },
        "calibration": {"mincer_zarnowitz": fit, "coverage": {}, "calibration_error": None},
        "book": book,
    }


def test_a_mean_over_fewer_sessions_than_the_ensembles_says_so() -> None:
    names = [name for name, *_ in scorecard_rows(card(best_single_sessions=88))]
    assert names[:4] == [
        "rank IC, ensemble",
        "rank IC, equal weight",
        "rank IC, best single by matured IC, 88 sessions",
        "rank IC, ridge",
    ]


def test_a_mean_over_the_same_sessions_needs_no_number() -> None:
    names = [name for name, *_ in scorecard_rows(card(best_single_sessions=99))]
    assert "rank IC, best single by matured IC" in names
