"""A family that cannot be trained sits its fold out by name, the others go on, and the next run puts everything right."""

import json
import shutil

import dagster as dg
import pytest

from aurora_pipeline.adapters.home import HOME_VARIABLE, Home
from aurora_pipeline.adapters.models.model_registry import ModelRegistry
from aurora_pipeline.defs.up_to_date import bring_up_to_date
from aurora_pipeline.errors import TrainingError
from aurora_pipeline.models import training_pipeline
from aurora_pipeline_tests.end_to_end.conftest import lake_hashes

FOLD = "2024-12"


@pytest.fixture
def home(tiny_home, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    monkeypatch.setenv("AURORA_TRAINING__RETRY_SECONDS", "0")
    shutil.copytree(tiny_home, tmp_path / "home")
    return Home(tmp_path / "home")


SCORED = ("predictions", "model_scores", "model_states", "ensemble_weights", "ensemble", "signals")


def _damage(home, family):
    """Spoil a stored model, so that it counts as missing, and forget what was made with it."""
    for name in SCORED:
        shutil.rmtree(home.lake.root / name, ignore_errors=True)
    directory = home.models / family / FOLD
    file = directory / next(iter(json.loads((directory / "manifest.json").read_text())["files"]))
    file.write_bytes(file.read_bytes() + b" ")


def test_the_others_go_on_without_a_family_that_fails_and_the_next_run_heals(home, tiny_home, monkeypatch):
    genuine, attempts = training_pipeline.train_on_block, []

    def faulty(family, *arguments):
        attempts.append(family)
        if family == "lightgbm":
            raise TrainingError(f"fold {FOLD}: nothing to learn")
        if attempts.count(family) == 1 and family == "xgboost":
            raise OSError("disk is busy")
        return genuine(family, *arguments)

    monkeypatch.setattr(training_pipeline, "train_on_block", faulty)
    for family in ("lightgbm", "xgboost"):
        _damage(home, family)
    done = bring_up_to_date(home, home.settings(), report=False)
    assert done.failed == [f"fold {FOLD}, trained_model/lightgbm: fold {FOLD}: nothing to learn"]
    assert attempts.count("lightgbm") == 1, "an error with a name is final"
    assert attempts.count("xgboost") == 2, "what may pass is tried again"
    others = sorted(set(home.settings().models.families) - {"lightgbm"})
    assert sorted(home.read("predictions").get_column("model").unique()) == others
    assert "lightgbm" in home.lake.branch_values("predictions", "model"), "computed, and empty"
    undisturbed = Home(tiny_home).read("ensemble")
    keys = ["symbol", "decision_time"]
    assert home.read("ensemble").select(keys).equals(undisturbed.select(keys))
    assert FOLD not in home.champions()["lightgbm"]
    client = ModelRegistry(home.mlflow).client
    experiment = client.get_experiment_by_name("aurora/lightgbm").experiment_id
    (failed,) = client.search_runs([experiment], "attributes.status = 'FAILED'")
    assert failed.data.tags["error"] == f"TrainingError: fold {FOLD}: nothing to learn"

    monkeypatch.setattr(training_pipeline, "train_on_block", genuine)
    assert bring_up_to_date(home, home.settings()).failed == []
    assert lake_hashes(home.path) == lake_hashes(tiny_home)
    assert bring_up_to_date(home, home.settings()).runs == []


def test_settings_that_fail_a_family_can_be_taken_back(home, tiny_home):
    settings = home.settings()
    constant = settings.models.model_copy(update={"lasso_penalties": (1.0,)})
    failed = bring_up_to_date(home, settings.model_copy(update={"models": constant}), replace_models=True, trade=False)
    assert [text.partition(":")[0] for text in failed.failed] == [f"fold {FOLD}, trained_model/lasso"]
    assert FOLD not in home.champions()["lasso"]
    assert bring_up_to_date(home, settings, replace_models=True, trade=False).failed == []
    assert FOLD in home.champions()["lasso"]
    again, undisturbed = lake_hashes(home.path), lake_hashes(tiny_home)
    assert {name: again[name] for name in undisturbed} == undisturbed


def test_if_nothing_can_be_trained_the_job_fails_and_says_why(home, monkeypatch):
    def broken(family, *_):
        raise TrainingError(f"{family} found nothing")

    monkeypatch.setattr(training_pipeline, "train_on_block", broken)
    for family in home.settings().models.families:
        _damage(home, family)
    with pytest.raises(TrainingError, match=r"not one model could be trained:[\s\S]*ridge: ridge found nothing"):
        bring_up_to_date(home, home.settings())


def test_a_session_no_family_serves_is_refused_by_name(home):
    from aurora_pipeline.defs.instances import instance_of
    from aurora_pipeline.defs.launcher import Launcher
    from aurora_pipeline.errors import ModelError

    home.champions_file.unlink()
    day = home.sessions(home.settings())[-1].isoformat()
    with (
        instance_of(home) as instance,
        pytest.raises(ModelError, match=f"no model of any family serves fold.s. {FOLD}"),
    ):
        Launcher(home, instance).job("predict", first=day, last=day)
    with instance_of(home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["trained_model", "ridge"]))
    assert event is not None
