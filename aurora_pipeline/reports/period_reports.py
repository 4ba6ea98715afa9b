"""End-of-day and weekly reports: one HTML page each, from what is stored, with what changed and what needs a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.errors import AuroraError, LakeError
from aurora_pipeline.live.alert import Alert
from aurora_pipeline.live.alerting import tell
from aurora_pipeline.monitoring.dashboard.page import DAGSTER, MLFLOW, Heading, page_html, panel_html
from aurora_pipeline.monitoring.dashboard.period_panels import period_panels
from aurora_pipeline.monitoring.dashboard.period_result import Period
from aurora_pipeline.monitoring.dashboard.usual_result import LONG
from aurora_pipeline.reports.dashboard.inputs import close_reports, read_attention, read_input
from aurora_pipeline.reports.dashboard.rendering import PAGE, book_named, chosen_book


def write_day_report(home: Home, session: date | None = None, book: str | None = None) -> Path:
    """Write the report of a session, the newest by default, to `<home>/reports/day-<session>.html`.

    Raises
    ------
    LakeError
        The lake has nothing of that session.
    BookError
        The home holds no book of that name.
    """
    sessions, of_book = _stored(home), chosen_book(home, book)
    chosen = session or sessions[-1]
    if chosen not in sessions:
        raise LakeError(f"nothing is stored of session {chosen}; the lake has {sessions[0]} to {sessions[-1]}")
    index = sessions.index(chosen)
    period = _period(home, of_book, "session", sessions, (chosen,), tuple(sessions[max(0, index - 1) : index]))
    return _write(home, of_book, period, f"day-{chosen}.html", f"Session {chosen}")


def write_week_report(home: Home, session: date | None = None, book: str | None = None) -> Path:
    """Write the report of the week a session lies in, the newest by default, to `<home>/reports/week-<year>-W<week>.html`.

    Raises
    ------
    LakeError
        The lake has nothing of that week.
    BookError
        The home holds no book of that name.
    """
    sessions, of_book = _stored(home), chosen_book(home, book)
    chosen = session or sessions[-1]
    week = chosen.isocalendar()[:2]
    weeks = sorted({day.isocalendar()[:2] for day in sessions})
    if week not in weeks:
        raise LakeError(f"nothing is stored of the week of {chosen}; the lake has {sessions[0]} to {sessions[-1]}")
    earlier = weeks[weeks.index(week) - 1] if weeks.index(week) else None
    this = tuple(day for day in sessions if day.isocalendar()[:2] == week)
    before = tuple(day for day in sessions if day.isocalendar()[:2] == earlier)
    period = _period(home, of_book, "week", sessions, this, before)
    name = f"{week[0]}-W{week[1]:02d}"
    return _write(home, of_book, period, f"week-{name}.html", f"Week {name}, {this[0]} to {this[-1]}")


def day_report_or_alert(home: Home, session: date) -> None:
    """Write the report of a closed session; what goes wrong is told, and does not undo the close."""
    try:
        write_day_report(home, session)
    except (AuroraError, pl.exceptions.PolarsError, OSError) as error:
        tell(home, [Alert("warning", "day_report", f"the report of session {session} could not be written: {error}")])


def _stored(home: Home) -> list[date]:
    sessions = home.lake.read("data_quality", columns=["session"]).get_column("session").unique().sort().to_list()
    if not sessions:
        raise LakeError(f"home {home.path} has no session yet; start with `aurora run`")
    return sessions


def _first_decision(home: Home) -> date | None:
    """First session after the warm-up."""
    settings = home.settings()
    return next(iter(home.sessions(settings)[settings.warm_up(home.frequency) :]), None)


def _period(
    home: Home, book: str, unit: str, sessions: Sequence[date], this: tuple[date, ...], before: tuple[date, ...]
) -> Period:
    lake, first, last = home.lake, (before or this)[0], this[-1]
    usual = sessions[max(0, sessions.index(first) - LONG)]
    ticks = read_input(home, book, "ticks")
    return Period(
        this,
        before,
        unit,
        portfolio=lake.read("portfolio", usual, last, book=book),
        fills=lake.read("fills", first, last, book=book),
        attribution=lake.read("attribution", this[0], last, book=book),
        weights=lake.read("ensemble_weights", first, last),
        states=lake.read("model_states", first, last),
        data_quality=lake.read("data_quality", first, last),
        ticks=ticks.filter(pl.col("session").is_in(list(this))),
        closes={day: report for day, report in close_reports(home).items() if day in this},
        attention=read_attention(home, book, this[0], last),
        first_decision=_first_decision(home),
        begins=lake.read("portfolio", columns=["session"], book=book).get_column("session").min(),  # type: ignore[arg-type]
    )


def _write(home: Home, book: str, period: Period, name: str, title: str) -> Path:
    market, synthetic = home.market(), home.folder().synthetic
    groups = [
        (group, [(panel, panel_html(panel, blocks, synthetic=synthetic)) for panel, blocks in panels])
        for group, panels in period_panels(period)
    ]
    before = " to ".join(str(day) for day in dict.fromkeys((*period.before[:1], *period.before[-1:]))) or "nothing"
    heading = Heading(
        title=f"{title}: {market.name}",
        facts=f"{book_named(home, book)} · {market.frequency} bars · compared with {before}",
        made=f"As stored at {datetime.now(tz=UTC):%Y-%m-%d %H:%M:%S} UTC.",
        synthetic=synthetic,
        links=(("Dashboard", PAGE), ("Dagster", DAGSTER), ("MLflow", MLFLOW)),
    )
    target = home.reports / name
    atomic_text(target, page_html(heading, groups, served=False))
    return target
