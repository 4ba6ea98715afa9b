from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from aurora_pipeline.execution.order_planning import client_order_id, plan_orders
from aurora_pipeline.execution.pre_trade_gate import GateContext, gate_orders
from aurora_pipeline.execution.simulated_broker import execute
from aurora_pipeline.policy.limits_in_force import ExposureLimits

NOW = datetime(2026, 1, 5, 15, tzinfo=UTC)
NEXT = datetime(2026, 1, 5, 15, 5, tzinfo=UTC)
NAN = float("nan")


def plan(shares, price, target, base=None, nav=100_000.0):
    n = len(shares)
    held = np.array(shares) * np.nan_to_num(np.array(price)) / nav
    names = [f"N{index}" for index in range(n)]
    return plan_orders(
        "tiny",
        NOW,
        NEXT,
        names,
        names,
        np.array(shares, dtype=float),
        np.array(price, dtype=float),
        nav,
        held if base is None else np.array(base),
        np.array(target),
        ["enter"] * n,
    )


@pytest.mark.parametrize(
    ("shares", "target", "side", "count"),
    [
        (0.0, 0.0205, "buy", 20.0),  # 20.5 shares: rounded towards what is held
        (0.0, -0.0205, "sell", 20.0),
        (30.0, 0.0205, "sell", 9.0),
        (-30.0, -0.0205, "buy", 9.0),
        (30.0, 0.0, "sell", 30.0),
    ],
)
def test_orders_are_whole_shares_never_beyond_the_target(shares, target, side, count):
    (order,) = plan([shares], [100.0], [target])
    assert (order.side, order.shares) == (side, count)


def test_less_than_a_share_and_names_without_price_are_left():
    assert plan([0.0, 0.0, 10.0], [100.0, NAN, NAN], [0.0009, 0.5, 0.0]) == []


def test_forced_shares_are_exempt_from_the_budget():
    (order,) = plan([30.0], [100.0], [0.01], base=[0.02])
    assert (order.shares, order.exempt_shares) == (20.0, 10.0)
    assert order.budget_value == pytest.approx(10 * 100 * 1.02)


@pytest.mark.parametrize(("shares", "base", "target"), [(30.0, 0.01, 0.035), (-30.0, -0.01, -0.035)])
def test_what_sizing_takes_past_the_position_before_a_forced_reduction_is_not_exempt(shares, base, target):
    (order,) = plan([shares], [100.0], [target], base=[base])
    assert (order.shares, order.exempt_shares) == (5.0, 0.0)


def test_the_same_decision_gives_the_same_id_and_another_does_not():
    first = client_order_id("live", NOW, "A", "buy", "open")
    assert first == client_order_id("live", NOW, "A", "buy", "open")
    others = {
        client_order_id("backtest", NOW, "A", "buy", "open"),
        client_order_id("live", NEXT, "A", "buy", "open"),
        client_order_id("live", NOW, "B", "buy", "open"),
        client_order_id("live", NOW, "A", "sell", "open"),
        client_order_id("live", NOW, "A", "buy", "close"),
    }
    assert len(others | {first}) == 6


def test_a_position_that_crosses_zero_is_closed_by_one_order_and_opened_by_another():
    close, opening = plan([30.0], [100.0], [-0.02], base=[0.02])
    assert (close.side, close.shares, close.exempt_shares) == ("sell", 30.0, 10.0)
    assert (opening.side, opening.shares, opening.exempt_shares) == ("sell", 20.0, 0.0)
    assert close.order_id != opening.order_id


def test_what_reduces_comes_before_what_opens():
    orders = plan([0.0, 30.0, 10.0], [100.0] * 3, [0.02, 0.01, -0.02])
    assert [(order.instrument, order.shares) for order in orders] == [
        ("N1", 20.0),
        ("N2", 10.0),
        ("N0", 20.0),
        ("N2", 20.0),
    ]


def gate(orders, **changes):
    values = {
        "column": {"N0": 0, "N1": 1},
        "shares": np.array([0.0, 0.0]),
        "price": np.array([100.0, 100.0]),
        "eligible": np.array([True, True]),
        "max_trade": np.array([1.0, 1.0]),
        "nav": 100_000.0,
        "limits": ExposureLimits(0.05, 1.0, 1.0, 1.0),
        "turnover": 1.0,
    }
    accepted, rejected = gate_orders(orders, GateContext(**(values | changes)))
    return len(accepted), [code for _, code in rejected]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"price": np.array([NAN, 100.0])}, "no_price"),
        ({"column": {}}, "no_price"),
        ({"eligible": np.array([False, True])}, "not_eligible"),
        ({"limits": ExposureLimits(0.01, 1.0, 1.0, 1.0)}, "name_cap"),
        ({"max_trade": np.array([0.01, 1.0])}, "participation"),
        ({"turnover": 0.005}, "turnover_budget"),
        ({"turnover": 0.0101}, "turnover_budget"),  # half of two sides: 2,020 USD, and the order sets aside 2,040
        ({"turnover": 0.0103}, None),
    ],
)
def test_the_gate_rejects_with_a_code(changes, code):
    orders = plan([0.0], [100.0], [0.02])
    assert gate(orders, **changes) == ((1, []) if code is None else (0, [code]))


def test_a_holding_that_is_no_whole_number_is_closed_to_the_last_part():
    (order,) = plan([30.5], [100.0], [0.0])
    assert (order.side, order.shares) == ("sell", 30.5)


@pytest.mark.parametrize("shares", [NAN, 0.0, 0.5, 20.5])
def test_the_gate_lets_whole_shares_pass_only(shares):
    (order,) = plan([0.0], [100.0], [0.02])
    assert gate([replace(order, shares=shares)]) == (0, ["not_finite"])


def test_a_bar_may_be_exceeded_by_less_than_a_share():
    takes = np.array([0.0107, 1.0])  # 10.7 shares
    assert gate(plan([0.0], [100.0], [0.011]), max_trade=takes) == (1, [])
    assert gate(plan([0.0], [100.0], [0.012]), max_trade=takes) == (0, ["participation"])
    assert gate(plan([0.0], [100.0], [0.011]), max_trade=np.array([0.01, 1.0])) == (1, [])


def test_the_cap_of_a_name_holds_for_longs_and_shorts_and_may_be_reached():
    caps = ExposureLimits(0.05, 1.0, 1.0, 1.0)
    for side in (1.0, -1.0):
        assert gate(plan([0.0], [100.0], [side * 0.05]), limits=caps) == (1, [])
        assert gate(plan([0.0], [100.0], [side * 0.051]), limits=caps) == (0, ["name_cap"])


def test_a_short_may_be_covered_in_part_whatever_the_limits():
    held = {"shares": np.array([-60.0, 0.0]), "eligible": np.array([False, True])}
    assert gate(plan([-60.0], [100.0], [-0.055]), **held) == (1, [])


def test_what_is_bought_takes_its_cash_and_a_short_brings_none():
    two = plan([0.0, 0.0], [100.0, 100.0], [0.02, 0.02])
    assert gate(two, cash=3_999.0) == (1, ["no_cash"])
    assert gate(two, cash=4_000.0) == (2, [])
    short = plan([0.0, 0.0], [100.0, 100.0], [-0.02, 0.02])
    assert gate(short, cash=1_999.0) == (1, ["no_cash"])


def test_the_leg_of_a_flip_that_opens_is_judged_from_the_closed_position():
    orders = plan([30.0], [100.0], [-0.02])
    held = {"shares": np.array([30.0, 0.0])}
    assert gate(orders, **held, eligible=np.array([False, True])) == (1, ["not_eligible"])
    assert gate(orders, **held, limits=ExposureLimits(0.01, 1.0, 1.0, 1.0)) == (1, ["name_cap"])


def test_the_gate_refuses_shorts_of_a_long_only_book_and_repeats():
    orders = plan([0.0], [100.0], [-0.02])
    long_only = ExposureLimits(0.05, 1.0, 1.0, 1.0, long_only=True)
    assert gate(orders, limits=long_only) == (0, ["long_only"])
    assert gate([*orders, *orders]) == (1, ["duplicate"])


def test_the_gate_lets_risk_go_whatever_the_limits():
    orders = plan([60.0], [100.0], [0.0], base=[0.0])
    held = {"shares": np.array([60.0, 0.0]), "turnover": 0.0, "eligible": np.array([False, True])}
    assert gate(orders, **held) == (1, [])


def test_an_order_that_opens_needs_cash_and_one_that_reduces_brings_it():
    held = {"shares": np.array([0.0, 20.0]), "limits": ExposureLimits(0.05, 1.0, 1.0, 1.0)}
    opening = plan([0.0, 20.0], [100.0, 100.0], [0.02, 0.02])
    assert gate(opening, **held, cash=1_999.0) == (0, ["no_cash"])
    assert gate(opening, **held, cash=2_000.0) == (1, [])
    swap = plan([0.0, 20.0], [100.0, 100.0], [0.02, 0.0])
    assert gate(swap, **held, cash=0.0) == (2, [])
    # With cash below zero what a sale will bring is not there yet: nothing is bought with it.
    assert gate(swap, **held, cash=-1.0) == (1, ["no_cash"])


def test_a_name_that_cannot_be_borrowed_is_not_sold_short_and_may_be_covered():
    no_short = np.array([True, True])
    assert gate(plan([0.0], [100.0], [-0.02]), no_short=no_short) == (0, ["no_borrow"])
    cover = {"shares": np.array([-20.0, 0.0]), "no_short": no_short}
    assert gate(plan([-20.0], [100.0], [0.0]), **cover) == (1, [])


def test_a_halted_book_sends_nothing():
    assert gate(plan([20.0], [100.0], [0.0]), shares=np.array([20.0, 0.0]), halted=True) == (0, ["halted"])


def test_both_legs_of_a_flip_share_what_a_bar_takes():
    orders = plan([30.0], [100.0], [-0.02])
    held = {"shares": np.array([30.0, 0.0])}
    assert gate(orders, **held, max_trade=np.array([0.05, 1.0])) == (2, [])
    assert gate(orders, **held, max_trade=np.array([0.04, 1.0])) == (1, ["participation"])
    done = execute(orders, {"N0": 0}, np.array([100.0]), np.array([400.0]), 0.1)
    assert [(item.status, item.shares) for item in done] == [("filled", 30.0), ("partial", 10.0)]


def test_the_budget_is_used_up_order_by_order():
    orders = plan([0.0, 0.0], [100.0, 100.0], [0.02, 0.02])
    assert gate(orders, turnover=0.0103) == (1, ["turnover_budget"])


@pytest.mark.parametrize(
    ("price", "volume", "status", "shares", "reason"),
    [
        (100.0, 1000.0, "filled", 20.0, "enter"),
        (100.0, 150.0, "partial", 15.0, "participation"),
        (100.0, 9.0, "expired", 0.0, "participation"),
        (125.0, 1000.0, "partial", 16.0, "turnover_budget"),
        (NAN, 0.0, "expired", 0.0, "no_bar"),
    ],
)
def test_fills_of_the_next_bar(price, volume, status, shares, reason):
    orders = plan([0.0], [100.0], [0.02])
    (done,) = execute(orders, {"N0": 0}, np.array([price]), np.array([volume]), 0.1)
    assert (done.status, done.shares, done.reason) == (status, shares, reason)


def test_forced_shares_fill_first_and_at_any_price():
    orders = plan([30.0], [100.0], [0.0], base=[0.01])
    (done,) = execute(orders, {"N0": 0}, np.array([150.0]), np.array([1000.0]), 1.0)
    assert (done.exempt_shares, done.shares) == (20.0, 26.0)
    (cut,) = execute(orders, {"N0": 0}, np.array([100.0]), np.array([12.0]), 1.0)
    assert (cut.exempt_shares, cut.shares) == (12.0, 12.0)
