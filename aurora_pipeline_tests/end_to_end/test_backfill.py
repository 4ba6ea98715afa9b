"""The walk-forward backfill: by range, whatever the number of threads and processes, and from Dagster's own dialog."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import polars as pl
import pytest

from aurora_pipeline import open_home
from aurora_pipeline_tests.end_to_end.conftest import FEW, aurora, free_port, lake_hashes, settings

FAMILIES = ("ridge", "lightgbm", "xgboost")
FOLDS = ["2024-11", "2024-12"]
LAUNCH = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
STATUS = "query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"


@pytest.mark.slow
def test_a_range_is_made_with_what_it_rests_on_and_nothing_after_it(two_fold_market, two_fold_home, tmp_path):
    home = tmp_path / "home"
    whole = open_home(two_fold_home)
    sessions = whole.sessions(whole.settings())
    tested = [day for day in sessions if f"{day:%Y-%m}" == FOLDS[0]]
    last = tested[-1]
    options = ("--home", home, "--from", tested[-3], "--to", last)
    aurora("backfill", "--market", two_fold_market, *options, *settings(*FEW))
    half = open_home(home)
    assert sorted(half.champions()["ridge"]) == FOLDS[:1]
    for table in ("predictions", "ensemble_weights", "ensemble", "signals", "targets", "portfolio"):
        made = half.read(table)
        assert made.get_column("session").max() == last
        assert made.equals(whole.read(table, end=last)), table
    again = aurora("backfill", *options)
    runs = json.loads(sorted((home / "runs").glob("*.json"))[-1].read_text())
    assert runs["dagster_runs"] == [], again.stderr
    aurora("backfill", "--home", home)
    assert lake_hashes(home) == lake_hashes(two_fold_home)


@pytest.mark.slow
def test_one_thread_and_two_give_identical_tables(two_fold_market, two_fold_home, tmp_path, monkeypatch):
    home = tmp_path / "home"
    several = ("threads=2", "training.processes=1")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # linear algebra takes all processors otherwise
    aurora("run", "--market", two_fold_market, "--home", home, *settings(*FEW, *several))
    predictions = open_home(home).read("predictions")
    assert not predictions.is_empty()
    assert predictions.equals(open_home(two_fold_home).read("predictions"))
    assert lake_hashes(home) == lake_hashes(two_fold_home)


def _ask(port, query, variables):
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        content = json.loads(answer.read())
    assert "errors" not in content, content
    return content["data"]


def _until(question, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            answer = question()
        except OSError:
            answer = None
        if answer:
            return answer
        time.sleep(0.5)
    raise AssertionError(f"no answer within {seconds} s")


@pytest.mark.slow
def test_the_backfill_dialog_trains_the_folds_and_then_predicts_their_sessions(two_fold_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(two_fold_home, home)
    shutil.rmtree(home / "models")
    (home / "champions.json").unlink()
    shutil.rmtree(home / "lake" / "predictions")
    port = free_port()
    command = [sys.executable, "-m", "aurora_pipeline.cli", "ui", "--home", str(home), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _until(lambda: _ask(port, "query { version }", {}), 180)
        keys = [{"path": [kind, family]} for kind in ("trained_model", "prediction") for family in FAMILIES]
        params = {"assetSelection": keys, "partitionNames": FOLDS, "title": "walk-forward"}
        launched = _ask(port, LAUNCH, {"params": params})["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched

        def ended():
            status = _ask(port, STATUS, {"id": launched["backfillId"]})["partitionBackfillOrError"]["status"]
            return status if status.startswith(("COMPLETED", "FAILED", "CANCELED")) else None

        assert _until(ended, 600) == "COMPLETED_SUCCESS"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)
    opened = open_home(home)
    assert {family: sorted(folds) for family, folds in opened.champions().items()} == dict.fromkeys(FAMILIES, FOLDS)
    keys = ["model", "symbol", "decision_time"]
    made, undisturbed = opened.read("predictions").sort(keys), open_home(two_fold_home).read("predictions").sort(keys)
    assert made.get_column("model").n_unique() == len(FAMILIES)
    assert made.equals(undisturbed), made.join(undisturbed, on=keys, how="anti")
    assert isinstance(made, pl.DataFrame)
