"""Every bad input ends in a stated safe action and an event with a reason; the book never grows through an error."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import aurora_pipeline
from aurora_pipeline.execution.broker import BrokerTimeoutError
from aurora_pipeline.execution.corporate_events import CorporateEvent
from aurora_pipeline.execution.events import ACTIONS
from aurora_pipeline.execution.kill_switch import SwitchState
from aurora_pipeline.execution.limits import limit_violations
from aurora_pipeline.execution.nav_identity import nav_identity_violations
from aurora_pipeline.execution.running_session import LATCHING
from aurora_pipeline.execution.simulated_broker import SimulatedBroker
from aurora_pipeline.execution.trade_book import run_session
from aurora_pipeline.policy.risk_model import RiskModel
from aurora_pipeline_tests.execution.test_trade_book import holding
from aurora_pipeline_tests.execution.tiny_market import bar_end, session_inputs, settings

PACKAGE = Path(aurora_pipeline.__file__).parent
RULES = settings()
NAN = float("nan")


def run(inputs, state=None, rules=RULES, **others):
    result = run_session(state, inputs.session, inputs, rules, book="tiny", **others)
    assert nav_identity_violations(result).is_empty()
    assert limit_violations(result, inputs, rules).is_empty()
    return result


def event(result, code, name=""):
    row = result.events.filter(pl.col("event") == code, pl.col("name") == name).row(0, named=True)
    assert row["action"] == ACTIONS[code]
    return row


def test_every_event_that_is_raised_has_its_action():
    """An event without one would break the decision it was to report."""
    sources = "\n".join(file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py"))
    raised = set(re.findall(r'BookEvent\(\s*"(\w+)"', sources))
    assert len(raised) > 15
    assert raised - set(ACTIONS) == set(), "say in ACTIONS of execution/events.py what is done about it"
    assert set(ACTIONS) >= LATCHING


def grown(result, state=None):
    """Names whose position is larger than it was."""
    before = state.shares if state else {}
    return {name for name, shares in result.state.shares.items() if abs(shares) > abs(before.get(name, 0.0))}


def test_missing_price():
    state = holding()
    inputs = session_inputs(1, np.full((2, 1), NAN), fill=np.full((2, 1), NAN), alpha=-0.05)
    result = run(inputs, state)
    assert event(result, "no_price", "A")["times"] == 2
    assert result.state.shares == state.shares
    assert result.state.nav == 1_000_000.0


def test_zero_average_volume():
    inputs = session_inputs(0, [100.0, 100.0], alpha=0.05, volume=0.0, average_value=np.array([0.0]))
    result = run(inputs)
    event(result, "no_volume", "A")
    assert result.orders.is_empty()


def test_halted_name():
    fill = np.array([[100.0], [NAN], [NAN]])
    result = run(session_inputs(0, [100.0] * 3, fill=fill, alpha=0.05))
    assert result.orders.row(0, named=True)["reason"] == "no_bar"
    assert result.orders.height == 1  # expired, and not sent again while the halt lasts
    assert result.state.shares == {}


def test_not_a_number_as_expected_return():
    alpha = np.array([[0.05, NAN], [0.05, NAN]])
    result = run(session_inputs(0, np.full((2, 2), 100.0), names=("A", "B"), alpha=alpha))
    assert event(result, "no_signal")["detail"] == "1 of 2 eligible names"
    assert set(result.state.shares) == {"A"}


def test_singular_covariance():
    n = 3
    risk = RiskModel(("market", "Tech"), np.ones((n, 2)), np.full((2, 2), 1e-4), np.zeros(n), np.full(n, 0.02))
    result = run(session_inputs(0, np.full((2, n), 100.0), names=("A", "B", "C"), alpha=0.05, risk=risk))
    assert set(result.state.shares) == {"A", "B", "C"}
    assert result.targets.get_column("target_weight").is_finite().all()


def test_covariance_that_is_not_finite():
    state = holding()
    risk = RiskModel(("market", "Tech"), np.zeros((1, 2)), np.full((2, 2), NAN), np.full(1, 4e-4), np.full(1, 0.02))
    result = run(session_inputs(1, [100.0, 100.0], alpha=0.05, risk=risk), state)
    event(result, "risk_unknown")
    assert not grown(result, state)


def test_infeasible_limits():
    # Twice the cap is held and a bar takes a tenth of it: the cap is out of reach, and every step goes towards it.
    state = holding(800.0, cash=920_000.0)
    rules = settings("book.participation=0.1")
    inputs = session_inputs(1, [100.0] * 3, alpha=0.05, average_value=np.array([3 * 40_000.0]))
    result = run(inputs, state, rules)
    event(result, "limits_out_of_reach")
    held = result.positions.get_column("shares").to_list()
    assert held == sorted(held, reverse=True)
    assert held[-1] < 800.0


def test_a_position_in_a_name_that_left_the_universe():
    result = run(session_inputs(1, [100.0, 100.0], alpha=0.05, eligible=np.array([False])), holding())
    event(result, "left_universe", "A")
    assert result.state.shares == {}


class OddBroker(SimulatedBroker):
    """Reports what it should not: `twist` changes the list of executions."""

    def __init__(self, positions, twist):
        super().__init__(positions, 1.0)
        self.twist = twist

    def executions(self):
        return self.twist(super().executions())


def stranger(executed):
    return [*executed, *(replace(item, order=replace(item.order, order_id="not ours")) for item in executed)]


@pytest.mark.parametrize(
    ("twist", "code"), [(stranger, "unknown_fill"), (lambda executed: [*executed, *executed], "duplicate_fill")]
)
def test_a_fill_for_an_unknown_order_and_a_duplicate_fill(twist, code):
    result = run(session_inputs(0, [100.0, 100.0], alpha=0.05), broker=OddBroker({}, twist))
    event(result, code, "A")
    assert result.fills.height == 1
    assert result.state.shares == {"A": 392.0}


class SilentBroker(SimulatedBroker):
    def submit(self, order):
        raise BrokerTimeoutError("no answer within 5 s")


def test_a_broker_that_times_out():
    result = run(session_inputs(0, [100.0, 100.0], alpha=[[0.05], [0.0]]), broker=SilentBroker({}, 1.0))
    event(result, "broker_timeout", "A")
    assert result.orders.select("status", "reason").rows() == [("rejected", "timeout")]
    assert result.state.shares == {}


def test_cash_below_zero():
    state = holding(392.0, cash=-100.0, nav=39_100.0, peak_nav=39_100.0)
    rules = settings("book.name_cap=1.0", "book.nav=39100")
    inputs = session_inputs(1, [100.0, 100.0], names=("A",), alpha=0.05, average_value=np.array([1e9]))
    result = run(inputs, state, rules)
    event(result, "cash_below_zero")
    assert not grown(result, state)


class Drifting(SimulatedBroker):
    """A broker whose count differs from the book's."""

    def positions(self):
        return {**super().positions(), "A": 300.0}


def test_drift_takes_the_brokers_count_and_halts_until_resumed():
    state = holding()
    inputs = session_inputs(1, [100.0, 100.0, 100.0], alpha=[[-0.05]] * 3)
    result = run(inputs, state, broker=Drifting(state.shares, 1.0))
    assert event(result, "position_drift", "A")["detail"] == "the book has 392 shares, the broker 300"
    assert result.state.shares == {"A": 300.0}
    assert result.state.halted == bar_end(1, 0).isoformat()
    assert result.orders.is_empty()
    event(result, "halted")
    assert result.portfolio.row(0, named=True)["gross_pnl"] == -9_200.0

    class Switch:
        def __init__(self, moment):
            self.moment = moment

        def state(self, moment):
            return SwitchState("on", "looked into", self.moment)

    following = session_inputs(2, [100.0, 100.0], alpha=-0.05)
    still = run(following, result.state)
    assert still.fills.is_empty()
    assert run(following, result.state, switch=Switch(bar_end(0, 0))).fills.is_empty()
    assert run(following, result.state, switch=Switch(bar_end(1, 2))).fills.height > 0


@pytest.mark.parametrize(("thrown", "left"), [(bar_end(1, 1), {}), (bar_end(1, 0), {"A": 300.0})])
def test_flatten_after_a_drift_closes_what_the_broker_holds(thrown, left):
    """Thrown after the halt it is a person's answer to it; what was thrown before it is not."""
    halted = run(session_inputs(1, [100.0], alpha=0.05), holding(), broker=Drifting(holding().shares, 1.0)).state
    following = session_inputs(2, [100.0, 100.0], alpha=0.05)
    assert run(following, halted, switch=Thrown("flatten", thrown)).state.shares == left


def test_a_split_reaches_broker_and_book_alike():
    result = run(session_inputs(1, [50.0], alpha=0.05, events=(CorporateEvent("A", "split", 2.0),)), holding())
    assert "position_drift" not in result.events.get_column("event")
    assert result.state.shares == {"A": 784.0}


class Thrown:
    def __init__(self, mode, since=None):
        self.mode, self.since = mode, since

    def state(self, moment):
        since = bar_end(1, 0) if self.since is None else self.since
        return SwitchState(self.mode, "test", since) if since <= moment else SwitchState()


def test_the_kill_switch_sends_nothing_and_takes_back_what_waits():
    first = run(session_inputs(0, [100.0], alpha=0.05))
    assert len(first.state.pending) == 1
    result = run(session_inputs(1, [100.0, 100.0], alpha=0.05), first.state, switch=Thrown("halt"))
    event(result, "kill_switch")
    assert result.orders.select("status", "reason").rows() == [
        ("cancelled", "cancelled"),
        ("rejected", "kill_switch"),
        ("rejected", "kill_switch"),
    ]
    assert result.state.shares == {}


def test_a_session_that_is_done_again_after_a_throw_repeats_what_was_before_it():
    inputs = session_inputs(0, [100.0] * 4, alpha=[[0.05], [0.05], [-0.05], [-0.05]])
    undisturbed = run(inputs)
    thrown = bar_end(0, 2) + (bar_end(0, 1) - bar_end(0, 0)) / 2  # between the third decision and its fill
    again = run(inputs, switch=Thrown("halt", thrown))
    until = bar_end(0, 2)
    flattened = run(inputs, switch=Thrown("flatten", thrown))
    third = pl.col("decision_time") <= until
    assert flattened.targets.filter(third).equals(undisturbed.targets.filter(third))
    assert flattened.state.shares == {} or "flatten" in set(flattened.orders.get_column("reason")) | {
        order.reason for order in flattened.state.pending
    }
    for name in ("targets", "fills", "portfolio"):
        time = "fill_time" if name == "fills" else "decision_time"
        before, after = (getattr(result, name).filter(pl.col(time) <= until) for result in (undisturbed, again))
        assert before.equals(after)
    assert undisturbed.fills.height > again.fills.height
    assert ("rejected", "kill_switch") in again.orders.select("status", "reason").rows()


def test_flatten_closes_everything_outside_the_budgets():
    rules = settings("book.turnover_day=0.0")
    result = run(session_inputs(1, [100.0] * 3, alpha=0.05), holding(), rules, switch=Thrown("flatten"))
    event(result, "flatten")
    assert result.state.shares == {}
    assert result.fills.height == 1
    assert result.orders.get_column("reason").to_list() == ["flatten"]


def test_a_drawdown_pause_ends_with_a_restart():
    rules = settings("book.volatility_target=0.1", "book.drawdown_pause_sessions=2", "book.build_sessions=1")
    state = holding(0.0, cash=400_000.0, nav=400_000.0, peak_nav=1_000_000.0)
    assert state.shares == {}
    for number in (1, 2):
        result = run(session_inputs(number, [100.0, 100.0], alpha=0.05), state, rules)
        event(result, "breaker_drawdown")
        assert result.fills.is_empty()
        state = result.state
        assert state.flat_sessions == number
    result = run(session_inputs(3, [100.0, 100.0], alpha=0.05), state, rules)
    event(result, "drawdown_restart")
    assert result.fills.height == 1
    assert result.state.flat_sessions == 0
