"""Runs armed ahead of their bars and the faults that need no process to die, with threads in place of the daemon's runs."""

import threading
import time
from datetime import datetime

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.live.parity import parity
from aurora_pipeline.live.tick import TickRunner
from aurora_pipeline.serving.armed_replay import AHEAD, ArmedReplay
from aurora_pipeline_tests.end_to_end.test_live_tick import Loop

FAULTS = (
    None, "truncated_file", "duplicate_bars", "late_bars", "corrected_bars", "failing_model", "clock_skew", "disk_full", None,
)  # fmt: skip


class Threads:
    """Stands in for service and webserver: a launched run is a thread."""

    port = 0

    def __init__(self, home, session):
        self.home, self.session = home, session
        self.runs, self.most_waiting, self.errors = [], 0, []

    def wait(self, until, seconds):
        deadline = time.monotonic() + seconds
        while not until():
            waiting = self.home.path / "live" / "waiting"
            self.most_waiting = max(self.most_waiting, len(list(waiting.iterdir())) if waiting.exists() else 0)
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        return True

    def process_id(self, name):
        return None

    def launch(self, job, config):
        end = datetime.fromisoformat(config["ops"]["decide"]["config"]["bar_end"])
        thread = threading.Thread(target=self._tick, args=(end,), daemon=True)
        thread.start()
        self.runs.append(thread)

    def _tick(self, end):
        try:
            runner = TickRunner(Home(self.home.path), self.session)
            if runner.attempt(end) is None:
                runner.wait(end)
        except Exception as error:
            self.errors.append(error)


@pytest.fixture(scope="module")
def told(tiny_home, tmp_path_factory):
    loop = Loop(tiny_home, tmp_path_factory.mktemp("armed") / "replay")
    service = Threads(loop.home, loop.session)
    replay = ArmedReplay(loop.home, loop.session, service, loop.replayer)
    replay.client = service
    bars = {bar.end: bar for bar in replay.bars(len(FAULTS), FAULTS.__getitem__)}
    for thread in service.runs:
        thread.join()
    return loop, service, replay, list(bars.values())


def test_every_bar_is_settled_once_by_a_run_that_waited_for_it(told):
    loop, service, _, bars = told
    assert service.errors == []
    assert len(service.runs) == len(bars) == len(FAULTS)
    assert [bar.end for bar in bars] == loop.ends[: len(FAULTS)]
    assert AHEAD <= service.most_waiting <= AHEAD + 1


def test_each_fault_was_done_and_ends_as_declared(told):
    loop, _, replay, bars = told
    assert dict(replay.harm.done) == {fault: 1 for fault in FAULTS if fault}
    status = {bar.fault: (bar.settled.status, bar.settled.reason.partition(":")[0]) for bar in bars}
    assert status.pop("disk_full") == ("skipped", "disk full")
    assert set(status.values()) == {("decided", "")}
    failed = {bar.fault: set(bar.settled.failed) for bar in bars}
    assert failed.pop("failing_model") == {min(loop.runner.opening.champions.members)}
    assert set(map(frozenset, failed.values())) == {frozenset()}
    refused = list((loop.home.path / "inbox" / "refused").glob("*.reason"))
    assert len(refused) == 1
    skewed = next(bar for bar in bars if bar.fault == "clock_skew")
    assert skewed.seconds > 3.0


def test_what_was_taken_away_is_put_back_and_parity_holds(told):
    loop, _, replay, _ = told
    assert replay.harm.model.exists()
    assert not replay.harm.away.exists()
    loop.restart()
    assert loop.runner.settings.live.disk_reserve_mb == loop.home.settings().live.disk_reserve_mb
    late = loop.home.lake.read("bars", loop.session, loop.session).filter(pl.col("known_at") > pl.col("bar_end"))
    assert late.height > 0
    assert parity(loop.home, loop.session).is_empty()
