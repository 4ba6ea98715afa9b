"""The paper broker against a paper account on loopback: what it refuses, and a day of faults."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

pytest.importorskip("alpaca", reason="alpaca-py is not installed")

from aurora_pipeline.adapters.book import alpaca_broker
from aurora_pipeline.adapters.book.alpaca_broker import PAPER_URL, AlpacaPaperBroker
from aurora_pipeline.adapters.vendors.alpaca import AlpacaKeys
from aurora_pipeline.adapters.vendors.alpaca_orders import PREFIX
from aurora_pipeline.errors import BookError, VendorDownError, VendorFormatError, VendorKeyError
from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.execution.broker import BrokerTimeoutError, known_executions, require_paper, send_orders
from aurora_pipeline.execution.kill_switch import AlwaysOn
from aurora_pipeline.execution.ledger import Ledger
from aurora_pipeline.execution.order_planning import client_order_id
from aurora_pipeline.execution.reconciliation import reconcile
from aurora_pipeline_tests.adapters.vendors.alpaca_account import KEYS, QUICK, PaperAccount
from aurora_pipeline_tests.adapters.vendors.loopback import Fault, Reply, Request
from aurora_pipeline_tests.market.tiny import moment

NOW = moment("2026-01-05T15:00")
NEXT = moment("2026-01-05T15:05")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def account():
    with PaperAccount().running() as running:
        yield running


def order(identifier="one", name="A", side="buy", shares=10.0, exempt=0.0, price=100.0):
    return PendingOrder(identifier, f"{name}.id", name, NOW, NEXT, side, shares, price, exempt, 1e9, "enter")


NAMES = {"A": "A.id", "B": "B.id"}


def pass_bar(account, broker, price=100.0, available=1e6):
    account.pass_bar({"A": price, "B": price}, {"A": available, "B": available})
    broker.trade_bar({}, np.array([]), np.array([]))
    return broker.executions()


@pytest.mark.parametrize(
    "url",
    [
        "https://api.alpaca.markets",
        "https://paper-api.alpaca.markets.example.com",
        "http://paper-api.alpaca.markets",
        "https://paper-api.alpaca.markets@api.alpaca.markets",
        "https://10.0.0.1",
        "",
    ],
)
def test_an_address_that_is_not_paper_is_refused(url):
    with pytest.raises(BookError, match="is not Alpaca's paper address"):
        AlpacaPaperBroker(KEYS, url=url)


def test_the_default_is_the_paper_address_and_the_account_is_paper():
    broker = AlpacaPaperBroker(KEYS)
    assert broker._client._base_url == PAPER_URL == "https://paper-api.alpaca.markets"
    require_paper(broker, None)


def test_the_decisions_id_is_the_brokers_and_the_budget_is_a_limit(account):
    broker = account.broker(NAMES)
    number = client_order_id("live", NOW, "A.id", "buy", "open")
    broker.submit(order(number))
    broker.submit(order("forced", side="sell", exempt=10.0))
    broker.submit(order("low", name="B", price=0.5, side="sell"))
    bodies = [request.body for request in account.asked]
    assert bodies[0] == {
        "symbol": "A",
        "qty": 10.0,
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "client_order_id": f"aurora-{number}",
        "limit_price": 102.0,
    }
    assert (bodies[1]["type"], bodies[1].get("limit_price")) == ("market", None)
    assert bodies[2]["limit_price"] == 0.49


def test_positions_are_signed_and_by_instrument(account):
    account.positions = {"A": 10.0, "B": -4.0, "C": 0.0, "D": 1.0}
    assert account.broker(NAMES).positions() == {"A.id": 10.0, "B.id": -4.0, "D": 1.0}


def test_a_price_that_runs_away_past_the_budget_does_not_fill(account):
    broker = account.broker(NAMES)
    broker.submit(order())
    (done,) = pass_bar(account, broker, price=103.0)
    assert (done.status, done.reason, done.shares) == ("expired", "no_bar", 0.0)
    assert account.orders["aurora-one"]["status"] == "canceled"


def test_a_restarted_process_sends_the_same_ids_and_nothing_twice(account):
    account.broker(NAMES).submit(order())
    again = account.broker(NAMES)
    assert again.knows("one")
    assert again.submit(order()).status == "duplicate"
    (done,) = pass_bar(account, again)
    assert (done.status, done.shares) == ("filled", 10.0)
    assert account.positions == {"A": 10.0}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(403, {"code": 40310000, "message": "insufficient buying power"}), "insufficient buying power"),
        (Reply(422, {"code": 40010001, "message": "us_equity orders not allowed for account"}), "us_equity orders"),
        (Reply(422, {"code": 42210000, "message": 'asset "A" cannot be sold short'}), "no_borrow"),
        (Reply(422, {"code": 42210000, "message": "potential wash trade detected"}), "potential wash trade"),
    ],
)
def test_a_refusal_is_no_duplicate_and_says_why(account, reply, reason):
    account.faults.append(Fault(reply))
    broker = account.broker(NAMES)
    answer = broker.submit(order())
    assert answer.status == "rejected"
    assert answer.reason.startswith(reason.split(" detected")[0])
    assert not broker.knows("one")


def test_wrong_keys_are_named_and_not_a_refused_order(account):
    for keys in (AlpacaKeys("PKOTHER", KEYS.secret), AlpacaKeys(KEYS.key, "old")):
        with pytest.raises(VendorKeyError, match="request is not authorized") as error:
            account.broker(NAMES, keys).submit(order())
        assert keys.secret not in str(error.value)
    account.faults.append(Fault(Reply(403, b"Forbidden")))
    with pytest.raises(VendorKeyError, match="Forbidden"):
        account.broker(NAMES).submit(order())


@pytest.mark.parametrize(
    "silence", [Reply(drop=True), Reply(late=30.0), Reply(504, b""), Reply(body={"a": 1}, cut=True)]
)
@pytest.mark.parametrize("carried_out", [True, False])
def test_an_order_without_an_answer_is_asked_about_and_not_sent_again(account, silence, carried_out):
    account.faults.append(Fault(silence, "POST", carried_out=carried_out))
    broker = account.broker(NAMES, patience=replace(QUICK, timeout=1.5))
    sent, refused, events = send_orders(broker, [order()], AlwaysOn())
    assert sum(request.method == "POST" for request in account.asked) == 1
    assert (len(sent), len(refused)) == ((1, 0) if carried_out else (0, 1))
    assert [event.event for event in events if event.event == "broker_timeout"] == ["broker_timeout"]
    done = pass_bar(account, broker)
    assert [item.shares for item in done] == ([10.0] if carried_out else [])
    assert broker.positions() == ({"A.id": 10.0} if carried_out else {})


def test_while_the_broker_is_silent_an_order_in_doubt_counts_as_sent_until_its_bar_is_over(account):
    broker = account.broker(NAMES)
    account.faults += [Fault(Reply(drop=True), "POST")] + [Fault(Reply(503, b""), "GET")] * 4
    with pytest.raises(BrokerTimeoutError):
        broker.submit(order())
    assert broker.knows("one")
    account.faults += [Fault(Reply(503, b""), "GET")] * 4
    assert not broker.knows("never sent")
    assert pass_bar(account, broker) == []
    assert broker.open_orders() == (order(),)  # sent, as far as anybody knows: Alpaca has no answer on it


def test_an_order_that_arrives_after_it_was_given_up_is_taken_over_by_reconciliation(account):
    broker = account.broker(NAMES)
    account.faults.append(Fault(Reply(drop=True), "POST"))
    sent, refused, _ = send_orders(broker, [order()], AlwaysOn())
    assert (sent, len(refused)) == ((), 1)
    account.late.append(account.asked[0])
    executed, odd = known_executions(pass_bar(account, broker), sent)
    assert (executed, [event.event for event in odd]) == ([], ["unknown_fill"])
    ledger = Ledger(["A.id"], {}, {"A.id": 100.0}, 1e6)
    (drift,) = reconcile(ledger, broker.positions())
    assert (drift.event, float(ledger.shares[0])) == ("position_drift", 10.0)


def test_a_cancellation_that_takes_its_time_is_waited_for(account):
    account.slow_cancel = 1
    broker = account.broker(NAMES)
    broker.submit(order())
    (done,) = pass_bar(account, broker, available=4)
    assert (done.status, done.reason, done.shares) == ("partial", "participation", 4.0)


def test_an_order_that_cannot_be_cancelled_in_time_is_left_open(account):
    broker = account.broker(NAMES, settle_seconds=0.2)
    broker.submit(order())
    account.faults += [Fault(Reply(422, {"message": "not cancelable"}), "DELETE")] * 50
    assert pass_bar(account, broker, price=103.0) == []
    assert broker.open_orders() == (order(),)
    account.faults.clear()
    assert [item.status for item in pass_bar(account, broker, price=103.0)] == ["expired"]


def test_what_a_process_before_left_open_is_cancelled_and_what_a_person_ordered_is_not(account):
    account.broker(NAMES).submit(order())
    by_hand = {"client_order_id": "by-hand", "symbol": "B", "qty": 1, "side": "buy", "type": "market"}
    account.accept(Request("POST", "/v2/orders", {}, {}, by_hand | {"time_in_force": "day"}))
    assert pass_bar(account, account.broker(NAMES), price=103.0) == []
    assert {number: each["status"] for number, each in account.orders.items()} == {
        "aurora-one": "canceled",
        "by-hand": "filled",
    }


def test_an_order_that_is_not_listed_is_asked_for_by_itself(account):
    account.clock -= timedelta(hours=1)
    broker = account.broker(NAMES)
    broker.submit(order())
    assert [item.status for item in pass_bar(account, broker)] == ["filled"]


def test_orders_are_read_page_by_page(account, monkeypatch):
    monkeypatch.setattr(alpaca_broker, "ORDERS_PER_PAGE", 7)
    account.page = 7
    broker = account.broker(NAMES)
    for number in range(30):
        broker.submit(order(str(number), shares=1.0))
    done = pass_bar(account, broker)
    assert sorted(int(item.order.order_id) for item in done) == list(range(30))
    assert broker.positions() == {"A.id": 30.0}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/positions", [{"symbol": "A", "quantity": "1"}]),
        ("/v2/positions", {"A": 1}),
        (
            "/v2/orders",
            [{"id": "1", "client_order_id": "one", "state": "filled", "submitted_at": "2026-01-05T15:00:00Z"}],
        ),
        ("/v2/orders", b"<html>"),
    ],
)
def test_a_changed_form_is_named(account, path, body):
    broker = account.broker(NAMES)
    broker.submit(order())
    account.faults.append(Fault(Reply(body=body), "GET", path))
    with pytest.raises(VendorFormatError):
        broker.positions() if path.endswith("positions") else broker.executions()


def test_a_broker_that_is_down_is_named(account):
    account.faults += [Fault(Reply(503, b""), "GET")] * 4
    with pytest.raises(VendorDownError):
        account.broker(NAMES).positions()


def test_300_orders_with_faults_at_random_leave_ledger_and_broker_equal_and_no_order_twice(account):
    """Duplicates, refusals, part fills, time-outs with and without the order, fills after a time-out, faults on every path."""
    draw = np.random.default_rng(20260105)
    symbols = [f"S{index}" for index in range(10)]
    names = {symbol: f"{symbol}.id" for symbol in symbols}
    price = dict.fromkeys(symbols, 50.0)
    broker = account.broker(names)
    ledger = Ledger(list(names.values()), {}, dict.fromkeys(names.values(), 50.0), 1e7)
    happened = dict.fromkeys(
        ["duplicate", "refused", "partial", "timed out", "filled after time-out", "late", "passing", "restart"], 0
    )
    adopted, drifted, sent_ids = 0.0, set(), set()
    for bar in range(30):
        account.clock = decided = moment("2026-01-05T15:00") + timedelta(minutes=5 * bar)
        orders = []
        for symbol in symbols:
            side = "buy" if draw.random() < 0.5 else "sell"
            number = client_order_id("live", decided, names[symbol], side, "open")
            wanted = order(number, side=side, shares=float(draw.integers(1, 200)), price=50.0)
            orders.append(
                replace(wanted, instrument=names[symbol], symbol=symbol, decision_time=decided, execute_by=decided)
            )
        late = []
        sent = []
        for each in orders:
            fate = draw.random()
            if fate < 0.08:
                account.faults.append(
                    Fault(Reply(403, {"code": 40310000, "message": "insufficient buying power"}), "POST")
                )
                happened["refused"] += 1
            elif fate < 0.20:
                account.faults.append(Fault(Reply(drop=True), "POST", carried_out=True))
                happened["filled after time-out"] += 1
            elif fate < 0.26:
                account.faults.append(Fault(Reply(drop=True), "POST"))
                happened["timed out"] += 1
            elif fate < 0.28:
                account.faults.append(Fault(Reply(drop=True), "POST"))
                late.append(each.order_id)
                happened["late"] += 1
            elif fate < 0.36:
                faults = (Reply(429, {}, {"Retry-After": "0"}), Reply(503, b""), Reply(drop=True))
                account.faults.append(Fault(faults[draw.integers(3)], "GET"))
                happened["passing"] += 1
            accepted, _, _ = send_orders(broker, [each], AlwaysOn())
            sent += accepted
            if each.order_id in late:
                account.late.append(next(r for r in reversed(account.asked) if r.method == "POST"))
        if draw.random() < 0.3:  # a tick that died is done again by a new process: the same ids
            before = len(account.orders)
            broker = account.broker(names) if draw.random() < 0.5 else broker
            happened["restart"] += 1
            again, _, _ = send_orders(broker, sent, AlwaysOn())
            happened["duplicate"] += len(again)
            assert (list(again), len(account.orders)) == (sent, before)
        price = {symbol: round(at * (1 + draw.normal(0, 0.004)), 2) for symbol, at in price.items()}
        account.pass_bar(price, {symbol: float(draw.integers(20, 400)) for symbol in symbols})
        broker.trade_bar(ledger.column, np.array([]), np.array([]))
        ledger.mark(np.array([price[symbol] for symbol in symbols]))
        executed, _ = known_executions(broker.executions(), sent)
        happened["partial"] += sum(item.status == "partial" for item in executed)
        for item in executed:
            if item.shares:
                ledger.fill(ledger.column[item.order.instrument], item.signed_shares, item.price)
        before = ledger.shares.copy()
        drift = reconcile(ledger, broker.positions())
        drifted |= {event.name for event in drift}
        adopted += float(np.abs(ledger.shares - before).sum())
        assert len(drift) <= len(late)
        sent_ids |= {each.order_id for each in sent}
        assert {name: shares for name, shares in zip(ledger.instruments, ledger.shares, strict=True) if shares} == {
            names[symbol]: shares for symbol, shares in account.positions.items() if shares
        }
    posted = [request.body["client_order_id"] for request in account.asked if request.method == "POST"]
    assert len(set(posted)) == 300
    assert all(count > 0 for count in happened.values()), happened
    assert {number.removeprefix(PREFIX) for number in account.orders} >= sent_ids
    assert all(float(each["filled_qty"]) <= float(each["qty"]) for each in account.orders.values())
    assert not [each for each in account.orders.values() if each["status"] not in {"filled", "canceled"}]
    assert adopted > 0.0
    assert math.isfinite(ledger.nav)
    net = {}
    for each in account.orders.values():
        sign = 1.0 if each["side"] == "buy" else -1.0
        net[each["symbol"]] = net.get(each["symbol"], 0.0) + sign * float(each["filled_qty"])
    assert {names[symbol]: shares for symbol, shares in net.items() if shares} == broker.positions()
