from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.contracts import validated
from aurora_pipeline.errors import LeakageError, ModelError
from aurora_pipeline.models.training_pipeline import (
    load_trained,
    predict,
    prediction_violations,
    save_trained,
    train_model,
)
from aurora_pipeline.models.walk_forward import make_folds, purge_violations, purged_labels
from aurora_pipeline.monitoring.information_coefficient import correlation_with_truth
from aurora_pipeline_tests.models.test_model_families import settings_with
from aurora_pipeline_tests.planted_panel import CALENDAR, planted_panel

SETTINGS = settings_with()
PANEL = planted_panel()
FOLD = make_folds(PANEL.sessions, "5min", SETTINGS)[0]
LABELS = purged_labels(PANEL.labels, FOLD, CALENDAR, SETTINGS)
TEST_FEATURES = PANEL.features.filter(pl.col("session").is_in(FOLD.test_sessions))
TRAINED = train_model("ridge", FOLD, PANEL.features, LABELS, SETTINGS)


def test_version_names_family_fold_and_content() -> None:
    assert TRAINED.version.startswith(f"ridge-{FOLD.key}-")
    assert len(TRAINED.version.rpartition("-")[2]) == 12
    again = train_model("ridge", FOLD, PANEL.features, LABELS, SETTINGS, PANEL.feature_names)
    assert again.version == TRAINED.version
    assert again.manifest == TRAINED.manifest
    other_threads = train_model("ridge", FOLD, PANEL.features, LABELS, settings_with(threads=1))
    assert other_threads.version == TRAINED.version
    for changed in (
        train_model("ridge", FOLD, PANEL.features, LABELS.head(-1), SETTINGS),
        train_model("ridge", FOLD, PANEL.features, LABELS, SETTINGS, PANEL.feature_names[1:]),
        train_model("ridge", FOLD, PANEL.features, LABELS, settings_with(seed=2)),
    ):
        assert changed.version != TRAINED.version


def test_poison_in_and_after_the_test_block_does_not_reach_the_model() -> None:
    opens = CALENDAR.open(FOLD.test[0])
    labels = PANEL.labels.with_columns(
        pl.when(pl.col("matured_at") >= opens).then(1e6).otherwise("label").alias("label")
    )
    features = PANEL.features.with_columns(
        pl.when(pl.col("session") >= FOLD.test[0]).then(1e6).otherwise(name).cast(pl.Float32).alias(name)
        for name in PANEL.feature_names
    )
    poisoned = train_model("ridge", FOLD, features, purged_labels(labels, FOLD, CALENDAR, SETTINGS), SETTINGS)
    assert poisoned.version == TRAINED.version
    assert np.array_equal(
        poisoned.model.predict(np.ones((1, 6), np.float32)), TRAINED.model.predict(np.ones((1, 6), np.float32))
    )


def test_the_rows_trained_on_are_kept_for_the_purge_check() -> None:
    assert TRAINED.train_rows is not None
    assert TRAINED.train_rows.height == TRAINED.metrics["rows"] == LABELS.height
    assert purge_violations(TRAINED.train_rows, FOLD, CALENDAR).is_empty()
    with pytest.raises(LeakageError):
        train_model("ridge", FOLD, PANEL.features, PANEL.labels, SETTINGS)


def test_metrics_are_what_they_say() -> None:
    assert TRAINED.metrics["sessions"] == LABELS.get_column("session").n_unique()
    assert TRAINED.metrics["in_fold_ic"] > 0.2
    assert TRAINED.metrics["validation_ic"] > 0.15
    assert TRAINED.seconds > 0.0
    assert TRAINED.parameters["penalty"] == TRAINED.manifest["model"]["penalty"]
    json.dumps(TRAINED.manifest, allow_nan=False)


def test_predictions_follow_the_contract_and_find_the_truth() -> None:
    predictions = predict(TRAINED, TEST_FEATURES)
    assert validated("predictions", predictions).height == TEST_FEATURES.height
    assert predictions.get_column("model_version").unique().to_list() == [TRAINED.version]
    mean = correlation_with_truth(predictions, PANEL.truth).mean
    assert mean is not None
    assert mean > 0.9


def test_one_decision_time_equals_the_range() -> None:
    together = predict(TRAINED, TEST_FEATURES)
    moment = TEST_FEATURES.get_column("decision_time")[100]
    alone = predict(TRAINED, TEST_FEATURES.filter(decision_time=moment))
    assert alone.equals(together.filter(decision_time=moment))


def test_stored_and_loaded_is_the_same_version(tmp_path: Path) -> None:
    directory = tmp_path / "ridge" / FOLD.key
    manifest = save_trained(TRAINED, directory, extra={"fingerprint": "abc"})
    assert manifest["fingerprint"] == "abc"
    assert sorted(file.name for file in directory.iterdir()) == ["manifest.json", "ridge.json"]
    loaded = load_trained(directory)
    assert loaded.version == TRAINED.version
    assert loaded.features_hash == TRAINED.features_hash
    assert predict(loaded, TEST_FEATURES).equals(predict(TRAINED, TEST_FEATURES))
    before = (directory / "manifest.json").read_bytes()
    save_trained(TRAINED, directory, extra={"fingerprint": "abc"})
    assert (directory / "manifest.json").read_bytes() == before
    assert [entry.name for entry in directory.parent.iterdir()] == [FOLD.key]  # no temporary directory stays behind


def test_a_failed_save_leaves_the_stored_version_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "stored"
    save_trained(TRAINED, directory)

    def fail(_: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(TRAINED.model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_trained(TRAINED, directory)
    assert load_trained(directory).version == TRAINED.version
    assert [entry.name for entry in tmp_path.iterdir()] == ["stored"]


def _edit(directory: Path, key: str, value: object) -> None:
    file = directory / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "ridge.json").write_text("{}"), "ridge.json: sha256 is"),
        (lambda d: (d / "ridge.json").unlink(), "ridge.json: missing, but the manifest"),
        (lambda d: (d / "manifest.json").unlink(), "manifest.json: missing or unreadable"),
        (lambda d: (d / "manifest.json").write_text("{"), "manifest.json: missing or unreadable"),
        (lambda d: _edit(d, "features", ["feature_1"]), "feature list does not match its sha256"),
        (lambda d: _edit(d, "family", "oracle"), "family 'oracle'"),
    ],
)
def test_a_changed_store_is_refused(tmp_path: Path, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    save_trained(TRAINED, tmp_path / "stored")
    damage(tmp_path / "stored")
    with pytest.raises(ModelError, match=message):
        load_trained(tmp_path / "stored")


def test_features_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match=f"{TRAINED.version}: feature.s. feature_4 are not"):
        predict(TRAINED, TEST_FEATURES.drop("feature_4"))
    infinite = TEST_FEATURES.with_columns(pl.lit(-np.inf, pl.Float32).alias("feature_1"))
    with pytest.raises(ModelError, match="feature_1 is -inf for S00"):
        predict(TRAINED, infinite)


def test_column_order_and_further_columns_do_not_matter() -> None:
    shuffled = TEST_FEATURES.select("decision_time", *reversed(PANEL.feature_names), "symbol", "session")
    shuffled = shuffled.with_columns(pl.lit(1.0, pl.Float32).alias("new_feature"))
    assert predict(TRAINED, shuffled).equals(predict(TRAINED, TEST_FEATURES))


def test_a_row_without_any_feature_gets_no_score() -> None:
    blank = pl.col("symbol") == "S03"
    features = TEST_FEATURES.with_columns(
        pl.when(blank).then(None).otherwise(name).alias(name) for name in PANEL.feature_names
    )
    predictions = predict(TRAINED, features)
    assert predictions.filter(symbol="S03").is_empty()
    assert prediction_violations(predictions, features).is_empty()
    assert prediction_violations(predictions, TEST_FEATURES).get_column("symbol").unique().to_list() == ["S03"]


def test_a_constant_decision_time_is_a_violation() -> None:
    predictions = predict(TRAINED, TEST_FEATURES)
    moment = predictions.get_column("decision_time")[0]
    flat = pl.when(pl.col("decision_time") == moment).then(0.5).otherwise("score").cast(pl.Float32).alias("score")
    found = prediction_violations(predictions.with_columns(flat), TEST_FEATURES)
    assert found.select("symbol", "decision_time", "reason").rows() == [(None, moment, "constant score")]


@pytest.mark.parametrize(
    ("family", "libraries"),
    [
        ("ridge", []),
        ("neural_network", []),
        ("catboost", ["catboost"]),
        ("ranker", ["lightgbm"]),
    ],
)
def test_serving_imports_only_the_family_s_own_library(tmp_path: Path, family: str, libraries: list[str]) -> None:
    save_trained(train_model(family, FOLD, PANEL.features, LABELS, SETTINGS), tmp_path / "stored")
    program = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from aurora_pipeline.models.training_pipeline import load_trained\n"
        f"load_trained(Path({str(tmp_path / 'stored')!r})).model.predict(np.zeros((1, 6), np.float32))\n"
        "print([name for name in ('catboost', 'lightgbm', 'optuna', 'xgboost') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(libraries)


def test_a_search_is_recorded_in_the_manifest_and_moves_the_version(tmp_path: Path) -> None:
    models = SETTINGS.models.model_copy(update={"search_trials": 2})
    searched = train_model("elastic_net", FOLD, PANEL.features, LABELS, SETTINGS.model_copy(update={"models": models}))
    manifest = save_trained(searched, tmp_path / "stored")
    assert manifest["model"]["trials"] == 2 * len(models.elastic_net_penalties)
    assert [set(trial) for trial in manifest["model"]["searched"]] == [{"settings", "validation_ic", "candidates"}] * 2
    assert searched.version != train_model("elastic_net", FOLD, PANEL.features, LABELS, SETTINGS).version


def test_a_symbol_never_seen_in_training_is_scored_by_its_features() -> None:
    seen = LABELS.filter(pl.col("symbol") != "S07")
    trained = train_model("random_forest", FOLD, PANEL.features, seen, SETTINGS)
    assert trained.train_rows is not None
    assert "S07" not in trained.train_rows.get_column("symbol").to_list()
    scores = predict(trained, TEST_FEATURES.filter(symbol="S07"))
    renamed = TEST_FEATURES.filter(symbol="S07").with_columns(symbol=pl.lit("S08"))
    assert scores.height == renamed.height
    assert scores.get_column("score").equals(predict(trained, renamed).get_column("score"))
