"""The kill switch of a home: one small file that `aurora kill`, `aurora flatten` and `aurora resume` write."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from aurora_pipeline.adapters.lake import atomic_text
from aurora_pipeline.execution.kill_switch import Mode, SwitchState


class FileSwitch:
    """Switch in a file, read anew each time it is asked.

    Parameters
    ----------
    path : Path
        `<home>/kill_switch.json`; no file means that the switch was never thrown.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def state(self) -> SwitchState:
        """Position now; a file that cannot be read halts."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["mode"] not in get_args(Mode):
                return SwitchState("halt", f"{self.path.name} says {content['mode']!r}, which is no mode")
            return SwitchState(content["mode"], str(content["reason"]), datetime.fromisoformat(content["since"]))
        except FileNotFoundError:
            return SwitchState()
        except (OSError, ValueError, KeyError, TypeError) as error:
            return SwitchState("halt", f"{self.path.name} cannot be read ({error})")

    def throw(self, mode: Mode, reason: str) -> SwitchState:
        """Set the switch, durably, and return what it says now."""
        since = datetime.now(tz=UTC)
        content = {"mode": mode, "reason": reason, "since": since.isoformat()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_text(self.path, json.dumps(content, indent=1) + "\n")
        return self.state()
