"""Run through Dagster whatever is missing or stale, stage by stage, in this process.

The runs land in the home's Dagster instance, so the UI shows them like any other. What was cut off by a crash is found again by
fingerprint, never by run status.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg

from aurora_pipeline.adapters.home import HOME_VARIABLE, Home
from aurora_pipeline.adapters.instance import write_instance_config
from aurora_pipeline.adapters.progress import report
from aurora_pipeline.claim_report import is_reported
from aurora_pipeline.defs import jobs
from aurora_pipeline.defs.graph import build_definitions
from aurora_pipeline.errors import AuroraError
from aurora_pipeline.lineage import Lineage, Stage, contiguous, feeds_fingerprint
from aurora_pipeline.settings import Settings
from aurora_pipeline.stages import book_name, plan_stages

PROCESS_TAG = "aurora/pid"
_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_DATA_STAGES = ("session_data", "residual_returns", "feature_panel", "labels")
_SIGNAL_STAGES = ("ensemble_weights", "ensemble", "calibrated_signals")


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
        self, name: str, *, first: str | None = None, last: str | None = None, partition: str | None = None
    ) -> None:
        """Run one job over a range of partitions, one partition, or unpartitioned.

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
        try:
            result = self.definitions.resolve_job_def(name).execute_in_process(
                instance=self.instance, tags=tags, partition_key=partition, run_config=_QUIET
            )
        except dg.DagsterExecutionStepExecutionError as error:
            raise _cause(error) from error
        except dg.DagsterError as error:
            raise _cause(error) from error
        self.launched.append(result.run_id)


def bring_up_to_date(home: Home, settings: Settings, *, trade: bool = True) -> list[str]:
    """Materialise everything that is missing or stale; returns the ids of the runs it took.

    Parameters
    ----------
    home : Home
        With its market recorded and settings saved.
    settings : Settings
        The same settings.
    trade : bool
        Go on to the book and the scorecard; otherwise stop at calibrated signals.

    Raises
    ------
    TrainingError
        The span is too short to train on; bars, features and labels are made all the same.
    """
    with instance_of(home) as instance:
        launcher = Launcher(home, instance)
        if home.lake.fingerprint("options") != feeds_fingerprint(home.folder(), settings):
            launcher.job(jobs.FEEDS_JOB)
        stages = {stage.name: stage for stage in plan_stages(home, settings)}
        lineage = Lineage(home, settings, list(stages.values()), book_name(settings))
        views = [stage for name, stage in stages.items() if name.endswith("_features")]
        _ranges(launcher, lineage, jobs.DATA_JOB, [*(stages[name] for name in _DATA_STAGES), *views])
        training = [stage for stage in stages.values() if stage.by_fold]
        folds = sorted({key for stage in training for key in lineage.stale(stage, lineage.keys(stage))})
        for done, key in enumerate(folds):
            launcher.job(jobs.TRAINING_JOB, partition=key)
            report("training", done + 1, len(folds))
        predictions = [stage for name, stage in stages.items() if name.startswith("prediction/")]
        _ranges(launcher, lineage, jobs.PREDICTION_JOB, predictions)
        _ranges(launcher, lineage, jobs.SIGNAL_JOB, [stages[name] for name in _SIGNAL_STAGES])
        if not trade:
            return launcher.launched
        _ranges(launcher, lineage, jobs.BOOK_JOB, [stages["trade_book"]], to_the_end=True)
        if launcher.launched or not is_reported(home):
            launcher.job(jobs.REPORT_JOB)
        return launcher.launched


def _ranges(
    launcher: Launcher, lineage: Lineage, job: str, stages: Sequence[Stage], *, to_the_end: bool = False
) -> None:
    stale = sorted({key for stage in stages for key in lineage.stale(stage, lineage.keys(stage))})
    if not stale:
        return
    stretches = [(stale[0], lineage.partitions[-1])] if to_the_end else contiguous(stale, lineage.partitions)
    for first, last in stretches:
        launcher.job(job, first=first, last=last)


@contextmanager
def instance_of(home: Home) -> Iterator[dg.DagsterInstance]:
    """Open the home's Dagster instance, after marking runs whose process died as failed."""
    write_instance_config(home.path)
    os.environ["DAGSTER_HOME"] = str(home.path)
    os.environ[HOME_VARIABLE] = str(home.path)
    with dg.DagsterInstance.get() as instance:
        _bury_the_dead(instance)
        yield instance


def _bury_the_dead(instance: dg.DagsterInstance) -> None:
    active = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    for run in instance.get_runs(filters=active):
        process = run.tags.get(PROCESS_TAG)
        if process is not None and not Path(f"/proc/{process}").exists() and not _alive(int(process)):
            instance.report_run_failed(run, "the process that ran it is gone")


def _alive(process: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def _cause(error: BaseException) -> AuroraError:
    """Return the Aurora error behind a Dagster error, or one that says where it failed."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AuroraError):
            return seen
        original = getattr(seen, "user_exception", None)
        seen = original if isinstance(original, BaseException) else seen.__cause__
    return StageFailedError(str(error))
