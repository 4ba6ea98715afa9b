"""Killing a run or a backfill at any moment and starting it again leaves no trace in the results."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from aurora_pipeline import open_home
from aurora_pipeline.adapters.models.model_registry import ModelRegistry
from aurora_pipeline_tests.end_to_end.conftest import FEW, SHORT, aurora, lake_hashes, settings

KILLS = 6
BACKFILL_KILLS = 10


def _start(*arguments):
    command = [sys.executable, "-m", "aurora_pipeline.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _killed_run(market, home, seconds):
    process = _start("run", "--market", market, "--home", home, *settings(*SHORT))
    time.sleep(seconds)
    still_running = process.poll() is None
    if still_running:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return still_running


@pytest.mark.slow
def test_killing_a_run_at_any_moment_and_starting_again_gives_the_undisturbed_tables(tiny_market, tiny_home, tmp_path):
    home = tmp_path / "killed"
    moments = random.Random(7)
    killed = sum(_killed_run(tiny_market, home, moments.uniform(2.0, 12.0)) for _ in range(KILLS))
    assert killed
    aurora("run", "--market", tiny_market, "--home", home, *settings(*SHORT))
    assert lake_hashes(home) == lake_hashes(tiny_home)
    assert json.loads((home / "scorecard.json").read_text()) == json.loads((tiny_home / "scorecard.json").read_text())


def _files(home, *folders):
    """Files and folders in place; ``os.walk`` passes over a temporary folder that is renamed while it looks."""
    counted = 0
    for folder in folders:
        for _, below, files in os.walk(home / folder):
            below[:] = [name for name in below if not name.startswith(".")]
            counted += len(below) + sum(not name.startswith(".") for name in files)
    return counted


def _progress(home, whole):
    """How far a backfill has come, 0 to 1; training counts twice as much as all tables, so that most kills hit it."""
    tables, models = _files(home, "lake"), _files(home, "models", "mlflow")
    return (tables / _files(whole, "lake") + 2.0 * models / _files(whole, "models", "mlflow")) / 3.0


def _killed_backfill(market, home, whole, moment, only_the_parent):
    process = _start("backfill", "--market", market, "--home", home, *settings(*FEW))
    try:
        while process.poll() is None and _progress(home, whole) < moment:
            time.sleep(0.02)
        assert process.poll() is None, f"finished before {moment}"
        (os.kill if only_the_parent else os.killpg)(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    deadline = time.monotonic() + 20.0
    while _alive(process.pid):
        assert time.monotonic() < deadline, "processes that train outlived the backfill"
        time.sleep(0.05)


def _alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_killing_a_backfill_at_ten_moments_and_resuming_gives_the_undisturbed_tables(
    two_fold_market, two_fold_home, tmp_path
):
    home = tmp_path / "killed"
    home.mkdir()
    for kill in range(BACKFILL_KILLS):
        moment = (kill + 0.5) / BACKFILL_KILLS
        _killed_backfill(two_fold_market, home, two_fold_home, moment, only_the_parent=kill % 2 == 0)
    aurora("backfill", "--market", two_fold_market, "--home", home, *settings(*FEW))
    assert lake_hashes(home) == lake_hashes(two_fold_home)
    client = ModelRegistry(home / "mlflow").client
    folds = sorted(open_home(home).champions()["ridge"])
    for family in ("ridge", "lightgbm", "xgboost"):
        runs = client.search_runs([client.get_experiment_by_name(f"aurora/{family}").experiment_id])
        assert sorted(run.data.tags["fold"] for run in runs) == folds, "one run per fold, however often it was cut off"
        assert {run.info.status for run in runs} == {"FINISHED"}
        assert len(client.search_model_versions(f"name='aurora-{family}'")) == len(folds)
