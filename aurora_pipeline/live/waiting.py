"""Which started ticks wait for their bar: one small file per bar in `<home>/live/waiting/`, there as long as a process waits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from aurora_pipeline.atomic import atomic_text

FOLDER = "waiting"


@contextmanager
def waiting_for(live: Path, bar_end: datetime) -> Iterator[None]:
    """Say that this process waits for a bar, for as long as the block runs."""
    path = _path(live, bar_end)
    content = {"process": os.getpid(), "since": datetime.now(tz=UTC).isoformat()}
    atomic_text(path, json.dumps(content) + "\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def waits_for(live: Path, bar_end: datetime) -> int | None:
    """Return the process that waits for a bar; None if none does, or it is gone."""
    try:
        content = json.loads(_path(live, bar_end).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    process = int(content["process"])
    return process if Path(f"/proc/{process}").exists() else None


def _path(live: Path, bar_end: datetime) -> Path:
    return live / FOLDER / f"{bar_end.astimezone(UTC):%Y%m%dT%H%M%S}.json"
