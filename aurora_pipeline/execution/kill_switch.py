"""The switch a person throws: trade, halt, or flatten. It is asked before every order.

It is asked about a moment. A decision and its orders ask about the decision's own; before anything leaves for the broker it is
asked about the present, and what has not filled by the end of a bar is taken back if it is thrown then. Nothing asks about a
moment that is still to come, so a session that is done again bar by bar finds the same answers whenever it is done, and no
target or order that was decided changes.

The state lives in a file of the home (:mod:`aurora_pipeline.adapters.book.kill_switch`); a backtest's switch is always on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Mode = Literal["on", "halt", "flatten"]


@dataclass(frozen=True)
class SwitchState:
    """Position of the switch.

    Attributes
    ----------
    mode : {"on", "halt", "flatten"}
        Trade, send nothing, or close everything.
    reason : str
        What the person who threw it said.
    since : datetime or None
        When it was thrown; None if never.
    """

    mode: Mode = "on"
    reason: str = ""
    since: datetime | None = None


def lifts_halt(state: SwitchState, halted: datetime) -> bool:
    """Whether a person has answered a halt since: with `aurora resume`, or with `aurora flatten` to close what is held."""
    return state.mode != "halt" and state.since is not None and state.since > halted


class KillSwitch(Protocol):
    """Anything that can be asked."""

    def state(self, moment: datetime) -> SwitchState:
        """Position at a moment; what cannot be read counts as `halt`."""


class AlwaysOn:
    """The switch of a backtest: what a person does today does not change what was decided then."""

    def state(self, moment: datetime) -> SwitchState:
        """Trade."""
        return SwitchState()
