from dataclasses import replace

import numpy as np
import pytest

from aurora_pipeline.execution.circuit_breakers import Conditions, tripped
from aurora_pipeline.execution.trade_book import run_session
from aurora_pipeline.settings import BookSettings
from aurora_pipeline_tests.execution.test_trade_book import holding, run
from aurora_pipeline_tests.execution.tiny_market import session_inputs, settings

RULES = BookSettings()  # 6 daily targets of 0.8 % / sqrt(252): 0.302 % of NAV
CALM = Conditions(session_return=0.0, orders=100, refused=0, stale_share=0.0, half_spread=1e-4, exposure=0.22)
NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "breaker"),
    [
        ({}, None),
        ({"session_return": -0.0030}, None),
        ({"session_return": -0.0031}, "breaker_daily_loss"),
        ({"session_return": 0.05}, None),
        ({"exposure": 0.0}, "breaker_drawdown"),
        ({"refused": 50}, None),
        ({"refused": 51}, "breaker_reject_rate"),
        ({"orders": 9, "refused": 9}, None),
        ({"stale_share": 0.5}, None),
        ({"stale_share": 0.51}, "breaker_stale_data"),
        ({"half_spread": 0.0041}, "breaker_spread"),
    ],
)
def test_each_breaker_trips_at_its_limit(change, breaker):
    assert [event.event for event in tripped(replace(CALM, **change), RULES)] == ([] if breaker is None else [breaker])


def events(result):
    return set(result.events.get_column("event"))


def test_a_daily_loss_stops_growth_for_the_rest_of_the_session():
    rules = settings("book.volatility_target=0.02", "book.drawdown_start=50", "book.drawdown_flat=60")
    # A falls 30 % and recovers: 39,200 USD of 1 M lose 1.2 % against a limit of 0.76 %; B would be bought.
    marks = np.array([[70.0, 100.0], [100.0, 100.0], [100.0, 100.0]])
    inputs = session_inputs(1, marks, names=("A", "B"), alpha=np.array([[0.0, 0.05]] * 3))
    result = run(inputs, holding(), rules)
    assert "breaker_daily_loss" in events(result)
    assert result.orders.is_empty()
    assert set(result.targets.filter(result.targets["symbol"] == "B").get_column("reason")) == {"circuit_breaker"}
    calm = run(replace(inputs, mark=np.full((3, 2), 100.0)), holding(), rules)
    assert calm.orders.height > 0


def test_a_breaker_still_lets_risk_go():
    rules = settings("book.breaker_half_spread=0.0001")
    inputs = session_inputs(1, [100.0, 100.0], names=("A", "B"), alpha=0.05, eligible=np.array([False, True]))
    result = run(inputs, holding(), rules)
    assert "breaker_spread" in events(result)
    assert result.state.shares == {}


def test_stale_data_stops_growth_only_while_it_lasts():
    names = ("A", "B", "C")
    fill = np.array([[100.0, NAN, NAN], [100.0, 100.0, 100.0], [100.0, 100.0, 100.0]])
    inputs = session_inputs(0, np.full((3, 3), 100.0), names=names, fill=fill, alpha=0.05)
    result = run_session(None, inputs.session, inputs, settings())
    assert "breaker_stale_data" in events(result)
    first, second = inputs.decision_times[:2]
    reasons = dict(result.targets.filter(result.targets["decision_time"] == first).select("symbol", "reason").rows())
    assert reasons == {"A": "circuit_breaker", "B": "no_price", "C": "no_price"}
    assert set(result.orders.get_column("decision_time")) == {second}
