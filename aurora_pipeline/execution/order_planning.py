"""Target weights to orders: whole shares, never beyond the target, with ids that a repeated decision repeats.

A position that crosses zero is two orders, one that closes and one that opens: brokers take no sale that is half a sale
and half a short. What reduces a position comes before what opens or grows one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.book_state import PendingOrder

PRICE_TOLERANCE = 0.02
"""Price move up to which a fill of the planned shares stays inside the turnover set aside for it."""


def client_order_id(book: str, decision_time: datetime, instrument: str, side: str, leg: str) -> str:
    """Return the id of an order: the same decision gives the same id, so sending twice is seen as one order."""
    text = f"{book}|{decision_time.isoformat()}|{instrument}|{side}|{leg}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def plan_orders(
    book: str,
    decision_time: datetime,
    execute_by: datetime,
    instruments: Sequence[str],
    symbols: Sequence[str],
    shares: Floats,
    price: Floats,
    nav: float,
    base: Floats,
    target: Floats,
    reasons: Sequence[str],
) -> list[PendingOrder]:
    """Turn targets into orders.

    Shares are rounded towards what is held, so that rounding never takes a position beyond its target. Exempt from the turnover
    budgets is what a forced reduction takes off; where sizing takes the position past what is held again, nothing is.

    Parameters
    ----------
    book : str
        Book the orders are for.
    decision_time, execute_by : datetime
        Bar end of the decision and of the bar the orders may fill in.
    instruments, symbols, reasons : sequence of str
        One per name.
    shares, price : ndarray of shape (n_names,)
        Held, and last known close in USD/share; a name without price (NaN) is not traded.
    nav : float
        USD.
    base, target : ndarray of shape (n_names,)
        Weights after forced reductions and after sizing.

    Returns
    -------
    list of PendingOrder
        Those that reduce a position first, each part by instrument.
    """
    tradable = np.isfinite(price)
    unit = np.where(tradable, price, 1.0) / nav
    quantity = np.where(target == 0.0, -shares, np.trunc(np.round(target / unit - shares, 6)))
    quantity = np.where(tradable, quantity, 0.0)
    reduction = base / unit - shares
    forced = np.where(reduction * quantity > 0.0, np.ceil(np.round(np.abs(reduction), 6)), 0.0)
    reducing: list[PendingOrder] = []
    opening: list[PendingOrder] = []
    for index in np.flatnonzero(quantity).tolist():
        side = "buy" if quantity[index] > 0.0 else "sell"
        count, held = float(abs(quantity[index])), float(shares[index])
        closes = min(count, abs(held)) if held * quantity[index] < 0.0 else 0.0
        exempt = float(min(forced[index], count))
        for leg, part, free, orders in (
            ("close", closes, min(exempt, closes), reducing),
            ("open", count - closes, max(exempt - closes, 0.0), opening),
        ):
            if part == 0.0:
                continue
            orders.append(
                PendingOrder(
                    order_id=client_order_id(book, decision_time, instruments[index], side, leg),
                    instrument=instruments[index],
                    symbol=symbols[index],
                    decision_time=decision_time,
                    execute_by=execute_by,
                    side=side,
                    shares=part,
                    reference_price=float(price[index]),
                    exempt_shares=free,
                    budget_value=(part - free) * float(price[index]) * (1.0 + PRICE_TOLERANCE),
                    reason=str(reasons[index]),
                )
            )
    return [*reducing, *opening]
