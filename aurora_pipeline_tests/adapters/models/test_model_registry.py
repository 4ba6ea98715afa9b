"""MLflow on a real SQLite file: what is recorded, and that recording again or after a crash adds nothing."""

import shutil
from dataclasses import replace

import pytest

from aurora_pipeline.adapters.models.model_registry import FoldRecord, ModelRegistry


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry in a directory where making the database was cut off before."""
    directory = tmp_path_factory.mktemp("mlflow")
    for name in (".mlflow.db.new", ".mlflow.db.new-journal"):
        (directory / name).write_bytes(b"half made")
    return ModelRegistry(directory)


def _record(tmp_path, family, fold, **metrics):
    directory = tmp_path / family / fold
    directory.mkdir(parents=True)
    (directory / "model.json").write_text("{}")
    (directory / "model_card.md").write_text("# card")
    version = f"{family}-{fold}-abc"
    return FoldRecord(
        family, fold, version, directory, {"penalty": 3.0}, metrics, {"lake_fingerprint": "f00"}, "a model"
    )


def _runs(registry, family):
    return registry.client.search_runs([registry.client.get_experiment_by_name(f"aurora/{family}").experiment_id])


def test_a_database_that_was_cut_off_is_made_anew(registry):
    assert registry.client.search_experiments()
    assert sorted(path.name for path in registry.directory.iterdir()) == [".lock", "mlflow.db"]


def test_a_fold_is_recorded_once_with_everything(registry, tmp_path):
    record = _record(tmp_path, "once", "2024-08", in_fold_ic=0.1, validation_ic=None)
    run_id = registry.record_fold(record)
    assert registry.record_fold(record) == run_id
    (run,) = _runs(registry, "once")
    assert run.data.params == {"penalty": "3.0"}
    assert run.data.metrics == {"in_fold_ic": 0.1}
    assert run.data.tags["lake_fingerprint"] == "f00"
    assert sorted(item.path for item in registry.client.list_artifacts(run_id, "model")) == [
        "model/model.json",
        "model/model_card.md",
    ]
    (version,) = registry.client.search_model_versions("name='aurora-once'")
    assert version.run_id == run_id
    assert version.tags == {"fold": "2024-08", "model_version": "once-2024-08-abc", "lake_fingerprint": "f00"}


def test_training_names_folds_and_no_champion(registry, tmp_path):
    for fold in ("2024-08", "2024-10", "2024-09"):
        registry.record_fold(_record(tmp_path, "order", fold))
    aliases = registry.client.get_registered_model("aurora-order").aliases
    assert set(aliases) == {"fold-2024-08", "fold-2024-09", "fold-2024-10"}


def test_a_fold_that_went_back_to_an_earlier_version_is_named_by_it(registry, tmp_path):
    first = _record(tmp_path, "back", "2024-08", in_fold_ic=0.1)
    for record in (first, replace(first, version="back-2024-08-def"), first):
        registry.record_fold(record)
    version = registry.client.get_model_version_by_alias("aurora-back", "fold-2024-08")
    assert version.tags["model_version"] == first.version
    assert len(registry.client.search_model_versions("name='aurora-back'")) == 2


@pytest.mark.parametrize(
    "broken", ["log_artifacts", "create_model_version", "set_registered_model_alias", "set_terminated"]
)
def test_a_recording_that_was_cut_off_is_gone_on_with(registry, tmp_path, monkeypatch, broken):
    family = f"cut-{broken.replace('_', '-')}"
    record = _record(tmp_path, family, "2024-08", in_fold_ic=0.1)

    def fail(*_, **__):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(registry.client, broken, fail)
        with pytest.raises(OSError, match="killed"):
            registry.record_fold(record)
    run_id = registry.record_fold(record)
    (run,) = _runs(registry, family)
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert len(registry.client.search_model_versions(f"name='aurora-{family}'")) == 1


def test_out_of_fold_ic_goes_to_the_run_and_the_version_and_only_when_it_is_new(registry, tmp_path):
    run_id = registry.record_fold(_record(tmp_path, "later", "2024-08", in_fold_ic=0.1))
    version = "later-2024-08-abc"
    assert not registry.record_out_of_fold("later", "later-2024-07-abc", 0.5, 3), "no such run"
    assert registry.record_out_of_fold("later", version, 0.02, 5)
    assert not registry.record_out_of_fold("later", version, 0.02, 5)
    assert registry.record_out_of_fold("later", version, 0.03, 6)
    metrics = registry.client.get_run(run_id).data.metrics
    assert metrics == {"in_fold_ic": 0.1, "out_of_fold_ic": 0.03, "out_of_fold_sessions": 6.0}
    assert len(registry.client.get_metric_history(run_id, "out_of_fold_ic")) == 2
    (held,) = registry.client.search_model_versions(f"run_id = '{run_id}'")
    assert held.tags["out_of_fold_ic"] == "0.03000"


def test_a_failure_is_a_failed_run_that_says_why(registry):
    run_id = registry.record_failure("broken", "2024-08", "TrainingError: nothing to learn")
    run = registry.client.get_run(run_id)
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "TrainingError: nothing to learn")


def test_a_copied_registry_keeps_its_artefacts_beside_it_and_leaves_the_original_alone(tmp_path):
    original = ModelRegistry(tmp_path / "a_home" / "mlflow")
    run_id = original.record_fold(_record(tmp_path, "ridge", "2024-08"))
    held = sorted(tmp_path.glob("a_home/mlflow/artifacts/**/*"))
    shutil.copytree(tmp_path / "a_home", tmp_path / "moved home")
    copied = ModelRegistry(tmp_path / "moved home" / "mlflow")
    here = (copied.directory / "artifacts").as_uri()
    assert copied.client.get_run(run_id).info.artifact_uri.startswith(here)
    assert [version.source for version in copied.client.search_model_versions()] == [f"{here}/{run_id}/artifacts/model"]
    copied.record_fold(_record(tmp_path, "ridge", "2024-09"))
    assert sorted(tmp_path.glob("a_home/mlflow/artifacts/**/*")) == held
    assert len(list(copied.directory.glob("artifacts/*"))) == 2
    assert original.client.get_run(run_id).info.artifact_uri.startswith((original.directory / "artifacts").as_uri())
