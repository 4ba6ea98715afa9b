"""Alpaca's paper account on loopback, in the form of its documentation (Trading API v2: orders, positions)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aurora_pipeline.adapters.book.alpaca_broker import AlpacaPaperBroker
from aurora_pipeline.adapters.vendors.alpaca import AlpacaKeys
from aurora_pipeline.adapters.vendors.http import Pace, Patience
from aurora_pipeline_tests.adapters.vendors.loopback import Reply, Request, Vendor

KEYS = AlpacaKeys("PKTESTKEY", "secret-sesame")
QUICK = Patience(tries=4, pause=0.01, longest_pause=0.2, timeout=20.0)
DONE = {"filled", "canceled", "expired", "rejected"}


class PaperAccount(Vendor):
    """One account: `orders` by client order id, `positions` in shares by symbol.

    `late` holds orders whose request is still on its way: they arrive when the next bar begins to pass.
    """

    def __init__(self, positions: Mapping[str, float] | None = None, no_short: tuple[str, ...] = ()) -> None:
        super().__init__(self.account)
        self.positions = {name: float(shares) for name, shares in (positions or {}).items()}
        self.no_short = no_short
        self.orders: dict[str, dict[str, Any]] = {}
        self.late: list[Request] = []
        self.page = 500
        self.slow_cancel = 0
        self.clock = datetime(2026, 1, 5, 15, 0, 0, tzinfo=UTC)

    def broker(self, instruments=None, keys=KEYS, **options) -> AlpacaPaperBroker:
        options = {"patience": QUICK, "pace": Pace(100_000, 1.0), "url": self.url, "settle_seconds": 20.0} | options
        return AlpacaPaperBroker(keys, instruments, **options)

    def account(self, request: Request) -> Reply:
        if (request.headers.get("apca-api-key-id"), request.headers.get("apca-api-secret-key")) != (
            KEYS.key,
            KEYS.secret,
        ):
            return Reply(401, {"code": 40110000, "message": "request is not authorized"})
        match request.method, request.path:
            case "POST", "/v2/orders":
                return self.accept(request)
            case "GET", "/v2/orders:by_client_order_id":
                order = self.orders.get(request.query["client_order_id"])
                return Reply(body=order) if order else Reply(404, {"code": 40410000, "message": "order not found"})
            case "GET", "/v2/orders":
                return self._listed(request.query)
            case "GET", "/v2/positions":
                return Reply(body=[self._position(name, shares) for name, shares in self.positions.items() if shares])
            case "DELETE", path:
                return self._cancel(path.rpartition("/")[2])
        return Reply(404, {"message": "endpoint not found."})

    def accept(self, request: Request) -> Reply:
        body = request.body
        number, symbol, signed = body["client_order_id"], body["symbol"], float(body["qty"])
        assert signed > 0.0
        assert signed == int(signed)
        assert body["time_in_force"] == "day"
        signed *= 1.0 if body["side"] == "buy" else -1.0
        if number in self.orders:
            return Reply(422, {"code": 40010001, "message": "client_order_id must be unique"})
        waiting = [order for order in self.orders.values() if order["symbol"] == symbol and order["status"] not in DONE]
        before = self.positions.get(symbol, 0.0) + sum(
            (1.0 if order["side"] == "buy" else -1.0) * float(order["qty"]) for order in waiting
        )
        if symbol in self.no_short and before + signed < min(before, 0.0):
            return Reply(422, {"code": 42210000, "message": f'asset "{symbol}" cannot be sold short'})
        self.clock += timedelta(microseconds=137)
        self.orders[number] = {
            "id": str(uuid.uuid4()),
            "client_order_id": number,
            "submitted_at": f"{self.clock:%Y-%m-%dT%H:%M:%S.%f}789Z",
            "symbol": symbol,
            "qty": str(int(abs(signed))),
            "side": body["side"],
            "type": body["type"],
            "limit_price": body.get("limit_price"),
            "filled_qty": "0",
            "filled_avg_price": None,
            "status": "accepted",
        }
        return Reply(body=self.orders[number])

    def pass_bar(self, price: Mapping[str, float], available: Mapping[str, float]) -> None:
        """Fill what the bar allows: at its price, within the limits, up to the shares available by symbol."""
        for request in self.late:
            self.accept(request)
        self.late.clear()
        left = dict(available)
        for order in self.orders.values():
            at = price.get(order["symbol"], float("nan"))
            if order["status"] in DONE or at != at:
                continue
            sign = 1.0 if order["side"] == "buy" else -1.0
            if order["limit_price"] is not None and sign * (at - float(order["limit_price"])) > 0.0:
                continue
            shares = min(float(order["qty"]), float(left.get(order["symbol"], 0.0)))
            if shares <= 0.0:
                continue
            left[order["symbol"]] -= shares
            order |= {"filled_qty": str(int(shares)), "filled_avg_price": f"{at}"}
            order["status"] = "filled" if shares == float(order["qty"]) else "partially_filled"
            self.positions[order["symbol"]] = self.positions.get(order["symbol"], 0.0) + sign * shares

    def _cancel(self, identifier: str) -> Reply:
        order = next((each for each in self.orders.values() if each["id"] == identifier), None)
        if order is None:
            return Reply(404, {"code": 40410000, "message": "order not found"})
        if order["status"] in DONE:
            return Reply(422, {"code": 42210000, "message": f'order is already in "{order["status"]}" state'})
        if self.slow_cancel:
            self.slow_cancel -= 1
            order["status"] = "pending_cancel"
        else:
            order["status"] = "canceled"
        return Reply(204)

    def _listed(self, query: dict[str, str]) -> Reply:
        if query["status"] == "open":
            rows = [order for order in self.orders.values() if order["status"] not in DONE]
            return Reply(body=rows[::-1][: min(self.page, int(query["limit"]))])
        assert (query["status"], query["direction"]) == ("all", "asc")
        after = datetime.fromisoformat(query["after"])
        for order in self.orders.values():  # a cancellation that takes its time is done at the second look
            if order["status"] == "pending_cancel":
                order["status"] = "canceled"
        rows = [
            order for order in self.orders.values() if datetime.fromisoformat(order["submitted_at"][:26] + "Z") > after
        ]
        return Reply(body=rows[: min(self.page, int(query["limit"]))])

    @staticmethod
    def _position(name: str, shares: float) -> dict[str, Any]:
        return {"symbol": name, "qty": str(shares), "side": "long" if shares > 0 else "short", "avg_entry_price": "1"}
