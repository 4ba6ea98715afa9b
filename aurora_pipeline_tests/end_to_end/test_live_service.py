"""The loop through the real daemon: a replay that ends equal to the backfill, and one that is harmed on the way."""

import json
import shutil
import socket
import subprocess

import polars as pl
import pytest

from aurora_pipeline.adapters.feeds.replayer import Replayer
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.live.decision_log import decision_log
from aurora_pipeline.live.homes import make_replay
from aurora_pipeline.live.service import Service
from aurora_pipeline.live.soak import FAULTS, Harm, run_soak
from aurora_pipeline_tests.end_to_end.conftest import aurora
from aurora_pipeline_tests.end_to_end.test_live_tick import SESSION_INDEX

CHROMIUM = shutil.which("chromium")


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


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium in PATH; .ci/run installs Debian's")
def test_a_replayed_bar_and_its_target_positions_are_seen_in_the_ui(tiny_home, session, tmp_path):
    source, port = Home(tiny_home), free_port()
    home = make_replay(source, session, tmp_path / "replay")
    with Service(home, port, "replay").running() as service:
        assert service.wait(service.ready, 120)
        harm = Harm(home, session, service, Replayer(source.folder(), session))
        for end in home.calendar.bar_ends(session)[:2]:
            harm.bar(end, None)
        service.wait(lambda: False, 5)
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--timeout=60000", "--virtual-time-budget=40000",
            f"--user-data-dir={tmp_path / 'chromium'}", "--window-size=1500,2400", "--dump-dom",
        ]  # fmt: skip
        pages = {}
        for name, path in (("asset", "assets/target_positions?view=overview"), ("runs", "runs")):
            url = f"http://127.0.0.1:{port}/{path}"
            done = subprocess.run([*command, url], capture_output=True, text=True, check=True, timeout=180)
            pages[name] = done.stdout
    targets = home.lake.read("targets", book="live")
    largest = targets.filter(pl.col("decision_time") == targets["decision_time"].max()).sort(
        pl.col("target_weight").abs()
    )
    assert session.isoformat() in pages["asset"]
    assert "nav" in pages["asset"]
    assert largest["symbol"][-1] in pages["asset"] or "Show Markdown" in pages["asset"]
    assert pages["runs"].count("bar_arrival") >= 2


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
