"""What time it is for a home: the machine's clock, or, in a replay, the moment the replay has reached."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from aurora_pipeline.atomic import atomic_text


class Clock(Protocol):
    """Source of the current moment."""

    def now(self) -> datetime:
        """Return the current moment, UTC."""


class WallClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current moment, UTC."""
        return datetime.now(tz=UTC)


@dataclass(frozen=True)
class ReplayClock:
    """A clock that stands where a replay has set it.

    Parameters
    ----------
    path : Path
        File that holds the moment, shared by all processes of the home.
    """

    path: Path

    def now(self) -> datetime:
        """Return the moment the replay has reached, UTC."""
        content: dict[str, str] = json.loads(self.path.read_text(encoding="utf-8"))
        return datetime.fromisoformat(content["now"])

    def set(self, moment: datetime) -> None:
        """Move the clock."""
        atomic_text(self.path, json.dumps({"now": moment.astimezone(UTC).isoformat()}) + "\n")


def clock_of(live: Path) -> Clock:
    """Clock of a home's `live/` folder: a replay's, where one has been set up."""
    path = live / "replay-clock.json"
    return ReplayClock(path) if path.exists() else WallClock()
