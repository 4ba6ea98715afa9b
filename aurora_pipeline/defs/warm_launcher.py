"""Launches a served home's runs as forks of a process that has loaded everything, not as interpreters that begin with nothing.

Starting Python, Dagster and the definitions takes seconds, more than a tick has. The daemon keeps one process beside it, the
fork server of :mod:`multiprocessing`, that has imported :mod:`aurora_pipeline.serving.preloaded`; a run is a fork of it, and does
from there what `dagster api execute_run` does. Everywhere else (`dagster dev`, `aurora ui`), where code is edited and loaded
again, runs start as Dagster starts them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._cli import create_dagster_cli
from dagster._grpc.types import ExecuteRunArgs

from aurora_pipeline.adapters.home import SERVED_VARIABLE
from aurora_pipeline.defs.dead_runs import PROCESS_TAG

PRELOADED = "aurora_pipeline.serving.preloaded"


class WarmRunLauncher(dg.DefaultRunLauncher):
    """Dagster's own launcher, but for homes that `aurora live` serves."""

    def __init__(self, inst_data: Any = None) -> None:
        super().__init__(inst_data)
        self._forks = multiprocessing.get_context("forkserver")
        self._forks.set_forkserver_preload([PRELOADED])
        self._running: list[ForkServerProcess] = []

    def launch_run(self, context: Any) -> None:
        """Begin a run; parameters as Dagster's."""
        run = context.dagster_run
        if SERVED_VARIABLE not in os.environ or run.job_code_origin is None:
            super().launch_run(context)
            return
        arguments = ExecuteRunArgs(
            job_origin=run.job_code_origin, run_id=run.run_id, instance_ref=self._instance.get_ref()
        )
        process = self._forks.Process(target=execute, args=(list(arguments.get_command_args())[-3:],), name=run.run_id)
        process.start()
        self._running = [*(other for other in self._running if other.is_alive()), process]
        self._instance.add_run_tags(run.run_id, {PROCESS_TAG: str(process.pid)})

    def terminate(self, run_id: str) -> bool:
        """Interrupt a run; returns whether there was one to interrupt."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if SERVED_VARIABLE not in os.environ or PROCESS_TAG not in run.tags:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        process = int(run.tags[PROCESS_TAG])
        if not _is_of_this_home(process):
            return False
        self._instance.report_run_canceling(run)
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGINT)
            return True
        return False

    def dispose(self) -> None:
        """Interrupt what still runs when the daemon ends."""
        for process in self._running:
            process.terminate()
        super().dispose()


def _is_of_this_home(process: int) -> bool:
    """Whether a process serves the same home: the number of one that is gone may be a stranger's by now."""
    with suppress(OSError):
        home = f"DAGSTER_HOME={os.environ.get('DAGSTER_HOME', '')}".encode()
        return home in Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return False


def execute(arguments: list[str]) -> None:
    """Execute a run in this process; `arguments` are those of `dagster`."""
    create_dagster_cli()(arguments, standalone_mode=False)  # type: ignore[no-untyped-call]
