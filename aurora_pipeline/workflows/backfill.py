"""Backfills: the historical walk-forward test of a range of sessions, and single jobs over a range."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.storage.lake import partition_of
from aurora_pipeline.errors import LakeError, SettingsError
from aurora_pipeline.workflows.main_job import Outcome, prepare_home, run_main_job


def run_walk_forward(
    home: Home,
    market: Path | None,
    overrides: Sequence[str],
    first: date | None,
    last: date | None,
    *,
    replace_models: bool = False,
) -> Outcome:
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
    return run_main_job(home, market, overrides, until=asked[-1], replace_models=replace_models)


def run_range(home: Home, job: str, first: date, last: date) -> str:
    """Run one partitioned job over a range of sessions; returns the run id."""
    from aurora_pipeline.defs.instances import instance_of
    from aurora_pipeline.defs.launcher import Launcher

    sessions = _inside(home.sessions(home.settings()), first, last)
    with instance_of(home) as instance:
        launcher = Launcher(home, instance)
        if job not in {known.name for known in launcher.definitions.resolve_all_job_defs()}:
            raise SettingsError(f"no job {job!r}")
        launcher.job(
            job, first=partition_of(sessions[0], home.frequency), last=partition_of(sessions[-1], home.frequency)
        )
        return launcher.launched[-1]


def _inside(sessions: Sequence[date], first: date | None, last: date | None) -> list[date]:
    inside = [day for day in sessions if (first or day) <= day <= (last or day)]
    if not inside:
        raise LakeError(f"the market has no session from {first} to {last}; it has {sessions[0]} to {sessions[-1]}")
    return inside
