from __future__ import annotations

import json
from pathlib import Path

import pytest

from aurora_pipeline.models.stored_model import stamp_fingerprint, stored_fingerprint
from aurora_pipeline.models.training_pipeline import load_trained, save_trained
from aurora_pipeline_tests.models.test_training_pipeline import TRAINED


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    save_trained(TRAINED, tmp_path / "fold", documents={"model_card.md": "# card"})
    return tmp_path / "fold"


def test_a_model_counts_once_its_fingerprint_is_there(stored: Path, tmp_path: Path) -> None:
    assert stored_fingerprint(tmp_path / "nothing") is None
    assert stored_fingerprint(stored) is None
    stamp_fingerprint(stored, "abc")
    assert stored_fingerprint(stored) == "abc"
    assert load_trained(stored).version == TRAINED.version
    assert [entry.name for entry in tmp_path.iterdir()] == ["fold"]
    save_trained(TRAINED, stored)
    assert stored_fingerprint(stored) is None, "written anew, it is not published yet"


@pytest.mark.parametrize("damage", ["change", "remove", "manifest", "list"])
def test_a_damaged_model_counts_as_missing(stored: Path, damage: str) -> None:
    stamp_fingerprint(stored, "abc")
    if damage == "change":
        (stored / "ridge.json").write_text("{}")
    elif damage == "remove":
        (stored / "ridge.json").unlink()
    else:
        content = "{" if damage == "manifest" else json.dumps([1])
        (stored / "manifest.json").write_text(content)
    assert stored_fingerprint(stored) is None


def test_no_prediction_depends_on_the_card(stored: Path) -> None:
    stamp_fingerprint(stored, "abc")
    (stored / "model_card.md").write_text("# annotated by hand")
    assert stored_fingerprint(stored) == "abc"
    assert load_trained(stored).version == TRAINED.version
