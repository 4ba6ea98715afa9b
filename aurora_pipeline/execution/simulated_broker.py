"""Fills in the next bar, as a broker would report them.

Price: the bar's VWAP, or its typical price (high + low + close) / 3 without one. Quantity: at most the participation
share of the bar's volume, and at most what the turnover budget set aside if the price ran away. What does not fill in
its bar expires; without a bar (a halt, a late bar, nobody traded) nothing fills.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.policy.cost_model import TradeCost, trade_cost
from aurora_pipeline.settings import Settings


@dataclass(frozen=True)
class ExecutedOrder:
    """An order with what became of it.

    Attributes
    ----------
    order : PendingOrder
        As it was sent.
    status : str
        ``filled``, ``partial`` or ``expired``.
    reason : str
        The order's own, or why it did not fill: ``no_bar``, ``participation``, ``turnover_budget``.
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


def execute(
    orders: Sequence[PendingOrder],
    column: Mapping[str, int],
    fill_price: Floats,
    fill_volume: Floats,
    participation: float,
) -> list[ExecutedOrder]:
    """Fill orders in one bar.

    Parameters
    ----------
    orders : sequence of PendingOrder
        Sent at the bar's start.
    column : mapping of str to int
        Position of each instrument in the arrays.
    fill_price, fill_volume : ndarray of shape (n_names,)
        Of the bar; NaN and 0 where there is none.
    participation : float
        Share of the bar's volume an order may take.
    """
    executed = []
    for order in orders:
        index = column.get(order.instrument, -1)
        price = float(fill_price[index]) if index >= 0 else np.nan
        if not np.isfinite(price):
            executed.append(ExecutedOrder(order, "expired", "no_bar", 0.0, 0.0, np.nan))
            continue
        available = float(np.floor(participation * fill_volume[index]))
        affordable = order.exempt_shares + float(np.floor(order.budget_value / price))
        shares = min(order.shares, available, affordable)
        exempt = min(shares, order.exempt_shares)
        limit = "participation" if available <= affordable else "turnover_budget"
        if shares <= 0.0:
            executed.append(ExecutedOrder(order, "expired", limit, 0.0, 0.0, np.nan))
        elif shares < order.shares:
            executed.append(ExecutedOrder(order, "partial", limit, shares, exempt, price))
        else:
            executed.append(ExecutedOrder(order, "filled", order.reason, shares, exempt, price))
    return executed


def fill_costs(
    executed: Sequence[ExecutedOrder],
    column: Mapping[str, int],
    half_spread: Floats,
    sigma: Floats,
    average_value: Floats,
    settings: Settings,
) -> TradeCost:
    """Cost of fills by term, USD, shape (n_fills,); all orders must have filled something."""
    at = [column[fill.order.instrument] for fill in executed]
    notional = np.array([fill.shares * fill.price for fill in executed])
    return trade_cost(notional, half_spread[at], sigma[at], average_value[at], settings.costs)
