"""What is promised, in the order of the plan, each with the function that measures it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aurora_pipeline.monitoring.claim_measures import (
    MEAN_OF_FAMILIES,
    automatic_retirements,
    capital_utilisation,
    decision_interval,
    ensemble_gain,
    ensemble_ic,
    error_of_calibration,
    family_count,
    feature_count,
    feature_likeness,
    interval_coverage,
    kept_alpha,
    largest_drawdown,
    largest_turnover,
    null_rejections,
    orthogonal_features,
    phases_that_add,
    promotions_by_test,
    scorer_rejections,
    sharpe_ratio,
    slope_of_calibration,
    stability_of_ic,
    truth_correlation,
    view_count,
    weighting_t,
)
from aurora_pipeline.monitoring.claim_types import ClaimInputs, Measured, Promise
from aurora_pipeline.monitoring.session_ics import BEST_SINGLE

Measure = Callable[[ClaimInputs], Measured]
PROVE = "aurora prove --seeds 1-20 && aurora claims"
PROVE_SCORER = "aurora prove --scorer --seeds 1-400 && aurora claims"


def _level(level: int) -> tuple[Promise, Measure]:
    nominal = level / 100.0
    return (
        Promise(
            f"coverage_{level}",
            f"the {level} % interval covers {level} %",
            "share of matured labels inside the interval, within 2 points",
            "between",
            (nominal - 0.02, nominal + 0.02),
            "percent",
        ),
        partial(interval_coverage, level=level),
    )


def _budget(name: str, window: int, target: float) -> tuple[Promise, Measure]:
    return (
        Promise(
            f"turnover_{name}",
            f"turnover of a {name} within its budget",
            f"largest sum over {window} session(s) after the build, forced reductions taken out",
            "at most",
            target,
            "percent",
        ),
        partial(largest_turnover, window=window),
    )


PROMISES: tuple[tuple[Promise, Measure], ...] = (
    (
        Promise("features", "80+ features", "distinct features in the newest fold's audit", "at least", 80),
        feature_count,
    ),
    (
        Promise(
            "views", "five views of the market", "views with at least one feature this market can give", "at least", 5
        ),
        view_count,
    ),
    (
        Promise(
            "feature_likeness",
            "features that do not repeat each other",
            "largest absolute rank correlation of two signal features on the newest fold's train block",
            "at most",
            0.95,
            "ic",
        ),
        feature_likeness,
    ),
    (
        Promise(
            "orthogonal_features",
            "fundamental and alternative data add alpha that price and volume do not have",
            "such features with verdict `alpha` in the newest fold's audit (incremental IC, false discoveries controlled)",
            "at least",
            1,
        ),
        orthogonal_features,
    ),
    (
        Promise("model_families", "7+ model types", "families with stored out-of-fold predictions", "at least", 7),
        family_count,
    ),
    (
        Promise(
            "ic",
            "information coefficient 0.12",
            "out-of-fold rank IC of the ensemble, mean over sessions",
            "at least",
            0.12,
            "ic",
        ),
        ensemble_ic,
    ),
    (
        Promise(
            "gain_over_mean",
            "the ensemble adds 0.01 to 0.02 of IC over its families",
            "paired mean of session IC, ensemble less the mean of the families",
            "at least",
            0.01,
            "ic",
        ),
        partial(ensemble_gain, over=MEAN_OF_FAMILIES),
    ),
    (
        Promise(
            "gain_over_best_single",
            "the ensemble adds 0.01 to 0.02 of IC over the best single model",
            "paired mean of session IC, ensemble less the family with the best matured IC before each session",
            "at least",
            0.01,
            "ic",
        ),
        partial(ensemble_gain, over=BEST_SINGLE),
    ),
    (
        Promise(
            "gain_over_equal_weight",
            "IC weights do at least as well as equal weights, t of the difference",
            "t of the paired mean of session IC, IC-weighted less equal weight: not below by more than one standard error",
            "at least",
            -1.0,
        ),
        weighting_t,
    ),
    (
        Promise(
            "correlation_with_truth",
            "what is planted comes back",
            "mean Spearman correlation of the ensemble's score with the planted expectation",
            "at least",
            0.75,
            "ic",
            market_kind="synthetic",
        ),
        truth_correlation,
    ),
    (
        Promise(
            "ic_stability",
            "IC stable to 0.02",
            "standard deviation of the 21-session mean IC beyond what sampling gives it",
            "at most",
            0.02,
            "ic",
        ),
        stability_of_ic,
    ),
    (
        Promise(
            "calibration_error",
            "calibration error below 5 %",
            "largest gap of coverage to nominal at 50, 80, 90 %, overall and by volatility tercile",
            "at most",
            0.05,
            "percent",
        ),
        error_of_calibration,
    ),
    (
        Promise(
            "calibration_slope",
            "expected returns of the right size",
            "Mincer-Zarnowitz slope of label on expected return",
            "between",
            (0.8, 1.25),
        ),
        slope_of_calibration,
    ),
    _level(50),
    _level(80),
    _level(90),
    (
        Promise(
            "sharpe", "Sharpe ratio 2.5", "yearly, net of costs; stationary bootstrap over sessions", "at least", 2.5
        ),
        sharpe_ratio,
    ),
    (
        Promise(
            "drawdown",
            "drawdown at most 7 %",
            "largest fall of NAV from its peak, over a year or more",
            "at most",
            0.07,
            "percent",
        ),
        partial(largest_drawdown, name="max_drawdown", limit=0.07),
    ),
    (
        Promise(
            "drawdown_at_10pct_volatility",
            "drawdown at most 7 %, at 10 % volatility",
            "the same with session returns scaled to a yearly volatility of 10 %",
            "at most",
            0.07,
            "percent",
        ),
        partial(largest_drawdown, name="max_drawdown_at_10pct_volatility", limit=0.07),
    ),
    (
        Promise(
            "alpha_kept",
            "80 % of alpha kept after costs",
            "(gross P&L - costs) / gross P&L",
            "at least",
            0.80,
            "percent",
        ),
        kept_alpha,
    ),
    (
        Promise(
            "utilisation",
            "22 % of capital used",
            "mean gross exposure over NAV after the build, within 2 points of the plan",
            "between",
            (0.20, 0.24),
            "percent",
        ),
        capital_utilisation,
    ),
    _budget("day", 1, 0.05),
    _budget("week", 5, 0.15),
    _budget("month", 21, 0.50),
    (
        Promise(
            "automated_promotion",
            "models are promoted without a person",
            "changes from shadow to champion in `model_states` decided by test",
            "at least",
            1,
        ),
        promotions_by_test,
    ),
    (
        Promise(
            "automated_retirement",
            "models are retired without a person",
            "changes to retired in `model_states` decided by test or gate",
            "at least",
            1,
        ),
        automatic_retirements,
    ),
    (
        Promise(
            "phases",
            "each phase of the plan adds to the result",
            "phases whose paired difference in net return has its whole 95 % interval above 0",
            "at least",
            9,
            command="aurora ablate && aurora claims",
        ),
        phases_that_add,
    ),
    (
        Promise(
            "trading_interval",
            "decisions every five minutes",
            "smallest distance of two decision times, minutes",
            "at most",
            5,
        ),
        decision_interval,
    ),
    (
        Promise(
            "no_alpha_no_signal",
            "a market without alpha yields none",
            "share of markets without alpha whose IC is beyond its own 5 % point; at most 10 of 100",
            "at most",
            0.10,
            "percent",
            PROVE,
            "synthetic",
        ),
        null_rejections,
    ),
    (
        Promise(
            "honest_test",
            "the test of the IC rejects a true null at 5 % as often as it says",
            "rejection rate over 400 simulated nulls without the pipeline, the design furthest from 5 %",
            "between",
            (0.025, 0.08),
            "percent",
            PROVE_SCORER,
            "any",
        ),
        scorer_rejections,
    ),
)
