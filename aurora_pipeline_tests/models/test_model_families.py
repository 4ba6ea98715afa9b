"""One behaviour suite, run over every family."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from aurora_pipeline.errors import ModelError, SettingsError, TrainingError
from aurora_pipeline.models.model_factory import FAMILIES, LINEAR_FAMILIES, Model, create_model, load_model
from aurora_pipeline.models.tail_choice import (
    best_of_tail,
    mean_rank_correlation,
    round_choices,
    within_one_standard_error,
)
from aurora_pipeline.models.train_block import TrainBlock, build_train_block
from aurora_pipeline.models.walk_forward import make_folds, purged_labels
from aurora_pipeline.settings import ModelSettings, Settings, WalkForwardSettings
from aurora_pipeline.settings.section import Family
from aurora_pipeline_tests.planted_panel import CALENDAR, planted_panel


def settings_with(threads: int = 2, seed: int = 1) -> Settings:
    return Settings(
        threads=threads,
        seed=seed,
        walk_forward=WalkForwardSettings(sample_bars=1),
        models=ModelSettings(
            tree_rounds=80,
            tree_leaf_penalty=1.0,
            tree_feature_share=1.0,
            catboost_rounds=40,
            ranker_rounds=40,
            forest_trees=40,
            forest_feature_share=0.7,
            network_epochs=16,
            network_weight_decay=1.0,
        ),
    )


def make_block() -> TrainBlock:
    panel = planted_panel()
    settings = settings_with()
    fold = make_folds(panel.sessions, "5min", settings)[0]
    labels = purged_labels(panel.labels, fold, CALENDAR, settings)
    return build_train_block(fold, panel.features, labels, settings, panel.feature_names)[0]


BLOCK = make_block()
every_family = pytest.mark.parametrize("family", FAMILIES)


def fitted(family: str, block: TrainBlock = BLOCK, threads: int = 1, seed: int = 1) -> Model:
    model = create_model(family, settings_with(threads, seed))
    model.fit(block)
    return model


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Model:
    return fitted(request.param)


def test_finds_what_is_planted(model: Model) -> None:
    panel = planted_panel()
    later = panel.features.filter(panel.features["session"] > panel.sessions[62])
    truth = later.join(panel.truth, on=["symbol", "decision_time"], how="left", maintain_order="left")
    score = mean_rank_correlation(
        model.predict(np.ascontiguousarray(later.select(panel.feature_names).to_numpy())),
        truth["expected_residual_return"].to_numpy().astype(np.float32),
        later["decision_time"].to_physical().to_numpy(),
    )
    assert score > 0.8
    assert model.describe()["validation_ic"] > 0.15


def test_a_second_fit_with_other_threads_agrees_to_the_last_bit(model: Model) -> None:
    other = fitted(model.family, threads=2)
    assert np.array_equal(model.predict(BLOCK.X), other.predict(BLOCK.X))
    assert model.describe() == other.describe()


def test_a_row_alone_equals_the_row_in_a_batch(model: Model) -> None:
    X = BLOCK.X[:60].copy()
    X[::7, 1] = np.nan
    alone = np.concatenate([model.predict(X[i : i + 1]) for i in range(len(X))])
    assert np.array_equal(model.predict(X), alone)
    assert alone.dtype == np.float32


def test_saved_and_loaded_predicts_the_same(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    loaded = load_model(model.family, tmp_path, threads=1)
    assert np.array_equal(loaded.predict(BLOCK.X), model.predict(BLOCK.X))


def test_equal_fits_write_equal_files(model: Model, tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder, equal in zip(folders, (model, fitted(model.family)), strict=True):
        folder.mkdir()
        equal.save(folder)
    first, second = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders)
    assert first == second


def test_description_is_json_and_names_the_choice(model: Model) -> None:
    described = json.loads(json.dumps(model.describe(), allow_nan=False))
    assert described["family"] == model.family
    chosen = [described[name] for name in ("penalty", "rounds", "epochs") if name in described]
    assert str(chosen[0]) in described["tail_ic"]
    assert described["trials"] == len(described["tail_ic"])
    assert described["unusable_features"] == []


def test_the_number_of_columns_is_checked(model: Model) -> None:
    with pytest.raises(ModelError, match="trained on 6 feature"):
        model.predict(BLOCK.X[:, :5])


def test_a_damaged_file_is_a_named_error(model: Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="train the fold again"):
        load_model(model.family, tmp_path)
    model.save(tmp_path)
    for file in tmp_path.iterdir():
        file.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="not a stored"):
        load_model(model.family, tmp_path)


@every_family
def test_an_all_null_feature_is_named_and_ignored(family: str) -> None:
    X = BLOCK.X.copy()
    X[:, 2] = np.nan
    blind = fitted(family, dataclasses.replace(BLOCK, X=X))
    assert blind.describe()["unusable_features"] == ["feature_2"]
    assert np.array_equal(blind.predict(X), blind.predict(BLOCK.X))


@every_family
def test_a_constant_prediction_is_an_error(family: str) -> None:
    with pytest.raises(TrainingError, match=f"{family}: .*constant"):
        fitted(family, dataclasses.replace(BLOCK, X=np.zeros_like(BLOCK.X)))


@every_family
def test_a_handful_of_rows_is_fitted_or_refused_by_name(family: str) -> None:
    """Two names at three decision times, the last one the tail: no library may fail in its own words."""
    rows = np.concatenate([np.flatnonzero(BLOCK.groups == moment)[:2] for moment in np.unique(BLOCK.groups)[:3]])
    block = TrainBlock(
        BLOCK.feature_names,
        BLOCK.X[rows],
        BLOCK.target[rows],
        BLOCK.groups[rows],
        BLOCK.weights[rows],
        np.arange(4),
        np.arange(4, 6),
        (),
    )
    try:
        scores = fitted(family, block).predict(BLOCK.X)
    except TrainingError:
        return
    assert np.isfinite(scores).all()
    assert np.ptp(scores) > 0.0


@every_family
def test_the_tail_does_not_enter_the_fit_it_judges(family: str) -> None:
    """With the tail's targets turned round the same search must score exactly the opposite there."""
    block = dataclasses.replace(BLOCK, splits=((BLOCK.fit, BLOCK.validation),))
    target = BLOCK.target.copy()
    target[BLOCK.validation] *= -1.0
    clean = fitted(family, block).describe()["tail_ic"]
    turned = fitted(family, dataclasses.replace(block, target=target)).describe()["tail_ic"]
    assert {choice: -ic for choice, ic in turned.items()} == clean


def test_the_best_of_the_tail_is_the_smaller_of_equals() -> None:
    assert best_of_tail({25: 0.1, 50: 0.2, 75: 0.2, 100: 0.05}) == 50
    assert round_choices(100) == [25, 50, 75, 100]
    assert round_choices(1) == [1]


def test_of_candidates_within_one_standard_error_the_simplest_is_taken() -> None:
    """Best mean 0.10 with a standard error of 0.02 over three stretches: 0.081 cannot be told from it, 0.079 can."""
    best = [0.10 - 0.02 * 3**0.5, 0.10, 0.10 + 0.02 * 3**0.5]
    assert within_one_standard_error({9: [0.079] * 3, 3: [0.081] * 3, 1: best}) == 3
    assert within_one_standard_error({9: [0.079] * 3, 3: [0.0799] * 3, 1: best}) == 1
    assert within_one_standard_error({9: [0.2, 0.2], 1: [0.1, 0.1]}) == 9


@every_family
def test_an_unfitted_model_is_a_named_error(family: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"{family}: predict was called before fit"):
        create_model(family, Settings()).predict(BLOCK.X)
    with pytest.raises(ModelError, match=f"{family}: save was called before fit"):
        create_model(family, Settings()).save(tmp_path)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in LINEAR_FAMILIES])
def test_the_seed_matters_where_rows_and_columns_are_drawn(family: str) -> None:
    assert not np.array_equal(fitted(family, seed=1).predict(BLOCK.X), fitted(family, seed=2).predict(BLOCK.X))


def test_every_family_can_be_chosen_in_the_settings_in_the_same_order() -> None:
    assert get_args(Family) == FAMILIES, "`Family` of settings/section.py and `_MEMBERS` of model_factory.py differ"
    assert LINEAR_FAMILIES == ("ridge", "lasso", "elastic_net")


def test_unknown_families_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no family 'oracle'.*ridge"):
        create_model("oracle", Settings())
    with pytest.raises(ModelError, match=r"family 'oracle'.*ridge"):
        load_model("oracle", tmp_path)
