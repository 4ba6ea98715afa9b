"""What persons decided about models: one line of JSON each, appended for ever, every line sealed with the hash of the one before.

A decision holds from the open of a session that had not begun when it was written, so nothing changes in the middle of one.
"""

from __future__ import annotations

import getpass
import hashlib
import json
from datetime import UTC, date, datetime
from typing import Any

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.lake import atomic_text
from aurora_pipeline.errors import LakeError
from aurora_pipeline.monitoring.lifecycle import Decision

LOG = "model_decisions.jsonl"


class DecisionLog:
    """The decisions of one home.

    Parameters
    ----------
    home : Home
        The installation.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.path = home.path / LOG

    def lines(self) -> list[dict[str, Any]]:
        """Every decision as written, oldest first.

        Raises
        ------
        LakeError
            A line was changed, removed or is not readable.
        """
        if not self.path.exists():
            return []
        seal, lines = "", []
        for number, text in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                line: dict[str, Any] = json.loads(text)
                found = line.pop("seal")
            except (ValueError, KeyError, AttributeError) as error:
                raise LakeError(f"{self.path}, line {number}: not a sealed decision ({error}); restore it") from error
            seal = _seal(seal, line)
            if found != seal:
                raise LakeError(
                    f"{self.path}, line {number}: the seal does not match: this line or one before it was changed; the "
                    "history of who decided what is append-only, restore the file"
                )
            lines.append(line)
        return lines

    def decisions(self) -> list[Decision]:
        """Every decision, oldest first; raises as :meth:`lines`."""
        return [
            Decision(date.fromisoformat(line["session"]), line["kind"], line["model"], line["by"], line["reason"])
            for line in self.lines()
        ]

    def append(self, decision: Decision) -> None:
        """Write one decision, under a lock, behind the others."""
        with self.home.locked("decisions"):
            before = self.lines()
            line = {
                "session": decision.session.isoformat(),
                "kind": decision.kind,
                "model": decision.model,
                "by": decision.by,
                "reason": decision.reason,
                "written_at": datetime.now(tz=UTC).isoformat(timespec="seconds"),
            }
            seal, text = "", ""
            for entry in [*before, line]:
                seal = _seal(seal, entry)
                text += json.dumps(entry | {"seal": seal}, sort_keys=True) + "\n"
            atomic_text(self.path, text)


def user_name() -> str:
    """Name a decision is signed with: that of the operating system's user."""
    return f"person:{getpass.getuser()}"


def _seal(before: str, line: dict[str, Any]) -> str:
    return hashlib.sha256((before + json.dumps(line, sort_keys=True)).encode()).hexdigest()
