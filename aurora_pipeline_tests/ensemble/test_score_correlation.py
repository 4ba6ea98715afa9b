from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.contracts import validated
from aurora_pipeline.ensemble.ic_weighted_ensemble import (
    combine,
    ensemble_weights,
    session_information_coefficients,
    weight_violations,
)
from aurora_pipeline.ensemble.score_correlation import ScoreCorrelations, uncorrelated_shares
from aurora_pipeline.settings import EnsembleSettings, Settings
from aurora_pipeline_tests.ensemble.test_ic_weighted_ensemble import PANEL, evidence, planted_predictions

NINE = ["catboost", "elastic_net", "lasso", "lightgbm", "mlp", "random_forest", "ranker", "ridge", "xgboost"]
AWARE = Settings(ensemble=EnsembleSettings(minimum_sessions=2, correlation_aware=True))


def with_copy(predictions: pl.DataFrame, family: str, copy: str) -> pl.DataFrame:
    """The same scores once more under another name."""
    return pl.concat([predictions, predictions.filter(model=family).with_columns(pl.lit(copy).alias("model"))])


def weights_of(predictions: pl.DataFrame, settings: Settings, session: int = -1) -> dict[str, float]:
    families = predictions["model"].unique().sort().to_list()
    ics = session_information_coefficients(predictions, PANEL.labels)
    alike = ScoreCorrelations.of(predictions) if settings.ensemble.correlation_aware else None
    frame = ensemble_weights([PANEL.sessions[session]], PANEL.opens, ics, families, settings, alike)
    assert weight_violations(frame, settings).is_empty()
    assert validated("ensemble_weights", frame).height == len(families)
    return dict(frame.select("model", "weight").rows())


@pytest.mark.parametrize("aware", [False, True])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_one_two_and_nine_families(count, aware):
    predictions = planted_predictions(dict(zip(NINE[:count], np.linspace(0.5, 4.0, count), strict=True)))
    settings = Settings(ensemble=EnsembleSettings(minimum_sessions=2, correlation_aware=aware))
    weights = weights_of(predictions, settings)
    assert sum(weights.values()) == pytest.approx(1.0)
    positive = sum(weight > 0 for weight in weights.values())
    assert max(weights.values()) <= max(0.4, 1 / positive) + 1e-9
    if count == 9:
        assert weights["catboost"] > weights["xgboost"]
        assert (
            combine(
                predictions,
                pl.DataFrame({"model": list(weights), "weight": list(weights.values())}).join(
                    pl.DataFrame({"session": PANEL.sessions}), how="cross"
                ),
            ).height
            == predictions.height // 9
        )


def test_families_that_say_the_same_share_their_weight():
    shares = uncorrelated_shares(
        np.array([0.1, 0.1, 0.1]), np.array([[1.0, 0.999, 0.0], [0.999, 1.0, 0.0], [0.0, 0.0, 1.0]])
    )
    assert shares[0] == pytest.approx(shares[1])
    assert shares[0] + shares[1] == pytest.approx(shares[2], rel=0.02)


def test_shares_are_the_inverse_correlation_times_ic_where_none_is_negative():
    ic, correlation = np.array([0.05, 0.04, 0.03]), np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.3], [0.2, 0.3, 1.0]])
    expected = np.linalg.solve(correlation + 0.01 * np.eye(3), ic)
    assert uncorrelated_shares(ic, correlation) == pytest.approx(expected)


def test_what_another_family_says_better_gets_nothing_and_a_loser_is_no_hedge():
    alike = np.array([[1.0, 0.9], [0.9, 1.0]])
    assert uncorrelated_shares(np.array([0.10, 0.05]), alike)[1] == 0.0
    assert uncorrelated_shares(np.array([0.10, -0.05]), alike)[1] == 0.0


def test_a_copy_does_not_raise_a_familys_weight():
    predictions = planted_predictions({"ridge": 1.0, "xgboost": 1.0})
    copied = with_copy(predictions, "ridge", "lasso")
    plain = weights_of(copied, Settings(ensemble=EnsembleSettings(minimum_sessions=2, correlation_aware=False)))
    aware = weights_of(copied, AWARE)
    assert plain["lasso"] + plain["ridge"] > 0.6
    assert aware["lasso"] == pytest.approx(aware["ridge"])
    assert aware["xgboost"] > plain["xgboost"] + 0.04


def test_correlations_are_those_of_the_scores_before_the_session_and_of_no_other():
    predictions = planted_predictions({"ridge": 0.0, "xgboost": 1.0})
    settings = EnsembleSettings(shrinkage=0.0, half_life_sessions=1e9)
    session = PANEL.sessions[10]
    measured = ScoreCorrelations.of(predictions).before(session, ["ridge", "xgboost"], settings)
    first = predictions.group_by("session").agg(pl.col("decision_time").min())
    seen = predictions.join(first, on=["session", "decision_time"]).filter(pl.col("session") < session)
    wide = seen.pivot("model", index=["decision_time", "symbol"], values="score").cast(
        {"ridge": pl.Float64, "xgboost": pl.Float64}
    )
    by_time = wide.group_by("decision_time").agg(pl.corr("ridge", "xgboost"))
    assert measured[0, 1] == pytest.approx(by_time["ridge"].mean(), abs=1e-6)
    flipped = predictions.with_columns(
        pl.when(pl.col("session") >= session, pl.col("model") == "ridge")
        .then(-pl.col("score"))
        .otherwise("score")
        .alias("score")
    )
    assert (ScoreCorrelations.of(flipped).before(session, ["ridge", "xgboost"], settings) == measured).all()


def test_a_family_that_never_scored_beside_another_counts_as_alike_as_the_rest():
    predictions = planted_predictions({"ridge": 1.0, "xgboost": 1.0})
    settings = EnsembleSettings(shrinkage=0.0)
    measured = ScoreCorrelations.of(predictions).before(PANEL.sessions[9], ["mlp", "ridge", "xgboost"], settings)
    assert measured[0, 1] == measured[0, 2] == pytest.approx(measured[1, 2])
    nothing = ScoreCorrelations.of(predictions.clear()).before(PANEL.sessions[9], ["mlp", "ridge"], settings)
    assert nothing.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_a_constant_family_is_alike_to_none():
    predictions = planted_predictions({"ridge": 1.0, "xgboost": 1.0}).with_columns(
        pl.when(pl.col("model") == "ridge").then(1.0).otherwise("score").alias("score").cast(pl.Float32)
    )
    measured = ScoreCorrelations.of(predictions).before(PANEL.sessions[9], ["ridge", "xgboost"], EnsembleSettings())
    assert measured.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_the_best_single_family_is_chosen_by_what_had_matured():
    rows = [
        (s, family, ic, 1) for s in (0, 1, 2) for family, ic in (("ridge", 0.03), ("lightgbm", 0.05), ("xgboost", 0.05))
    ]
    settings = Settings(ensemble=EnsembleSettings(minimum_sessions=2))
    families = ["ridge", "lightgbm", "xgboost"]
    frame = ensemble_weights([PANEL.sessions[5]], PANEL.opens, evidence(rows), families, settings)
    assert frame.filter("best_single")["model"].to_list() == ["lightgbm"]  # a tie goes to the first by name
    cold = ensemble_weights([PANEL.sessions[5]], PANEL.opens, evidence(rows[:2]), families, settings)
    assert not cold["best_single"].any()
    later = [*rows, (3, "ridge", 9.0, 9)]
    assert ensemble_weights([PANEL.sessions[5]], PANEL.opens, evidence(later), families, settings).equals(frame)


def test_the_best_single_score_is_that_familys_z_score():
    predictions = planted_predictions({"ridge": 1.0, "xgboost": 1.0})
    weights = pl.DataFrame({"session": PANEL.sessions}).join(
        pl.DataFrame({"model": ["ridge", "xgboost"], "weight": [0.5, 0.5], "best_single": [False, True]}), how="cross"
    )
    combined = combine(predictions, weights)
    alone = combine(predictions.filter(model="xgboost"), weights.filter(model="xgboost"))
    assert combined["best_single_score"].to_list() == pytest.approx(alone["score"].to_list())
    none = combine(predictions, weights.with_columns(pl.lit(value=False).alias("best_single")))
    assert none["best_single_score"].null_count() == none.height
    # The best family is missing for a session: no score of its own there, and the others carry the ensemble.
    session = PANEL.sessions[3]
    holed = combine(predictions.filter(~((pl.col("session") == session) & (pl.col("model") == "xgboost"))), weights)
    there = holed.filter(session=session)
    assert there["best_single_score"].null_count() == there.height
    assert there["score"].null_count() == 0
