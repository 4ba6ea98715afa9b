"""One behaviour suite run over every broker, and the rules orders are sent by."""

from contextlib import ExitStack
from datetime import UTC, datetime

import numpy as np
import pytest

from aurora_pipeline.adapters.book.journal_broker import JournalBroker
from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.execution.broker import BrokerTimeoutError, known_executions, require_paper, send_orders
from aurora_pipeline.execution.corporate_events import CorporateEvent, shares_after
from aurora_pipeline.execution.kill_switch import AlwaysOn, SwitchState
from aurora_pipeline.execution.simulated_broker import SimulatedBroker

NOW = datetime(2026, 1, 5, 15, tzinfo=UTC)
NEXT = datetime(2026, 1, 5, 15, 5, tzinfo=UTC)
BROKERS = ("simulated", "journal", "alpaca")


def order(name="A", side="buy", shares=10.0, identifier="one", budget=1e9, exempt=0.0):
    return PendingOrder(identifier, name, name, NOW, NEXT, side, shares, 100.0, exempt, budget, "enter")


class OnLoopback:
    """The paper broker on a paper account on loopback: the account sees the bar that the book passes, and holds its positions."""

    def __init__(self, account, participation):
        self._account, self._participation, self._broker = account, participation, account.broker()

    def trade_bar(self, column, price, volume):
        available = {name: float(np.floor(self._participation * volume[at])) for name, at in column.items()}
        self._account.pass_bar({name: float(price[at]) for name, at in column.items()}, available)
        self._broker.trade_bar(column, price, volume)

    def apply(self, event):
        self._account.positions[event.instrument] = shares_after(self._account.positions[event.instrument], event)
        self._broker.apply(event)

    def __getattr__(self, name):
        return getattr(self._broker, name)


@pytest.fixture(params=BROKERS)
def make(request, tmp_path, monkeypatch):
    with ExitStack() as stack:

        def build(positions=None, participation=1.0, no_short=()):
            if request.param == "simulated":
                return SimulatedBroker(positions or {}, participation, no_short)
            if request.param == "journal":
                return JournalBroker(tmp_path / "journal.jsonl", positions or {}, participation, no_short)
            pytest.importorskip("alpaca", reason="alpaca-py is not installed")
            from aurora_pipeline_tests.adapters.vendors.alpaca_account import PaperAccount

            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            account = stack.enter_context(PaperAccount(positions, tuple(no_short)).running())
            return OnLoopback(account, participation)

        yield build


def trade(broker, price=100.0, volume=1_000.0):
    broker.trade_bar({"A": 0}, np.array([price]), np.array([volume]))
    return broker.executions()


def test_an_order_is_accepted_once_and_fills_once(make):
    broker = make()
    assert broker.submit(order()).status == "accepted"
    assert broker.submit(order()).status == "duplicate"
    assert broker.open_orders() == (order(),)
    (done,) = trade(broker)
    assert (done.status, done.shares, done.price) == ("filled", 10.0, 100.0)
    assert broker.positions() == {"A": 10.0}
    assert broker.open_orders() == ()
    assert trade(broker) == []
    assert broker.submit(order()).status == "duplicate"
    assert trade(broker) == []


def test_what_does_not_fill_in_its_bar_expires(make):
    broker = make(participation=0.01)
    broker.submit(order(shares=20.0))
    (done,) = trade(broker)
    assert (done.status, done.shares, done.reason) == ("partial", 10.0, "participation")
    assert trade(broker) == []
    broker.submit(order(identifier="two"))
    assert [item.reason for item in trade(broker, price=np.nan)] == ["no_bar"]
    assert broker.positions() == {"A": 10.0}


def test_a_sale_closes_and_shorts(make):
    broker = make({"A": 10.0})
    broker.submit(order(side="sell", identifier="close"))
    broker.submit(order(side="sell", shares=5.0, identifier="open"))
    trade(broker)
    assert broker.positions() == {"A": -5.0}


def test_a_cancelled_order_does_not_fill_and_says_so(make):
    broker = make()
    broker.submit(order())
    assert broker.cancel("one")
    assert not broker.cancel("one")
    assert [item.status for item in trade(broker)] == ["cancelled"]
    assert broker.positions() == {}
    assert broker.knows("one")


@pytest.mark.parametrize("shares", [0.0, -1.0, 1.5, np.nan, np.inf])
def test_what_is_no_order_is_rejected_and_not_known(make, shares):
    broker = make()
    answer = broker.submit(order(shares=shares))
    assert (answer.status, answer.reason) == ("rejected", "not_finite")
    assert not broker.knows("one")


def test_a_short_without_borrow_is_rejected_and_a_cover_is_not(make):
    broker = make({"A": 5.0}, no_short=["A"])
    assert broker.submit(order(side="sell", shares=5.0, identifier="close")).status == "accepted"
    assert broker.submit(order(side="sell", shares=1.0, identifier="open")).reason == "no_borrow"
    short = make({"A": -5.0}, no_short=["A"])
    assert short.submit(order(shares=5.0, identifier="cover")).status == "accepted"


@pytest.mark.parametrize(
    ("kind", "value", "left"), [("split", 2.0, 20.0), ("dividend", 1.0, 10.0), ("delist", 0.0, None)]
)
def test_corporate_actions_reach_its_own_count(make, kind, value, left):
    broker = make({"A": 10.0})
    broker.apply(CorporateEvent("A", kind, value))
    assert broker.positions().get("A") == left


def test_every_broker_that_ships_is_paper(make):
    require_paper(make(), None)


class RealBroker(SimulatedBroker):
    account = "U1234567"


def test_real_money_needs_its_account_named():
    with pytest.raises(BookError, match="not paper"):
        require_paper(RealBroker({}, 1.0), None)
    with pytest.raises(BookError, match="not paper"):
        require_paper(RealBroker({}, 1.0), "U7654321")
    require_paper(RealBroker({}, 1.0), "U1234567")


def test_a_journal_remembers_across_processes_and_a_cut_line_is_no_order(tmp_path):
    path = tmp_path / "journal.jsonl"
    JournalBroker(path, {}, 1.0).submit(order())
    with path.open("ab") as handle:
        handle.write(b'{"order_id": "two", "deci')
    again = JournalBroker(path, {}, 1.0)
    assert again.knows("one")
    assert not again.knows("two")
    assert again.submit(order()).status == "duplicate"
    assert trade(again)[0].status == "filled"  # open again in the process that does the bar again
    assert again.submit(order(identifier="two")).status == "accepted"
    assert path.read_bytes().count(b"\n") == 2


class Thrown:
    """A switch that is thrown after it was asked a number of times."""

    def __init__(self, after):
        self.asked, self.after = 0, after

    def state(self, moment):
        assert moment == NOW
        self.asked += 1
        return SwitchState("halt", "test") if self.asked > self.after else SwitchState()


def test_the_switch_is_asked_before_every_order():
    broker, switch = SimulatedBroker({}, 1.0), Thrown(after=1)
    orders = [order(identifier=str(number)) for number in range(3)]
    sent, refused, events = send_orders(broker, orders, switch)
    assert switch.asked == 3
    assert [item.order_id for item in sent] == ["0"]
    assert [(item.order_id, code) for item, code in refused] == [("1", "kill_switch"), ("2", "kill_switch")]
    assert {event.event for event in events} == {"kill_switch"}
    assert [item.order_id for item in broker.open_orders()] == ["0"]


class SilentBroker(SimulatedBroker):
    """Takes the order or not, and never answers."""

    def __init__(self, arrives):
        super().__init__({}, 1.0)
        self.arrives, self.calls = arrives, 0

    def submit(self, order):
        self.calls += 1
        if self.arrives:
            super().submit(order)
        raise BrokerTimeoutError("no answer within 5 s")


@pytest.mark.parametrize("arrives", [True, False])
def test_a_broker_that_times_out_is_asked_what_it_has_and_nothing_is_sent_again(arrives):
    broker = SilentBroker(arrives)
    sent, refused, events = send_orders(broker, [order()], AlwaysOn())
    assert broker.calls == 1
    assert (len(sent), len(refused)) == ((1, 0) if arrives else (0, 1))
    assert events[0].event == "broker_timeout"


def test_a_fill_for_an_unknown_order_and_a_second_fill_are_not_booked():
    broker = SimulatedBroker({}, 1.0)
    for identifier in ("one", "two"):
        broker.submit(order(identifier=identifier))
    first, second = trade(broker)
    kept, events = known_executions([first, first, second], [order(identifier="one")])
    assert kept == [first]
    assert [event.event for event in events] == ["duplicate_fill", "unknown_fill"]
