"""Tables of how models do: scores, states, drift, challengers, contributions."""

import dataframely as dy

from aurora_pipeline.contracts import column


class ModelScores(dy.Schema):
    """What each model was worth by the evidence matured before a session's open, and how its newest scores looked."""

    session = column.day("session from whose open on this is known", key=True)
    model = column.key("name its scores are stored under")
    family = column.text("model family")
    configuration = column.text("hash of settings and feature list, the same for every refit")
    model_version = column.text("version that scored the session before", nullable=True)
    matured_sessions = column.count("sessions with a matured IC")
    ic = column.maybe("mean matured rank IC", "correlation")
    ic_t = column.maybe("its t, equal-weighted cosine variance", "t")
    ic_lower = column.maybe("95 % interval", "correlation")
    ic_upper = column.maybe("95 % interval", "correlation")
    recent_ic = column.maybe("mean of the newest 21 matured sessions", "correlation")
    newest_ic = column.maybe("of the newest matured session", "correlation")
    ic_rank = column.maybe("place among the models by ic, 1 is best; ties share the mean place", "rank")
    score_return = column.maybe(
        "mean over matured sessions of sum(z * label) / sum(|z|), before costs", "fraction over the horizon"
    )
    calibration_slope = column.maybe(
        "label regressed on what earlier sessions promised per unit of score; 1 is as promised", "dimensionless"
    )
    turnover = column.maybe("1 - rank correlation of scores with those a session before", "fraction")
    coverage = column.number("share of feature rows scored in the session before", "fraction")
    constant_share = column.number("share of its decision times with a constant score", "fraction")
    features_lost = column.number("share of its features that went missing against the train block", "fraction")
    sound_sessions = column.count("sound sessions in a row up to the one before")
    unsound_sessions = column.count("unsound sessions in a row up to the one before")
    fault = column.text("what was wrong with the session before; null if sound", nullable=True)
    evidence_through = column.time("latest maturity among the evidence used; before the session's open", nullable=True)


class ModelStates(dy.Schema):
    """State of each model during a session, decided before its open, with the evidence."""

    session = column.day("session the state is in force", key=True)
    model = column.key("name its scores are stored under")
    family = column.text("model family")
    state = column.text("`candidate`, `shadow`, `champion`, `probation` or `retired`")
    serves = column.flag("trades: the family's champion, on probation or not")
    since = column.day("first session of the state")
    reason = column.text("why it is in that state")
    decided_by = column.text("`founding`, `gate`, `test`, `proposal`, or the person")
    trial = column.count("number among the challengers ever admitted; 0 for a founding model")
    matured_sessions = column.count("sessions with a matured IC")
    information_coefficient = column.maybe("their mean", "correlation")
    skill_evidence = column.maybe("that the IC is above 0", "natural logarithm")
    retirement_evidence = column.maybe("that the IC is below lifecycle.worthwhile_ic", "natural logarithm")
    retirement_threshold = column.number("where it retires", "natural logarithm")
    gain_evidence = column.maybe("that the IC is above that of the family's champion", "natural logarithm")
    promotion_threshold = column.maybe("where it promotes; null for founding models", "natural logarithm")
    evidence_through = column.time("latest maturity among the evidence used; before the session's open", nullable=True)


class Drift(dy.Schema):
    """How far a session's raw features, scores, residuals and market lie from what they were before."""

    session = column.day("session that was looked at; known at its close", key=True)
    kind = column.key("`feature`, `prediction`, `residual` or `regime`")
    subject = column.key("feature, model, or measure")
    value = column.maybe("of the session, in the subject's own unit", "as the subject")
    reference = column.maybe("of the reference sessions", "as the subject")
    psi = column.maybe("population stability index over deciles of the reference", "nats")
    ks = column.maybe("Kolmogorov-Smirnov distance", "fraction")
    missing = column.number("share of rows without a value", "fraction")
    reference_missing = column.number("the same in the reference", "fraction")
    z = column.maybe("distance of value from the reference sessions' mean in their standard deviations", "z")
    drifted = column.flag("beyond its limit in the settings")


class Challengers(dy.Schema):
    """Challengers trained after a session's close, new ones and refits."""

    session = column.day("session after whose close it was trained", key=True)
    model = column.key("name its shadow scores are stored under: `family~first session`")
    family = column.text("model family")
    first_session = column.day("first session of the challenger, refits included")
    serves_from = column.day("first session this version scores")
    model_version = column.text("family, fold and content hash")
    directory = column.text("below the home's `models/`")
    configuration = column.text("settings of `models` it is trained with, the same for every refit; JSON")
    reason = column.text("what asked for it")


class ModelContributions(dy.Schema):
    """What each model that traded added in a session."""

    session = column.day(column.SESSION, key=True)
    model = column.key("name its scores are stored under")
    family = column.text("model family")
    model_version = column.text("version that served", nullable=True)
    weight = column.number("in the ensemble", "fraction")
    ensemble_gain = column.maybe(
        "rank IC of the ensemble less that of the others without it; null until matured", "correlation"
    )
    result = column.maybe(
        "what the part of the holdings that follows its score earned in residual return", "fraction of NAV"
    )
