"""The last look before an order leaves: targets against every limit, then each order on its own.

A target outside its limits is an error of the policy and stops the book (:class:`LimitBreach`). An order that fails a
check is rejected with a code and nothing replaces it: the book never grows through an error.

Codes: ``duplicate``, ``halted``, ``no_price``, ``not_finite``, ``not_eligible``, ``long_only``, ``no_borrow``, ``name_cap``,
``participation``, ``turnover_budget``, ``no_cash``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.errors import LimitBreach
from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.policy.limits_in_force import LIMIT_TOLERANCE, ExposureLimits, Integers, excess

ONE_SHARE = 1.0


@dataclass(frozen=True)
class GateContext:
    """What orders are checked against; arrays of shape (n_names,).

    Attributes
    ----------
    column : dict of str to int
        Position of each instrument.
    shares, price : ndarray
        Held, and last known price (NaN where the name cannot trade now).
    eligible : ndarray of bool
        May be opened or increased.
    max_trade : ndarray
        Largest trade, fraction of NAV.
    nav : float
        USD.
    limits : ExposureLimits
        Caps in force.
    turnover : float
        Remaining budget, fraction of NAV.
    cash : float
        USD; what opens or grows a long position must not take it below zero.
    no_short : ndarray of bool
        Names that cannot be borrowed.
    halted : bool
        Nothing leaves.
    """

    column: dict[str, int]
    shares: Floats
    price: Floats
    eligible: NDArray[np.bool_]
    max_trade: Floats
    nav: float
    limits: ExposureLimits
    turnover: float
    cash: float = np.inf
    no_short: NDArray[np.bool_] | None = None
    halted: bool = False


def check_targets(target: Floats, held: Floats, sectors: Integers, limits: ExposureLimits, where: str) -> None:
    """Refuse targets that lie outside a limit although drift does not explain it.

    Raises
    ------
    LimitBreach
        Naming the decision, the limit and the amount.
    """
    if not np.isfinite(target).all():
        raise LimitBreach(f"{where}: {int((~np.isfinite(target)).sum())} target(s) are not finite; expected weights")
    over = excess(target, held, sectors, limits)
    worst = int(over.argmax())
    if over[worst] > 0.0:
        n = target.size
        sector_count = over.size - 2 * n - 2
        kinds = ["name_cap"] * n + ["long_only"] * n + ["sector_cap"] * sector_count + ["net_cap", "utilisation_cap"]
        raise LimitBreach(f"{where}: target breaks {kinds[worst]} by {over[worst]:.3g} of NAV; nothing was sent")


def gate_orders(
    orders: Sequence[PendingOrder], context: GateContext
) -> tuple[tuple[PendingOrder, ...], tuple[tuple[PendingOrder, str], ...]]:
    """Split orders into those that may leave and those that may not, with a code each."""
    accepted: list[PendingOrder] = []
    rejected: list[tuple[PendingOrder, str]] = []
    room = _Room(
        2.0 * context.turnover * context.nav, context.cash, context.shares.copy(), np.zeros(context.shares.size)
    )
    seen: set[str] = set()
    for order in orders:
        code = "duplicate" if order.order_id in seen else _code(order, context, room)
        seen.add(order.order_id)
        if code:
            rejected.append((order, code))
        else:
            accepted.append(order)
            room.take(order, context.column[order.instrument])
    return tuple(accepted), tuple(rejected)


@dataclass
class _Room:
    """What the orders accepted so far leave: budget and cash in USD, shares as if filled, shares traded by name."""

    budget: float
    cash: float
    shares: Floats
    traded: Floats

    def take(self, order: PendingOrder, index: int) -> None:
        self.budget -= order.budget_value
        if order.side == "buy" or self.shares[index] > 0.0:  # the proceeds of a short are no cash to buy with
            self.cash -= order.sign * order.shares * order.reference_price
        self.shares[index] += order.sign * order.shares
        self.traded[index] += order.shares


def _code(order: PendingOrder, context: GateContext, room: _Room) -> str:
    if context.halted:
        return "halted"
    index = context.column.get(order.instrument, -1)
    if index < 0 or not np.isfinite(context.price[index]):
        return "no_price"
    if not (np.isfinite(order.shares) and order.shares > 0.0 and order.shares == np.trunc(order.shares)):
        return "not_finite"
    price, before = context.price[index], room.shares[index]
    after = before + order.sign * order.shares
    grows = abs(after) > abs(before) or after * before < 0.0
    weight = abs(after) * price / context.nav
    if grows and not context.eligible[index]:
        return "not_eligible"
    if grows and after < 0.0 and context.limits.long_only:
        return "long_only"
    if grows and after < 0.0 and context.no_short is not None and context.no_short[index]:
        return "no_borrow"
    if grows and weight > context.limits.name + LIMIT_TOLERANCE:
        return "name_cap"
    # Whole shares of a forced exit may exceed the estimate of what a bar takes by less than one.
    traded = room.traded[index] + order.shares
    if (traded - ONE_SHARE) * price > context.max_trade[index] * context.nav * (1.0 + LIMIT_TOLERANCE):
        return "participation"
    if order.budget_value > room.budget * (1.0 + LIMIT_TOLERANCE) + LIMIT_TOLERANCE:
        return "turnover_budget"
    if grows and after > 0.0 and (context.cash < 0.0 or order.shares * price > room.cash):
        return "no_cash"
    return ""
