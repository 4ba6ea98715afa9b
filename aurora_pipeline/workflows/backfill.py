"""Backfills: the historical walk-forward test of a range of sessions, and single jobs over a range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.progress import report
from aurora_pipeline.adapters.storage.lake import partition_of
from aurora_pipeline.errors import LakeError, SettingsError
from aurora_pipeline.lineage import Lineage
from aurora_pipeline.models.walk_forward import Fold
from aurora_pipeline.settings import Settings
from aurora_pipeline.stages import book_name, plan_stages
from aurora_pipeline.workflows.main_job import Outcome, prepare_home, run_main_job

_UNITS = {"5min": "session", "session": "month"}


@dataclass(frozen=True)
class WalkForward:
    """What a walk-forward test leaves behind.

    Attributes
    ----------
    outcome : Outcome
        As of the main job.
    book : str
        Book of the settings in force.
    made : list of str
        Partitions of the book that were made, in time order.
    unit : str
        What a partition is: a session, or a month.
    """

    outcome: Outcome
    book: str
    made: list[str]
    unit: str


@dataclass(frozen=True)
class JobRange:
    """What one job was run over.

    Attributes
    ----------
    partitions : list of str
        What it was run over, in time order; empty for a job without partitions.
    unit : str
        What a partition is: a session, a month, or a fold.
    runs : list of str
        Dagster runs.
    failed : list of str
        Folds and families that could not be trained, each with its reason.
    """

    partitions: list[str]
    unit: str
    runs: list[str]
    failed: list[str] = field(default_factory=list)


def run_walk_forward(
    home: Home,
    market: Path | None,
    overrides: Sequence[str],
    first: date | None,
    last: date | None,
    *,
    replace_models: bool = False,
) -> WalkForward:
    """Make signals and book of a range of sessions as the walk-forward would have: folds, predictions, signals, book.

    A session's weights and calibration rest on the predictions of all sessions before it, so whatever is missing or stale from
    the first fold on is made too; nothing after the range is. Cut off anywhere, it goes on where it was when started again.

    Parameters
    ----------
    home, market, overrides, replace_models
        As for :func:`~aurora_pipeline.workflows.main_job.run_main_job`.
    first, last : date, optional
        Range of sessions; from the first walk-forward fold and to the market's last session by default.

    Raises
    ------
    LakeError
        There is no session in the range, or none of it comes after the warm-up.
    """
    if market is not None:
        prepare_home(home, market, overrides)
    settings = home.settings(overrides)
    sessions = home.sessions(settings)
    asked = _inside(sessions, first, last)
    warm_up = settings.warm_up(home.frequency)
    if sessions.index(asked[-1]) < warm_up:
        raise LakeError(
            f"{asked[0]} to {asked[-1]} lies in the warm-up: the first fold starts after {warm_up} sessions "
            f"(warm_up_sessions); ask for a later range"
        )
    book = book_name(settings)
    before = _book_made(home, book)
    outcome = run_main_job(home, market, overrides, until=asked[-1], replace_models=replace_models)
    after = _book_made(Home(home.path), book)
    made = [key for key, made_of in after.items() if before.get(key) != made_of]
    return WalkForward(outcome, book, made, _UNITS[home.frequency])


def run_range(home: Home, job: str, first: date, last: date) -> JobRange:
    """Run one job over a range of sessions, whether or not they are stale.

    A job by fold runs for every fold whose test block has a session in the range, one after another. A job without partitions
    runs once, as a whole.

    Raises
    ------
    SettingsError
        There is no such job.
    LakeError
        The range has no session, or no fold is tested in it.
    """
    from aurora_pipeline.defs.instances import instance_of
    from aurora_pipeline.defs.jobs import build_jobs
    from aurora_pipeline.defs.launcher import Launcher
    from aurora_pipeline.defs.partitions import session_partitions

    settings = home.settings()
    sessions = _inside(home.sessions(settings), first, last)
    with instance_of(home) as instance:
        launcher = Launcher(home, instance)
        named = [known.name for known in build_jobs(settings.models.families)]
        if job not in named:
            raise SettingsError(f"no job {job!r} that runs over a range; there are {', '.join(named)}")
        cut = launcher.definitions.resolve_job_def(job).partitions_def
        if cut is None:
            launcher.job(job)
            return JobRange([], "", launcher.launched)
        wanted = list(dict.fromkeys(partition_of(day, home.frequency) for day in sessions))
        if cut == session_partitions(home):
            launcher.job(job, first=wanted[0], last=wanted[-1])
            return JobRange(wanted, _UNITS[home.frequency], launcher.launched)
        folds = [fold.key for fold in _tested(home, settings, job, sessions)]
        runs, failed = [], []
        for done, fold in enumerate(folds):
            report("folds", done, len(folds))
            if home.shared is not None:
                launcher.job(job, partition=fold)
                continue
            run, reasons = launcher.attempt(job, partition=fold)
            runs.append(run)
            failed += [f"fold {fold}, {what}: {why}" for what, why in reasons.items()]
        report("folds", len(folds), len(folds))
        return JobRange(folds, "fold", [*launcher.launched, *runs], failed)


def _tested(home: Home, settings: Settings, job: str, sessions: Sequence[date]) -> list[Fold]:
    """Folds whose test block has one of some sessions."""
    folds = Lineage(home, settings, plan_stages(home, settings), book_name(settings)).folds
    found = [fold for fold in folds if fold.test[0] <= sessions[-1] and sessions[0] <= fold.test[1]]
    if not found:
        raise LakeError(
            f"job {job} runs by fold, and no fold is tested from {sessions[0]} to {sessions[-1]}: "
            f"the first begins on {folds[0].test[0]}"
        )
    return found


def _book_made(home: Home, book: str) -> dict[str, str | None]:
    """Fingerprint of each stored partition of a book's result."""
    return home.lake.fingerprints("portfolio", home.lake.partitions("portfolio", book=book), book=book)


def _inside(sessions: Sequence[date], first: date | None, last: date | None) -> list[date]:
    if first is not None and last is not None and last < first:
        raise LakeError(f"the range ends on {last}, before it begins on {first}")
    inside = [day for day in sessions if (first or day) <= day <= (last or day)]
    if not inside:
        asked = f"before {last}" if first is None else f"from {first} {f'to {last}' if last else 'on'}"
        raise LakeError(f"the market has no session {asked}; it has {sessions[0]} to {sessions[-1]}")
    return inside
