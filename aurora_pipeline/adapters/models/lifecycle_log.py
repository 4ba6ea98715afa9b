"""What persons decided about models, in a sealed log.

A decision holds from the open of a session that had not begun when it was written, so nothing changes in the middle of one.
"""

from __future__ import annotations

import getpass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.storage.sealed_log import SealedLog
from aurora_pipeline.errors import BookError
from aurora_pipeline.monitoring.lifecycle_decisions import LifecycleDecision

LOG = "model_decisions.jsonl"


class LifecycleLog:
    """The decisions of one home.

    Parameters
    ----------
    home : Home
        The installation.
    """

    def __init__(self, home: Home) -> None:
        self._log = SealedLog(home, LOG)

    @property
    def path(self) -> Path:
        """File."""
        return self._log.path

    def lines(self) -> list[dict[str, Any]]:
        """Every decision as written, oldest first; raises as :meth:`SealedLog.lines`."""
        return self._log.lines()

    def decisions(self) -> list[LifecycleDecision]:
        """Every decision, oldest first; raises as :meth:`lines`."""
        return [
            LifecycleDecision(
                date.fromisoformat(line["session"]), line["kind"], line["model"], line["by"], line["reason"]
            )
            for line in self.lines()
        ]

    def append(self, decision: LifecycleDecision) -> None:
        """Write one decision, under a lock, behind the others."""
        line = {
            "session": decision.session.isoformat(),
            "kind": decision.kind,
            "model": decision.model,
            "by": decision.by,
            "reason": decision.reason,
            "written_at": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        }
        self._log.append(lambda _: [line])


def user_name() -> str:
    """Name a decision is signed with: that of the operating system's user."""
    return f"person:{getpass.getuser()}"


def next_session(home: Home, now: datetime, wanted: date | None) -> date:
    """First session a decision made now can hold from, or the one asked for if that is not too early.

    Raises
    ------
    BookError
        The session asked for has begun, and a live market's history is not rewritten.
    """
    record, calendar = home.market(), home.calendar
    first = record.first_session if not record.live else _opening_after(home, now)
    if wanted is None:
        stored = home.lake.read("model_states", columns=["session"]).get_column("session").unique().sort()
        return first if record.live or stored.is_empty() else calendar.shift(stored.to_list()[-1], 1)
    if not calendar.is_session(wanted):
        raise BookError(f"{wanted} is not a session of {calendar.code}")
    if wanted < first:
        raise BookError(f"session {wanted} has begun or is over; the first one a decision can hold from is {first}")
    return wanted


def _opening_after(home: Home, now: datetime) -> date:
    day = now.date()
    while not home.calendar.is_session(day) or home.calendar.open(day) <= now:
        day = date.fromordinal(day.toordinal() + 1)
    return day
