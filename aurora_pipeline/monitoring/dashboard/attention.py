"""What needs a person: alerts, breakers, quarantines, approvals, drift, differences; one row each, worst first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from aurora_pipeline.monitoring.dashboard.data_panels import MOST_LATE
from aurora_pipeline.monitoring.dashboard.panel import Block, Fact, Facts, Note, Rows, Tagged, bps, number
from aurora_pipeline.monitoring.dashboard.usual_result import UNUSUAL, account, swing

Concern = tuple[str, str, str, str]
"""Severity, when, what, what to do."""
ITEM = {"severity": pl.String, "at": pl.String, "what": pl.String, "do": pl.String}
"""Columns of what needs a person; `severity` is `critical`, `warning` or `info`."""
RANKS = {"critical": 0, "warning": 1, "info": 2}
TONES = {"critical": "bad", "warning": "warn", "info": "quiet"}
SERIOUS_EVENTS = {
    "position_drift": ("critical", "look at the broker's account, then `aurora resume`"),
    "split_refused": ("warning", "see whether the split took place, and correct `corporate_actions` or the prices"),
    "halted": ("critical", "find out why, then `aurora resume`"),
    "limits_out_of_reach": ("warning", "see the exposures: the book is being brought back"),
    "solver_failed": ("warning", "see the run's log"),
    "broker_timeout": ("warning", "check the order with the broker"),
    "unknown_fill": ("warning", "reconcile with the broker"),
    "breaker_daily_loss": ("warning", "look at the attribution of the session"),
    "breaker_drawdown": ("critical", "decide whether the book should go on: `aurora book status`"),
    "breaker_reject_rate": ("warning", "see why orders were refused"),
    "breaker_stale_data": ("warning", "look at the bar feed"),
    "breaker_spread": ("warning", "look at the quotes behind the spreads"),
}


def attention(
    first: date,
    last: date,
    *,
    settings: str,
    alerts: Sequence[Mapping[str, Any]],
    switch: Mapping[str, str],
    portfolio: pl.DataFrame,
    events: pl.DataFrame,
    states: pl.DataFrame,
    drift: pl.DataFrame,
    quarantine: pl.DataFrame,
    closes: Mapping[date, Mapping[str, Any]],
    failed_trainings: Sequence[str],
    feeds: pl.DataFrame,
) -> pl.DataFrame:
    """List what a person should look at of a stretch of sessions.

    Parameters
    ----------
    first, last : date
        Sessions, inclusive. The switch counts by its present position.
    settings : str
        Why the home's settings cannot be used now; empty where they can.
    alerts : sequence of mapping
        Lines of `live/alerts.jsonl` of the stretch: `at`, `severity`, `key`, `text`.
    switch : mapping
        `mode`, `reason`, `since` of the kill switch.
    portfolio : polars.DataFrame
        Table `portfolio` of one book, with the sessions before the stretch that say what result is usual.
    events, states, drift, quarantine : polars.DataFrame
        Tables `events` of one book, `model_states`, `drift`, `quarantine`.
    closes : mapping of date to mapping
        Reports of the end of day.
    failed_trainings : sequence of str
        Folds and families the newest run could not train.
    feeds : polars.DataFrame
        Columns :data:`~aurora_pipeline.monitoring.dashboard.data_panels.FEEDS`, at the end of the stretch. One the market does
        not have needs nobody, one that stopped does.

    Returns
    -------
    polars.DataFrame
        Columns :data:`ITEM`, worst first, then newest.
    """
    inside = pl.col("session").is_between(first, last)
    rows = [
        *_settings(settings),
        *_switch(switch),
        *_alerts(alerts),
        *_closes({day: report for day, report in closes.items() if first <= day <= last}),
        *_results(portfolio, first, last),
        *_serious_events(events.filter(inside)),
        *_models(states.filter(inside), drift.filter(inside)),
        *_refused_rows(quarantine.filter(inside)),
        *(("warning", "", f"not trained: {line}", "the next run tries again") for line in failed_trainings),
        *_late_feeds(feeds),
    ]
    newest_first = sorted(rows, key=lambda row: row[1].replace("T", " "), reverse=True)
    return pl.DataFrame(sorted(newest_first, key=lambda row: RANKS[row[0]]), schema=ITEM, orient="row")


def _switch(switch: Mapping[str, str]) -> list[Concern]:
    if switch["mode"] == "on":
        return []
    what = f"kill switch: {switch['mode']}, {switch['reason']}"
    return [("critical", switch["since"], what, "`aurora resume` when the cause is gone")]


def _settings(trouble: str) -> list[Concern]:
    return (
        [("critical", "", trouble, "repair what is named; `aurora settings` shows what is read then")]
        if trouble
        else []
    )


def _closes(closes: Mapping[date, Mapping[str, Any]]) -> list[Concern]:
    """Sessions that came out differently when they were made again, or could not be."""
    rows = []
    for day, report in sorted(closes.items()):
        wrong = int(report["differences"]) + int(report["backfill_differences"])
        if wrong:
            what = f"{wrong} value(s) of the live session differ from its backfill"
            rows.append(("critical", str(day), what, f"`live/sessions/{day}/close.json` names the first"))
        if report.get("backfill_blocked"):
            what = f"the session cannot be materialised: {report['backfill_blocked']}"
            rows.append(("critical", str(day), what, "look at its data quality"))
    return rows


def _serious_events(events: pl.DataFrame) -> list[Concern]:
    rows = []
    for row in events.filter(pl.col("event").is_in(list(SERIOUS_EVENTS))).sort("session").iter_rows(named=True):
        severity, what_to_do = SERIOUS_EVENTS[row["event"]]
        name = f" {row['name']}" if row["name"] else ""
        what = f"{row['event'].replace('_', ' ')}{name}, {row['times']} time(s): {row['detail']}; {row['action']}"
        rows.append((severity, str(row["session"]), what, what_to_do))
    return rows


def _refused_rows(quarantine: pl.DataFrame) -> list[Concern]:
    """One row per session, source and reason, with the first few symbols."""
    refused = quarantine.group_by("session", "source", "reason").agg(
        pl.len().alias("rows"), pl.col("symbol").unique().sort().head(3).alias("symbols")
    )
    rows = []
    for row in refused.sort("session", "source", "reason").iter_rows(named=True):
        names = ", ".join(name or "?" for name in row["symbols"])
        reason = row["reason"].replace("_", " ")
        what = f"{row['rows']} row(s) of {row['source']} in quarantine: {reason} ({names})"
        rows.append(("info", str(row["session"]), what, "table `quarantine` keeps each row"))
    return rows


def _late_feeds(feeds: pl.DataFrame) -> list[Concern]:
    rows = []
    for row in feeds.filter(pl.col("late_share") > MOST_LATE).iter_rows(named=True):
        usual = "" if row["gap_days"] is None else f", usually one comes every {row['gap_days']:.0f}"
        rows.append(
            (
                "warning",
                f"{row['newest']:%Y-%m-%d}",
                f"feed {row['feed']} is late: its newest rows are {row['age_days']:.0f} days old{usual}",
                "see why nothing comes: its features go missing once it expires",
            )
        )
    return rows


def _alerts(alerts: Iterable[Mapping[str, Any]]) -> list[Concern]:
    """One row per key and severity: newest text, how often."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for alert in alerts:
        found.setdefault((str(alert["severity"]), str(alert["key"])), []).append(alert)
    rows = []
    for (severity, key), group in found.items():
        newest = group[-1]
        times = f" ({len(group)} times)" if len(group) > 1 else ""
        rows.append(
            (
                severity,
                str(newest["at"])[:16].replace("T", " "),
                f"alert {key}{times}: {newest['text']}",
                "see docs/live.md",
            )
        )
    return rows


def _results(portfolio: pl.DataFrame, first: date, last: date) -> list[Concern]:
    """One row per session whose net result is far from what is usual, gains as well: either may be a wrong price."""
    sessions = account(portfolio)
    rows = []
    for day in sessions.get_column("session").to_list():
        found = swing(sessions, [day]) if first <= day <= last else None
        if found is None or found.deviations is None or abs(found.deviations) <= UNUSUAL:
            continue
        rows.append(
            (
                "warning",
                str(day),
                f"net result {bps(found.net)} of NAV: {number(found.deviations, 1)} standard deviations ({found.basis})",
                f"`aurora report day --session {day} --book {portfolio['book'][0]}` names what moved it: check those prices "
                "first, then whether the book should go on",
            )
        )
    return rows


def _models(states: pl.DataFrame, drift: pl.DataFrame) -> list[Concern]:
    rows: list[Concern] = []
    newest = states.filter(pl.col("session") == pl.col("session").max())
    for row in newest.filter(pl.col("decided_by") == "proposal").iter_rows(named=True):
        verb = "promote" if "promotion" in row["reason"] else "retire"
        rows.append(
            (
                "warning",
                str(row["session"]),
                f"{row['model']}: {row['reason']}",
                f"`aurora models {verb} {row['model']} --reason ...`",
            )
        )
    changed = states.filter(pl.col("since") == pl.col("session"), pl.col("decided_by") != "founding")
    for row in changed.sort("session", "model").iter_rows(named=True):
        severity = "warning" if row["state"] in {"retired", "probation"} else "info"
        rows.append(
            (
                severity,
                str(row["session"]),
                f"{row['model']} is {row['state']}: {row['reason']}",
                "`aurora models history` has the evidence",
            )
        )
    last = drift.filter(pl.col("session") == pl.col("session").max(), "drifted")
    for (kind,), group in last.group_by("kind", maintain_order=True):
        names = ", ".join(group.get_column("subject").head(4))
        more = f" and {group.height - 4} more" if group.height > 4 else ""
        severity = "info" if kind == "feature" else "warning"
        rows.append(
            (
                severity,
                str(last["session"][0]),
                f"{kind} drift: {names}{more}",
                "a challenger is trained where the settings say so",
            )
        )
    return rows


def needs_a_person(attention: pl.DataFrame) -> Sequence[Block]:
    """Panel of what needs a person in the newest session.

    Parameters
    ----------
    attention : polars.DataFrame
        Columns :data:`ITEM`.
    """
    counts = dict(attention.group_by("severity").len().iter_rows())
    lead = Facts(tuple(Fact(severity, str(counts.get(severity, 0))) for severity in RANKS))
    if attention.is_empty():
        return [lead, Note("Nothing needs a person.")]
    rows = tuple(
        (Tagged(severity, TONES[severity]), at, what, todo) for severity, at, what, todo in attention.iter_rows()
    )
    return [lead, Rows(("severity", "when", "what", "what to do"), rows)]
