"""What a live day asks of the graph: a session made by the assets themselves, a fold trained, the day closed with both."""

from __future__ import annotations

from datetime import date
from typing import Any

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.defs import jobs
from aurora_pipeline.defs.instances import instance_of
from aurora_pipeline.defs.launcher import Launcher
from aurora_pipeline.stages import FULL_SESSION_BARS, label_reach


def materialise_session(home: Home, session: date) -> None:
    """Materialise a session up to its signals, and the labels before it that have matured.

    Raises
    ------
    AuroraError
        A blocking check refused it.
    """
    settings = home.settings()
    reach = label_reach(settings.purge_bars(home.frequency), FULL_SESSION_BARS)
    sessions = [day for day in home.sessions(settings) if day <= session]
    first, today = sessions[max(0, len(sessions) - 1 - reach)].isoformat(), session.isoformat()
    with instance_of(home) as instance:
        launcher = Launcher(home, instance)
        launcher.job(jobs.FEEDS_JOB)
        launcher.job(jobs.DATA_JOB, first=first, last=today)
        launcher.job(jobs.PREDICTION_JOB, first=today, last=today)
        launcher.job(jobs.LIFECYCLE_JOB, first=today, last=today)
        launcher.job(jobs.SIGNAL_JOB, first=today, last=today)


def close_day(home: Home, session: date) -> dict[str, Any]:
    """Close a session with the graph's own assets, and write its page `<home>/reports/day-<session>.html`.

    Returns what :func:`aurora_pipeline.live.end_of_day.end_of_day` does; a page that cannot be written is told of.
    """
    from aurora_pipeline.defs.retention import remove_tick_runs
    from aurora_pipeline.live.end_of_day import end_of_day
    from aurora_pipeline.reports.period_reports import day_report_or_alert

    report = end_of_day(home, session, materialise_session, remove_tick_runs)
    day_report_or_alert(home, session)
    return report


def train_fold(home: Home, fold: str) -> None:
    """Train every family of a fold."""
    with instance_of(home) as instance:
        Launcher(home, instance).job(jobs.TRAINING_JOB, partition=fold)
