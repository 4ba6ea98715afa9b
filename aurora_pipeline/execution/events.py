"""What went wrong or was withheld, each with the safe action that was taken.

Every event has one action, fixed here, so that "what does the book do when ..." is one table. Nothing is retried, and no
event lets a position grow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

ACTIONS: dict[str, str] = {
    "no_price": "the position stays at its last price and is not traded",
    "no_volume": "the name is not traded: nothing says what a trade would cost",
    "no_signal": "the name is at most reduced",
    "risk_unknown": "the name is not traded for its edge",
    "left_universe": "the position is closed as fast as its bars allow",
    "no_champion": "no model trades: every position is closed as fast as its bars allow",
    "limits_out_of_reach": "what the next bar allows is reduced; nothing grows past a limit",
    "solver_standby": "the general solver answered in place of the fast one",
    "solver_failed": "the best feasible point found was taken, or the book stayed where it was",
    "dividend_refused": "nothing was paid: no price leaves room for such a dividend",
    "split_refused": "shares stay as they are: the price shows no split; it is booked once it does, within ten days",
    "order_refused": "the order was not sent and nothing replaces it",
    "unknown_fill": "the fill was not booked; reconciliation decides",
    "duplicate_fill": "the fill was booked once",
    "broker_timeout": "the order was not sent again; it counts only if the broker knows it",
    "position_drift": "the broker's position was taken over and trading halted until `aurora resume` or `aurora flatten`",
    "cash_below_zero": "no order that opens or grows a long position leaves",
    "kill_switch": "no order leaves",
    "flatten": "every position is closed as fast as its bars allow",
    "halted": "no order leaves until `aurora resume` or `aurora flatten`",
    "breaker_daily_loss": "nothing grows for the rest of the session",
    "breaker_drawdown": "the book is flat until its pause has passed",
    "breaker_reject_rate": "nothing grows for the rest of the session",
    "breaker_stale_data": "nothing grows while bars are missing",
    "breaker_spread": "nothing grows while spreads are wide",
    "costs_fitted": "sizing multiplies spread and impact by what own fills of earlier sessions showed",
    "drawdown_restart": "exposure starts again at the restart share, measured from the present NAV",
}


@dataclass(frozen=True)
class BookEvent:
    """One thing that happened.

    Attributes
    ----------
    event : str
        Key of :data:`ACTIONS`.
    name : str
        Instrument, or "" for the whole book.
    detail : str
        What was found, with numbers.
    """

    event: str
    name: str = ""
    detail: str = ""

    @property
    def action(self) -> str:
        """What is done about it."""
        return ACTIONS[self.event]


class EventLog:
    """Events of a session, the first of each kind and name with its moment; later ones are counted."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[datetime, BookEvent, int]] = {}

    def add(self, moment: datetime, *events: BookEvent) -> None:
        """Record events of one decision time."""
        for event in events:
            key = (event.event, event.name)
            first, kept, count = self._found.get(key, (moment, event, 0))
            self._found[key] = (first, kept, count + 1)

    def rows(self) -> Iterator[tuple[datetime, BookEvent, int]]:
        """First moment, event and number of times, in time order."""
        yield from sorted(self._found.values(), key=lambda item: (item[0], item[1].event, item[1].name))
