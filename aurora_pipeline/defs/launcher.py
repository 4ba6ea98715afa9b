"""Launches jobs of a home's graph: in this process, in one beside it, or on the cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.worker_processes import worker_pool
from aurora_pipeline.defs.cluster_runs import PARTITION, await_run, failures_of, reason, submit_run
from aurora_pipeline.defs.dead_runs import PROCESS_TAG, bury_the_dead
from aurora_pipeline.defs.graph import build_definitions
from aurora_pipeline.defs.instances import instance_of
from aurora_pipeline.errors import AuroraError, SettingsError

_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"
RANGE_TAG = "partitions"
"""Tag of a run over a range: Dagster's own two are not among those its list of runs shows."""
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags of a run over a range of partitions, from the first to the last one."""
    return {_RANGE_START: first, _RANGE_END: last, RANGE_TAG: first if first == last else f"{first} to {last}"}


class StageFailedError(AuroraError):
    """A run ended with a failed step or a blocking check."""


class Launcher:
    """Launches jobs of one home in this process.

    Parameters
    ----------
    home : Home
        The installation; its settings file must already hold the settings of this run.
    instance : dagster.DagsterInstance
        The home's instance.
    """

    def __init__(self, home: Home, instance: dg.DagsterInstance) -> None:
        self.home = home
        self.instance = instance
        self.definitions = build_definitions(home)
        self.launched: list[str] = []

    def job(
        self,
        name: str,
        *,
        first: str | None = None,
        last: str | None = None,
        partition: str | None = None,
        assets: Sequence[str] | None = None,
    ) -> None:
        """Run one job, or some assets of it, over a range of partitions, one partition, or unpartitioned.

        Raises
        ------
        AuroraError
            What the failed step raised.
        StageFailedError
            A blocking check failed.
        """
        tags = {PROCESS_TAG: str(os.getpid())}
        if first is not None and last is not None:
            tags |= range_tags(first, last)
        if self.home.shared is not None:
            if assets is not None:
                raise SettingsError(f"{name}: some assets of a job alone are run in profile local only")
            self._on_the_cluster(name, tags, partition)
            return
        try:
            result = self.definitions.resolve_job_def(name).execute_in_process(
                instance=self.instance,
                tags=tags,
                partition_key=partition,
                run_config=_QUIET,
                asset_selection=None if assets is None else [dg.AssetKey(asset) for asset in assets],
            )
        except dg.DagsterExecutionStepExecutionError as error:
            raise _cause(error) from error
        except dg.DagsterError as error:
            raise _cause(error) from error
        self.launched.append(result.run_id)

    def _on_the_cluster(self, name: str, tags: dict[str, str], partition: str | None) -> None:
        tags = {key: value for key, value in tags.items() if key != PROCESS_TAG}
        tags |= {} if partition is None else {PARTITION: partition}
        run = await_run(self.instance, submit_run(self.instance, name, tags))
        self.home.refresh()
        failed = failures_of(self.instance, run)
        if failed:
            raise StageFailedError("\n".join(f"{name}, {step}: {why}" for step, why in failed.items()))
        self.launched.append(run.run_id)

    def attempt(self, name: str, *, partition: str) -> tuple[str, dict[str, str]]:
        """Run one job over one partition to its end, whichever steps fail.

        Returns
        -------
        run_id : str
            Dagster run.
        failed : dict of str to str
            Asset of each failed step, such as `trained_model/ridge`, to why it failed.
        """
        result = self.definitions.resolve_job_def(name).execute_in_process(
            instance=self.instance,
            tags={PROCESS_TAG: str(os.getpid())},
            partition_key=partition,
            run_config=_QUIET,
            raise_on_error=False,
        )
        failures = [event for event in result.all_events if event.is_step_failure]
        return result.run_id, {str(event.step_key).replace("__", "/"): reason(event) for event in failures}


@contextmanager
def beside(launcher: Launcher, job: str, first: str | None = None, last: str | None = None) -> Iterator[None]:
    """Run a job in a process of its own while the block runs; both end together, and where the block fails the job is ended."""
    try:
        with worker_pool(1) as pool:
            run = pool.submit(_job_in_process, str(launcher.home.path), job, first, last)
            yield
            launcher.launched += run.result()
    except BaseException:
        bury_the_dead(launcher.instance)  # nobody else says that the run beside is over
        raise


def _job_in_process(home: str, job: str, first: str | None = None, last: str | None = None) -> list[str]:
    opened = Home(Path(home))
    with instance_of(opened) as instance:
        launcher = Launcher(opened, instance)
        launcher.job(job, first=first, last=last)
        return launcher.launched


def _cause(error: BaseException) -> AuroraError:
    """Return the Aurora error behind a Dagster error, or one that says where it failed."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AuroraError):
            return seen
        original = getattr(seen, "user_exception", None)
        seen = original if isinstance(original, BaseException) else seen.__cause__
    return StageFailedError(str(error))
