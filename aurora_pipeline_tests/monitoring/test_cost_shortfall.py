"""Costs of fills against what their decisions forecast, and the gate of the capital schedule that rests on it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.contracts import empty
from aurora_pipeline.execution.nav_identity import nav_identity_violations
from aurora_pipeline.execution.simulated_broker import SimulatedBroker
from aurora_pipeline.execution.trade_book import run_session
from aurora_pipeline.monitoring.book_quality import step_evidence
from aurora_pipeline.monitoring.cost_shortfall import MINIMUM_BARS, cost_shortfall
from aurora_pipeline.policy.capital_schedule import LARGEST_COST_ERROR, gates
from aurora_pipeline.policy.cost_fit import MINIMUM_FILLS, cost_scale
from aurora_pipeline_tests.execution.tiny_market import session_inputs, settings

NAMES = ("A", "B", "C", "D", "E")
BARS, SESSIONS = 10, 22
RULES = settings("costs.impact_coefficient=0.5")
START = datetime(2026, 1, 5, 15, tzinfo=UTC)


class PricedBroker(SimulatedBroker):
    """Fills at prices that contain a multiple of what the cost model assumes of spread and impact."""

    costs_in_price = True
    times = 1.0

    def trade_bar(self, column, fill_price, fill_volume):
        super().trade_bar(column, fill_price, fill_volume)
        self._done = [
            replace(
                item,
                price=item.price
                * (1.0 + item.order.sign * self.times * (item.order.forecast.spread + item.order.forecast.impact)),
            )
            for item in self._done
        ]


def broker(times):
    return type("Priced", (PricedBroker,), {"times": times})


def traded(make=None, sessions=SESSIONS, noise=2e-4, seed=1):
    """A book on a market of random walks whose signal changes sides at every bar; returns the results of its sessions."""
    random = np.random.default_rng(seed)
    price, state, results, account = np.full(len(NAMES), 100.0), None, [], None
    for number in range(sessions):
        steps = 1.0 + noise * random.standard_normal((BARS, len(NAMES)))
        mark = price * np.cumprod(steps, axis=0)
        alpha = 0.05 * random.choice([-1.0, 1.0], (BARS, len(NAMES)))
        inputs = session_inputs(number, mark, names=NAMES, alpha=alpha, horizon_sessions=1_000.0)
        if make is not None:
            account = make(state.shares if state else {}, 1.0)
        result = run_session(state, inputs.session, inputs, RULES, book="tiny", broker=account)
        assert nav_identity_violations(result).is_empty()
        price, state = mark[-1], result.state
        results.append(result)
    return results


def tables(results):
    return [pl.concat([getattr(result, name) for result in results]) for name in ("portfolio", "events", "fills")]


def cost_gate(results):
    evidence = step_evidence(*tables(results), RULES.book)
    return next(gate for gate in gates(evidence, RULES.book) if gate.name == "cost"), evidence


def fills(paid, forecast=10.0, drift=0.0, charged=4.0):
    """One fill of 100 shares per bar, bought at a price `paid` USD in all above its reference."""
    paid = np.asarray(paid, dtype=float)
    return pl.DataFrame(
        {
            "fill_time": [START + timedelta(minutes=5 * bar) for bar in range(len(paid))],
            "side": "buy",
            "shares": 100.0,
            "price": 50.0 + paid / 100.0,
            "reference_price": 50.0,
            **dict.fromkeys(("spread_cost", "impact_cost"), charged / 4.0),
            "fee_cost": charged / 2.0,
            "forecast_spread": forecast / 2.0,
            "forecast_impact": forecast / 4.0,
            "forecast_fee": forecast / 4.0,
            "forecast_drift": drift,
        }
    )


def test_the_ratio_is_slippage_and_charges_less_the_expected_drift_over_the_forecast():
    found = cost_shortfall(fills([8.0] * MINIMUM_BARS, drift=2.0))  # 8 + 4 - 2 paid, 10 forecast
    assert (found.ratio, found.error) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-9))
    assert (found.fills, found.bars) == (MINIMUM_BARS, MINIMUM_BARS)


def test_a_sale_below_its_reference_costs_as_much_as_a_purchase_above_it():
    sold = fills([-6.0] * MINIMUM_BARS).with_columns(pl.lit("sell").alias("side"))
    assert cost_shortfall(sold).ratio == pytest.approx(1.0)


def test_the_error_is_that_of_a_ratio_over_bars():
    paid = np.tile([16.0, -4.0], 20)  # 20 and 0 with the charges: 1 on average, 1 off in each bar of 40
    found = cost_shortfall(fills(paid))
    assert (found.ratio, found.error) == (pytest.approx(1.0), pytest.approx(1.0 / np.sqrt(39.0)))
    both = pl.concat([fills(paid), fills(paid)])  # the same bars twice: fills of a bar share its move
    assert cost_shortfall(both).error == pytest.approx(found.error)


def test_without_a_forecast_or_with_few_bars_nothing_is_measured():
    assert cost_shortfall(empty("fills")).ratio is None
    assert cost_shortfall(fills([0.0] * 40, forecast=0.0)).ratio is None
    assert cost_shortfall(fills([0.0] * (MINIMUM_BARS - 1))).error is None


@pytest.mark.parametrize(("make", "passes"), [(None, True), (broker(1.0), True), (broker(2.5), False)])
def test_the_gate_holds_for_a_broker_as_modelled_and_fails_for_one_that_is_worse(make, passes):
    gate, evidence = cost_gate(traded(make, sessions=SESSIONS))
    assert evidence.cost_error < LARGEST_COST_ERROR
    assert gate.passed is passes, gate.found


def test_a_sample_in_which_the_moves_drown_the_costs_does_not_pass_and_says_what_it_takes():
    gate, evidence = cost_gate(traded(noise=0.03))
    assert evidence.cost_error > LARGEST_COST_ERROR
    assert not gate.passed
    assert "takes about" in gate.found


def test_own_fills_of_a_broker_whose_prices_contain_the_costs_scale_the_sizing_from_the_next_session_on():
    results = traded(broker(2.5))
    counts = [result.state.cost_evidence.fills for result in results]
    first = next(number for number, count in enumerate(counts) if count >= MINIMUM_FILLS)
    fitted = [result.events.filter(pl.col("event") == "costs_fitted").height for result in results]
    assert fitted == [0] * (first + 1) + [1] * (SESSIONS - first - 1)
    assert cost_scale(results[-1].state.cost_evidence).spread == pytest.approx(2.5, rel=0.1)


def test_fills_of_the_simulated_broker_say_nothing_of_costs_and_are_not_counted():
    results = traded()
    assert results[-1].state.cost_evidence.fills == 0
    assert not pl.concat([result.events for result in results])["event"].is_in(["costs_fitted"]).any()
