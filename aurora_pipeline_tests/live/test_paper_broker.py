"""What the paper broker fills, what it holds, and what was carried over: two orders by hand."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from aurora_pipeline.execution.book_state import BookState, PendingOrder
from aurora_pipeline.live.paper_broker import (
    BrokerView,
    RehearsedBroker,
    carried_over,
    read_account,
    save_account,
    send,
    sent_orders,
)

FIRST = datetime(2024, 11, 26, 14, 35, tzinfo=UTC)
SECOND = FIRST + timedelta(minutes=5)


def order(name, decided, identifier):
    return PendingOrder(
        identifier, name, name, decided, decided + timedelta(minutes=5), "buy", 10.0, 5.0, 0.0, 60.0, "alpha"
    )


def rehearsed(sent=(), newest=SECOND, no_short=()):
    return RehearsedBroker(BrokerView({"A": 3.0}, frozenset(sent)), newest, 1.0, no_short)


def test_orders_of_the_newest_decision_are_on_trial_and_earlier_ones_count_only_if_they_were_sent():
    broker = rehearsed(sent={"sent"})
    assert broker.submit(order("A", SECOND, "new")).status == "accepted"
    assert broker.submit(order("A", FIRST, "sent")).status == "accepted"
    refused = broker.submit(order("B", FIRST, "lost"))
    assert (refused.status, refused.reason) == ("rejected", "not_sent")
    assert [item.order_id for item in broker.open_orders()] == ["new", "sent"]
    assert broker.knows("sent")
    assert not broker.knows("lost")


def test_it_starts_from_its_own_count_of_positions():
    assert rehearsed().positions() == {"A": 3.0}


def test_an_order_is_sent_once_over_any_number_of_processes(tmp_path):
    orders = [order("A", FIRST, "one"), order("B", FIRST, "two")]
    assert send(tmp_path, orders[:1]) == ["one"]
    assert send(tmp_path, orders) == ["two"]
    assert send(tmp_path, orders) == []
    assert sent_orders(tmp_path) == {"one", "two"}
    assert sent_orders(tmp_path / "elsewhere") == frozenset()


def test_the_account_comes_back_as_it_was_kept(tmp_path):
    assert read_account(tmp_path) is None
    save_account(tmp_path, date(2024, 11, 26), FIRST, {"B": -2.0, "A": 1.5})
    account = read_account(tmp_path)
    assert (account.session, account.bar_end, account.positions) == (date(2024, 11, 26), FIRST, {"A": 1.5, "B": -2.0})


def test_of_the_last_bars_orders_those_that_were_sent_are_carried_over(tmp_path):
    state = replace(BookState.flat("live", 1e6), pending=(order("A", FIRST, "one"), order("B", FIRST, "two")))
    assert carried_over(None, tmp_path) == frozenset()
    assert carried_over(state, tmp_path) == {"one", "two"}  # a session without a journal: nothing speaks against them
    send(tmp_path, state.pending[:1])
    assert carried_over(state, tmp_path) == {"one"}
