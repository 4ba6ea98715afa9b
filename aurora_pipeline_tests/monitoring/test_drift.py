import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.contracts import empty, validated
from aurora_pipeline.features.transforms import centred_rank
from aurora_pipeline.monitoring.drift import (
    challengers_wanted,
    feature_drift,
    lost_features,
    prediction_drift,
    regime_drift,
    regime_measures,
    residual_drift,
)
from aurora_pipeline.settings import DriftSettings

DAYS = [date(2024, 3, 4) + timedelta(days=k) for k in range(40)]
RULES = DriftSettings(window_sessions=2, reference_sessions=10)


def panel(values, name="f", days=DAYS):
    """`values` of shape (sessions, symbols); NaN is missing."""
    rows = [
        (day, f"S{k:02d}", datetime(day.year, day.month, day.day, 21, tzinfo=UTC), None if math.isnan(x) else float(x))
        for day, row in zip(days, values, strict=True)
        for k, x in enumerate(row)
    ]
    schema = {**empty("features").schema, name: pl.Float32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_a_shift_of_raw_values_is_drift_and_their_ranks_hide_it():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(20, 50))
    values[15:] += 4.0
    raw = feature_drift(panel(values, days=DAYS[:20]), DAYS[12:20], RULES)
    assert raw.get_column("drifted").to_list() == [False] * 3 + [True] * 5
    starts = np.arange(0, 1001, 50)
    ranks = centred_rank(values.ravel(), starts).reshape(20, 50)
    hidden = feature_drift(panel(ranks, days=DAYS[:20]), DAYS[12:20], RULES)
    assert hidden.get_column("psi").max() == pytest.approx(0.0, abs=1e-9)


def test_a_feature_that_goes_missing_is_lost_the_same_session_and_one_that_always_was_is_not():
    values = np.random.default_rng(1).normal(size=(20, 10))
    values[15:] = np.nan
    found = feature_drift(panel(values, days=DAYS[:20]), DAYS[14:16], RULES)
    assert found.get_column("drifted").to_list() == [False, True]
    lost = lost_features(found, {"ridge": ["f"], "trees": ["f", "g"]}, RULES.missing)
    assert lost.filter(pl.col("session") == DAYS[15]).get_column("features_lost").to_list() == [1.0, 1.0]
    always = feature_drift(panel(np.full((20, 10), np.nan), days=DAYS[:20]), DAYS[14:16], RULES)
    assert not always.get_column("drifted").any()
    assert always.get_column("psi").null_count() == 2


def test_names_that_differ_for_good_are_all_in_the_reference_and_no_drift():
    days = [date(2024, 3, 4) + timedelta(days=k) for k in range(65)]
    values = np.random.default_rng(1).normal(size=(65, 64)) + 10.0 * (np.arange(64) % 2)
    rules = DriftSettings(window_sessions=5, reference_sessions=60)
    found = feature_drift(panel(values, days=days), days[-1:], rules)
    assert found.get_column("psi").max() < 0.1
    assert found.get_column("reference").item() == pytest.approx(values[:60].mean(), abs=1e-6)


def test_too_few_sessions_give_no_index_and_an_absent_session_no_row():
    values = np.random.default_rng(1).normal(size=(3, 10))
    found = feature_drift(panel(values, days=DAYS[:3]), [DAYS[0], DAYS[2], DAYS[30]], RULES)
    assert found.get_column("session").to_list() == [DAYS[0], DAYS[2]]
    assert found.get_column("psi").null_count() == 2
    validated("drift", found)


def test_a_refit_that_only_scales_the_scores_is_no_prediction_drift():
    scores = np.random.default_rng(1).normal(size=(20, 50))
    scores[15:] *= 100.0
    frame = panel(scores, "score", DAYS[:20]).with_columns(pl.lit("ridge").alias("model"))
    found = prediction_drift(frame, DAYS[12:20], RULES)
    assert found.get_column("kind").unique().to_list() == ["prediction"]
    assert found.get_column("subject").unique().to_list() == ["ridge"]
    assert not found.get_column("drifted").any()
    scores[15:] = np.where(scores[15:] > 100.0, 50.0, -1.0) + 1e-3 * scores[15:]
    frame = panel(scores, "score", DAYS[:20]).with_columns(pl.lit("ridge").alias("model"))
    assert prediction_drift(frame, DAYS[18:20], RULES).get_column("drifted").all()


def test_an_ic_that_falls_away_is_residual_drift_worked_by_hand():
    before = np.array([0.1, 0.0] * 10)
    ics = np.concatenate([before, np.full(10, -0.2)])
    (row,) = residual_drift({"ridge": {DAYS[0]: ics}}, 2, RULES).to_dicts()
    spread = before.std(ddof=1) * math.sqrt(2 * (1 / 10 + 1 / 20))
    assert row["z"] == pytest.approx((-0.2 - 0.05) / spread)
    assert row["drifted"]
    assert residual_drift({"ridge": {DAYS[0]: ics[:15]}}, 2, RULES).is_empty()
    better = residual_drift({"ridge": {DAYS[0]: np.concatenate([before, np.full(10, 0.3)])}}, 2, RULES)
    assert not better.get_column("drifted").item()


def test_a_market_that_turns_wild_is_a_new_regime():
    rng = np.random.default_rng(1)
    scale = np.where(np.arange(20) < 16, 1.0, 6.0)
    rows = pl.DataFrame(
        [
            (day, day_bar, float(m), float(r), None)
            for day, s in zip(DAYS[:20], scale, strict=True)
            for day_bar, m in enumerate(rng.normal(0, 0.001 * s, 30))
            for r in rng.normal(0, 0.002, 8)
        ],
        schema={
            "session": pl.Date,
            "bar_end": pl.Int64,
            "market_return": pl.Float64,
            "residual_return": pl.Float64,
            "quarantined_at": pl.Datetime,
        },
        orient="row",
    )
    found = regime_drift(regime_measures(rows), [DAYS[14], DAYS[17]], RULES)
    drifted = {(row["session"], row["subject"]): row["drifted"] for row in found.to_dicts()}
    assert drifted[DAYS[17], "market_volatility"]
    assert not drifted[DAYS[14], "market_volatility"]
    assert not drifted[DAYS[17], "residual_dispersion"]


def _drifted(session, kind, subject):
    return {"session": session, "kind": kind, "subject": subject, "value": 1.0, "reference": 0.0, "psi": 0.4, "ks": 0.5,
            "missing": 0.0, "reference_missing": 0.0, "z": -4.0, "drifted": True}  # fmt: skip


def test_a_models_own_drift_asks_for_its_family_and_the_markets_for_every_one_there_is():
    rows = [_drifted(DAYS[3], "residual", "lightgbm~2024-01-02"), _drifted(DAYS[9], "regime", "market_volatility")]
    frame = pl.DataFrame(rows, schema=empty("drift").schema)
    rules = DriftSettings(wait_sessions=3)
    families = {"ridge": DAYS[0], "lightgbm": DAYS[0], "added later": DAYS[10]}
    found = challengers_wanted(frame, DAYS, families, rules)
    asked = [(want.session, want.family) for want in found]
    assert asked == [(DAYS[3], "lightgbm"), (DAYS[9], "ridge"), (DAYS[9], "lightgbm")]
    assert found[0].reason == "residual drift of lightgbm~2024-01-02: z -4.0"
    patient = challengers_wanted(frame, DAYS, {"lightgbm": DAYS[0]}, DriftSettings(wait_sessions=10))
    assert [want.session for want in patient] == [DAYS[3]], "it had one six sessions before"
    assert challengers_wanted(frame, DAYS, {"ridge": DAYS[0]}, DriftSettings(most_challengers=0)) == []
    assert challengers_wanted(empty("drift"), DAYS, {"ridge": DAYS[0]}, rules) == []


def test_few_drifted_features_ask_for_nobody():
    rows = [_drifted(DAYS[3], "feature", "a")] + [
        _drifted(DAYS[3], "feature", name) | {"drifted": False} for name in "bc"
    ]
    frame = pl.DataFrame(rows, schema=empty("drift").schema)
    assert challengers_wanted(frame, DAYS, {"ridge": DAYS[0]}, DriftSettings()) == []
    assert len(challengers_wanted(frame, DAYS, {"ridge": DAYS[0]}, DriftSettings(feature_share=0.3))) == 1
