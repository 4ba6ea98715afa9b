"""Runs whose process was killed: nobody says so to Dagster, and they would hold a slot of the queue until their time is over."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import dagster as dg

PROCESS_TAG = "aurora/pid"
"""Tag of a run with the process that runs it."""


def note_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Enter this process as the one that runs a run: not known to who started it, or that of the run it executes again."""
    if run.tags.get(PROCESS_TAG) != str(os.getpid()):
        instance.add_run_tags(run.run_id, {PROCESS_TAG: str(os.getpid())})


def bury_the_dead(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs whose process is gone as failed; returns their ids.

    Dagster copies the tags of a run to one that executes it again: until that has begun it names a process that is not its own.
    """
    active = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    dead = []
    for run in instance.get_runs(filters=active):
        process = run.tags.get(PROCESS_TAG)
        if process is None or _alive(int(process)):
            continue
        parent = instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
        if parent is None or parent.tags.get(PROCESS_TAG) != process:
            instance.report_run_failed(run, "the process that ran it is gone")
            dead.append(run.run_id)
    return dead


def _alive(process: int) -> bool:
    with suppress(OSError):
        # A killed child its parent has not looked after yet is a process without a command line.
        return Path(f"/proc/{process}/cmdline").read_bytes() != b""
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return not Path("/proc/self").exists()
    return False
