"""The kill switch of a home: one small file that `aurora kill`, `aurora flatten` and `aurora resume` write."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import get_args

from aurora_pipeline.adapters.clock import Clock, WallClock
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.execution.kill_switch import Mode, SwitchState


class FileSwitch:
    """Switch in a file that keeps every throw, read anew each time it is asked.

    Parameters
    ----------
    path : Path
        `<home>/kill_switch.json`; no file means that the switch was never thrown.
    clock : Clock, optional
        Tells when it is thrown; the machine's by default, a replay's in its home.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self.clock = clock or WallClock()

    def state(self, moment: datetime) -> SwitchState:
        """Position at a moment: the newest throw up to it; a file that cannot be read halts."""
        try:
            thrown = [state for state in self._throws() if state.since is not None and state.since <= moment]
        except (OSError, ValueError, KeyError, TypeError) as error:
            return SwitchState("halt", f"{self.path.name} cannot be read ({error})")
        return thrown[-1] if thrown else SwitchState()

    def throw(self, mode: Mode, reason: str) -> SwitchState:
        """Set the switch, durably; what was thrown before is kept, unless it cannot be read.

        A damaged file is put aside as `kill_switch.damaged` and the new position alone counts.
        """
        now = self.clock.now()
        try:
            before = self._throws()
        except (OSError, ValueError, KeyError, TypeError):
            self.path.replace(self.path.with_suffix(".damaged"))
            before = []
        throws = [*before, SwitchState(mode, reason, now)]
        rows = [{"mode": item.mode, "reason": item.reason, "since": str(item.since)} for item in throws]
        atomic_text(self.path, json.dumps(rows, indent=1) + "\n")
        return self.state(now)

    def _throws(self) -> list[SwitchState]:
        """Every throw in time order."""
        try:
            rows = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        throws = []
        for row in rows:
            if row["mode"] not in get_args(Mode):
                raise ValueError(f"{row['mode']!r} is no mode")
            since = datetime.fromisoformat(row["since"])
            if since.tzinfo is None:
                raise ValueError(f"{row['since']!r} has no time zone")
            throws.append(SwitchState(row["mode"], str(row["reason"]), since))
        return throws
