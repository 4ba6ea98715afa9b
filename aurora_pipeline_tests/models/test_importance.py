from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.models import importance
from aurora_pipeline.models.importance import feature_importance, permutation_importance
from aurora_pipeline.models.model_card import model_card
from aurora_pipeline.models.training_pipeline import train_on_block
from aurora_pipeline.models.walk_forward import make_folds
from aurora_pipeline_tests.models.test_model_families import BLOCK, FAMILIES, fitted, settings_with
from aurora_pipeline_tests.planted_panel import planted_panel

ROWS = pl.DataFrame(
    {"session": [planted_panel().sessions[0]], "decision_time": [0], "matured_at": [planted_panel().opens.popitem()[1]]}
)
FOLD = make_folds(planted_panel().sessions, "5min", settings_with())[0]


class Doubled:
    """Scores by twice the first feature; whatever the others hold does not matter."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        return 2.0 * X[:, 0]


def test_only_what_a_model_uses_has_importance() -> None:
    target = BLOCK.X[:, 0].copy()
    lost = permutation_importance(Doubled(), dataclasses.replace(BLOCK, target=target), seed=1)  # type: ignore[arg-type]
    assert lost[0] == pytest.approx(1.0, abs=0.15)  # a perfect IC of 1 falls to chance
    assert lost[1:] == [0.0] * (len(lost) - 1)


def test_the_planted_half_of_the_features_comes_first_and_seeds_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "PERMUTED_DECISION_TIMES", 40)  # the whole tail: 30 names a time are few
    model = fitted("ridge")
    found = feature_importance(model, BLOCK, {}, seed=3)
    assert set(found.get_column("feature")[:3]) == {"feature_0", "feature_1", "feature_2"}
    assert found.get_column("gain").null_count() == found.height
    assert feature_importance(model, BLOCK, {}, seed=3).equals(found)
    assert not feature_importance(model, BLOCK, {}, seed=4).equals(found)


def test_gain_is_a_share() -> None:
    found = feature_importance(fitted("ridge"), BLOCK, {"feature_0": 3.0, "feature_4": 1.0}, seed=1)
    shares = dict(found.select("feature", "gain").iter_rows())
    assert (shares["feature_0"], shares["feature_4"], shares["feature_1"]) == (0.75, 0.25, 0.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_leaving_out_features_without_gain_changes_nothing(family: str) -> None:
    X = BLOCK.X.copy()
    X[:, 4:] = 0.0
    X[-1, 4:] = 1.0  # one row, too few for a leaf, and yet a column that shuffling changes
    block = dataclasses.replace(BLOCK, X=X)
    trained = train_on_block(family, FOLD, block, ROWS, settings_with())
    gains = trained.importance.get_column("gain").drop_nulls()
    assert gains.is_empty() or (gains == 0.0).any()
    every = permutation_importance(trained.model, block, settings_with().seed)
    found = dict(trained.importance.select("feature", "permutation").iter_rows())
    assert [found[name] for name in BLOCK.feature_names] == every


@pytest.mark.parametrize("family", FAMILIES)
def test_families_that_share_a_block_leave_it_as_it_was(family: str) -> None:
    arrays = (BLOCK.X, BLOCK.target, BLOCK.groups, BLOCK.weights, BLOCK.fit, BLOCK.validation)
    before = [array.tobytes() for array in arrays]
    trained = train_on_block(family, FOLD, BLOCK, ROWS, settings_with())
    assert [array.tobytes() for array in arrays] == before
    assert trained.importance.height == len(BLOCK.feature_names)


def test_the_card_says_what_a_reader_must_know() -> None:
    blind = dataclasses.replace(BLOCK, X=np.where(np.arange(BLOCK.X.shape[1]) == 5, np.nan, BLOCK.X).astype(np.float32))
    trained = train_on_block("ridge", FOLD, blind, ROWS, settings_with())
    card = model_card(trained.manifest, trained.importance, {"lake_fingerprint": "abc123"})
    assert card.startswith(f"# {trained.version}\n")
    assert "hence ignored: feature_5" in card
    assert "lake_fingerprint: `abc123`" in card
    assert f"{FOLD.train[0]} to {FOLD.train[1]}" in card
    assert f"| in fold | {trained.metrics['in_fold_ic']:.4f} |" in card
    assert card.index("| feature_") > card.index("## What it leans on")
