"""What the book needs of a broker, and the rules it sends orders by.

Brokers keep their own count of positions and are the truth about them. Sending is idempotent: an order id is accepted
once, whatever happened on the way. Only paper brokers ship; one that reaches real money must name the account that
`book.real_money_account` names, and nothing sets that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from aurora_pipeline.errors import AuroraError, BookError
from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.execution.events import BookEvent
from aurora_pipeline.execution.kill_switch import KillSwitch

PAPER = "paper"


class BrokerTimeoutError(AuroraError):
    """A broker did not answer: whether it has the order is unknown."""


@dataclass(frozen=True)
class Acknowledgement:
    """A broker's answer to an order.

    Attributes
    ----------
    status : {"accepted", "duplicate", "rejected"}
        A duplicate is an order id the broker has already had: nothing happens.
    reason : str
        Why it was rejected.
    """

    status: Literal["accepted", "duplicate", "rejected"]
    reason: str = ""


@dataclass(frozen=True)
class ExecutedOrder:
    """An order with what became of it.

    Attributes
    ----------
    order : PendingOrder
        As it was sent.
    status : str
        ``filled``, ``partial``, ``expired`` or ``cancelled``.
    reason : str
        The order's own, or why it did not fill: ``no_bar``, ``participation``, ``turnover_budget``, ``cancelled``,
        ``corporate_action``.
    shares, exempt_shares : float
        Filled whole shares, and how many of them were forced reductions.
    price : float
        USD/share before costs; NaN if nothing filled.
    """

    order: PendingOrder
    status: str
    reason: str
    shares: float
    exempt_shares: float
    price: float

    @property
    def signed_shares(self) -> float:
        """Positive for a buy."""
        return self.order.sign * self.shares


class Broker(Protocol):
    """A broker, as far as a book is concerned."""

    @property
    def account(self) -> str:
        """``paper``, or the account that holds real money."""

    @property
    def costs_in_price(self) -> bool:
        """Whether spread and impact are in the prices it fills at; if not, the book charges what its cost model says."""

    def submit(self, order: PendingOrder) -> Acknowledgement:
        """Take an order, once per order id.

        Raises
        ------
        BrokerTimeoutError
            It is not known whether the order arrived.
        """

    def cancel(self, order_id: str) -> bool:
        """Take an open order back; False if it is not open."""

    def knows(self, order_id: str) -> bool:
        """Whether an order id was ever accepted."""

    def open_orders(self) -> tuple[PendingOrder, ...]:
        """Orders accepted and not yet done, in the order they came."""

    def executions(self) -> list[ExecutedOrder]:
        """What became of orders since the last call."""

    def positions(self) -> dict[str, float]:
        """Shares by instrument, negative when short, nothing for zero."""


def require_paper(broker: Broker, real_money_account: str | None) -> None:
    """Refuse a broker that reaches real money unless its account was named by hand.

    Raises
    ------
    BookError
        The account is neither ``paper`` nor the one named.
    """
    if broker.account not in (PAPER, real_money_account):
        raise BookError(
            f"broker account {broker.account!r} is not paper; book.real_money_account is {real_money_account!r}, "
            "so nothing is sent to it"
        )


def send_orders(
    broker: Broker, orders: Sequence[PendingOrder], switch: KillSwitch
) -> tuple[tuple[PendingOrder, ...], tuple[tuple[PendingOrder, str], ...], list[BookEvent]]:
    """Send orders one by one, asking the switch as of the decision each comes from, unless the broker has the order already.

    A later throw must not change what is answered here, since a live session is done again bar by bar: it keeps an order from
    being sent (:mod:`aurora_pipeline.live.tick`) or takes it back before its bar is filled.

    Returns
    -------
    tuple
        Orders the broker has, orders that were not sent with the reason, and events.
    """
    sent: list[PendingOrder] = []
    refused: list[tuple[PendingOrder, str]] = []
    events: list[BookEvent] = []
    for order in orders:
        state = switch.state(order.decision_time)
        stopped = state.mode == "halt" or (state.mode == "flatten" and order.reason != "flatten")
        if stopped and not broker.knows(order.order_id):
            refused.append((order, "kill_switch"))
            events.append(BookEvent("kill_switch", "", state.reason))
            continue
        try:
            answer = broker.submit(order)
        except BrokerTimeoutError as error:
            events.append(BookEvent("broker_timeout", order.instrument, str(error)))
            answer = (
                Acknowledgement("accepted") if broker.knows(order.order_id) else Acknowledgement("rejected", "timeout")
            )
        if answer.status == "rejected":
            refused.append((order, answer.reason))
            events.append(BookEvent("order_refused", order.instrument, answer.reason))
        else:
            sent.append(order)
    return tuple(sent), tuple(refused), events


def known_executions(
    executed: Sequence[ExecutedOrder], sent: Sequence[PendingOrder]
) -> tuple[list[ExecutedOrder], list[BookEvent]]:
    """Keep the first report on each order that was sent; what else a broker reports is an event and not booked."""
    waiting = {order.order_id: order.instrument for order in sent}
    seen: set[str] = set()
    kept: list[ExecutedOrder] = []
    events: list[BookEvent] = []
    for item in executed:
        identifier = item.order.order_id
        if identifier not in waiting:
            events.append(BookEvent("unknown_fill", item.order.instrument, f"order {identifier}"))
        elif identifier in seen:
            events.append(BookEvent("duplicate_fill", item.order.instrument, f"order {identifier}"))
        else:
            kept.append(item)
        seen.add(identifier)
    return kept, events
