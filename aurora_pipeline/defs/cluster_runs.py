"""Runs of the profile `cluster`: put into Dagster's queue, from where its daemon gives them to Ray, and awaited.

A run whose worker is lost is marked failed by Dagster's run monitoring and tried again, from the step that had failed, by
Dagster's run retries; awaited is the last attempt. What the lost worker had written is complete partition by partition, and the
new attempt replaces it by the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from aurora_pipeline.errors import ServiceDownError

if TYPE_CHECKING:
    from aurora_pipeline.defs.launch import Launcher

PARTITION = "dagster/partition"
MODULE = "aurora_pipeline.definitions"
_REPOSITORY = "__repository__"
_POLL_SECONDS = 0.5
_DECISION_SECONDS = 30.0
_HEARTBEAT_SECONDS = 300.0
_QUEUE_DAEMON = "QUEUED_RUN_COORDINATOR"


def submit_run(launcher: Launcher, name: str, tags: Mapping[str, str], assets: Sequence[str] | None = None) -> str:
    """Put a run of a job, or of some of its assets, into the queue; returns its id.

    Raises
    ------
    ServiceDownError
        No daemon takes runs from the queue.
    """
    instance = launcher.instance
    _require_daemon(instance)
    job = launcher.definitions.resolve_job_def(name)
    chosen = None if assets is None else frozenset(dg.AssetKey(asset) for asset in assets)
    if chosen is not None:
        job = job.get_subset(asset_selection=chosen)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(
        LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE), location_name=MODULE
    )
    code = RepositoryPythonOrigin(
        executable_path=sys.executable,
        code_pointer=ModuleCodePointer(MODULE, "defs", working_directory=None),
        container_image=None,
        entry_point=[sys.executable, "-m", "dagster"],
        container_context=None,
    )
    run = instance.create_run_for_job(
        job,
        tags=dict(tags),
        asset_selection=chosen,
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, _REPOSITORY), name),
        job_code_origin=JobPythonOrigin(name, code),
    )
    instance.submit_run(run.run_id, None)  # type: ignore[arg-type]  # the queue does not look at the workspace
    return run.run_id


def await_run(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    """Wait until a run, or the last of its automatic retries, has ended; returns that one."""
    undecided = 0.0
    while True:
        run = instance.get_run_by_id(run_id)
        if run is None:
            raise ServiceDownError(f"run {run_id} is not in Dagster's database any more")
        if run.status == dg.DagsterRunStatus.FAILURE:
            # Dagster enters whether it tries again a moment after the failure.
            again = run.tags.get(WILL_RETRY_TAG)
            if again != "true" and (again is not None or undecided >= _DECISION_SECONDS):
                return run
            undecided = undecided + _POLL_SECONDS if again is None else 0.0
            run_id = run.tags.get(AUTO_RETRY_RUN_ID_TAG, run_id)
        elif run.is_finished:
            return run
        time.sleep(_POLL_SECONDS)


def failures_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, str]:
    """Asset of each failed step, such as `trained_model/ridge`, to why; a run that failed outside any step under `run`."""
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return {}
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event is not None]
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


def _require_daemon(instance: dg.DagsterInstance) -> None:
    beat = instance.get_daemon_heartbeats().get(_QUEUE_DAEMON)
    if beat is None or time.time() - beat.timestamp > _HEARTBEAT_SECONDS:
        raise ServiceDownError(
            f"no Dagster daemon takes runs from the queue; start one with `dagster-daemon run -m {MODULE}`, "
            "DAGSTER_HOME and AURORA_HOME being this home"
        )
