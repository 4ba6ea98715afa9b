"""The loop through the real daemon: a replay that ends equal to the backfill, and one that is harmed on the way."""

import json
import socket

import pytest

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.live.decision_log import decision_log
from aurora_pipeline.live.soak import FAULTS, run_soak
from aurora_pipeline_tests.end_to_end.conftest import aurora
from aurora_pipeline_tests.end_to_end.test_live_tick import SESSION_INDEX


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def session(tiny_home):
    home = Home(tiny_home)
    return home.sessions(home.settings())[SESSION_INDEX]


@pytest.mark.slow
def test_a_replay_from_the_command_line_goes_bar_by_bar_through_the_sensor(tiny_home, tiny_market, session, tmp_path):
    target = tmp_path / "replay"
    done = aurora(
        "live", "--replay", tiny_market, "--session", session, "--home", tiny_home, "--replay-home", target,
        "--speed", 3000, "--bars", 4, "--port", free_port(), "--exit",
    )  # fmt: skip
    assert "4 bars: 4 decided, 0 skipped" in done.stdout
    assert [settled.status for settled in decision_log(target / "live", session)] == ["decided"] * 4


@pytest.mark.slow
def test_a_session_with_every_fault_settles_each_bar_once_and_equals_itself_made_in_one_go(
    tiny_home, session, tmp_path
):
    bars = len(FAULTS) + 1
    report = run_soak(Home(tiny_home), session, tmp_path / "soak", bars, free_port(), 1, print, faults=True)
    assert report["wrong"] == [], json.dumps(report)
    assert report["decided"] + sum(report["skipped"].values()) == bars
    assert set(report["faults"]) <= {"none", *FAULTS}
    assert len(report["faults"]) >= len(FAULTS)
    assert report["restarts"]


def test_a_replay_of_another_market_is_refused(tiny_home, tmp_path):
    other = tmp_path / "other"
    aurora("simulate", other, "--preset", "small", "--seed", "4", "--sessions", "20", "--symbols", "16")
    done = aurora("live", "--replay", other, "--session", "2024-12-18", "--home", tiny_home, check=False)
    assert done.returncode == 2
    assert "holds market" in done.stderr


def test_a_replay_needs_a_session(tiny_home, tiny_market):
    done = aurora("live", "--replay", tiny_market, "--home", tiny_home, check=False)
    assert done.returncode == 2
    assert "--session" in done.stderr
