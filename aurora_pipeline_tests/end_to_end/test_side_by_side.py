"""A long range of predictions is made as two runs side by side; where one fails, the other does not go on."""

import shutil
import time

import dagster as dg
import pytest

from aurora_pipeline.adapters.home import HOME_VARIABLE, Home
from aurora_pipeline.defs import jobs, up_to_date
from aurora_pipeline.defs.instances import instance_of
from aurora_pipeline.defs.launcher import Launcher, beside
from aurora_pipeline.errors import BookError
from aurora_pipeline_tests.end_to_end.conftest import lake_hashes


@pytest.mark.slow
def test_predictions_in_two_halves_are_those_of_one_run(tiny_home, tmp_path, monkeypatch):
    for variable in ("DAGSTER_HOME", HOME_VARIABLE):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(up_to_date, "_WORTH_TWO_PROCESSES", 4)
    home = Home(shutil.copytree(tiny_home, tmp_path / "home"))
    shutil.rmtree(home.lake.root / "predictions")
    before = _starts(home)
    up_to_date.bring_up_to_date(home, home.settings())
    assert len(before) == 1
    assert len(_starts(home)) == 3, "one range before, and its halves"
    assert lake_hashes(home.path) == lake_hashes(tiny_home)


@pytest.mark.slow
def test_a_run_beside_one_that_fails_is_ended_and_says_so(tiny_home, tmp_path, monkeypatch):
    for variable in ("DAGSTER_HOME", HOME_VARIABLE):
        monkeypatch.setenv(variable, str(tmp_path))
    home = Home(shutil.copytree(tiny_home, tmp_path / "home"))
    with instance_of(home) as instance:
        known = {run.run_id for run in instance.get_runs()}

        def statuses():
            return [run.status for run in instance.get_runs() if run.run_id not in known]

        def fails():
            with beside(Launcher(home, instance), jobs.EVALUATION_JOB):
                deadline = time.monotonic() + 60.0
                while dg.DagsterRunStatus.STARTED not in statuses():
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                raise BookError("on purpose")

        with pytest.raises(BookError, match="on purpose"):
            fails()
        assert statuses() == [dg.DagsterRunStatus.FAILURE]


def _starts(home):
    with instance_of(home) as instance:
        runs = instance.get_runs(dg.RunsFilter(job_name=jobs.PREDICTION_JOB))
        return sorted(run.tags["dagster/asset_partition_range_start"] for run in runs)
