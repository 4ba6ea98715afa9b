"""Killing a run or a backfill at any moment and starting it again leaves no trace in the results."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache

import pytest

from aurora_pipeline import open_home
from aurora_pipeline.adapters.models.model_registry import ModelRegistry
from aurora_pipeline_tests.end_to_end.conftest import FEW, SHORT, aurora, lake_hashes, settings

KILLS = 4
BACKFILL_KILLS = 10
LOOK_SECONDS = 0.05
"""Between two looks at what is there: looking takes a processor from what is looked at."""


def _start(*arguments):
    command = [sys.executable, "-m", "aurora_pipeline.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _files(home, *folders):
    """Files and folders in place; ``os.walk`` passes over a temporary folder that is renamed while it looks."""
    counted = 0
    for folder in folders:
        for _, below, files in os.walk(home / folder):
            below[:] = [name for name in below if not name.startswith(".")]
            counted += len(below) + sum(not name.startswith(".") for name in files)
    return counted


def _progress(home, whole):
    """How far a command has come, 0 to 1; training counts twice as much as all tables, so that most kills hit it."""
    (tables, models), (all_tables, all_models) = _made(home), _end(whole)
    return (tables / all_tables + 2.0 * models / all_models) / 3.0


def _made(home):
    return _files(home, "lake"), _files(home, "models", "mlflow")


_end = cache(_made)


def _kill(arguments, home, whole, moment, only_the_parent):
    """Start a command and kill it once it has come so far."""
    process = _start(*arguments)
    try:
        while process.poll() is None and _progress(home, whole) < moment:
            time.sleep(LOOK_SECONDS)
        assert process.poll() is None, f"finished before {moment}"
        (os.kill if only_the_parent else os.killpg)(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    deadline = time.monotonic() + 20.0
    while _alive(process.pid):
        assert time.monotonic() < deadline, "processes that train outlived the command"
        time.sleep(0.05)


def _alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_killing_a_run_at_four_moments_and_starting_again_gives_the_undisturbed_tables(
    tiny_market, tiny_home, tmp_path
):
    home = tmp_path / "killed"
    home.mkdir()
    command = ("run", "--market", tiny_market, "--home", home, *settings(*SHORT))
    for kill in range(KILLS):
        _kill(command, home, tiny_home, (kill + 0.5) / KILLS, only_the_parent=kill % 2 == 0)
    aurora(*command)
    assert lake_hashes(home) == lake_hashes(tiny_home)
    assert json.loads((home / "scorecard.json").read_text()) == json.loads((tiny_home / "scorecard.json").read_text())


@pytest.mark.slow
def test_killing_a_backfill_at_ten_moments_and_resuming_gives_the_undisturbed_tables(
    two_fold_market, two_fold_home, tmp_path
):
    home = tmp_path / "killed"
    home.mkdir()
    command = ("backfill", "--market", two_fold_market, "--home", home, *settings(*FEW))
    for kill in range(BACKFILL_KILLS):
        _kill(command, home, two_fold_home, (kill + 0.5) / BACKFILL_KILLS, only_the_parent=kill % 2 == 0)
    aurora(*command)
    assert lake_hashes(home) == lake_hashes(two_fold_home)
    client = ModelRegistry(home / "mlflow").client
    folds = sorted(open_home(home).champions()["ridge"])
    for family in ("ridge", "lightgbm", "xgboost"):
        runs = client.search_runs([client.get_experiment_by_name(f"aurora/{family}").experiment_id])
        assert sorted(run.data.tags["fold"] for run in runs) == folds, "one run per fold, however often it was cut off"
        assert {run.info.status for run in runs} == {"FINISHED"}
        assert len(client.search_model_versions(f"name='aurora-{family}'")) == len(folds)
