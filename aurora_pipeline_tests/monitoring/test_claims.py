from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.contracts import empty, validated
from aurora_pipeline.ensemble.ic_weighted_ensemble import combine
from aurora_pipeline.monitoring.calibration_quality import coverage
from aurora_pipeline.monitoring.claim_measures import capital_utilisation, kept_alpha, largest_turnover
from aurora_pipeline.monitoring.claim_promises import PROMISES
from aurora_pipeline.monitoring.claim_types import ClaimInputs, Measured, Promise, verdict_of
from aurora_pipeline.monitoring.claims import claim_ledger, claims_headline
from aurora_pipeline.monitoring.claims_page import claims_html, claims_markdown, claims_title
from aurora_pipeline.monitoring.dashboard.page import text_html
from aurora_pipeline.monitoring.scorecard import ScorecardInputs, build_scorecard
from aurora_pipeline.monitoring.session_ics import session_ics
from aurora_pipeline.monitoring.signal_quality import signal_quality
from aurora_pipeline_tests.ensemble.test_ic_weighted_ensemble import PANEL, planted_predictions
from aurora_pipeline_tests.ensemble.test_signal_calibrator import PANEL as CALIBRATED
from aurora_pipeline_tests.ensemble.test_signal_calibrator import SIGNALS
from aurora_pipeline_tests.monitoring.test_performance import portfolio

EMPTY = ClaimInputs("hand", "synthetic")
SHARPE = Promise("sharpe", "Sharpe 2.5", "yearly", "at least", 2.5)


def ledger_of(inputs: ClaimInputs) -> dict[str, dict[str, Any]]:
    return {row["claim_id"]: row for row in claim_ledger(inputs).iter_rows(named=True)}


def scored(predictions: pl.DataFrame, weights: pl.DataFrame) -> ClaimInputs:
    ensemble = combine(predictions, weights)
    ics = session_ics(predictions, ensemble, PANEL.labels)
    return replace(EMPTY, predictions=predictions, ensemble=ensemble, session_ics=ics)


def with_book(**book: Any) -> ClaimInputs:
    return replace(EMPTY, card={"book": book, "signal": {}})


@pytest.mark.parametrize(
    ("value", "lower", "upper", "verdict"),
    [(3.0, 2.5, 4.0, "met"), (3.0, 2.49, 4.0, "not met"), (2.0, 1.0, 3.0, "not met"), (2.6, None, None, "met")],
)
def test_a_sharpe_claim_is_met_only_where_the_lower_bound_reaches_it(value, lower, upper, verdict):
    assert verdict_of(SHARPE, Measured(value, lower, upper))[0] == verdict


def test_a_near_miss_says_so():
    assert "the estimate reaches it, its 95 % interval does not" in verdict_of(SHARPE, Measured(3.0, 1.0, 5.0))[1]
    assert "the estimate does not reach it" in verdict_of(SHARPE, Measured(2.0, 1.0, 5.0))[1]


def test_ranges_and_upper_limits_hold_on_their_worse_side():
    limit = Promise("x", "x", "x", "at most", 0.05, "percent")
    assert verdict_of(limit, Measured(0.03, 0.02, 0.05))[0] == "met"
    assert verdict_of(limit, Measured(0.03, 0.02, 0.051))[0] == "not met"
    between = Promise("x", "x", "x", "between", (0.8, 1.25))
    assert verdict_of(between, Measured(1.0))[0] == "met"
    assert verdict_of(between, Measured(1.3))[0] == "not met"
    assert verdict_of(between, Measured(1.0, 0.7, 1.2))[0] == "not met"
    assert between.plan == "0.8 to 1.25"


def test_nothing_stored_is_not_testable_with_the_sample_it_would_take():
    ledger = claim_ledger(EMPTY)
    assert validated("claims", ledger).height == len(PROMISES)
    assert set(ledger["verdict"]) == {"not testable"}
    assert all("it takes" in reason for reason in ledger["reason"])
    assert ledger.select("measured", "value", "lower", "upper").null_count().row(0) == (ledger.height,) * 4
    assert claims_headline(ledger) == {"met": 0, "not_met": 0, "not_testable": ledger.height}


def test_a_number_that_is_not_finite_is_not_measured():
    assert verdict_of(SHARPE, Measured(float("nan"), 1.0, 2.0))[0] == "not testable"


def test_claims_have_names_of_their_own_a_definition_and_a_command():
    names = [promise.claim_id for promise, _ in PROMISES]
    assert len(set(names)) == len(names)
    assert all(promise.definition and promise.command.startswith("aurora ") for promise, _ in PROMISES)
    for wanted in [
        "features",
        "model_families",
        "ic",
        "gain_over_mean",
        "gain_over_best_single",
        "sharpe",
        "drawdown",
        "ic_stability",
        "calibration_error",
        "alpha_kept",
        "utilisation",
        "turnover_day",
        "turnover_week",
        "turnover_month",
        "automated_promotion",
        "automated_retirement",
        "phases",
    ]:
        assert wanted in names


def test_the_gain_of_an_ensemble_is_paired_by_session():
    predictions = planted_predictions({"ridge": 0.0, "xgboost": 3.0})
    weights = pl.DataFrame({"session": PANEL.sessions}).join(
        pl.DataFrame({"model": ["ridge", "xgboost"], "weight": [0.8, 0.2], "best_single": [True, False]}), how="cross"
    )
    inputs = scored(predictions, weights)
    inputs = replace(inputs, card=build_scorecard(ScorecardInputs(predictions, inputs.ensemble, labels=PANEL.labels)))
    claims = ledger_of(inputs)
    card = inputs.card["signal"]
    mean = np.mean([card["family_ic"][name]["mean"] for name in ("ridge", "xgboost")])
    assert claims["gain_over_mean"]["value"] == pytest.approx(card["rank_ic"]["mean"] - mean)
    assert claims["gain_over_best_single"]["value"] == pytest.approx(
        card["rank_ic"]["mean"] - card["family_ic"]["ridge"]["mean"]
    )
    assert claims["gain_over_mean"]["verdict"] == "met"
    assert claims["model_families"]["verdict"] == "not met"
    assert claims["ic"]["lower"] == pytest.approx(card["rank_ic"]["lower"])
    assert claims["trading_interval"]["value"] == pytest.approx(130.0)  # three decision times a session
    one = replace(inputs, predictions=predictions.filter(model="ridge"))
    assert ledger_of(one)["gain_over_mean"]["verdict"] == "not testable"


def test_families_that_agree_in_everything_gain_nothing():
    predictions = planted_predictions({"ridge": 1.0})
    both = pl.concat([predictions, predictions.with_columns(pl.lit("lasso").alias("model"))])
    weights = pl.DataFrame({"session": PANEL.sessions}).join(
        pl.DataFrame({"model": ["ridge", "lasso"], "weight": [0.5, 0.5]}), how="cross"
    )
    claims = ledger_of(scored(both, weights))
    assert claims["gain_over_equal_weight"]["verdict"] == "met"
    assert claims["gain_over_mean"]["verdict"] != "met"


def test_a_short_track_record_can_break_a_drawdown_limit_but_not_keep_it():
    calm = ledger_of(with_book(sessions=100, max_drawdown=0.002, max_drawdown_at_10pct_volatility=0.09))
    assert calm["drawdown"]["verdict"] == "not testable"
    assert "it takes 252 sessions" in calm["drawdown"]["reason"]
    assert calm["drawdown_at_10pct_volatility"]["verdict"] == "not met"
    assert ledger_of(with_book(sessions=300, max_drawdown=0.002))["drawdown"]["verdict"] == "met"


def test_alpha_kept_is_not_testable_where_gross_may_be_nothing_and_says_how_long_it_would_take():
    inputs = with_book(sessions=100, alpha_kept="not testable", gross_return=0.01, gross_return_interval=[-0.01, 0.03])
    measured = kept_alpha(inputs)
    assert measured.value is None
    assert "about 400 sessions" in measured.missing
    losing = with_book(sessions=100, alpha_kept="not testable", gross_return=-0.01, gross_return_interval=[-0.03, 0.01])
    assert "gross P&L is positive" in kept_alpha(losing).missing
    kept = ledger_of(with_book(sessions=100, alpha_kept=0.9, alpha_kept_lower=0.85, alpha_kept_upper=0.95))
    assert kept["alpha_kept"]["verdict"] == "met"


def test_turnover_is_the_largest_window_after_the_build_without_forced_reductions():
    book = portfolio(np.full((30, 2), 100.0), np.full((30, 2), 20.0)).with_columns(
        pl.lit(0.02).alias("turnover"), pl.lit(0.005).alias("exempt_turnover"), pl.lit(0.2).alias("gross")
    )
    peak = book.with_columns(
        pl.when(pl.col("session") == book["session"].unique().sort()[20])
        .then(0.05)
        .otherwise("turnover")
        .alias("turnover")
    )
    inputs = replace(EMPTY, portfolio=peak)
    assert largest_turnover(inputs, 1).value == pytest.approx(2 * 0.045)
    assert largest_turnover(inputs, 5).value == pytest.approx(2 * 0.045 + 8 * 0.015)
    assert largest_turnover(inputs, 21).value is None
    early = replace(EMPTY, portfolio=book.filter(pl.col("session") <= book["session"].unique().sort()[9]))
    assert largest_turnover(early, 1).value is None


def changes(**paths):
    """Table `model_states` of some models, each given as (state, decided by) by session."""
    return pl.concat(
        pl.DataFrame(
            {
                "session": PANEL.sessions[: len(path)],
                "model": name,
                "state": [state for state, _ in path],
                "decided_by": [by for _, by in path],
                "reason": "x",
            }
        )
        for name, path in paths.items()
    )


def test_only_a_challenger_in_shadow_that_a_test_made_champion_counts_as_promoted():
    founding, promoted = ("champion", "founding"), ("champion", "test")
    states = changes(
        challenger=[("candidate", "gate"), ("shadow", "gate"), promoted, promoted],
        from_probation=[founding, ("probation", "test"), promoted, promoted],
        from_a_gate=[founding, ("probation", "gate"), ("retired", "gate"), ("champion", "gate")],
        by_a_person=[("candidate", "gate"), ("shadow", "gate"), ("champion", "someone"), ("retired", "someone")],
    )
    claims = ledger_of(replace(EMPTY, model_states=states))
    assert (claims["automated_promotion"]["value"], claims["automated_promotion"]["verdict"]) == (1.0, "met")
    assert "2 back from probation" in claims["automated_promotion"]["reason"]
    assert claims["automated_retirement"]["value"] == 1.0
    nobody = states.filter(pl.col("model") != "challenger")
    claims = ledger_of(replace(EMPTY, model_states=nobody))
    assert (claims["automated_promotion"]["value"], claims["automated_promotion"]["verdict"]) == (0.0, "not met")


def test_a_champion_replaced_by_a_challenger_is_a_retirement_unless_a_person_decided_it():
    states = changes(
        old=[("champion", "founding"), ("retired", "test")], other=[("champion", "founding"), ("retired", "someone")]
    ).with_columns(
        pl.when(pl.col("state") == "retired").then(pl.lit("replaced by a~1: x")).otherwise("reason").alias("reason")
    )
    claims = ledger_of(replace(EMPTY, model_states=states))
    assert (claims["automated_retirement"]["value"], claims["automated_retirement"]["verdict"]) == (1.0, "met")
    assert "1 replaced by a challenger" in claims["automated_retirement"]["reason"]


def test_calibration_is_read_from_signal_quality_with_its_interval():
    inputs = replace(
        EMPTY, signal_quality=signal_quality(SIGNALS, CALIBRATED.labels), calibration_interval=(0.01, 0.06)
    )
    claims = ledger_of(inputs)
    assert claims["calibration_error"]["verdict"] == "not met"
    overall = coverage(SIGNALS, CALIBRATED.labels)["overall"]
    assert claims["coverage_80"]["value"] == pytest.approx(overall["80"])
    assert claims["coverage_90"]["verdict"] == ("met" if abs(overall["90"] - 0.9) <= 0.02 else "not met")
    assert claims["ic_stability"]["lower"] is not None


def test_proofs_count_only_with_enough_seeds():
    null = [{"alpha": "none", "rejects": k < 2} for k in range(19)]
    few = replace(
        EMPTY, proof_pipeline={"markets": null}, proof_scorer={"designs": [{"seeds": 100, "rejection_rate": 0.05}]}
    )
    assert ledger_of(few)["no_alpha_no_signal"]["verdict"] == "not testable"
    assert ledger_of(few)["honest_test"]["verdict"] == "not testable"
    designs = [{"seeds": 400, "rejection_rate": 0.05}, {"seeds": 400, "rejection_rate": 0.09}]
    enough = replace(EMPTY, proof_pipeline={"markets": [*null, null[-1]]}, proof_scorer={"designs": designs})
    claims = ledger_of(enough)
    assert (claims["no_alpha_no_signal"]["value"], claims["no_alpha_no_signal"]["verdict"]) == (0.1, "met")
    assert (claims["honest_test"]["value"], claims["honest_test"]["verdict"]) == (0.09, "not met")
    assert claims["honest_test"]["market_kind"] == "any"


def test_a_missing_truth_is_told_from_a_missing_run():
    real = ledger_of(ClaimInputs("us64", "real"))["correlation_with_truth"]
    assert "no planted truth" in real["reason"]
    assert "finished run" in ledger_of(EMPTY)["correlation_with_truth"]["reason"]


def test_the_audit_is_counted():
    audit = pl.DataFrame(
        {
            "feature": ["a", "b", "c"],
            "view": ["price", "alternative", "fundamental"],
            "role": ["signal"] * 3,
            "unavailable": [None, None, "no such feed"],
            "verdict": ["commodity", "alpha", "unproven"],
            "nearest_correlation": [0.4, 0.96, None],
        }
    )
    claims = ledger_of(replace(EMPTY, feature_audit=audit))
    assert (claims["features"]["value"], claims["views"]["value"]) == (3.0, 2.0)
    assert "1 of them cannot be had" in claims["features"]["reason"]
    assert claims["feature_likeness"]["verdict"] == "not met"
    assert claims["orthogonal_features"]["verdict"] == "met"


def test_pages_carry_every_claim_and_say_what_is_synthetic():
    ledger = claim_ledger(with_book(sessions=300, sharpe=3.0, sharpe_lower=1.0, sharpe_upper=5.0))
    assert "(SYNTHETIC)" in claims_title(ledger)
    assert "SYNTHETIC" not in claims_title(claim_ledger(ClaimInputs("us64", "real")))
    markdown, html = claims_markdown(ledger), claims_html(ledger)
    for row in ledger.iter_rows(named=True):
        assert row["claim"] in markdown
        assert text_html(row["definition"]) in html
    assert "| 1 to 5 | not met |" in markdown
    assert "http" not in html
    assert "<script" not in html
    assert empty("claims").columns == ledger.columns


def test_capital_used_leaves_out_the_sessions_of_the_build_and_no_other():
    account = portfolio(np.zeros((4, 1)), np.zeros((4, 1)), bars=1).with_columns(
        gross=pl.Series([0.0, 0.05, 0.10, 0.22])
    )
    used = capital_utilisation(replace(EMPTY, portfolio=account, build_sessions=1))
    assert used.value == pytest.approx(0.16)
    assert capital_utilisation(replace(EMPTY, portfolio=account, build_sessions=3)).value is None


def test_a_real_market_is_never_called_synthetic():
    pages = (claims_markdown, claims_html)
    for page in (write(claim_ledger(ClaimInputs("us64", "real"))) for write in pages):
        assert "us64 (real)" in page
        assert "us64 (synthetic)" not in page
        assert page.count("a synthetic one, not this") == 2
    markets = claim_ledger(EMPTY).get_column("market").unique().to_list()
    assert set(markets) == {"hand", "none"}


def test_commands_on_the_page_are_marked_and_whole():
    page = claims_html(claim_ledger(EMPTY))
    assert "it takes <code>aurora ablate</code></td>" in page
    assert "`" not in page


def _phases(*gains: tuple[float | None, float | None]) -> ClaimInputs:
    phases = [{"phase": "baseline", "sessions": 60, "net_gain_lower": None, "net_gain_upper": None}]
    phases += [
        {"phase": f"phase {number}", "sessions": 60, "net_gain_lower": lower, "net_gain_upper": upper}
        for number, (lower, upper) in enumerate(gains, start=1)
    ]
    return replace(EMPTY, ablation={"phases": phases})


def test_a_phase_adds_where_the_whole_interval_of_its_gain_lies_above_zero():
    claim = ledger_of(_phases((0.1, 0.4), (0.0, 0.4), (-0.3, -0.1)))["phases"]
    assert (claim["value"], claim["verdict"]) == (1.0, "not met")
    assert "of 3 phases over 60 sessions: phase 1; phase 3 take away" in claim["reason"]
    assert ledger_of(_phases(*[(0.1, 0.4)] * 9))["phases"]["verdict"] == "met"


def test_an_ablation_too_short_for_intervals_decides_nothing():
    claim = ledger_of(_phases((None, None)))["phases"]
    assert claim["verdict"] == "not testable"
    assert "an interval takes 20" in claim["reason"]
