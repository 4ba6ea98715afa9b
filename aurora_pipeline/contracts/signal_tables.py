"""Tables from features to signals, and what was measured about them."""

import dataframely as dy

from aurora_pipeline.contracts import column


class Features(dy.Schema):
    """One row per eligible symbol and decision time; every further column is a Float32 feature of the registry."""

    session = column.day(column.SESSION)
    symbol = column.key(column.SYMBOL)
    decision_time = column.time(column.DECISION, key=True)


class Labels(dy.Schema):
    """Residual return from the close of the next bar to the close `horizon_bars` later."""

    session = column.day("session of the decision time")
    symbol = column.key(column.SYMBOL)
    decision_time = column.time(column.DECISION, key=True)
    label = column.number("sum of residual returns, as known at maturity", "fraction over the horizon")
    horizon_bars = dy.Int32(description="length of the label", metadata={"unit": "bars"})
    matured_at = column.time("moment execution lag and horizon have fully passed")


class Predictions(dy.Schema):
    """Out-of-fold score of one model."""

    session = column.day(column.SESSION)
    symbol = column.key(column.SYMBOL)
    decision_time = column.time(column.DECISION, key=True)
    model = column.key("model family")
    model_version = column.text("version that served: family, fold and content hash")
    score = dy.Float32(description="higher is better; comparable within a decision time", metadata={"unit": "score"})


class EnsembleWeights(dy.Schema):
    """Weights in force during a session, with the evidence of the sessions before it."""

    session = column.day(column.SESSION, key=True)
    model = column.key("model family")
    weight = column.number("share of the ensemble", "fraction", min=0.0, max=1.0)
    information_coefficient = column.maybe("exponentially weighted matured IC", "correlation")
    score_correlation = column.maybe(
        "mean correlation with the other families' scores; correlation-aware only", "correlation"
    )
    matured_sessions = column.count("sessions of matured evidence")
    evidence_rows = column.count("pairs of score and matured label behind the IC")
    cold_start = column.flag("too little matured evidence of its own: mean IC of the other families")
    all_negative = column.flag("no family has a positive IC: equal weights")
    best_single = column.flag("highest matured IC of the families with enough evidence")
    evidence_through = column.time("latest maturity among the evidence used; before the session's open", nullable=True)


class Ensemble(dy.Schema):
    """Weighted score, standardised within each decision time."""

    session = column.day(column.SESSION)
    symbol = column.key(column.SYMBOL)
    decision_time = column.time(column.DECISION, key=True)
    score = column.number("weighted mean of the families' z-scores, standardised", "z-score")
    equal_weight_score = column.number("unweighted mean of the same, standardised", "z-score")
    best_single_score = column.maybe(
        "z-score of the family with the best matured IC; null before there is one", "z-score"
    )
    disagreement = column.number("standard deviation of the families' z-scores", "z-score")


class Signals(dy.Schema):
    """Expected residual return over the horizon with intervals."""

    session = column.day(column.SESSION)
    symbol = column.key(column.SYMBOL)
    decision_time = column.time(column.DECISION, key=True)
    score = column.number("ensemble score", "z-score")
    expected_return = column.maybe("null until calibrated", "fraction over the horizon")
    lower_50 = column.maybe("50 % interval", "fraction over the horizon")
    upper_50 = column.maybe("50 % interval", "fraction over the horizon")
    lower_80 = column.maybe("80 % interval", "fraction over the horizon")
    upper_80 = column.maybe("80 % interval", "fraction over the horizon")
    lower_90 = column.maybe("90 % interval", "fraction over the horizon")
    upper_90 = column.maybe("90 % interval", "fraction over the horizon")
    residual_volatility = column.maybe("forecast of the label's standard deviation", "fraction over the horizon")
    disagreement = column.maybe("standard deviation of the families' own forecasts", "fraction over the horizon")
    calibrator = column.text("`grinold` or `isotonic`; null until calibrated", nullable=True)
    calibrated = column.flag("enough matured scores stood behind the numbers")
    evidence_rows = column.count("pairs of score and matured label behind the numbers")
    evidence_through = column.time("latest maturity among the evidence used; before the session's open", nullable=True)
    horizon_bars = dy.Int32(description="length of the forecast", metadata={"unit": "bars"})


class FeatureAudit(dy.Schema):
    """What each feature was worth on the train block of a fold."""

    fold = column.key("fold whose train block it was measured on")
    feature = column.key("column of `features`")
    view = column.text("view that computes it")
    role = column.text("`signal`, `flag` or `context`")
    coverage = column.number("share of rows with a value", "fraction")
    expected_missing = column.text("when a value is legitimately absent")
    ic = column.maybe("mean rank correlation with the label", "correlation")
    ic_t = column.maybe("its t, equal-weighted cosine variance", "t")
    ic_q = column.maybe("Benjamini-Hochberg q over all features", "probability")
    ic_lower = column.maybe("95 % interval", "correlation")
    ic_upper = column.maybe("95 % interval", "correlation")
    months_agreeing = column.maybe("months whose mean IC has the sign of the whole", "fraction")
    turnover = column.maybe("1 - rank correlation with itself a session before", "fraction")
    ic_age_1 = column.maybe("IC of the feature held back 1 session", "correlation")
    ic_age_2 = column.maybe("IC of the feature held back 2 sessions", "correlation")
    ic_age_5 = column.maybe("IC of the feature held back 5 sessions", "correlation")
    ic_age_10 = column.maybe("IC of the feature held back 10 sessions", "correlation")
    nearest = column.text("most similar other feature", nullable=True)
    nearest_correlation = column.maybe("absolute rank correlation with it", "correlation")
    commodity_r2 = column.maybe("share of its rank variance explained by price and volume features", "fraction")
    incremental_ic = column.maybe("IC of what they leave unexplained", "correlation")
    incremental_t = column.maybe("its t", "t")
    incremental_q = column.maybe("its Benjamini-Hochberg q", "probability")
    verdict = column.text("`alpha`, `commodity` or `unproven`")
    fault = column.text("`constant`, `infinite`, `all missing` or `duplicate of ...`; null if sound", nullable=True)
    unavailable = column.text("why this market cannot give it; null if it can", nullable=True)


class ModelComparison(dy.Schema):
    """What each family, the ensemble and the baselines are worth: one row per model, measure and cut."""

    model = column.key("family, `ensemble`, `mean_score`, a baseline, or `families` for what concerns them together")
    kind = column.text("`family`, `ensemble`, `baseline` or `all`")
    measure = column.key("what `value` is, such as `ic`; see docs/model-comparison.md")
    dimension = column.key("`all`, `sector`, `month`, `volatility`, `age_sessions` or `other_model`")
    level = column.key("value of the dimension, such as a sector; `all` without one")
    value = column.maybe("the measure; null where it is undefined or unknown", "of the measure")
    t = column.maybe("its t over sessions, equal-weighted cosine variance", "t")
    p_value = column.maybe("two-sided", "probability")
    lower = column.maybe("95 % interval of the t", "of the measure")
    upper = column.maybe("95 % interval of the t", "of the measure")
    bootstrap_lower = column.maybe("95 % interval of the stationary bootstrap", "of the measure")
    bootstrap_upper = column.maybe("95 % interval of the stationary bootstrap", "of the measure")
    observations = column.count("sessions, periods or splits behind the value", nullable=True)


class SignalQuality(dy.Schema):
    """How good the calibrated signal was, by session, month and over everything; matured rows only."""

    period = column.key("session, month such as `2024-11`, or `all`")
    kind = column.text("`session`, `month` or `all`")
    sessions = column.count("sessions scored")
    matured_sessions = column.count("sessions with a matured IC")
    matured_rows = column.count("calibrated rows with a matured label")
    ic = column.maybe("mean rank correlation of score and label", "correlation")
    ic_t = column.maybe("its t, equal-weighted cosine variance", "t")
    ic_lower = column.maybe("95 % interval", "correlation")
    ic_upper = column.maybe("95 % interval", "correlation")
    slope = column.maybe("label regressed on expected return; 1 is right", "dimensionless")
    slope_lower = column.maybe("95 % interval, clustered by session", "dimensionless")
    slope_upper = column.maybe("95 % interval, clustered by session", "dimensionless")
    intercept_bps = column.maybe("of that regression; 0 is right", "bps over the horizon")
    intercept_lower_bps = column.maybe("95 % interval, clustered by session", "bps over the horizon")
    intercept_upper_bps = column.maybe("95 % interval, clustered by session", "bps over the horizon")
    coverage_50 = column.maybe("share of labels inside the 50 % interval", "fraction")
    coverage_80 = column.maybe("share of labels inside the 80 % interval", "fraction")
    coverage_90 = column.maybe("share of labels inside the 90 % interval", "fraction")
    calibration_error = column.maybe("largest gap of coverage, overall and by volatility tercile", "fraction")
    sharpness_bps = column.maybe("mean width of the 80 % interval", "bps over the horizon")
    expected_return_bps = column.maybe("standard deviation of the expected return", "bps over the horizon")
    ic_stability = column.maybe("sd of the 21-session mean IC beyond sampling", "correlation")
    ic_stability_lower = column.maybe("95 % interval", "correlation")
    ic_stability_upper = column.maybe("95 % interval", "correlation")
    ic_floor = column.maybe("what sampling alone gives the 21-session mean IC", "correlation")
    autocorrelation = column.maybe("rank correlation of scores with those a session before", "correlation")
    half_life_sessions = column.maybe("age at which half of it is left; null if more than half is at 20", "sessions")


class Reliability(dy.Schema):
    """Realised against expected return in tenths of the latter, by month and over everything."""

    period = column.key("month such as `2024-11`, or `all`")
    bin = dy.Int64(primary_key=True, description="tenth of expected return, 0 the lowest", metadata={"unit": "count"})
    rows = column.count("matured rows")
    expected_bps = column.number("mean expected return", "bps over the horizon")
    realised_bps = column.number("mean label", "bps over the horizon")
    realised_error_bps = column.maybe("standard error of the mean label, clustered by session", "bps over the horizon")


class Claims(dy.Schema):
    """What Aurora promises against what is stored, with verdicts."""

    claim_id = column.key("short name")
    claim = column.text("what is promised")
    definition = column.text("how it is measured here")
    plan = column.text("value promised")
    measured = column.text("value measured; null where there is none", nullable=True)
    value = column.maybe("the same as a number", "as the claim")
    lower = column.maybe("95 % interval", "as the claim")
    upper = column.maybe("95 % interval", "as the claim")
    market = column.text(
        "market it was measured on; `none` where none is needed, `other` where it takes a synthetic one"
    )
    market_kind = column.text("`synthetic`, `real` or `any`")
    verdict = column.text("`met`, `not met` or `not testable`")
    reason = column.text("what the verdict rests on; if not testable why, and the sample it would take")
    command = column.text("what reproduces it")
