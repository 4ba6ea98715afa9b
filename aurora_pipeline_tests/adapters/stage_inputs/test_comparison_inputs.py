"""What a comparison reads: aligned scores, baselines signed by the fold's own audit, trials, and what is missing by name."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.adapters.stage_inputs.comparison import read_comparison_inputs, recorded_trials
from aurora_pipeline.contracts import empty
from aurora_pipeline.errors import LakeError
from aurora_pipeline.monitoring.model_comparison import compare_models
from aurora_pipeline.settings import Settings
from aurora_pipeline_tests.planted_panel import planted_panel

PLANTED = planted_panel(sessions=50, names=20)
SETTINGS = Settings.model_validate(
    {
        "warm_up_sessions": 10,
        "walk_forward": {"minimum_train_sessions": 5},
        "models": {"families": ["ridge", "lightgbm", "xgboost"]},
    }
)


@pytest.fixture
def home(tmp_path):
    """Labels and features of 50 sessions, scores of two families; three folds, of which the first is audited."""
    sessions = PLANTED.sessions
    Home(tmp_path).record_market(
        MarketRecord(name="planted", first_session=sessions[0], last_session=sessions[-1], live=False)
    )
    made = Home(tmp_path)
    every = {day.isoformat(): "made" for day in sessions}
    scored = {day.isoformat(): "made" for day in sessions[10:]}
    made.lake.write_sessions("labels", PLANTED.labels, every)
    features = PLANTED.features.with_columns(pl.col("feature_5").alias("residual_reversal_1"))
    made.lake.write_sessions("features", features, every)
    for family, feature in (("ridge", "feature_0"), ("lightgbm", "feature_3")):
        predictions = PLANTED.features.filter(pl.col("session") >= sessions[10]).select(
            "session",
            "symbol",
            "decision_time",
            pl.lit(family).alias("model"),
            pl.lit(f"{family}-1").alias("model_version"),
            pl.col(feature).alias("score"),
        )
        made.lake.write_sessions("predictions", predictions, scored, model=family)
    rows = pl.DataFrame(
        [{"fold": "2025-01", "feature": f"feature_{k}", "ic": ic} for k, ic in enumerate((0.1, -0.2, 0.0))]
    )
    texts = {"view": "price", "role": "signal", "expected_missing": "never", "verdict": "unproven"}
    rows = rows.with_columns(pl.lit(0.0).alias("coverage"), *(pl.lit(text).alias(name) for name, text in texts.items()))
    audit = pl.concat([empty("feature_audit"), rows], how="diagonal")
    made.lake.write("feature_audit", audit, fingerprint="made", fold="2025-01")
    return made


def test_scores_are_side_by_side_and_only_those_of_the_served_span(home):
    found = read_comparison_inputs(home, SETTINGS)
    assert (found.first, found.last) == (PLANTED.sessions[10], PLANTED.sessions[-1])
    assert list(found.inputs.kinds) == ["ridge", "lightgbm", "zero", "signed_features", "reversal", "momentum"]
    assert found.inputs.scores.height == 40 * 3 * 20
    row = found.inputs.scores.row(777, named=True)
    source = PLANTED.features.filter(
        pl.col("symbol") == row["symbol"], pl.col("decision_time") == row["decision_time"]
    ).row(0, named=True)
    assert (row["ridge"], row["lightgbm"]) == (source["feature_0"], source["feature_3"])
    assert row["reversal"] == source["feature_5"]


def test_a_fold_is_signed_by_its_own_audit_only(home):
    scores = read_comparison_inputs(home, SETTINGS).inputs.scores
    by_month = scores.group_by(pl.col("session").dt.strftime("%Y-%m").alias("month")).agg(
        pl.col("signed_features").count().alias("scored"), pl.len().alias("rows")
    )
    counted = {month: (scored, rows) for month, scored, rows in by_month.iter_rows()}
    assert counted["2025-01"][0] == counted["2025-01"][1] > 0
    assert counted["2025-02"][0] == counted["2025-03"][0] == 0


def test_what_is_missing_is_said_by_name(home):
    notes = "\n".join(read_comparison_inputs(home, SETTINGS).notes)
    assert "xgboost has no stored predictions" in notes
    assert "no ensemble is stored" in notes
    assert "momentum is empty" in notes
    assert "fold(s) 2025-02, 2025-03 were not audited" in notes
    assert "signed_features has no score in" in notes
    assert "reversal" not in notes


def test_the_table_can_be_made_of_it_without_universe_and_returns(home):
    table = compare_models(read_comparison_inputs(home, SETTINGS).inputs)
    ic = table.filter(pl.col("measure") == "ic", pl.col("dimension") == "all")
    found = dict(ic.select("model", "value").iter_rows())
    assert found["ridge"] > 0.05 > abs(found["lightgbm"])
    assert found["momentum"] is None


def test_without_labels_it_says_so(home):
    for day in PLANTED.sessions:
        home.lake.remove("labels", day.isoformat())
    assert any("no label has matured" in note for note in read_comparison_inputs(home, SETTINGS).notes)


def test_a_home_without_predictions_is_refused(tmp_path):
    with pytest.raises(LakeError, match="no predictions from 2024-05-14"):
        read_comparison_inputs(Home(tmp_path), SETTINGS)


def store(home: Path, family: str, fold: str, described: dict[str, object]) -> None:
    directory = home / "models" / family / fold
    directory.mkdir(parents=True)
    (directory / "manifest.json").write_text(json.dumps({"model": described}))


def test_every_setting_of_a_search_counts_with_its_candidates(tmp_path):
    first = {"settings": {"leaves": 8}, "validation_ic": 0.1, "candidates": 4}
    second = {"settings": {"leaves": 16}, "validation_ic": 0.2, "candidates": 4}
    third = {"settings": {"leaves": 31}, "validation_ic": 0.2, "candidates": 2}
    store(tmp_path, "lightgbm", "2024-08", {"tail_ic": {"75": 0.2}, "searched": [first, second]})
    store(tmp_path, "lightgbm", "2024-09", {"tail_ic": {"75": 0.2}, "searched": [first, third]})
    assert recorded_trials(Home(tmp_path), ["lightgbm"]) == {"lightgbm": 10}


def test_a_configuration_tried_in_several_folds_is_one_trial(tmp_path):
    store(tmp_path, "ridge", "2024-08", {"tail_ic": {"1000.0": 0.1, "3000.0": 0.2}})
    store(tmp_path, "ridge", "2024-09", {"tail_ic": {"1000.0": 0.3, "9000.0": 0.1}})
    store(tmp_path, "lightgbm", "2024-08", {})
    assert recorded_trials(Home(tmp_path), ("ridge", "lightgbm", "xgboost")) == {"ridge": 3, "lightgbm": 1}
