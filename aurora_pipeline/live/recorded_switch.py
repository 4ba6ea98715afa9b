"""The kill switch as a session's decisions found it: what was answered at a bar stays answered.

A file that could not be read for a moment halts, and is whole again an hour later. A session that is done again must not find
another answer then, so each settled bar keeps the position it was settled under.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from aurora_pipeline.execution.kill_switch import KillSwitch, SwitchState
from aurora_pipeline.live.decision_log import Settled


class RecordedSwitch:
    """Answers about settled bars what they recorded, about any other moment what the switch says when first asked.

    Parameters
    ----------
    switch : KillSwitch
    log : iterable of Settled
        Settled bars of the session.
    """

    def __init__(self, switch: KillSwitch, log: Iterable[Settled]) -> None:
        self._switch = switch
        self._answers = {
            settled.bar_end: _read(settled.content["switch"]) for settled in log if "switch" in settled.content
        }

    def state(self, moment: datetime) -> SwitchState:
        """Position at a moment."""
        if moment not in self._answers:
            self._answers[moment] = self._switch.state(moment)
        return self._answers[moment]

    def record(self, moment: datetime) -> dict[str, Any]:
        """Position at a moment, as a settled bar keeps it."""
        state = asdict(self.state(moment))
        return state | {"since": state["since"].isoformat() if state["since"] else None}


def _read(content: dict[str, Any]) -> SwitchState:
    since = content["since"]
    return SwitchState(content["mode"], content["reason"], datetime.fromisoformat(since) if since else None)
