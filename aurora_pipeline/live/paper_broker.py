"""The paper broker of the live book: what it was sent for good, and what it holds.

A tick computes its session from the first bar on, so it rehearses orders many times; an order counts only once it was sent.
That happens after its decision is durable, into the session's journal, which is flushed to disk
(:class:`~aurora_pipeline.adapters.book.journal_broker.JournalBroker`). What is not in the journal by the end of the bar it could
fill in was never sent, fills nothing and is recorded as refused: live orders are not replayed.

The broker's own count of positions lies in `<home>/live/broker.json`. A session starts from it, the book compares itself with it
after every bar, and a difference halts trading (:mod:`aurora_pipeline.execution.reconciliation`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from aurora_pipeline.adapters.book.journal_broker import JournalBroker
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.execution.book_state import BookState, PendingOrder
from aurora_pipeline.execution.broker import Acknowledgement
from aurora_pipeline.execution.simulated_broker import SimulatedBroker

ACCOUNT = "broker.json"
JOURNAL = "orders.jsonl"


@dataclass(frozen=True)
class BrokerView:
    """What the broker holds at a session's open, and which orders it was sent by now.

    Attributes
    ----------
    positions : dict of str to float
        Shares by instrument.
    sent : frozenset of str
        Order ids.
    """

    positions: dict[str, float]
    sent: frozenset[str]


class RehearsedBroker(SimulatedBroker):
    """Fills what was sent; takes the orders of the newest decision on trial.

    Parameters
    ----------
    view : BrokerView
    newest : datetime
        Decision time whose orders have not been sent yet.
    participation, no_short
        As in :class:`~aurora_pipeline.execution.simulated_broker.SimulatedBroker`.
    """

    def __init__(self, view: BrokerView, newest: datetime, participation: float, no_short: Iterable[str]) -> None:
        super().__init__(view.positions, participation, no_short)
        self._sent = view.sent
        self._newest = newest

    def submit(self, order: PendingOrder) -> Acknowledgement:
        """Take an order of the newest decision, or one that was sent."""
        if order.decision_time < self._newest and order.order_id not in self._sent:
            return Acknowledgement("rejected", "not_sent")
        return super().submit(order)

    def knows(self, order_id: str) -> bool:
        """Whether an order was sent, or is being rehearsed."""
        return order_id in self._sent or super().knows(order_id)


@dataclass(frozen=True)
class BrokerAccount:
    """What the broker held at the end of a bar.

    Attributes
    ----------
    session : date
    bar_end : datetime
    positions : dict of str to float
        Shares by instrument.
    """

    session: date
    bar_end: datetime
    positions: dict[str, float]


def save_account(live: Path, session: date, bar_end: datetime, positions: Mapping[str, float]) -> None:
    """Keep what the broker holds, in the home's `live/` folder."""
    content = {
        "session": session.isoformat(),
        "bar_end": bar_end.isoformat(),
        "positions": dict(sorted(positions.items())),
    }
    atomic_text(live / ACCOUNT, json.dumps(content, indent=1) + "\n")


def read_account(live: Path) -> BrokerAccount | None:
    """Return what :func:`save_account` kept; None where nothing ever was."""
    path = live / ACCOUNT
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return BrokerAccount(
        date.fromisoformat(content["session"]), datetime.fromisoformat(content["bar_end"]), content["positions"]
    )


def send(folder: Path, orders: Sequence[PendingOrder]) -> list[str]:
    """Send orders of a durable decision, once each; returns the ids that were new.

    Parameters
    ----------
    folder : Path
        `<home>/live/sessions/<session>`.
    orders : sequence of PendingOrder
    """
    broker = JournalBroker(folder / JOURNAL, {}, 1.0)
    return [order.order_id for order in orders if broker.submit(order).status == "accepted"]


def sent_orders(folder: Path) -> frozenset[str]:
    """Ids of all orders sent in a session."""
    return JournalBroker(folder / JOURNAL, {}, 1.0).journal


def carried_over(state: BookState | None, before: Path) -> frozenset[str]:
    """Orders of the last bar before a session that were sent; all of them where that session kept no journal.

    Parameters
    ----------
    state : BookState or None
        At the end of the session before.
    before : Path
        That session's folder.
    """
    waiting = frozenset(order.order_id for order in state.pending) if state else frozenset()
    return waiting & sent_orders(before) if (before / JOURNAL).exists() else waiting
