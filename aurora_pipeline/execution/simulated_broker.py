"""The paper broker: fills in the next bar, as a broker would report them.

Price: the bar's VWAP, or its typical price (high + low + close) / 3 without one. Quantity: at most the participation
share of the bar's volume, shared by the orders in a name, and at most what the turnover budget set aside if the price
ran away. What does not fill in its bar expires; without a bar (a halt, a late bar, nobody traded) nothing fills. Spread,
impact and fees are charged beside the fill (:func:`fill_costs`), not in its price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.execution.broker import PAPER, Acknowledgement, ExecutedOrder
from aurora_pipeline.execution.corporate_events import CorporateEvent, shares_after
from aurora_pipeline.policy.cost_model import TradeCost, trade_cost
from aurora_pipeline.policy.regulatory_fees import SaleFees
from aurora_pipeline.settings import Settings


class SimulatedBroker:
    """A broker in memory; see :class:`aurora_pipeline.execution.broker.Broker`.

    Parameters
    ----------
    positions : mapping of str to float
        Shares held when it opens.
    participation : float
        Share of a bar's volume that fills may take.
    no_short : iterable of str
        Instruments that cannot be borrowed.
    """

    account = PAPER
    costs_in_price = False

    def __init__(self, positions: Mapping[str, float], participation: float, no_short: Iterable[str] = ()) -> None:
        self._positions = {name: shares for name, shares in positions.items() if shares != 0.0}
        self._participation = participation
        self._no_short = frozenset(no_short)
        self._known: set[str] = set()
        self._open: list[PendingOrder] = []
        self._done: list[ExecutedOrder] = []

    def submit(self, order: PendingOrder) -> Acknowledgement:
        """Take an order once; refuse what is no order and shorts that cannot be borrowed."""
        if order.order_id in self._known:
            return Acknowledgement("duplicate")
        if not (np.isfinite(order.shares) and order.shares > 0.0 and order.shares == np.trunc(order.shares)):
            return Acknowledgement("rejected", "not_finite")
        waiting = sum(item.sign * item.shares for item in self._open if item.instrument == order.instrument)
        before = self._positions.get(order.instrument, 0.0) + waiting
        after = before + order.sign * order.shares
        if order.instrument in self._no_short and after < min(before, 0.0):
            return Acknowledgement("rejected", "no_borrow")
        self._known.add(order.order_id)
        self._open.append(order)
        return Acknowledgement("accepted")

    def cancel(self, order_id: str) -> bool:
        """Take an open order back."""
        for order in self._open:
            if order.order_id == order_id:
                self._open.remove(order)
                self._done.append(ExecutedOrder(order, "cancelled", "cancelled", 0.0, 0.0, np.nan))
                return True
        return False

    def knows(self, order_id: str) -> bool:
        """Whether an order id was ever accepted."""
        return order_id in self._known

    def open_orders(self) -> tuple[PendingOrder, ...]:
        """Orders waiting for a bar."""
        return tuple(self._open)

    def executions(self) -> list[ExecutedOrder]:
        """What became of orders since the last call."""
        done, self._done = self._done, []
        return done

    def positions(self) -> dict[str, float]:
        """Shares by instrument."""
        return dict(self._positions)

    def trade_bar(self, column: Mapping[str, int], fill_price: Floats, fill_volume: Floats) -> None:
        """Let a bar pass: open orders fill or expire.

        Parameters
        ----------
        column : mapping of str to int
            Position of each instrument in the arrays.
        fill_price, fill_volume : ndarray of shape (n_names,)
            Of the bar; NaN and 0 where there is none.
        """
        executed = execute(self._open, column, fill_price, fill_volume, self._participation)
        self._open = []
        for item in executed:
            name = item.order.instrument
            held = self._positions.get(name, 0.0) + item.signed_shares
            if held == 0.0:
                self._positions.pop(name, None)
            else:
                self._positions[name] = held
        self._done += executed

    def apply(self, event: CorporateEvent) -> None:
        """Book a corporate action on its own count of positions."""
        held = shares_after(self._positions.get(event.instrument, 0.0), event)
        self._positions.pop(event.instrument, None)
        if held != 0.0:
            self._positions[event.instrument] = held


def execute(
    orders: Sequence[PendingOrder],
    column: Mapping[str, int],
    fill_price: Floats,
    fill_volume: Floats,
    participation: float,
) -> list[ExecutedOrder]:
    """Fill orders in one bar, in the order they came; parameters as in :meth:`SimulatedBroker.trade_bar`."""
    executed = []
    taken: dict[str, float] = {}
    for order in orders:
        index = column.get(order.instrument, -1)
        price = float(fill_price[index]) if index >= 0 else np.nan
        if not np.isfinite(price):
            executed.append(ExecutedOrder(order, "expired", "no_bar", 0.0, 0.0, np.nan))
            continue
        available = float(np.floor(participation * fill_volume[index])) - taken.get(order.instrument, 0.0)
        affordable = order.exempt_shares + float(np.floor(order.budget_value / price))
        shares = min(order.shares, available, affordable)
        exempt = min(shares, order.exempt_shares)
        limit = "participation" if available <= affordable else "turnover_budget"
        if shares <= 0.0:
            executed.append(ExecutedOrder(order, "expired", limit, 0.0, 0.0, np.nan))
            continue
        taken[order.instrument] = taken.get(order.instrument, 0.0) + shares
        if shares < order.shares:
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
    fees: SaleFees,
) -> TradeCost:
    """Cost of fills by term, USD, shape (n_fills,); all orders must have filled something."""
    at = [column[fill.order.instrument] for fill in executed]
    shares = np.array([fill.signed_shares for fill in executed])
    price = np.array([fill.price for fill in executed])
    return trade_cost(shares, price, half_spread[at], sigma[at], average_value[at], settings.costs, fees)
