from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.ensemble.ic_weighted_ensemble import combine
from aurora_pipeline.monitoring.scorecard import ScorecardInputs, build_scorecard, headline
from aurora_pipeline_tests.ensemble.test_ic_weighted_ensemble import PANEL, planted_predictions
from aurora_pipeline_tests.monitoring.test_performance import portfolio

PREDICTIONS = planted_predictions({"ridge": 0.0, "xgboost": 3.0})
WEIGHTS = pl.DataFrame({"session": PANEL.sessions}).join(
    pl.DataFrame({"model": ["ridge", "xgboost"], "weight": [0.9, 0.1]}), how="cross"
)
INPUTS = ScorecardInputs(
    predictions=PREDICTIONS,
    ensemble=combine(PREDICTIONS, WEIGHTS),
    labels=PANEL.labels,
    truth=PANEL.truth,
    portfolio=portfolio(np.full((30, 2), 100.0), np.full((30, 2), 20.0)),
    manifest={"seed": 1},
)


def test_the_card_is_json_and_says_what_is_planted() -> None:
    card = json.loads(json.dumps(build_scorecard(INPUTS), allow_nan=False))
    signal = card["signal"]
    assert signal["family_correlation_with_truth"]["ridge"] == pytest.approx(1.0, abs=2e-3)
    assert signal["family_correlation_with_truth"]["xgboost"] < 0.5
    assert signal["correlation_with_truth"] > signal["equal_weight_correlation_with_truth"]
    assert signal["rank_ic"]["mean"] > signal["family_ic"]["xgboost"]["mean"]
    assert signal["rank_ic"]["sessions"] == signal["sessions_scored"] - 1  # the last session has no matured label
    assert card["book"]["alpha_kept"] == pytest.approx(0.8)
    assert card["run"] == {"seed": 1}


def test_a_card_without_anything_is_still_a_card() -> None:
    card = json.loads(json.dumps(build_scorecard(ScorecardInputs()), allow_nan=False))
    assert card["signal"]["correlation_with_truth"] is None
    assert card["calibration"]["calibration_error"] is None
    assert all(value is None for value in headline(card).values())


def test_without_a_truth_there_is_no_correlation() -> None:
    card = build_scorecard(ScorecardInputs(ensemble=INPUTS.ensemble, labels=PANEL.labels))
    assert card["signal"]["correlation_with_truth"] is None
    assert card["signal"]["rank_ic"]["mean"] is not None


def test_the_headline_is_flat() -> None:
    numbers = headline(build_scorecard(INPUTS))
    assert numbers["alpha_kept"] == pytest.approx(0.8)
    assert numbers["rank_ic"] is not None
    assert all(value is None or isinstance(value, float) for value in numbers.values())
