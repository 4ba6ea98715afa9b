"""The UI and a run may start together on a fresh home: its databases are made by one of them while the other waits."""

import os
import subprocess
import sys
import time

import dagster as dg

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.defs.databases import make_databases
from aurora_pipeline.defs.dead_runs import PROCESS_TAG, bury_the_dead
from aurora_pipeline.defs.graph import build_definitions

TOGETHER = """
import sys, time
from pathlib import Path
import dagster
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.defs.databases import make_databases

Path(f"{sys.argv[2]}-{sys.argv[3]}").touch()
while not Path(sys.argv[2]).exists():
    time.sleep(0.001)
make_databases(Home(Path(sys.argv[1])))
"""


def test_several_processes_make_the_databases_of_a_fresh_home_at_once(tmp_path):
    gate = tmp_path / "gate"
    arguments = [sys.executable, "-c", TOGETHER, str(tmp_path / "home"), str(gate)]
    processes = [subprocess.Popen([*arguments, str(each)], stderr=subprocess.PIPE, text=True) for each in range(3)]
    while len(list(tmp_path.glob("gate-*"))) < 3:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)
    gate.touch()
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors


def test_a_run_whose_process_is_gone_is_buried_and_one_that_lives_is_not(tmp_path):
    home = Home(tmp_path)
    make_databases(home)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    job = build_definitions(home).resolve_job_def("empty_run")
    with dg.DagsterInstance.from_config(str(home.path)) as instance:
        tags = {"dead": {PROCESS_TAG: str(dead.pid)}, "ours": {PROCESS_TAG: str(os.getpid())}, "untagged": {}}
        runs = {name: instance.create_run_for_job(job, tags=own).run_id for name, own in tags.items()}
        for run_id in runs.values():
            start(instance, run_id)
        assert bury_the_dead(instance) == [runs["dead"]]
        states = {name: instance.get_run_by_id(run_id).status for name, run_id in runs.items()}
    assert states["dead"] == dg.DagsterRunStatus.FAILURE
    assert states["untagged"] == states["ours"] == dg.DagsterRunStatus.STARTED


def test_a_run_executed_again_is_not_buried_with_the_process_of_the_first(tmp_path):
    home = Home(tmp_path)
    make_databases(home)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    job = build_definitions(home).resolve_job_def("empty_run")
    with dg.DagsterInstance.from_config(str(home.path)) as instance:
        tags = {PROCESS_TAG: str(gone.pid)}
        first = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.SUCCESS)
        again = instance.create_run_for_job(
            job, tags=tags, parent_run_id=first.run_id, root_run_id=first.run_id, status=dg.DagsterRunStatus.STARTING
        )
        assert bury_the_dead(instance) == []
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        instance.add_run_tags(again.run_id, {PROCESS_TAG: str(ended.pid)})
        assert bury_the_dead(instance) == [again.run_id]


def test_a_run_that_any_launcher_started_names_its_process(tmp_path):
    home = Home(tmp_path)
    make_databases(home)
    job = build_definitions(home).resolve_job_def("market_feeds_job")
    with dg.DagsterInstance.from_config(str(home.path)) as instance:
        done = job.execute_in_process(instance=instance, raise_on_error=False, tags={PROCESS_TAG: "1"})
        assert instance.get_run_by_id(done.run_id).tags[PROCESS_TAG] == str(os.getpid())


def start(instance, run_id):
    event = dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_START.value, job_name="empty_run")
    instance.report_dagster_event(event, run_id)
