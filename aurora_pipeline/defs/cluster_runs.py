"""Runs of the profile `cluster`: put into Dagster's queue, from where its daemon gives them to Ray, and awaited.

A run whose worker is lost is marked failed by Dagster's run monitoring and tried again, from the step that had failed, by
Dagster's run retries; awaited is the last attempt. What the lost worker had written is complete partition by partition, and the
new attempt replaces it by the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar
from uuid import uuid4

import dagster as dg

from aurora_pipeline.errors import ServiceDownError

_Result = TypeVar("_Result")
PARTITION = "dagster/partition"
MODULE = "aurora_pipeline.definitions"
_WILL_RETRY, _RETRY = "dagster/will_retry", "dagster/auto_retry_run_id"
"""Tags Dagster gives a failed run: whether it is tried again, and as which run."""
_POLL_SECONDS = 0.5
_DECISION_SECONDS = 30.0
_HEARTBEAT_SECONDS = 300.0
_CUT_SECONDS = 300.0
_QUEUE_DAEMON = "QUEUED_RUN_COORDINATOR"


def submit_run(instance: dg.DagsterInstance, name: str, tags: Mapping[str, str]) -> str:
    """Put a run of a job into the queue, with Dagster's own command; returns its id.

    Raises
    ------
    ServiceDownError
        No daemon takes runs from the queue, or the run could not be put there.
    """
    _require_daemon(instance)
    run_id = str(uuid4())
    command = [sys.executable, "-m", "dagster", "job", "launch", "-m", MODULE, "--job", name]
    done = subprocess.run(
        [*command, "--tags", json.dumps(tags), "--run-id", run_id], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise ServiceDownError(f"{name} could not be put into the queue: {done.stderr.strip().splitlines()[-1:]}")
    return run_id


def await_run(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    """Wait until a run, or the last of its automatic retries, has ended; returns that one."""
    undecided = 0.0
    while True:
        run = _repeated(partial(instance.get_run_by_id, run_id))
        if run is None:
            raise ServiceDownError(f"run {run_id} is not in Dagster's database any more")
        if run.status == dg.DagsterRunStatus.FAILURE:
            # Dagster enters whether it tries again a moment after the failure.
            again = run.tags.get(_WILL_RETRY)
            if again != "true" and (again is not None or undecided >= _DECISION_SECONDS):
                return run
            undecided = undecided + _POLL_SECONDS if again is None else 0.0
            run_id = run.tags.get(_RETRY, run_id)
        elif run.is_finished:
            return run
        time.sleep(_POLL_SECONDS)


def failures_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, str]:
    """Asset of each failed step, such as `trained_model/ridge`, to why; a run that failed outside any step under `run`."""
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return {}
    entries = _repeated(partial(instance.all_logs, run.run_id))
    events = [entry.dagster_event for entry in entries if entry.dagster_event is not None]
    steps = {str(event.step_key).replace("__", "/"): reason(event) for event in events if event.is_step_failure}
    if steps:
        return steps
    said = [event.message for event in events if event.is_failure and event.message]
    return {"run": said[-1] if said else f"ended as {run.status.value}"}


def reason(event: dg.DagsterEvent) -> str:
    """First line of what a failed step said."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    info = data.error
    while info is not None and info.cause is not None:
        info = info.cause
    return str(event.message) if info is None else info.message.strip()


def _repeated(read: Callable[[], _Result]) -> _Result:
    """Read again where the connection was cut; the next one is waited for, and its absence is an error of its own.

    Raises
    ------
    ServiceDownError
        Connections come about and are cut again for minutes.
    """
    from sqlalchemy.exc import OperationalError

    until = time.monotonic() + _CUT_SECONDS
    while True:
        try:
            return read()
        except OperationalError as error:
            if time.monotonic() > until:
                raise ServiceDownError(f"Dagster's database does not answer: {error}") from error
            time.sleep(_POLL_SECONDS)


def _require_daemon(instance: dg.DagsterInstance) -> None:
    beat = instance.get_daemon_heartbeats().get(_QUEUE_DAEMON)
    if beat is None or time.time() - beat.timestamp > _HEARTBEAT_SECONDS:
        raise ServiceDownError(
            f"no Dagster daemon takes runs from the queue; start one with `dagster-daemon run -m {MODULE}`, "
            "DAGSTER_HOME and AURORA_HOME being this home"
        )
