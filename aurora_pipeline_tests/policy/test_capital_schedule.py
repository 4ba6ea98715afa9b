from dataclasses import replace

import pytest

from aurora_pipeline.policy.capital_schedule import StepEvidence, gates, next_step
from aurora_pipeline.settings import BookSettings

RULES = BookSettings()
GOOD = StepEvidence(
    sessions=21, bias=1.0, cost_ratio=1.0, cost_error=0.1, fills=900, net_t=0.0, breaches=0, drawdown=0.5, drift=0
)


def test_a_step_is_earned_when_every_gate_holds():
    assert [next_step(step, GOOD, RULES) for step in range(4)] == [1, 2, 3, 3]


@pytest.mark.parametrize(
    ("gate", "change"),
    [
        ("sessions", {"sessions": 20}),
        ("bias", {"bias": 1.5}),
        ("bias", {"bias": 0.6}),
        ("bias", {"bias": None}),
        ("cost", {"cost_ratio": 1.6}),
        ("cost", {"cost_ratio": None}),
        ("cost", {"cost_error": None}),
        ("cost", {"cost_error": 0.3}),
        ("net result", {"net_t": -1.5}),
        ("net result", {"net_t": None}),
    ],
)
def test_each_gate_holds_a_book_back(gate, change):
    evidence = replace(GOOD, **change)
    assert [item.name for item in gates(evidence, RULES) if not item.passed] == [gate]
    assert next_step(1, evidence, RULES) == 1


@pytest.mark.parametrize("change", [{"breaches": 1}, {"drift": 1}, {"drawdown": 2.0}])
def test_a_breach_a_drift_or_a_drawdown_goes_one_step_down(change):
    evidence = replace(GOOD, **change)
    assert [next_step(step, evidence, RULES) for step in range(4)] == [0, 0, 1, 2]


def test_the_cost_gate_says_how_many_fills_it_takes():
    gate = next(gate for gate in gates(replace(GOOD, cost_error=0.5), RULES) if gate.name == "cost")
    assert gate.found == "1.00 +- 0.50 from 900 fills; takes about 3600"
