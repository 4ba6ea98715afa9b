"""Runs whose process was killed: nobody says so to Dagster, and they would hold a slot of the queue until their time is over."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import dagster as dg

PROCESS_TAG = "aurora/pid"
"""Tag of a run with the process that runs it."""


def bury_the_dead(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs whose process is gone as failed; returns their ids."""
    active = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    dead = []
    for run in instance.get_runs(filters=active):
        process = run.tags.get(PROCESS_TAG)
        if process is not None and not _alive(int(process)):
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
