"""Every table of the lake, declared once: key, columns, types, units, and the column that says when a row was known.

A table is written only through :func:`validated`, which enforces its schema. Timestamps are ``timestamp[us, UTC]``, prices
USD per share, volumes shares, returns and weights fractions (0.001 = 10 bps), costs USD. `symbol` is the symbol of the day,
`instrument_id` the permanent name behind it (the first symbol the instrument ever had): a rename changes the former only.

Tables of a session carry `session` both as a column and in their path. Where a table holds versions of a fact
(corrections, restatements) its key ends in `known_at`, and a reader takes the newest version known at its decision time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import dataframely as dy
import polars as pl

from aurora_pipeline.errors import ContractError

Partitioning = Literal["none", "session"]


def _key(text: str) -> dy.String:
    return dy.String(primary_key=True, description=text)


def _text(text: str, *, nullable: bool = False) -> dy.String:
    return dy.String(nullable=nullable, description=text)


def _day(text: str, *, key: bool = False, nullable: bool = False) -> dy.Date:
    return dy.Date(primary_key=key, nullable=nullable, description=text)


def _time(text: str, *, key: bool = False, nullable: bool = False) -> dy.Datetime:
    return dy.Datetime(primary_key=key, nullable=nullable, time_zone="UTC", time_unit="us", description=text)


def _number(text: str, unit: str, *, nullable: bool = False, **bounds: float) -> dy.Float64:
    return dy.Float64(nullable=nullable, description=text, metadata={"unit": unit}, **bounds)  # type: ignore[arg-type]


def _maybe(text: str, unit: str, **bounds: float) -> dy.Float64:
    return _number(text, unit, nullable=True, **bounds)


def _count(text: str, *, nullable: bool = False) -> dy.Int64:
    return dy.Int64(nullable=nullable, description=text, metadata={"unit": "count"})


def _flag(text: str) -> dy.Bool:
    return dy.Bool(description=text)


SESSION = "exchange trading day the row belongs to"
SYMBOL = "symbol of the day"
INSTRUMENT = "permanent name of the instrument: the first symbol it had"
KNOWN = "first moment the row could be used"
VERDICT = "moment it became known that the row is unusable; null while sound"
DECISION = "bar end at which the row was decided"
BOOK = "`live` or `backtest-<settings hash>`"


class _Instrument(dy.Schema):
    symbol = _key(SYMBOL)
    instrument_id = _text(INSTRUMENT)


class Universe(dy.Schema):
    """Who could be traded on a session, from what was known before it."""

    session = _day(SESSION, key=True)
    symbol = _key(SYMBOL)
    instrument_id = _text(INSTRUMENT)
    kind = _text("`stock` or `etf`")
    sector = _text("sector of the session; null if unknown", nullable=True)
    eligible = _flag("stock inside its validity interval with enough sound history")
    reason = _text("why it is not eligible", nullable=True)


class _Prices(_Instrument):
    session = _day(SESSION)
    open = _number("first price", "USD/share", min_exclusive=0.0)
    high = _number("highest price", "USD/share", min_exclusive=0.0)
    low = _number("lowest price", "USD/share", min_exclusive=0.0)
    close = _number("last price", "USD/share", min_exclusive=0.0)
    volume = _number("shares traded", "shares", min=0.0)
    known_at = _time(KNOWN, key=True)
    quarantined_at = _time(VERDICT, nullable=True)


class Bars(_Prices):
    """Bars of the decision frequency; at frequency `session` the session's daily bar."""

    bar_start = _time("start of the bar, inclusive")
    bar_end = _time("end of the bar, exclusive: a decision time", key=True)
    vwap = _maybe("volume-weighted average price", "USD/share")
    trade_count = _maybe("number of trades", "count")
    flat = _flag("zero volume and open = high = low = close: valid, nobody traded")


class DailyBars(_Prices):
    """Session bars of the feed, all history, versions included."""

    session = _day(SESSION, key=True)


class Quarantine(dy.Schema):
    """Rows that were refused, each with its reason; the row itself is kept as JSON."""

    session = _day("session in which the row would have been used")
    source = _key("file the row came from, such as `bars` or `earnings`")
    row_id = _key("hash of the raw row and its position among equal rows")
    symbol = _text("symbol as the file has it", nullable=True)
    row_time = _time("bar start, known_at or date of the row", nullable=True)
    reason = _key("short code, such as `high_below_low`")
    detail = _text("what was found and what was expected")
    row = _text("the raw row as JSON")
    known_at = _time("moment the verdict was known")


class DataQuality(dy.Schema):
    """One row per session and symbol: what was expected and what came."""

    session = _day(SESSION, key=True)
    symbol = _key(SYMBOL)
    expected_bars = _count("bars the calendar has while the symbol is listed")
    present_bars = _count("distinct bars accepted")
    missing_bars = _count("expected minus present")
    missing = _text("absent bar starts, comma separated UTC HH:MM", nullable=True)
    flat_bars = _count("valid bars without a trade")
    corrected_bars = _count("bars with more than one version")
    quarantined_bars = _count("bars in quarantine")
    reasons = _text("quarantine reasons with counts", nullable=True)


class CorporateActions(_Instrument):
    """Splits, dividends, renames and delistings."""

    ex_date = _day("first session without the entitlement", key=True)
    kind = _key("split | dividend | rename | delist")
    known_at = _time(KNOWN, key=True)
    ratio = _maybe("new shares per old share (split)", "shares/share", min_exclusive=0.0)
    amount = _maybe("cash per share (dividend)", "USD/share")
    new_symbol = _text("symbol from ex_date on (rename)", nullable=True)


class Earnings(_Instrument):
    """Announced earnings per share."""

    known_at = _time("announcement", key=True)
    fiscal_period_end = _day("end of the reported period", nullable=True)
    eps_estimate = _maybe("consensus before the announcement", "USD/share")
    eps_actual = _maybe("reported", "USD/share")


class Fundamentals(_Instrument):
    """Quarterly filings."""

    known_at = _time("filing", key=True)
    fiscal_period_end = _day("end of the reported period", nullable=True)
    revenue = _maybe("quarterly", "USD")
    gross_profit = _maybe("quarterly", "USD")
    operating_income = _maybe("quarterly", "USD")
    net_income = _maybe("quarterly", "USD")
    total_assets = _maybe("at period end", "USD")
    total_debt = _maybe("at period end", "USD")
    stockholders_equity = _maybe("at period end", "USD")
    operating_cash_flow = _maybe("quarterly", "USD")
    capital_expenditure = _maybe("quarterly, positive", "USD")
    shares_outstanding = _maybe("at period end", "shares")


class ShortInterest(_Instrument):
    """Bi-monthly short interest."""

    settlement_date = _day("date of the positions", key=True)
    known_at = _time("publication", key=True)
    shares_short = _number("shares sold short", "shares", min=0.0)
    avg_daily_volume = _maybe("as published", "shares")


class Borrow(_Instrument):
    """Lending rates of stocks; an optional feed of ours."""

    known_at = _time("quotation", key=True)
    rate = _maybe("yearly rate on a short from then on; null where nobody lends", "fraction a year", min=0.0)


class EtfFlows(_Instrument):
    """Daily creations and redemptions of ETFs."""

    date = _day("day of the flow", key=True)
    known_at = _time(KNOWN, key=True)
    net_flow_usd = _number("creations minus redemptions", "USD")
    shares_outstanding = _maybe("of the ETF", "shares")
    nav = _maybe("net asset value per share", "USD/share")


class Options(_Instrument):
    """Daily option summary per underlying."""

    date = _day("trading day", key=True)
    known_at = _time(KNOWN, key=True)
    iv_30d = _maybe("30-day at-the-money implied volatility", "fraction, annualised")
    hv_30d = _maybe("30-day historical volatility", "fraction, annualised")
    iv_call_25d = _maybe("25-delta call implied volatility", "fraction, annualised")
    iv_put_25d = _maybe("25-delta put implied volatility", "fraction, annualised")
    put_volume = _maybe("contracts", "contracts")
    call_volume = _maybe("contracts", "contracts")
    put_open_interest = _maybe("contracts", "contracts")
    call_open_interest = _maybe("contracts", "contracts")


class ResidualReturns(_Instrument):
    """Return of each bar split into market, sector and residual; the first bar of a session contains the night."""

    session = _day(SESSION)
    bar_end = _time("end of the bar", key=True)
    known_at = _time(KNOWN, key=True)
    bar_return = _number("total return since the last known close", "fraction")
    market_return = _number("benchmark's return over the same span", "fraction")
    sector_return = _number("sector's return over the same span, orthogonal to the market", "fraction")
    beta_market = _number("exponentially weighted, shrunk, through the session before", "dimensionless")
    beta_sector = _number("beta to sector_return; 0 where market_only", "dimensionless")
    residual_return = _number("bar_return - beta_market * market_return - beta_sector * sector_return", "fraction")
    market_only = _flag("no sector ETF and fewer than 3 peers")
    quarantined_at = _time("moment the bar behind the row was withdrawn; null while sound", nullable=True)


class Features(dy.Schema):
    """One row per eligible symbol and decision time; every further column is a Float32 feature of the registry."""

    session = _day(SESSION)
    symbol = _key(SYMBOL)
    decision_time = _time(DECISION, key=True)


class Labels(dy.Schema):
    """Residual return from the close of the next bar to the close `horizon_bars` later."""

    session = _day("session of the decision time")
    symbol = _key(SYMBOL)
    decision_time = _time(DECISION, key=True)
    label = _number("sum of residual returns, as known at maturity", "fraction over the horizon")
    horizon_bars = dy.Int32(description="length of the label", metadata={"unit": "bars"})
    matured_at = _time("moment execution lag and horizon have fully passed")


class Predictions(dy.Schema):
    """Out-of-fold score of one model."""

    session = _day(SESSION)
    symbol = _key(SYMBOL)
    decision_time = _time(DECISION, key=True)
    model = _key("model family")
    model_version = _text("version that served: family, fold and content hash")
    score = dy.Float32(description="higher is better; comparable within a decision time", metadata={"unit": "score"})


class EnsembleWeights(dy.Schema):
    """Weights in force during a session, with the evidence of the sessions before it."""

    session = _day(SESSION, key=True)
    model = _key("model family")
    weight = _number("share of the ensemble", "fraction", min=0.0, max=1.0)
    information_coefficient = _maybe("exponentially weighted matured IC", "correlation")
    score_correlation = _maybe(
        "mean correlation with the other families' scores; correlation-aware only", "correlation"
    )
    matured_sessions = _count("sessions of matured evidence")
    evidence_rows = _count("pairs of score and matured label behind the IC")
    cold_start = _flag("too little matured evidence: equal weights")
    all_negative = _flag("no family has a positive IC: equal weights")
    best_single = _flag("highest matured IC of the families with enough evidence")
    evidence_through = _time("latest maturity among the evidence used; before the session's open", nullable=True)


class Ensemble(dy.Schema):
    """Weighted score, standardised within each decision time."""

    session = _day(SESSION)
    symbol = _key(SYMBOL)
    decision_time = _time(DECISION, key=True)
    score = _number("weighted mean of the families' z-scores, standardised", "z-score")
    equal_weight_score = _number("unweighted mean of the same, standardised", "z-score")
    best_single_score = _maybe("z-score of the family with the best matured IC; null before there is one", "z-score")
    disagreement = _number("standard deviation of the families' z-scores", "z-score")


class Signals(dy.Schema):
    """Expected residual return over the horizon with intervals."""

    session = _day(SESSION)
    symbol = _key(SYMBOL)
    decision_time = _time(DECISION, key=True)
    score = _number("ensemble score", "z-score")
    expected_return = _maybe("null until calibrated", "fraction over the horizon")
    lower_50 = _maybe("50 % interval", "fraction over the horizon")
    upper_50 = _maybe("50 % interval", "fraction over the horizon")
    lower_80 = _maybe("80 % interval", "fraction over the horizon")
    upper_80 = _maybe("80 % interval", "fraction over the horizon")
    lower_90 = _maybe("90 % interval", "fraction over the horizon")
    upper_90 = _maybe("90 % interval", "fraction over the horizon")
    residual_volatility = _maybe("forecast of the label's standard deviation", "fraction over the horizon")
    disagreement = _maybe("standard deviation of the families' own forecasts", "fraction over the horizon")
    calibrator = _text("`grinold` or `isotonic`; null until calibrated", nullable=True)
    calibrated = _flag("enough matured scores stood behind the numbers")
    evidence_rows = _count("pairs of score and matured label behind the numbers")
    evidence_through = _time("latest maturity among the evidence used; before the session's open", nullable=True)
    horizon_bars = dy.Int32(description="length of the forecast", metadata={"unit": "bars"})


class FeatureAudit(dy.Schema):
    """What each feature was worth on the train block of a fold."""

    fold = _key("fold whose train block it was measured on")
    feature = _key("column of `features`")
    view = _text("view that computes it")
    role = _text("`signal`, `flag` or `context`")
    coverage = _number("share of rows with a value", "fraction")
    expected_missing = _text("when a value is legitimately absent")
    ic = _maybe("mean rank correlation with the label", "correlation")
    ic_t = _maybe("its t, equal-weighted cosine variance", "t")
    ic_q = _maybe("Benjamini-Hochberg q over all features", "probability")
    ic_lower = _maybe("95 % interval", "correlation")
    ic_upper = _maybe("95 % interval", "correlation")
    months_agreeing = _maybe("months whose mean IC has the sign of the whole", "fraction")
    turnover = _maybe("1 - rank correlation with itself a session before", "fraction")
    ic_age_1 = _maybe("IC of the feature held back 1 session", "correlation")
    ic_age_2 = _maybe("IC of the feature held back 2 sessions", "correlation")
    ic_age_5 = _maybe("IC of the feature held back 5 sessions", "correlation")
    ic_age_10 = _maybe("IC of the feature held back 10 sessions", "correlation")
    nearest = _text("most similar other feature", nullable=True)
    nearest_correlation = _maybe("absolute rank correlation with it", "correlation")
    commodity_r2 = _maybe("share of its rank variance explained by price and volume features", "fraction")
    incremental_ic = _maybe("IC of what they leave unexplained", "correlation")
    incremental_t = _maybe("its t", "t")
    incremental_q = _maybe("its Benjamini-Hochberg q", "probability")
    verdict = _text("`alpha`, `commodity` or `unproven`")
    fault = _text("`constant`, `infinite`, `all missing` or `duplicate of ...`; null if sound", nullable=True)
    unavailable = _text("why this market cannot give it; null if it can", nullable=True)


class ModelComparison(dy.Schema):
    """What each family, the ensemble and the baselines are worth: one row per model, measure and cut."""

    model = _key("family, `ensemble`, `mean_score`, a baseline, or `families` for what concerns them together")
    kind = _text("`family`, `ensemble`, `baseline` or `all`")
    measure = _key("what `value` is, such as `ic`; see docs/model-comparison.md")
    dimension = _key("`all`, `sector`, `month`, `volatility`, `age_sessions` or `other_model`")
    level = _key("value of the dimension, such as a sector; `all` without one")
    value = _maybe("the measure; null where it is undefined or unknown", "of the measure")
    t = _maybe("its t over sessions, equal-weighted cosine variance", "t")
    p_value = _maybe("two-sided", "probability")
    lower = _maybe("95 % interval of the t", "of the measure")
    upper = _maybe("95 % interval of the t", "of the measure")
    bootstrap_lower = _maybe("95 % interval of the stationary bootstrap", "of the measure")
    bootstrap_upper = _maybe("95 % interval of the stationary bootstrap", "of the measure")
    observations = _count("sessions, periods or splits behind the value", nullable=True)


class SignalQuality(dy.Schema):
    """How good the calibrated signal was, by session, month and over everything; matured rows only."""

    period = _key("session, month such as `2024-11`, or `all`")
    kind = _text("`session`, `month` or `all`")
    sessions = _count("sessions scored")
    matured_sessions = _count("sessions with a matured IC")
    matured_rows = _count("calibrated rows with a matured label")
    ic = _maybe("mean rank correlation of score and label", "correlation")
    ic_t = _maybe("its t, equal-weighted cosine variance", "t")
    ic_lower = _maybe("95 % interval", "correlation")
    ic_upper = _maybe("95 % interval", "correlation")
    slope = _maybe("label regressed on expected return; 1 is right", "dimensionless")
    slope_lower = _maybe("95 % interval, clustered by session", "dimensionless")
    slope_upper = _maybe("95 % interval, clustered by session", "dimensionless")
    intercept_bps = _maybe("of that regression; 0 is right", "bps over the horizon")
    intercept_lower_bps = _maybe("95 % interval, clustered by session", "bps over the horizon")
    intercept_upper_bps = _maybe("95 % interval, clustered by session", "bps over the horizon")
    coverage_50 = _maybe("share of labels inside the 50 % interval", "fraction")
    coverage_80 = _maybe("share of labels inside the 80 % interval", "fraction")
    coverage_90 = _maybe("share of labels inside the 90 % interval", "fraction")
    calibration_error = _maybe("largest gap of coverage, overall and by volatility tercile", "fraction")
    sharpness_bps = _maybe("mean width of the 80 % interval", "bps over the horizon")
    expected_return_bps = _maybe("standard deviation of the expected return", "bps over the horizon")
    ic_stability = _maybe("sd of the 21-session mean IC beyond sampling", "correlation")
    ic_stability_lower = _maybe("95 % interval", "correlation")
    ic_stability_upper = _maybe("95 % interval", "correlation")
    ic_floor = _maybe("what sampling alone gives the 21-session mean IC", "correlation")
    autocorrelation = _maybe("rank correlation of scores with those a session before", "correlation")
    half_life_sessions = _maybe("age at which half of it is left; null if more than half is at 20", "sessions")


class Reliability(dy.Schema):
    """Realised against expected return in tenths of the latter, by month and over everything."""

    period = _key("month such as `2024-11`, or `all`")
    bin = dy.Int64(primary_key=True, description="tenth of expected return, 0 the lowest", metadata={"unit": "count"})
    rows = _count("matured rows")
    expected_bps = _number("mean expected return", "bps over the horizon")
    realised_bps = _number("mean label", "bps over the horizon")
    realised_error_bps = _maybe("standard error of the mean label, clustered by session", "bps over the horizon")


class Claims(dy.Schema):
    """What Aurora promises against what is stored, with verdicts."""

    claim_id = _key("short name")
    claim = _text("what is promised")
    definition = _text("how it is measured here")
    plan = _text("value promised")
    measured = _text("value measured; null where there is none", nullable=True)
    value = _maybe("the same as a number", "as the claim")
    lower = _maybe("95 % interval", "as the claim")
    upper = _maybe("95 % interval", "as the claim")
    market = _text("market it was measured on")
    market_kind = _text("`synthetic`, `real` or `any`")
    verdict = _text("`met`, `not met` or `not testable`")
    reason = _text("what the verdict rests on; if not testable why, and the sample it would take")
    command = _text("what reproduces it")


class ModelScores(dy.Schema):
    """What each model was worth by the evidence matured before a session's open, and how its newest scores looked."""

    session = _day("session from whose open on this is known", key=True)
    model = _key("name its scores are stored under")
    family = _text("model family")
    configuration = _text("hash of settings and feature list, the same for every refit")
    model_version = _text("version that scored the session before", nullable=True)
    matured_sessions = _count("sessions with a matured IC")
    ic = _maybe("mean matured rank IC", "correlation")
    ic_t = _maybe("its t, equal-weighted cosine variance", "t")
    ic_lower = _maybe("95 % interval", "correlation")
    ic_upper = _maybe("95 % interval", "correlation")
    recent_ic = _maybe("mean of the newest 21 matured sessions", "correlation")
    newest_ic = _maybe("of the newest matured session", "correlation")
    ic_rank = _maybe("place among the models by ic, 1 is best; ties share the mean place", "rank")
    score_return = _maybe(
        "mean over matured sessions of sum(z * label) / sum(|z|), before costs", "fraction over the horizon"
    )
    calibration_slope = _maybe(
        "label regressed on what earlier sessions promised per unit of score; 1 is as promised", "dimensionless"
    )
    turnover = _maybe("1 - rank correlation of scores with those a session before", "fraction")
    coverage = _number("share of feature rows scored in the session before", "fraction")
    constant_share = _number("share of its decision times with a constant score", "fraction")
    features_lost = _number("share of its features that went missing against the train block", "fraction")
    sound_sessions = _count("sound sessions in a row up to the one before")
    unsound_sessions = _count("unsound sessions in a row up to the one before")
    fault = _text("what was wrong with the session before; null if sound", nullable=True)
    evidence_through = _time("latest maturity among the evidence used; before the session's open", nullable=True)


class ModelStates(dy.Schema):
    """State of each model during a session, decided before its open, with the evidence."""

    session = _day("session the state is in force", key=True)
    model = _key("name its scores are stored under")
    family = _text("model family")
    state = _text("`candidate`, `shadow`, `champion`, `probation` or `retired`")
    serves = _flag("trades: the family's champion, on probation or not")
    since = _day("first session of the state")
    reason = _text("why it is in that state")
    decided_by = _text("`founding`, `gate`, `test`, `proposal`, or the person")
    trial = _count("number among the challengers ever admitted; 0 for a founding model")
    matured_sessions = _count("sessions with a matured IC")
    information_coefficient = _maybe("their mean", "correlation")
    skill_evidence = _maybe("that the IC is above 0", "natural logarithm")
    retirement_evidence = _maybe("that the IC is below lifecycle.worthwhile_ic", "natural logarithm")
    retirement_threshold = _number("where it retires", "natural logarithm")
    gain_evidence = _maybe("that the IC is above that of the family's champion", "natural logarithm")
    promotion_threshold = _maybe("where it promotes; null for founding models", "natural logarithm")
    evidence_through = _time("latest maturity among the evidence used; before the session's open", nullable=True)


class Drift(dy.Schema):
    """How far a session's raw features, scores, residuals and market lie from what they were before."""

    session = _day("session that was looked at; known at its close", key=True)
    kind = _key("`feature`, `prediction`, `residual` or `regime`")
    subject = _key("feature, model, or measure")
    value = _maybe("of the session, in the subject's own unit", "as the subject")
    reference = _maybe("of the reference sessions", "as the subject")
    psi = _maybe("population stability index over deciles of the reference", "nats")
    ks = _maybe("Kolmogorov-Smirnov distance", "fraction")
    missing = _number("share of rows without a value", "fraction")
    reference_missing = _number("the same in the reference", "fraction")
    z = _maybe("distance of value from the reference sessions' mean in their standard deviations", "z")
    drifted = _flag("beyond its limit in the settings")


class Challengers(dy.Schema):
    """Challengers trained after a session's close, new ones and refits."""

    session = _day("session after whose close it was trained", key=True)
    model = _key("name its shadow scores are stored under: `family~first session`")
    family = _text("model family")
    first_session = _day("first session of the challenger, refits included")
    serves_from = _day("first session this version scores")
    model_version = _text("family, fold and content hash")
    directory = _text("below the home's `models/`")
    configuration = _text("settings of `models` it is trained with, the same for every refit; JSON")
    reason = _text("what asked for it")


class ModelContributions(dy.Schema):
    """What each model that traded added in a session."""

    session = _day(SESSION, key=True)
    model = _key("name its scores are stored under")
    family = _text("model family")
    model_version = _text("version that served", nullable=True)
    weight = _number("in the ensemble", "fraction")
    ensemble_gain = _maybe(
        "rank IC of the ensemble less that of the others without it; null until matured", "correlation"
    )
    result = _maybe("what the part of the holdings that follows its score earned in residual return", "fraction of NAV")


class _Book(dy.Schema):
    book = _key(BOOK)
    session = _day(SESSION)


class Targets(_Book):
    """What the book wants to hold after a decision, and why."""

    symbol = _key(SYMBOL)
    decision_time = _time(DECISION, key=True)
    current_weight = _number("held before the decision", "fraction of NAV")
    target_weight = _number("wanted after it", "fraction of NAV")
    expected_return = _maybe("the signal it was decided on", "fraction over the horizon")
    reason = _text("`enter`, `increase`, `reduce`, `exit`, `flip`, `hold_no_edge`, `hold`, or the limit that bound")


class Orders(_Book):
    """Orders, valid for the bar after their decision; `session` is that bar's (the decision's if the order was rejected)."""

    order_id = _key("deterministic: the same decision gives the same id")
    symbol = _text(SYMBOL)
    instrument_id = _text(INSTRUMENT)
    decision_time = _time(DECISION)
    execute_by = _time("end of the bar it may fill in")
    side = _text("`buy` or `sell`")
    shares = _number("whole shares", "shares", min_exclusive=0.0)
    reference_price = _number("close at the decision", "USD/share")
    status = _text("`filled`, `partial`, `expired` or `rejected`")
    reason = _text("why it was sent, or why it was not filled")


class Fills(_Book):
    """Simulated executions, with their costs by term."""

    order_id = _key("order it belongs to")
    symbol = _text(SYMBOL)
    instrument_id = _text(INSTRUMENT)
    decision_time = _time("decision it came from")
    fill_time = _time("end of the bar it filled in", key=True)
    side = _text("`buy` or `sell`")
    shares = _number("whole shares", "shares", min_exclusive=0.0)
    price = _number("price before costs", "USD/share")
    spread_cost = _number("half-spread", "USD", min=0.0)
    impact_cost = _number("market impact", "USD", min=0.0)
    fee_cost = _number("commissions and regulatory fees", "USD", min=0.0)


class Positions(_Book):
    """What the book holds at the end of a bar."""

    symbol = _key(SYMBOL)
    instrument_id = _text(INSTRUMENT)
    decision_time = _time("bar end", key=True)
    shares = _number("negative when short", "shares")
    price = _number("last known close", "USD/share")
    weight = _number("shares * price / NAV", "fraction of NAV")


class Portfolio(_Book):
    """The book's account at the end of each bar: nav[t] = nav[t-1] + gross_pnl - cost, to the cent."""

    decision_time = _time("bar end", key=True)
    nav = _number("cash plus market value", "USD")
    cash = _number("negative when borrowed", "USD")
    gross = _number("sum of absolute weights", "fraction of NAV")
    net = _number("sum of weights", "fraction of NAV")
    turnover = _number("sum of absolute trades / 2 / NAV of the bar before", "fraction of NAV")
    exempt_turnover = _number("part of turnover that reduced risk by force: outside the budgets", "fraction of NAV")
    gross_pnl = _number("price moves and dividends on what was held, before costs", "USD")
    cost = _number("all costs of the bar", "USD")
    spread_cost = _number("half-spread", "USD")
    impact_cost = _number("market impact", "USD")
    fee_cost = _number("fees", "USD")
    borrow_cost = _number("borrow of shorts", "USD")
    forecast_volatility = _maybe("ex-ante volatility of what is held, per session", "fraction of NAV")
    market_beta = _number("ex-ante: exposure to the market factor", "fraction of NAV")


class Exposures(_Book):
    """What a book is exposed to at the end of a session."""

    session = _day(SESSION, key=True)
    decision_time = _time("end of the session's last bar")
    factor = _key("`market`, a sector, a style, or `specific` for what is left")
    exposure = _number("sum of weight * loading; gross exposure for `specific`", "fraction of NAV")
    variance_share = _number(
        "share of the ex-ante variance; sums to 1 over the factors of a book that holds something", "fraction"
    )


class Attribution(_Book):
    """Result of a session by name: gross_pnl = alpha + residual; net is gross_pnl - cost."""

    session = _day(SESSION, key=True)
    symbol = _text(SYMBOL)
    instrument_id = _key(INSTRUMENT)
    gross_pnl = _number("price moves and dividends, before costs", "USD")
    alpha = _number("expected by the signals of the decisions before each bar, on what was held", "USD")
    cost = _number("spread, impact, fees and borrow", "USD", min=0.0)
    residual = _number("gross_pnl - alpha: what nobody expected", "USD")
    variance_share = _number("share of the book's ex-ante variance at the end of the session", "fraction")
    confidence = _number(
        "absolute expected return over specific volatility of the same span, at the last decision", "ratio"
    )


class AlphaForgone(_Book):
    """What each limit withheld at the last decision of a session, every other limit staying in force."""

    decision_time = _time(DECISION, key=True)
    limit = _key("limit that was lifted")
    forgone = _number("value of the decision without it less the value of the one taken", "fraction of NAV", min=0.0)
    holding_sessions = _number("span the value is over", "sessions")


class Events(_Book):
    """What went wrong or was withheld in a session, with the safe action taken; the first of each kind and name."""

    session = _day(SESSION, key=True)
    decision_time = _time("first moment")
    event = _key("code, see `aurora_pipeline.execution.events`")
    name = _key("instrument, empty for the whole book")
    times = _count("how often in the session")
    action = _text("what was done")
    detail = _text("what was found the first time")


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    Attributes
    ----------
    name : str
        Folder below ``<home>/lake/``.
    schema : type[dataframely.Schema]
        Columns, types, bounds, key and units.
    known_at : str or None
        Column that says when a row could first be used; None where rows are known by their session's open.
    partitioning : {"session", "none"}
        Whether files are laid out by session (by month at frequency `session`) or as one file.
    branches : tuple of str
        Further hive levels below the session, such as ``("model",)``.
    extra : polars.DataType or None
        Type of columns beyond the schema, where the table has an open set of them.
    """

    name: str
    schema: type[dy.Schema]
    known_at: str | None
    partitioning: Partitioning = "session"
    branches: tuple[str, ...] = ()
    extra: pl.DataType | None = None

    @property
    def key(self) -> list[str]:
        """Columns that identify a row, the version (`known_at`) last."""
        return sorted(self.schema.primary_key(), key=lambda column: column == "known_at")

    @property
    def description(self) -> str:
        """First line of the schema's docstring."""
        return (self.schema.__doc__ or "").strip().splitlines()[0]


def _feature_table(name: str) -> Table:
    return Table(name, Features, "decision_time", extra=pl.Float32())


_BOOK_BRANCH = ("book",)
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("universe", Universe, None),
        Table("bars", Bars, "known_at"),
        Table("session_bars", DailyBars, "known_at"),
        Table("quarantine", Quarantine, "known_at", branches=("source",)),
        Table("data_quality", DataQuality, None),
        Table("daily_bars", DailyBars, "known_at", "none"),
        Table("corporate_actions", CorporateActions, "known_at", "none"),
        Table("earnings", Earnings, "known_at", "none"),
        Table("fundamentals", Fundamentals, "known_at", "none"),
        Table("short_interest", ShortInterest, "known_at", "none"),
        Table("etf_flows", EtfFlows, "known_at", "none"),
        Table("options", Options, "known_at", "none"),
        Table("borrow", Borrow, "known_at", "none"),
        Table("residual_returns", ResidualReturns, "known_at"),
        _feature_table("price_features"),
        _feature_table("sector_features"),
        _feature_table("microstructure_features"),
        _feature_table("fundamental_features"),
        _feature_table("alternative_features"),
        _feature_table("features"),
        Table("labels", Labels, "matured_at"),
        Table("feature_audit", FeatureAudit, None, "none", branches=("fold",)),
        Table("predictions", Predictions, "decision_time", branches=("model",)),
        Table("drift", Drift, None),
        Table("challengers", Challengers, None),
        Table("shadow_predictions", Predictions, "decision_time"),
        Table("model_scores", ModelScores, None),
        Table("model_states", ModelStates, None),
        Table("ensemble_weights", EnsembleWeights, None),
        Table("ensemble", Ensemble, "decision_time"),
        Table("signals", Signals, "decision_time"),
        Table("model_comparison", ModelComparison, None, "none"),
        Table("model_contributions", ModelContributions, None, "none"),
        Table("signal_quality", SignalQuality, None, "none"),
        Table("reliability", Reliability, None, "none"),
        Table("claims", Claims, None, "none"),
        Table("targets", Targets, "decision_time", branches=_BOOK_BRANCH),
        Table("orders", Orders, "decision_time", branches=_BOOK_BRANCH),
        Table("fills", Fills, "fill_time", branches=_BOOK_BRANCH),
        Table("positions", Positions, "decision_time", branches=_BOOK_BRANCH),
        Table("portfolio", Portfolio, "decision_time", branches=_BOOK_BRANCH),
        Table("exposures", Exposures, "decision_time", branches=_BOOK_BRANCH),
        Table("attribution", Attribution, None, branches=_BOOK_BRANCH),
        Table("alpha_forgone", AlphaForgone, "decision_time", branches=_BOOK_BRANCH),
        Table("events", Events, "decision_time", branches=_BOOK_BRANCH),
    )
}
BOOK_TABLES = (
    "targets",
    "orders",
    "fills",
    "positions",
    "exposures",
    "attribution",
    "alpha_forgone",
    "events",
    "portfolio",
)
"""Tables of a book in the order they are written; the last one is what says that a session is there."""
FEATURE_FEEDS = (
    "daily_bars",
    "corporate_actions",
    "earnings",
    "fundamentals",
    "short_interest",
    "etf_flows",
    "options",
)
FEED_TABLES = (*FEATURE_FEEDS, "borrow")


def table(name: str) -> Table:
    """Look a table up by name; an unknown name is an error that lists the known ones."""
    if name not in TABLES:
        raise ContractError(f"no table {name!r}; the lake has {', '.join(sorted(TABLES))}")
    return TABLES[name]


def validated(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Enforce a table's contract.

    Parameters
    ----------
    name : str
        Table name.
    frame : polars.DataFrame
        Rows to be written. Integer columns are not cast to floats silently: types must match.

    Returns
    -------
    polars.DataFrame
        The same rows, columns in the declared order, sorted by key.

    Raises
    ------
    ContractError
        A column is missing, unknown or of a wrong type; a value is out of bounds; a key repeats.
    """
    declared = table(name)
    columns = list(declared.schema.columns())
    missing = [column for column in columns if column not in frame.columns]
    extra = [column for column in frame.columns if column not in columns]
    if missing:
        raise ContractError(f"table {name}: column(s) {', '.join(missing)} missing")
    if extra and declared.extra is None:
        raise ContractError(f"table {name}: column(s) {', '.join(extra)} not declared in its contract")
    wrong = [column for column in extra if frame.schema[column] != declared.extra]
    if wrong:
        raise ContractError(f"table {name}: column(s) {', '.join(wrong)} must be {declared.extra}")
    try:
        checked: pl.DataFrame = declared.schema.validate(frame.select(columns))
    except (dy.exc.ValidationError, dy.exc.SchemaError) as error:
        raise ContractError(f"table {name}: {error}") from error
    if extra:
        checked = pl.concat([checked, frame.select(extra)], how="horizontal")
    return checked.sort(declared.key)


def empty(name: str, extra: Iterable[str] = ()) -> pl.DataFrame:
    """Return a frame with a table's columns and no rows."""
    declared = table(name)
    return _declared(name).with_columns(pl.lit(None, declared.extra).alias(column) for column in extra)


@cache
def _declared(name: str) -> pl.DataFrame:
    frame: Any = table(name).schema.create_empty()
    return pl.DataFrame(frame)
