"""The price of turnover: how it is learned, and what it keeps a book from buying."""

from dataclasses import replace

import numpy as np
import pytest

from aurora_pipeline.policy.cost_aware_sizer import size_positions
from aurora_pipeline.policy.turnover_price import LEAST_DECISIONS, updated_price
from aurora_pipeline_tests.policy.sizing_problems import random_request


def test_the_price_starts_at_nothing_and_rises_towards_shadow_prices_where_the_budget_binds():
    assert updated_price(None, None, 0.0, 1) is None
    assert updated_price(None, 0.002, 0.0, 78) == pytest.approx(0.002 / 78)
    assert updated_price(0.002, None, 3.0, 1) == 0.002
    assert updated_price(0.002, 0.003, 0.0, 1) == pytest.approx(0.002 + 0.001 / LEAST_DECISIONS)
    assert updated_price(0.002, 0.001, 0.0, 1) == 0.002, "a price below the hurdle is no reason to lower it"
    price = 0.0
    for _ in range(78):
        price = updated_price(price, 1.0, 0.0, 78)
    assert price == pytest.approx(1.0 - np.exp(-1.0), abs=0.01)


def test_while_budget_is_left_over_the_price_falls_by_at_most_a_tenth_a_session():
    assert updated_price(0.002, 0.002, 0.25, 1) == pytest.approx(0.002 * 0.95)
    assert updated_price(0.002, 0.002, 0.5, 1) == pytest.approx(0.0018)
    assert updated_price(0.002, 0.002, 7.0, 1) == updated_price(0.002, 0.002, 0.5, 1)
    assert updated_price(0.002, 0.002, -1.0, 1) == 0.002


def test_a_budget_over_a_stream_of_edges_goes_to_the_better_ones():
    """Every decision offers an edge, uniform in 0 to 1; half of all that is offered may be bought."""
    random, bars, pace = np.random.default_rng(3), 20, 0.5
    price, left, edges, bought, prices = None, 0.0, [], [], []
    for _ in range(200 * bars):
        left += pace
        edge = random.uniform()
        take = min(left, 1.0) if price is None or edge > price else 0.0
        found = edge if 0.0 < take < 1.0 else (price or 0.0)
        left -= take
        edges.append(edge)
        bought.append(take)
        price = updated_price(price, found, (left - pace) / (pace * bars), bars)
        prices.append(price)
    late = slice(50 * bars, None)
    assert np.sum(bought[late]) == pytest.approx(pace * len(bought[late]), rel=0.02), "nothing is left lying"
    assert np.mean(prices[late]) == pytest.approx(0.5, abs=0.08), "the price at which demand is what may be spent"
    worth = np.average(edges[late], weights=bought[late])
    assert worth > 0.7, "spent as it comes it would be worth 0.5, at best 0.75"


def test_where_the_budget_binds_the_price_is_that_of_the_last_unit_of_it():
    seen = 0
    for seed in range(12):
        request = random_request(seed, names=60, sectors=4, turnover=0.02)
        found = size_positions(request)
        more = size_positions(replace(request, turnover=0.0201))
        if found.solution is None or not found.solution.converged or found.turnover_price < 1e-5:
            continue
        value = [
            float(
                np.nan_to_num(request.alpha) @ item.target
                - 0.5 * request.risk_aversion * request.holding_sessions * request.risk.variance(item.target)
                - request.linear @ np.abs(item.target - item.base)
                - request.impact @ np.abs(item.target - item.base) ** 1.5
                - request.short_rate @ np.maximum(-item.target, 0.0)
            )
            for item in (found, more)
        ]
        assert (value[1] - value[0]) / 0.0002 == pytest.approx(found.turnover_price, rel=0.05, abs=1e-5)
        seen += 1
    assert seen >= 5


@pytest.mark.parametrize("seed", range(5))
def test_a_hurdle_is_a_cost_for_sizing_and_only_lets_a_book_trade_less(seed):
    request = random_request(seed)
    free = size_positions(request)
    priced = size_positions(replace(request, hurdle=0.002))
    dearer = size_positions(replace(request, linear=request.linear + 0.002))
    np.testing.assert_array_equal(priced.target, dearer.target)
    traded, less = (np.abs(item.target - item.base).sum() for item in (free, priced))
    assert less <= traded + 1e-6


def test_above_the_hurdle_the_price_contains_it_and_an_edge_below_it_is_left():
    request = replace(random_request(1), turnover=10.0)
    found = size_positions(replace(request, hurdle=0.002))
    assert found.turnover_price == pytest.approx(0.002, rel=1e-3)
    unreachable = size_positions(replace(request, hurdle=10.0))
    np.testing.assert_allclose(unreachable.target, unreachable.base, atol=1e-9)
