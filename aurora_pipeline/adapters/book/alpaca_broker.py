"""Alpaca's paper account behind the broker Protocol: no real money can be reached through it.

An order id is the decision's (:func:`~aurora_pipeline.execution.order_planning.client_order_id`) and goes to Alpaca, after
``aurora-``, as `client_order_id`, which Alpaca accepts once; an order is never sent a second time by itself. Orders are valid for
one bar: at the bar's end what is still open is cancelled, also what a process before this one sent, and only then is reported
what became of it; so one account serves one book. Orders that have a turnover budget carry the limit price up to which that
budget was set aside; forced reductions go to the market.

Alpaca books splits, dividends and renames in its own account; a difference that makes is found by reconciliation.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from aurora_pipeline.adapters.vendors.alpaca import (
    REQUESTS_PER_MINUTE,
    AlpacaKeys,
    answered,
    on_our_transport,
    require_library,
)
from aurora_pipeline.adapters.vendors.alpaca_orders import (
    DONE,
    PREFIX,
    executed_order,
    moment_of,
    order_request,
    refusal_message,
)
from aurora_pipeline.adapters.vendors.http import TRADING, Pace, Patience
from aurora_pipeline.errors import BookError, VendorDownError, VendorFormatError, VendorKeyError
from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.execution.broker import PAPER, Acknowledgement, BrokerTimeoutError, ExecutedOrder
from aurora_pipeline.execution.corporate_events import CorporateEvent

if TYPE_CHECKING:
    from alpaca.trading.client import TradingClient
    from alpaca.trading.requests import GetOrdersRequest

PAPER_URL = "https://paper-api.alpaca.markets"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
ORDERS_PER_PAGE = 500
SETTLE_SECONDS = 5.0
"""How long cancelled orders may take to be done; one that takes longer is left to reconciliation."""
_NOT_FOUND = 404
_REFUSED = frozenset({400, 403, 404, 422})


class AlpacaPaperBroker:
    """A paper account; see :class:`aurora_pipeline.execution.broker.Broker`.

    Parameters
    ----------
    keys : AlpacaKeys
        Of the paper account.
    instruments : mapping of str to str
        Permanent name of each symbol; a symbol that is not in it stands for itself.
    patience, pace
        Of the transport.
    url : str
        Alpaca's paper address, or one on loopback.
    settle_seconds : float
        See :data:`SETTLE_SECONDS`.

    Raises
    ------
    BookError
        The address is not that of paper trading.
    """

    account = PAPER
    costs_in_price = True

    def __init__(
        self,
        keys: AlpacaKeys,
        instruments: Mapping[str, str] | None = None,
        *,
        patience: Patience = TRADING,
        pace: Pace | None = None,
        url: str = PAPER_URL,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        _require_paper_address(url)
        require_library()
        from alpaca.trading.client import TradingClient

        client = TradingClient(keys.key, keys.secret, paper=True, raw_data=True, url_override=url)
        self._client: TradingClient = on_our_transport(client, patience, pace or Pace(REQUESTS_PER_MINUTE, 60.0))
        self._instruments = dict(instruments or {})
        self._settle_seconds = settle_seconds
        self._sent: dict[str, PendingOrder] = {}
        self._doubtful: dict[str, PendingOrder] = {}
        self._cancelled: set[str] = set()
        self._done: list[ExecutedOrder] = []
        self._told: set[str] = set()

    def submit(self, order: PendingOrder) -> Acknowledgement:
        """Send an order once; what is no order is not sent."""
        if order.order_id in self._sent:
            return Acknowledgement("duplicate")
        if not (np.isfinite(order.shares) and order.shares > 0.0 and order.shares == np.trunc(order.shares)):
            return Acknowledgement("rejected", "not_finite")
        from alpaca.common.exceptions import APIError

        try:
            self._client.submit_order(order_request(order))
        except VendorDownError as error:
            self._doubtful[order.order_id] = order
            raise BrokerTimeoutError(str(error)) from error
        except APIError as error:
            return self._refusal(order, error)
        self._sent[order.order_id] = order
        return Acknowledgement("accepted")

    def cancel(self, order_id: str) -> bool:
        """Take an open order back; Alpaca says later whether it was in time."""
        found = self._find(order_id)
        if found is None or found["status"] in {*DONE, "pending_cancel"}:
            return False
        if self._cancel_at_vendor(found):
            self._cancelled.add(order_id)
            return True
        return False

    def knows(self, order_id: str) -> bool:
        """Whether an order id was ever accepted; while Alpaca is silent, an order that was sent counts until it answers."""
        if order_id in self._sent:
            return True
        try:
            found = self._find(order_id)
        except VendorDownError:
            found = {} if order_id in self._doubtful else None
        if found is None:
            return False
        if order_id in self._doubtful:
            self._sent[order_id] = self._doubtful.pop(order_id)
        return True

    def open_orders(self) -> tuple[PendingOrder, ...]:
        """Orders of this process that are not done, in the order they were sent."""
        waiting = self._waiting()
        status = {number: found["status"] for number, found in self._at_vendor(waiting).items()}
        return tuple(order for number, order in waiting.items() if status.get(number, "new") not in DONE)

    def executions(self) -> list[ExecutedOrder]:
        """What became of orders since the last call."""
        self._collect()
        done, self._done = self._done, []
        return done

    def positions(self) -> dict[str, float]:
        """Shares by instrument, as Alpaca counts them."""
        rows = answered(self._client.get_all_positions, "positions")
        try:
            signed = {row["symbol"]: abs(float(row["qty"])) * (-1.0 if row["side"] == "short" else 1.0) for row in rows}
        except (KeyError, TypeError, ValueError) as error:
            raise VendorFormatError(f"Alpaca: positions are not in their documented form: {error!r}") from error
        return {self._instruments.get(symbol, symbol): shares for symbol, shares in signed.items() if shares != 0.0}

    def trade_bar(self, column: Mapping[str, int], fill_price: Floats, fill_volume: Floats) -> None:
        """Let a bar pass: its orders are done or cancelled; prices and fills are Alpaca's, so the arguments are not used."""
        deadline = time.monotonic() + self._settle_seconds
        pause = 0.05
        while (waiting := [*self._collect(), *self._strays()]) and time.monotonic() < deadline:
            for found in waiting:
                if found["status"] != "pending_cancel":
                    self._cancel_at_vendor(found)
            time.sleep(pause)
            pause = min(2 * pause, 1.0)
        left = {found["client_order_id"].removeprefix(PREFIX) for found in waiting}
        self._doubtful = {number: order for number, order in self._doubtful.items() if number in left}

    def apply(self, event: CorporateEvent) -> None:
        """Nothing: Alpaca books corporate actions itself."""

    def _refusal(self, order: PendingOrder, error: Any) -> Acknowledgement:
        """Turn a refusal into an acknowledgement."""
        status, text = error.status_code, str(error)
        if status == 401 or (status == 403 and not text.lstrip().startswith("{")):
            raise VendorKeyError(
                f"Alpaca: an order was refused ({status}): {text}; the keys are wrong, expired, or not of a paper account"
            ) from error
        if status not in _REFUSED:
            raise VendorFormatError(f"Alpaca: an order was answered with {status}: {text}") from error
        if re.search(r"client[ _]order[ _]id (must be unique|already exists)", text):
            self._sent[order.order_id] = order
            return Acknowledgement("duplicate")
        reason = "no_borrow" if "cannot be sold short" in text else refusal_message(text)
        return Acknowledgement("rejected", reason)

    def _waiting(self) -> dict[str, PendingOrder]:
        both = self._sent | self._doubtful
        return {number: order for number, order in both.items() if number not in self._told}

    def _at_vendor(self, orders: Mapping[str, PendingOrder]) -> dict[str, dict[str, Any]]:
        """Alpaca's state of orders, by client order id; read in pages from the oldest decision on."""
        if not orders:
            return {}
        from alpaca.common.enums import Sort
        from alpaca.trading.enums import QueryOrderStatus
        from alpaca.trading.requests import GetOrdersRequest

        after = min(order.decision_time for order in orders.values()) - timedelta(minutes=1)
        found: dict[str, dict[str, Any]] = {}
        while True:
            asked = GetOrdersRequest(
                status=QueryOrderStatus.ALL, limit=ORDERS_PER_PAGE, after=after, direction=Sort.ASC
            )
            page = self._page(asked)
            fresh = {row["client_order_id"].removeprefix(PREFIX): row for row in page}
            new = fresh.keys() - found.keys()
            found |= fresh
            if len(page) < ORDERS_PER_PAGE or not new:
                break
            after = max(moment_of(row["submitted_at"]) for row in page) - timedelta(microseconds=1)
        for number in orders:
            # One that is not listed where it should be, the clocks being apart, is asked for by itself.
            row = found.get(number) or self._find(number)
            if row is not None:
                found[number] = row
        return {number: row for number, row in found.items() if number in orders}

    def _collect(self) -> list[dict[str, Any]]:
        """Note what is done; returns what is not, as Alpaca has it."""
        orders = self._waiting()
        open_ones: list[dict[str, Any]] = []
        found = self._at_vendor(orders)
        for number, order in orders.items():
            row = found.get(number)
            if row is not None and row["status"] in DONE:
                self._done.append(executed_order(order, row, cancelled=number in self._cancelled))
                self._told.add(number)
            elif row is not None:
                open_ones.append(row)
        return open_ones

    def _strays(self) -> list[dict[str, Any]]:
        """Open orders of this book that this process does not wait for: a process before it sent them."""
        from alpaca.trading.enums import QueryOrderStatus
        from alpaca.trading.requests import GetOrdersRequest

        asked = GetOrdersRequest(status=QueryOrderStatus.OPEN, limit=ORDERS_PER_PAGE)
        waiting = self._waiting()
        return [
            row
            for row in self._page(asked)
            if row["client_order_id"].startswith(PREFIX) and row["client_order_id"].removeprefix(PREFIX) not in waiting
        ]

    def _page(self, asked: GetOrdersRequest) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = answered(partial(self._client.get_orders, asked), "orders")
        fields = {"id", "client_order_id", "status", "submitted_at"}
        if not all(isinstance(row, dict) and fields <= set(row) for row in rows):
            raise VendorFormatError(
                f"Alpaca: orders are not in their documented form: expected {', '.join(sorted(fields))} in each"
            )
        return rows

    def _find(self, order_id: str) -> dict[str, Any] | None:
        """One order as Alpaca has it; None if it does not."""
        from alpaca.common.exceptions import APIError

        def ask() -> Any:
            try:
                return self._client.get_order_by_client_id(PREFIX + order_id)
            except APIError as error:
                if error.status_code == _NOT_FOUND:
                    return None
                raise

        found: dict[str, Any] | None = answered(ask, "an order")
        return found

    def _cancel_at_vendor(self, found: Mapping[str, Any]) -> bool:
        from alpaca.common.exceptions import APIError

        def ask() -> bool:
            try:
                self._client.cancel_order_by_id(found["id"])
            except APIError as error:
                if error.status_code in {_NOT_FOUND, 422}:  # done in the meantime
                    return False
                raise
            return True

        return bool(answered(ask, "a cancellation"))


def _require_paper_address(url: str) -> None:
    parts = urlsplit(url)
    if url != PAPER_URL and not (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS):
        raise BookError(
            f"{parts.hostname or url} is not Alpaca's paper address; this broker trades on paper only, at {PAPER_URL}"
        )
