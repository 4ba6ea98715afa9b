"""What a home need not keep of its ticks: decision files and openings of old sessions, tick runs in Dagster.

The book's tables hold what was decided; the files of the loop are there to settle and to restart a session. Dagster keeps about
half a megabyte per tick run; once a session has been made again by the assets, its ticks tell nothing that is not in the lake.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, time
from pathlib import Path

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.settings import Settings


def prune(home: Home, settings: Settings, remove_tick_runs: Callable[[Home, datetime], int]) -> dict[str, int]:
    """Remove what is older than the newest `live.tick_sessions` sessions that have been closed.

    Parameters
    ----------
    home : Home
    settings : Settings
        Section `live`.
    remove_tick_runs : callable
        Deletes finished tick runs of before a moment, and says how many
        (:func:`aurora_pipeline.defs.retention.remove_tick_runs`).

    Returns
    -------
    dict
        `sessions` (folders emptied), `runs` (removed from Dagster), `megabytes` (freed in Dagster's databases).
    """
    root = home.path / "live" / "sessions"
    closed = sorted(path.name for path in root.iterdir() if (path / "close.json").exists()) if root.is_dir() else []
    old = closed[: -settings.live.tick_sessions]
    emptied = 0
    for name in old:
        for part in ("decisions", "opening"):
            if (root / name / part).exists():
                shutil.rmtree(root / name / part)
                emptied += part == "decisions"
    if len(closed) <= settings.live.tick_sessions:
        return {"sessions": emptied, "runs": 0, "megabytes": 0}
    kept_from = datetime.combine(date.fromisoformat(closed[-settings.live.tick_sessions]), time(), tzinfo=UTC)
    before = _size(home.path / "dagster")
    runs = remove_tick_runs(home, kept_from)
    if runs:
        for database in (home.path / "dagster").rglob("*.db"):
            _compact(database)
    return {"sessions": emptied, "runs": runs, "megabytes": max(0, before - _size(home.path / "dagster")) // 1_000_000}


def _compact(database: Path) -> None:
    """Give the space of deleted rows back; a database in use is left for the next night."""
    import sqlite3

    with closing(sqlite3.connect(database, timeout=1.0)) as connection:
        try:
            connection.execute("VACUUM")
        except sqlite3.OperationalError:
            return


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
