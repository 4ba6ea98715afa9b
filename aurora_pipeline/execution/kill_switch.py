"""The switch a person throws: trade, halt, or flatten. It is asked before every order.

It is asked about a moment. A decision asks about its own, an order about the end of the bar it could fill in: what was thrown
before that end stops the order or takes it back. A session that is done again bar by bar finds the same answers whenever it is
done, and no target that was decided changes.

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


class KillSwitch(Protocol):
    """Anything that can be asked."""

    def state(self, moment: datetime) -> SwitchState:
        """Position at a moment; what cannot be read counts as `halt`."""


class AlwaysOn:
    """The switch of a backtest: what a person does today does not change what was decided then."""

    def state(self, moment: datetime) -> SwitchState:
        """Trade."""
        return SwitchState()
