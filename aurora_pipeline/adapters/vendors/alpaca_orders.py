"""Orders in Alpaca's form, and what Alpaca says of them in ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aurora_pipeline.errors import VendorFormatError
from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.execution.broker import ExecutedOrder
from aurora_pipeline.execution.order_planning import PRICE_TOLERANCE

PREFIX = "aurora-"
"""Of every client order id, so that a person's own orders in the account are told apart."""
DONE = frozenset({"filled", "canceled", "expired", "rejected", "done_for_day", "replaced"})
"""States nothing more comes of."""


def order_request(order: PendingOrder) -> Any:
    """Order in Alpaca's form: a limit where the turnover budget set a price, else the market."""
    from alpaca.trading.enums import OrderSide, TimeInForce
    from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

    common: dict[str, Any] = {
        "symbol": order.symbol,
        "qty": order.shares,
        "side": OrderSide(order.side),
        "time_in_force": TimeInForce.DAY,
        "client_order_id": PREFIX + order.order_id,
    }
    if order.exempt_shares >= order.shares:
        return MarketOrderRequest(**common)
    limit = order.reference_price * (1.0 + order.sign * PRICE_TOLERANCE)
    return LimitOrderRequest(**common, limit_price=round(limit, 2 if limit >= 1.0 else 4))


def executed_order(order: PendingOrder, row: Mapping[str, Any], *, cancelled: bool) -> ExecutedOrder:
    """Return what became of an order.

    Parameters
    ----------
    order : PendingOrder
        As it was sent.
    row : mapping
        Alpaca's order, in a state of :data:`DONE`.
    cancelled : bool
        Whether it was asked to be taken back before its bar was over.

    Raises
    ------
    VendorFormatError
        Quantity or price are not as documented.
    """
    try:
        shares = float(row["filled_qty"] or 0.0)
        price = float(row["filled_avg_price"]) if shares else float("nan")
    except (KeyError, TypeError, ValueError) as error:
        raise VendorFormatError(f"Alpaca: order {order.order_id} is not in its documented form: {error!r}") from error
    exempt = min(shares, order.exempt_shares)
    if shares >= order.shares:
        return ExecutedOrder(order, "filled", order.reason, shares, exempt, price)
    if shares > 0.0:
        return ExecutedOrder(order, "partial", "participation", shares, exempt, price)
    if cancelled:
        return ExecutedOrder(order, "cancelled", "cancelled", 0.0, 0.0, price)
    return ExecutedOrder(order, "expired", "rejected" if row["status"] == "rejected" else "no_bar", 0.0, 0.0, price)


def moment_of(text: str) -> datetime:
    """Alpaca's time stamps have up to nine digits after the second."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))


def refusal_message(text: str) -> str:
    """Return the message of Alpaca's refusal, or all of it if it has none."""
    found = re.search(r'"message"\s*:\s*"([^"]*)"', text)
    return found.group(1) if found else text
