"""Orders of a session's last bar at the next open: what corporate actions and the limits of the new session leave of them.

In an unchanged book every order of the evening still fits in the morning. Limits are lower where capital was stepped down or a
person has lowered a setting; then what no longer fits is taken back, and nothing is added to a limit that is used up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.execution.corporate_events import CorporateEvent, shares_after
from aurora_pipeline.execution.ledger import Ledger
from aurora_pipeline.execution.pre_trade_gate import GateContext, gate_orders
from aurora_pipeline.policy.limits_in_force import exposure_limits
from aurora_pipeline.policy.turnover_manager import TurnoverHistory, allowance
from aurora_pipeline.settings import BookSettings


def after_actions(
    orders: Sequence[PendingOrder], events: Sequence[CorporateEvent]
) -> tuple[list[PendingOrder], list[PendingOrder]]:
    """Orders in new shares, and those, as they were sent, that the actions leave no whole share of.

    Parameters
    ----------
    orders : sequence of PendingOrder
        Of the evening.
    events : sequence of CorporateEvent
        Of the night, in the order they are booked.
    """
    waiting, gone = [], []
    for order in orders:
        adjusted = order
        for event in events:
            adjusted = _adjusted(adjusted, event)
        if adjusted.shares > 0.0:
            waiting.append(adjusted)
        else:
            gone.append(order)
    return waiting, gone


def within_limits(
    orders: Sequence[PendingOrder], ledger: Ledger, nav: float, turnover: TurnoverHistory, rules: BookSettings
) -> tuple[tuple[PendingOrder, ...], tuple[tuple[PendingOrder, str], ...]]:
    """Split orders into those that name cap, long-only rule and turnover budgets in force allow, and the others with a code.

    Parameters
    ----------
    orders : sequence of PendingOrder
        Of the evening, after corporate actions.
    ledger : Ledger
        What is held at the open.
    nav : float
        Of the evening, which the orders were decided on, USD.
    turnover : TurnoverHistory
        With the session that opens as its last entry.
    rules : BookSettings
        Of that session.
    """
    price = np.full(ledger.shares.size, np.nan)
    for order in orders:
        price[ledger.column[order.instrument]] = order.reference_price
    return gate_orders(
        orders,
        GateContext(
            column=ledger.column,
            shares=ledger.shares,
            price=price,
            eligible=np.ones(price.size, dtype=bool),
            max_trade=np.full(price.size, np.inf),
            nav=nav,
            limits=exposure_limits(rules),
            turnover=allowance(turnover, 1.0, rules).remaining,
        ),
    )


def _adjusted(order: PendingOrder, event: CorporateEvent) -> PendingOrder:
    """An order that waited over a corporate action: in new shares after a split, of none after a delisting."""
    if event.kind == "dividend" or order.instrument != event.instrument:
        return order
    return replace(
        order,
        shares=shares_after(order.shares, event),
        exempt_shares=shares_after(order.exempt_shares, event),
        reference_price=order.reference_price / event.value if event.kind == "split" else order.reference_price,
    )
