"""Killing a run at any moment and starting it again leaves no trace in the results."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from aurora_pipeline_tests.end_to_end.conftest import SHORT, aurora, lake_hashes, settings

KILLS = 6


def _killed_run(market, home, seconds):
    command = [sys.executable, "-m", "aurora_pipeline.cli", "run", "--market", str(market), "--home", str(home)]
    process = subprocess.Popen(
        [*command, *settings(*SHORT)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
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
