"""What the panels are drawn from, read by name, and a stamp that changes when it does; nothing is written.

A stamp is made of the names, sizes and times of the files behind an input. The fingerprints inside the files will not do:
partitions of a running session all carry the same one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from aurora_pipeline.adapters.book.kill_switch import FileSwitch
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.inbox import Inbox
from aurora_pipeline.contracts import FEED_TABLES
from aurora_pipeline.live.alerting import kept_alerts
from aurora_pipeline.live.capital import STEPS, settings_in_force, step_downs
from aurora_pipeline.live.decision_log import DecisionLog
from aurora_pipeline.live.last_settings import last_settings, settings_trouble
from aurora_pipeline.live.session_opening import BOOK
from aurora_pipeline.monitoring.dashboard.attention import attention
from aurora_pipeline.monitoring.dashboard.data_panels import FEEDS, TICKS, feed_rhythm
from aurora_pipeline.monitoring.dashboard.usual_result import ACCOUNT, LONG

NEWEST_ALERTS = 500
ALERT_SPAN = timedelta(hours=24)
ABLATION, CAPACITY = "reports/ablation.json", "reports/capacity.json"
_SESSIONS = "live/sessions"


@dataclass(frozen=True)
class Source:
    """Where an input comes from.

    Attributes
    ----------
    read : callable
        Home and name of a book to the input.
    tables : tuple of str
        Tables of the lake behind it.
    files : tuple of str
        Files and folders of the home behind it.
    """

    read: Callable[[Home, str], Any]
    tables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def read_input(home: Home, book: str, name: str) -> Any:
    """Input of the given name; empty frames and None where nothing is stored."""
    return SOURCES[name].read(home, book)


def stamp(home: Home, book: str, input_name: str) -> str:
    """Hash of names and versions of the files behind an input."""
    source, digest = SOURCES[input_name], hashlib.sha256()
    for table in source.tables:
        for key, version in sorted(home.lake.storage.versions(table).items()):
            if "/book=" not in key or f"/book={book}/" in key:
                digest.update(f"{key}:{version}\n".encode())
    for name in source.files:
        for path, status in _files(home.path / name):
            digest.update(f"{path}:{status.st_mtime_ns}:{status.st_size}\n".encode())
    return digest.hexdigest()[:16]


def newest_session(home: Home) -> date | None:
    """Newest session the lake has bars of."""
    frame = _newest_partition(home, "data_quality", ["session"])
    return None if frame is None or frame.is_empty() else frame.get_column("session").max()  # type: ignore[return-value]


def close_reports(home: Home) -> dict[date, dict[str, Any]]:
    """Reports of the end of day, by session."""
    found = sorted((home.path / _SESSIONS).glob("*/close.json"))
    return {date.fromisoformat(path.parent.name): json.loads(path.read_text(encoding="utf-8")) for path in found}


def read_attention(home: Home, book: str, first: date, last: date) -> pl.DataFrame:
    """What needs a person in a stretch of sessions, see :func:`aurora_pipeline.monitoring.dashboard.attention.attention`."""
    state = FileSwitch(home.kill_switch_file).state(datetime.now(tz=UTC))
    lake = home.lake
    return attention(
        first,
        last,
        settings=settings_trouble(home),
        alerts=_alerts(home, first, last),
        switch={"mode": state.mode, "reason": state.reason, "since": str(state.since or "")[:16]},
        portfolio=lake.read("portfolio", _before(first), last, ACCOUNT, book=book),
        events=lake.read("events", first, last, book=book),
        states=lake.read("model_states", first, last),
        drift=lake.read("drift", first, last),
        quarantine=lake.read("quarantine", first, last),
        closes=close_reports(home),
        failed_trainings=_failed_trainings(home),
        feeds=_feeds_at(home, home.calendar.close(last)) if home.calendar.is_session(last) else _feeds_at(home, None),
    )


def _before(session: date) -> date:
    """A day that lies more than :data:`LONG` sessions earlier."""
    return session - timedelta(days=2 * LONG) if session > date.min + timedelta(days=2 * LONG) else date.min


def _alerts(home: Home, first: date, last: date) -> list[dict[str, object]]:
    """Alerts told on the days of the stretch or within the last hours; a replay's clock is not the wall's: there all count."""
    lines = list(kept_alerts(home, NEWEST_ALERTS))
    if (home.path / "live" / "replay-clock.json").exists():
        return lines
    recent = (datetime.now(tz=UTC) - ALERT_SPAN).isoformat()
    return [line for line in lines if f"{first}" <= str(line["at"])[:10] <= f"{last}" or str(line["at"]) >= recent]


def _failed_trainings(home: Home) -> list[str]:
    manifests = sorted(home.runs.glob("*.json"))
    if not manifests:
        return []
    return [str(line) for line in json.loads(manifests[-1].read_text(encoding="utf-8")).get("failed_trainings", [])]


def _newest_attention(home: Home, book: str) -> pl.DataFrame:
    newest = newest_session(home) or date.min
    return read_attention(home, book, newest, newest)


def _newest_partition(home: Home, name: str, columns: list[str]) -> pl.DataFrame | None:
    partitions = home.lake.partitions(name)
    if not partitions:
        return None
    return home.lake.storage.read([home.lake.key(name, partitions[-1])], columns)


def _newest_bar(home: Home, book: str) -> datetime | None:
    frame = _newest_partition(home, "bars", ["bar_end"])
    return None if frame is None or frame.is_empty() else frame.get_column("bar_end").max()  # type: ignore[return-value]


def _feeds(home: Home, book: str) -> pl.DataFrame:
    return _feeds_at(home, _newest_bar(home, book))


def _feeds_at(home: Home, moment: datetime | None) -> pl.DataFrame:
    """Feeds as they stood at a moment, each against its own rhythm."""
    if moment is None:
        return pl.DataFrame(schema=FEEDS)
    return pl.concat(
        [feed_rhythm(name, home.lake.read(name, columns=["symbol", "known_at"]), moment) for name in FEED_TABLES]
    )


def _ticks(home: Home, book: str) -> pl.DataFrame:
    rows = []
    for folder in sorted((home.path / _SESSIONS).glob("*")):
        for settled in DecisionLog(folder):
            spans = settled.content.get("timings_ms")
            took = float(sum(spans.values())) if spans else None
            rows.append((date.fromisoformat(folder.name), settled.bar_end, settled.status, settled.reason, took))
    return pl.DataFrame(rows, schema=TICKS, orient="row")


def _json(home: Home, book: str, *, file: str) -> dict[str, Any] | None:
    path = home.path / file
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _refused_files(home: Home, book: str) -> int:
    return len(list(Inbox(home.path / "inbox").folder.glob("refused/*.reason")))


def _files(folder: Path) -> list[tuple[str, os.stat_result]]:
    """Files below a folder, or the file itself, by name; temporary ones left out."""
    found: list[tuple[str, os.stat_result]] = []
    stack = [str(folder)]
    while stack:
        current = stack.pop()
        try:
            entries = list(os.scandir(current))
        except NotADirectoryError:
            found.append((current, os.stat(current)))
            continue
        except FileNotFoundError:
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                stack.append(entry.path)
            else:
                try:
                    found.append((entry.path, entry.stat()))
                except FileNotFoundError:
                    continue
    return sorted(found, key=lambda item: item[0])


def _of_book(name: str) -> Source:
    return Source(lambda home, book: home.lake.read(name, book=book), (name,))


def _table(name: str, *columns: str) -> Source:
    return Source(lambda home, book: home.lake.read(name, columns=columns or None), (name,))


SOURCES: dict[str, Source] = {
    **{name: _of_book(name) for name in ("portfolio", "fills", "exposures", "alpha_forgone")},
    "attribution": Source(
        lambda home, book: home.lake.read("attribution", newest_session(home), book=book), ("attribution",)
    ),
    **{
        name: _table(name)
        for name in (
            "signal_quality",
            "reliability",
            "ensemble_weights",
            "model_scores",
            "model_states",
            "drift",
            "claims",
        )
    },
    "data_quality": _table(
        "data_quality",
        "session",
        "symbol",
        "expected_bars",
        "missing_bars",
        "flat_bars",
        "corrected_bars",
        "quarantined_bars",
    ),
    "quarantine": _table("quarantine", "session", "source", "symbol", "reason"),
    "feeds": Source(_feeds, ("bars", *FEED_TABLES)),
    "newest_bar": Source(_newest_bar, ("bars",)),
    "refused_files": Source(_refused_files, files=("inbox/refused",)),
    "ticks": Source(_ticks, files=(_SESSIONS,)),
    "closes": Source(lambda home, book: close_reports(home), files=(_SESSIONS,)),
    "ablation": Source(partial(_json, file=ABLATION), files=(ABLATION,)),
    "capacity": Source(partial(_json, file=CAPACITY), files=(CAPACITY,)),
    "rules": Source(
        lambda home, book: (settings_in_force(home) if book == BOOK else last_settings(home)).book,
        files=("settings.yaml", STEPS),
    ),
    "step_downs": Source(lambda home, book: step_downs(home) if book == BOOK else [], files=("settings.yaml", STEPS)),
    "seed": Source(lambda home, book: last_settings(home).seed, files=("settings.yaml",)),
    "attention": Source(
        _newest_attention,
        ("portfolio", "events", "model_states", "drift", "quarantine", *FEED_TABLES),
        ("live/alerts.jsonl", "kill_switch.json", "settings.yaml", "runs", _SESSIONS),
    ),
}
