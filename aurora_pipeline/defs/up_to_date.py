"""Run through Dagster whatever is missing or stale, stage by stage, in this process.

The runs land in the home's Dagster instance, so the UI shows them like any other. What was cut off by a crash is found again by
fingerprint, never by run status.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.configuration_log import note_configurations
from aurora_pipeline.adapters.storage.feed_store import feeds_are_stored
from aurora_pipeline.adapters.storage.lake import partition_of
from aurora_pipeline.defs import jobs
from aurora_pipeline.defs.instances import instance_of
from aurora_pipeline.defs.launcher import Launcher, beside
from aurora_pipeline.defs.training import prepare_tracking, train_folds
from aurora_pipeline.errors import TrainingError
from aurora_pipeline.fingerprints import feeds_fingerprint
from aurora_pipeline.lineage import Lineage, contiguous
from aurora_pipeline.reports.claim_report import is_reported
from aurora_pipeline.settings import Settings
from aurora_pipeline.stage import Stage
from aurora_pipeline.stages import book_name, plan_stages

_DATA_STAGES = ("session_data", "residual_returns", "feature_panel", "labels")
_SIGNAL_STAGES = ("ensemble_weights", "ensemble", "calibrated_signals")
_LOOKED_AHEAD_TO = ("session_data", "residual_returns")
_WORTH_TWO_PROCESSES = 40
"""Partitions from which on a second process gains more than the seconds it takes to start."""


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
        home.lake.write_views(home.database)  # those of a home that was moved or copied show the old one's lake
        if not feeds_are_stored(home, feeds_fingerprint(home.folder(), settings)):
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
        with beside(launcher, jobs.EVALUATION_JOB) if side_by_side else nullcontext():
            _ranges(launcher, wanted, jobs.BOOK_JOB, [book], to_the_end=True)
        if due:
            launcher.job(jobs.REPORT_JOB, assets=jobs.BOOK_REPORT_ASSETS if side_by_side else None)
        return UpToDate(launcher.launched, failed, changed)


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
            with beside(launcher, job, first=keys[half], last=end):
                launcher.job(job, first=first, last=keys[half - 1])
        else:
            launcher.job(job, first=first, last=end)
