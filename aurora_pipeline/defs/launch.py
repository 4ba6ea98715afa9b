"""Run through Dagster whatever is missing or stale, stage by stage, in this process.

The runs land in the home's Dagster instance, so the UI shows them like any other. What was cut off by a crash is found again by
fingerprint, never by run status.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg

from aurora_pipeline.adapters.home import HOME_VARIABLE, Home
from aurora_pipeline.adapters.models.configuration_log import note_configurations
from aurora_pipeline.adapters.storage.lake import partition_of
from aurora_pipeline.adapters.worker_processes import worker_pool
from aurora_pipeline.defs import jobs
from aurora_pipeline.defs.cluster_runs import PARTITION, await_run, failures_of, reason, submit_run
from aurora_pipeline.defs.databases import make_databases
from aurora_pipeline.defs.dead_runs import PROCESS_TAG, bury_the_dead
from aurora_pipeline.defs.graph import build_definitions
from aurora_pipeline.defs.training import prepare_tracking, train_folds
from aurora_pipeline.errors import AuroraError, SettingsError, TrainingError
from aurora_pipeline.lineage import Lineage, Stage, contiguous, feeds_fingerprint
from aurora_pipeline.reports.claim_report import is_reported
from aurora_pipeline.settings import Settings
from aurora_pipeline.stages import book_name, plan_stages

_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_DATA_STAGES = ("session_data", "residual_returns", "feature_panel", "labels")
_SIGNAL_STAGES = ("ensemble_weights", "ensemble", "calibrated_signals")
_LOOKED_AHEAD_TO = ("session_data", "residual_returns")
_WORTH_TWO_PROCESSES = 40
"""Partitions from which on a second process gains more than the seconds it takes to start."""


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
            tags |= {_RANGE_START: first, _RANGE_END: last}
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


@dataclass(frozen=True)
class UpToDate:
    """What bringing a home up to date took.

    Attributes
    ----------
    runs : list of str
        Ids of the Dagster runs.
    failed : list of str
        Folds and families that could not be trained, each with its reason.
    changed : list of str
        Families whose changed settings became a challenger.
    """

    runs: list[str]
    failed: list[str]
    changed: list[str]


def bring_up_to_date(
    home: Home,
    settings: Settings,
    *,
    trade: bool = True,
    until: date | None = None,
    replace_models: bool = False,
    report: bool = True,
) -> UpToDate:
    """Materialise everything that is missing or stale.

    A changed configuration of a family is recorded and becomes a challenger, see
    :mod:`aurora_pipeline.adapters.models.configuration_log`. A family that cannot be trained for a fold sits its test block out,
    the others go on; the next call tries it again.

    Parameters
    ----------
    home : Home
        With its market recorded and settings saved.
    settings : Settings
        The same settings.
    trade : bool
        Go on to the book and the scorecard; otherwise stop at calibrated signals.
    until : date, optional
        Last session wanted; the market's last by default.
    replace_models : bool
        Take changed configurations for the whole history instead.
    report : bool
        Go on from the book to scorecard, comparison and claims.

    Raises
    ------
    SettingsError
        A family that has states is no longer named.
    TrainingError
        The span is too short to train on, or not one model could be trained; bars, features and labels are made all the same.
    """
    changed = note_configurations(home, settings, replace=replace_models)
    with instance_of(home) as instance:
        launcher = Launcher(home, instance)
        prepare_tracking(home)
        if home.lake.fingerprint("options") != feeds_fingerprint(home.folder(), settings):
            launcher.job(jobs.FEEDS_JOB)
        stages = {stage.name: stage for stage in plan_stages(home, settings)}
        lineage = Lineage(home, settings, list(stages.values()), book_name(settings))
        wanted = _Wanted(lineage, until)
        views = [stage for name, stage in stages.items() if name.endswith("_features")]
        _ranges(launcher, wanted, jobs.DATA_JOB, [*(stages[name] for name in _DATA_STAGES), *views])
        failed = _train(launcher, wanted, settings, [stage for stage in stages.values() if stage.by_fold])
        predictions = [stage for name, stage in stages.items() if name.startswith("prediction/")]
        _ranges(launcher, wanted, jobs.PREDICTION_JOB, predictions, side_by_side=settings.training.processes > 1)
        _ranges(launcher, wanted, jobs.LIFECYCLE_JOB, [stages[name] for name in jobs.LIFECYCLE_ASSETS])
        _ranges(launcher, wanted, jobs.SIGNAL_JOB, [stages[name] for name in _SIGNAL_STAGES])
        if not trade:
            return UpToDate(launcher.launched, failed, changed)
        book = stages["trade_book"]
        stale = bool(wanted.stale([book]))
        due = report and bool(launcher.launched or stale or not is_reported(home))
        side_by_side = due and stale and home.shared is None
        with _beside(launcher, jobs.EVALUATION_JOB) if side_by_side else nullcontext():
            _ranges(launcher, wanted, jobs.BOOK_JOB, [book], to_the_end=True)
        if due:
            launcher.job(jobs.REPORT_JOB, assets=jobs.BOOK_REPORT_ASSETS if side_by_side else None)
        return UpToDate(launcher.launched, failed, changed)


@contextmanager
def _beside(launcher: Launcher, job: str, first: str | None = None, last: str | None = None) -> Iterator[None]:
    """Run a job in a process of its own while the block runs; the block ends when both have."""
    with worker_pool(1) as pool:
        run = pool.submit(_job_in_process, str(launcher.home.path), job, first, last)
        yield
        launcher.launched += run.result()


def _job_in_process(home: str, job: str, first: str | None = None, last: str | None = None) -> list[str]:
    opened = Home(Path(home))
    with instance_of(opened) as instance:
        launcher = Launcher(opened, instance)
        launcher.job(job, first=first, last=last)
        return launcher.launched


class _Wanted:
    """Partitions up to a session, and what their labels look ahead to.

    Labels of the sessions looked ahead to cannot be complete yet; they count as stale once those sessions are asked for.
    """

    def __init__(self, lineage: Lineage, until: date | None) -> None:
        self.lineage = lineage
        self.partitions = lineage.partitions
        self.until = min(until or lineage.sessions[-1], lineage.sessions[-1])

    def keys(self, stage: Stage) -> list[str]:
        """Every partition or fold of a stage that is wanted."""
        lineage = self.lineage
        if stage.by_fold:
            return [fold.key for fold in lineage.folds if fold.test[0] <= self.until]
        last = partition_of(self._ahead() if stage.name in _LOOKED_AHEAD_TO else self.until, lineage.home.frequency)
        return [key for key in lineage.keys(stage) if key <= last]

    def stale(self, stages: Sequence[Stage]) -> list[str]:
        """Wanted keys of which at least one stage is missing or stale, sorted."""
        return sorted({key for stage in stages for key in self.lineage.stale(stage, self.keys(stage))})

    def _ahead(self) -> date:
        sessions = self.lineage.sessions
        return sessions[min(bisect_left(sessions, self.until) + self.lineage.reach, len(sessions) - 1)]


def _train(launcher: Launcher, wanted: _Wanted, settings: Settings, stages: Sequence[Stage]) -> list[str]:
    """Train the folds in which anything is missing or stale; returns what failed, by name."""
    folds = wanted.stale(stages)
    if not folds:
        return []
    results = train_folds(launcher, settings, folds)
    failed = [f"fold {result.fold}, {what}: {why}" for result in results for what, why in result.failed.items()]
    champions = launcher.home.champions()
    if not any(champions.get(family) for family in settings.models.families):
        raise TrainingError("not one model could be trained:\n" + "\n".join(failed))
    return failed


def _ranges(
    launcher: Launcher,
    wanted: _Wanted,
    job: str,
    stages: Sequence[Stage],
    *,
    to_the_end: bool = False,
    side_by_side: bool = False,
) -> None:
    """Run a job over what is stale of its stages: in one stretch to the end, or a long stretch as two halves side by side."""
    stale = wanted.stale(stages)
    if not stale:
        return
    last = max(key for stage in stages for key in wanted.keys(stage))
    stretches = [(stale[0], last)] if to_the_end else contiguous(stale, wanted.partitions)
    for first, end in stretches:
        keys = wanted.partitions[bisect_left(wanted.partitions, first) : bisect_left(wanted.partitions, end) + 1]
        if side_by_side and len(keys) >= _WORTH_TWO_PROCESSES and launcher.home.shared is None:
            half = len(keys) // 2
            with _beside(launcher, job, first=keys[half], last=end):
                launcher.job(job, first=first, last=keys[half - 1])
        else:
            launcher.job(job, first=first, last=end)


@contextmanager
def instance_of(home: Home) -> Iterator[dg.DagsterInstance]:
    """Open the home's Dagster instance, after marking runs whose process died as failed."""
    make_databases(home)
    os.environ["DAGSTER_HOME"] = str(home.path)
    os.environ[HOME_VARIABLE] = str(home.path)
    with dg.DagsterInstance.get() as instance:
        if home.shared is None:
            bury_the_dead(instance)
        yield instance


def _cause(error: BaseException) -> AuroraError:
    """Return the Aurora error behind a Dagster error, or one that says where it failed."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AuroraError):
            return seen
        original = getattr(seen, "user_exception", None)
        seen = original if isinstance(original, BaseException) else seen.__cause__
    return StageFailedError(str(error))
