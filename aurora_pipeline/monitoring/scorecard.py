"""The scorecard of a run: what the signal, its calibration and the book were worth, each with its interval.

Built from lake tables only, so anyone can build it again. A part that is missing (no truth, no book, nothing matured)
gives None or an empty part, never a zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.calibration_quality import calibration_error, coverage, mincer_zarnowitz
from aurora_pipeline.monitoring.information_coefficient import correlation_with_truth, information_coefficient
from aurora_pipeline.monitoring.performance import NOT_TESTABLE, book_performance


@dataclass(frozen=True)
class ScorecardInputs:
    """What a scorecard is built from; every part may be missing.

    Attributes
    ----------
    predictions, ensemble, signals, labels, portfolio : polars.DataFrame
        Tables of the same name; `portfolio` of one book.
    truth : polars.DataFrame or None
        Planted expectation: `symbol`, `decision_time`, `expected_residual_return`.
    manifest : mapping
        What identifies the run; copied under `run`.
    seed : int
        Seed of the bootstrap intervals.
    """

    predictions: pl.DataFrame = field(default_factory=lambda: empty("predictions"))
    ensemble: pl.DataFrame = field(default_factory=lambda: empty("ensemble"))
    signals: pl.DataFrame = field(default_factory=lambda: empty("signals"))
    labels: pl.DataFrame = field(default_factory=lambda: empty("labels"))
    portfolio: pl.DataFrame = field(default_factory=lambda: empty("portfolio"))
    truth: pl.DataFrame | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 1


def build_scorecard(inputs: ScorecardInputs) -> dict[str, Any]:
    """Collect the scorecard: a JSON-able mapping with parts `run`, `signal`, `calibration` and `book`."""
    covered = coverage(inputs.signals, inputs.labels)
    return {
        "run": dict(inputs.manifest),
        "signal": _signal_quality(inputs.predictions, inputs.ensemble, inputs.labels, inputs.truth),
        "calibration": {
            "mincer_zarnowitz": mincer_zarnowitz(inputs.signals, inputs.labels),
            "coverage": covered,
            "calibration_error": calibration_error(covered),
            "calibrated_rows": int(inputs.signals.get_column("calibrated").sum()),
        },
        "book": book_performance(inputs.portfolio, inputs.seed),
    }


def headline(card: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the scorecard's main numbers, flat, for a plot or a table; None where there is nothing to say."""
    signal, calibration, book = card["signal"], card["calibration"], card["book"]
    kept = book["alpha_kept"]
    return {
        "rank_ic": signal["rank_ic"]["mean"],
        "rank_ic_t": signal["rank_ic"]["t"],
        "equal_weight_ic": signal["equal_weight_ic"]["mean"],
        "best_single_ic": signal["best_single_ic"]["mean"],
        "correlation_with_truth": signal["correlation_with_truth"],
        "calibration_slope": calibration["mincer_zarnowitz"]["slope"],
        **{f"coverage_{level}": share for level, share in calibration["coverage"].get("overall", {}).items()},
        "calibration_error": calibration["calibration_error"],
        "gross_return": book["gross_return"],
        "net_return": book["net_return"],
        "sharpe": book["sharpe"],
        "max_drawdown": book["max_drawdown"],
        "turnover_per_session": book["turnover_per_session"],
        "alpha_kept": None if kept == NOT_TESTABLE else kept,
        "utilisation": book["utilisation"],
    }


def _signal_quality(
    predictions: pl.DataFrame, ensemble: pl.DataFrame, labels: pl.DataFrame, truth: pl.DataFrame | None
) -> dict[str, Any]:
    """IC of ensemble, equal weights, best single family and each family; correlation with the truth where there is one."""
    families = predictions.get_column("model").unique().sort().to_list()
    series = {
        "ensemble": (ensemble, "score"),
        "equal_weight": (ensemble, "equal_weight_score"),
        "best_single": (ensemble, "best_single_score"),
        **{family: (predictions.filter(pl.col("model") == family), "score") for family in families},
    }
    ics = {name: information_coefficient(frame, labels, score).as_dict() for name, (frame, score) in series.items()}
    truths = {
        name: None if truth is None else correlation_with_truth(frame, truth, score).mean
        for name, (frame, score) in series.items()
    }
    return {
        "rank_ic": ics["ensemble"],
        "equal_weight_ic": ics["equal_weight"],
        "best_single_ic": ics["best_single"],
        "family_ic": {family: ics[family] for family in families},
        "correlation_with_truth": truths["ensemble"],
        "equal_weight_correlation_with_truth": truths["equal_weight"],
        "best_single_correlation_with_truth": truths["best_single"],
        "family_correlation_with_truth": {family: truths[family] for family in families},
        "sessions_scored": ensemble.get_column("session").n_unique(),
    }
