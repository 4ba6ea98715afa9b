"""Single jobs over a range of sessions, and what a backfill says at its end."""

from contextlib import nullcontext
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.cli import app
from aurora_pipeline.contracts import empty
from aurora_pipeline.defs import instances
from aurora_pipeline.defs.launcher import Launcher
from aurora_pipeline.errors import LakeError, SettingsError
from aurora_pipeline.settings import load_settings
from aurora_pipeline.stages import book_name
from aurora_pipeline.workflows import backfill
from aurora_pipeline.workflows.main_job import Outcome

RULES = ("warm_up_sessions=40", "walk_forward.minimum_train_sessions=20", "models.families=[ridge]")


@pytest.fixture
def home(tmp_path):
    """Home of half a year whose first fold begins on 2024-08-28; nothing is stored."""
    made = Home(tmp_path)
    made.record_market(
        MarketRecord(name="x", directory=tmp_path, first_session=date(2024, 7, 1), last_session=date(2024, 12, 31))
    )
    made.save_settings(load_settings(None, RULES, {}))
    return made


@pytest.fixture
def launched(monkeypatch):
    """Record what would be launched: job, partitions."""
    calls = []

    def job(self, name, *, first=None, last=None, partition=None):
        calls.append((name, first, last))
        self.launched.append(f"run-{len(calls)}")

    def attempt(self, name, *, partition):
        calls.append((name, partition))
        return f"run-{len(calls)}", {"trained_model/ridge": "too short"} if partition == "2024-10" else {}

    monkeypatch.setattr(Launcher, "job", job)
    monkeypatch.setattr(Launcher, "attempt", attempt)
    monkeypatch.setattr(instances, "instance_of", lambda home: nullcontext())
    return calls


def test_a_job_by_fold_runs_for_the_folds_tested_in_the_range(home, launched):
    done = backfill.run_range(home, "train_fold", date(2024, 9, 20), date(2024, 10, 3))
    assert launched == [("train_fold", "2024-09"), ("train_fold", "2024-10")]
    assert (done.partitions, done.unit, done.runs) == (["2024-09", "2024-10"], "fold", ["run-1", "run-2"])
    assert done.failed == ["fold 2024-10, trained_model/ridge: too short"]


def test_a_job_by_fold_is_refused_where_no_fold_is_tested(home, launched):
    with pytest.raises(
        LakeError, match=r"train_fold runs by fold, and no fold is tested from 2024-07-10 to 2024-07-12"
    ):
        backfill.run_range(home, "train_fold", date(2024, 7, 10), date(2024, 7, 12))
    assert not launched


def test_a_job_by_session_runs_over_the_range_and_one_without_partitions_as_a_whole(home, launched):
    done = backfill.run_range(home, "predict", date(2024, 9, 19), date(2024, 9, 22))
    assert (done.partitions, done.unit) == (["2024-09-19", "2024-09-20"], "session")
    assert backfill.run_range(home, "report_job", date(2024, 9, 19), date(2024, 9, 20)).partitions == []
    assert launched == [("predict", "2024-09-19", "2024-09-20"), ("report_job", None, None)]


def test_an_unknown_job_lists_those_there_are(home, launched):
    with pytest.raises(SettingsError, match=r"no job 'nope'.*bars_to_labels, train_fold, predict"):
        backfill.run_range(home, "nope", date(2024, 9, 19), date(2024, 9, 20))


def test_a_range_that_ends_before_it_begins_is_refused(home, launched):
    with pytest.raises(LakeError, match="ends on 2024-09-19, before it begins on 2024-09-20"):
        backfill.run_range(home, "predict", date(2024, 9, 20), date(2024, 9, 19))


def test_the_command_says_what_was_run_and_fails_where_something_was_not_trained(home, launched):
    words = ["backfill", "--home", str(home.path), "--job", "train_fold", "--from", "2024-09-20", "--to"]
    done = CliRunner().invoke(app, [*words, "2024-09-27"])
    assert (done.exit_code, "train_fold over fold 2024-09: run run-1 succeeded" in done.output) == (0, True), (
        done.output
    )
    done = CliRunner().invoke(app, [*words, "2024-10-02"])
    assert done.exit_code == 2
    assert "fold 2024-10, trained_model/ridge: too short" in done.output
    assert "train_fold over 2 folds, 2024-09 to 2024-10" in done.output


def test_the_walk_forward_says_how_many_sessions_it_made(home, monkeypatch):
    book = book_name(home.settings())

    def run(opened, *given, **options):
        for day in ("2024-09-19", "2024-09-20"):
            opened.lake.write("portfolio", empty("portfolio"), day, fingerprint="new", book=book)
        return Outcome({}, Path("manifest.json"), [], [])

    home.lake.write("portfolio", empty("portfolio"), "2024-09-18", fingerprint="old", book=book)
    monkeypatch.setattr(backfill, "run_main_job", run)
    words = ["backfill", "--home", str(home.path), "--to", "2024-09-20"]
    done = CliRunner().invoke(app, words)
    assert f"book {book}: made 2 sessions, 2024-09-19 to 2024-09-20" in done.output, done.exception
    assert "scorecard.json" in done.output
    assert f"book {book}: nothing was missing or stale" in CliRunner().invoke(app, words).output


class DagsterExecutionInterruptedError(BaseException):
    """Named as what Dagster makes of Ctrl-C."""


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, DagsterExecutionInterruptedError])
def test_ctrl_c_leaves_with_a_line_on_how_to_go_on(home, monkeypatch, interrupt):
    def run(*given, **options):
        raise interrupt

    monkeypatch.setattr(backfill, "run_main_job", run)
    done = CliRunner().invoke(app, ["backfill", "--home", str(home.path), "--to", "2024-09-20"])
    assert done.exit_code == 130
    assert "the same command goes on where it stopped" in done.output
