from dataclasses import replace

import numpy as np
import pytest

from aurora_pipeline.policy import cost_aware_sizer
from aurora_pipeline.policy.cost_aware_sizer import objective, size_positions
from aurora_pipeline.policy.forced_reductions import room_for_drift
from aurora_pipeline.policy.limits_in_force import ExposureLimits, excess
from aurora_pipeline_tests.policy.sizing_problems import best_by_cvxpy, box_of, random_request


def gain(request, weights):
    return objective(request, weights, request.held) - objective(request, request.held, request.held)


BLOCKS, BLOCK = 10, 20


@pytest.mark.parametrize("block", range(BLOCKS))
def test_objective_is_within_1e_4_of_cvxpy_on_200_problems(block):
    pytest.importorskip("cvxpy", reason="the library solver of the test extra is not installed")
    for seed in range(BLOCK * block, BLOCK * (block + 1)):
        request = random_request(seed, names=5 + seed % 36, sectors=1 + seed % 5, long_only=seed % 3 == 0)
        reference, solved = best_by_cvxpy(request)
        ours = size_positions(request)
        assert solved
        assert ours.solution.converged
        assert (ours.base == request.held).all()
        scale = max(abs(objective(request, reference, request.held)), gain(request, reference))
        assert gain(request, ours.target) == pytest.approx(gain(request, reference), abs=1e-4 * scale)


@pytest.mark.parametrize("seed", range(12))
def test_the_standby_solver_agrees_with_the_fast_one(seed, monkeypatch):
    pytest.importorskip("clarabel", reason="the standby solver is not installed")
    request = random_request(seed, names=12, sectors=3, long_only=seed % 3 == 0)
    fast = size_positions(request)
    failing = fast.solution._replace(weights=np.full(12, np.nan), converged=False)
    monkeypatch.setattr(cost_aware_sizer, "solve", lambda problem: failing)
    standby = size_positions(request)
    assert gain(request, standby.target) == pytest.approx(gain(request, fast.target), rel=1e-3, abs=1e-9)
    assert (excess(standby.target, request.held, request.sectors, request.limits) <= 0.0).all()


def test_a_solver_that_finds_nothing_leaves_the_book_where_it_is(monkeypatch):
    request = random_request(4)
    failing = size_positions(request).solution._replace(weights=np.full(8, np.nan), converged=False)
    monkeypatch.setattr(cost_aware_sizer, "solve", lambda problem: failing)
    monkeypatch.setattr(cost_aware_sizer, "solve_standby", lambda problem: problem.base)
    assert (size_positions(request).target == request.held).all()


def test_an_iterate_outside_what_a_bar_takes_is_brought_back(monkeypatch):
    request = random_request(4, held=False, linear=np.zeros(8), impact=np.zeros(8), risk_aversion=1e-3)
    request = replace(request, max_trade=np.where(np.arange(8) == 0, 1e-4, request.max_trade))
    lower, upper = box_of(request)
    astray = size_positions(request).solution._replace(weights=0.5 * np.sign(request.alpha), converged=False)
    monkeypatch.setattr(cost_aware_sizer, "solve", lambda problem: astray)
    monkeypatch.setattr(cost_aware_sizer, "solve_standby", lambda problem: np.full(8, np.nan))
    target = size_positions(request).target
    assert (target != 0.0).all()
    assert ((lower <= target) & (target <= upper)).all()


def test_a_name_that_cannot_be_borrowed_is_not_shorted_and_says_so():
    request = replace(single_name(-0.005), borrow=np.array([np.nan]))
    assert size_positions(request).target[0] == 0.0
    assert size_positions(request).reasons[0] == "no_borrow"
    held = replace(single_name(-0.005, held=-0.05), borrow=np.array([np.nan]))
    assert size_positions(held).target[0] == -0.05
    assert size_positions(replace(held, alpha=np.array([0.005]))).target[0] >= 0.0


def test_a_breaker_is_named_where_it_stands_in_the_way():
    request = replace(single_name(0.005), turnover=0.0, turnover_reason="circuit_breaker")
    assert size_positions(request).reasons[0] == "circuit_breaker"


def single_name(alpha, held=0.0, **changes):
    """One name, one free market: the answer is known on paper."""
    request = random_request(0, names=1, sectors=1)
    return replace(
        request,
        held=np.array([held]),
        alpha=np.array([alpha]),
        frozen=np.array([False]),
        must_close=np.array([False]),
        max_trade=np.array([1.0]),
        linear=np.array([0.001]),
        impact=np.array([0.0]),
        borrow=np.zeros(1),
        holding_sessions=2.0,
        risk_aversion=50.0,
        limits=ExposureLimits(0.5, 1.0, 1.0, 1.0),
        volatility=1.0,
        turnover=1.0,
        risk=replace(
            request.risk,
            loadings=np.zeros((1, 2)),
            specific_variance=np.array([0.0004]),
        ),
        **changes,
    )


def test_a_single_name_is_held_to_where_edge_equals_risk_and_cost():
    # alpha - gamma H d w = linear: (0.005 - 0.001) / (50 * 2 * 0.0004) = 0.1
    assert size_positions(single_name(0.005)).target[0] == pytest.approx(0.1, abs=1e-6)
    assert size_positions(single_name(-0.005)).target[0] == pytest.approx(-0.1, abs=1e-6)


@pytest.mark.parametrize(
    ("alpha", "held", "target", "reason"),
    [
        (0.0009, 0.0, 0.0, "hold_no_edge"),  # the edge does not pay for the spread
        (0.0035, 0.1, 0.1, "hold"),  # 0.0035 - 0.004 = -0.0005: inside the band of +-0.001
        (0.0045, 0.1, 0.1, "hold"),  # +0.0005: neither more
        (0.0020, 0.1, 0.075, "reduce"),  # down to where alpha - 0.04 w = -0.001
        (0.0060, 0.1, 0.125, "increase"),
        (-0.0030, 0.1, -0.05, "flip"),
    ],
)
def test_the_no_trade_band_is_as_wide_as_the_linear_cost(alpha, held, target, reason):
    result = size_positions(single_name(alpha, held))
    assert result.target[0] == pytest.approx(target, abs=1e-6)
    assert result.reasons[0] == reason


def test_a_blocked_name_says_what_blocked_it():
    assert size_positions(replace(single_name(0.005), turnover=0.0)).reasons[0] == "turnover_budget"
    assert size_positions(replace(single_name(0.005), max_trade=np.array([0.0]))).reasons[0] == "no_price"
    assert size_positions(replace(single_name(0.005), frozen=np.array([True]))).reasons[0] == "uncalibrated"
    assert size_positions(single_name(np.nan)).reasons[0] == "no_signal"
    long_only = replace(single_name(-0.005), limits=ExposureLimits(0.5, 1.0, np.inf, 1.0, long_only=True))
    assert size_positions(long_only).reasons[0] == "long_only"
    capped = single_name(0.5, held=room_for_drift(0.5))
    assert size_positions(capped).reasons[0] == "name_cap"
    throttled = replace(single_name(0.005), limits=ExposureLimits(0.5, 1.0, 1.0, 0.0), gross_reason="drawdown")
    assert size_positions(throttled).reasons[0] == "drawdown"
    unknown = single_name(0.005)
    unknown = replace(unknown, risk=replace(unknown.risk, specific_variance=np.array([np.nan])))
    assert size_positions(unknown).reasons[0] == "no_risk_estimate"


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ExposureLimits(0.05, 1.0, 1.0, 0.06), "gross_cap"),
        (ExposureLimits(0.05, 0.03, 1.0, 1.0), "sector_cap"),
        (ExposureLimits(0.05, 1.0, 0.03, 1.0), "net_cap"),
    ],
)
def test_the_binding_limit_is_named(limits, reason):
    request = random_request(3, names=6, held=False, max_trade=np.full(6, 1.0), volatility=1.0, turnover=1.0)
    request = replace(request, alpha=np.linspace(0.02, 0.03, 6), limits=limits, risk_aversion=0.01)
    result = size_positions(request)
    assert set(result.reasons) <= {"enter", reason}
    assert reason in result.reasons


@pytest.mark.parametrize(
    ("volatility", "aversion", "reason"), [(2e-4, 1e-3, "volatility_target"), (1.0, 1e3, "hold_no_edge")]
)
def test_the_volatility_target_is_named_where_it_alone_binds(volatility, aversion, reason):
    request = random_request(3, names=60, held=False, max_trade=np.full(60, 1.0), volatility=volatility, turnover=1.0)
    wide = ExposureLimits(1.0, 10.0, 10.0, 20.0)
    result = size_positions(replace(request, limits=wide, risk_aversion=aversion))
    untraded = result.reasons[result.target == 0.0]
    assert untraded.size > 0
    assert set(untraded) <= {reason, "hold_no_edge"}
    assert reason in untraded


def test_a_missing_signal_never_opens_or_grows_a_position():
    request = random_request(5, names=12)
    alpha = request.alpha.copy()
    alpha[::2] = np.nan
    result = size_positions(replace(request, alpha=alpha))
    missing = np.isnan(alpha)
    assert (np.abs(result.target[missing]) <= np.abs(request.held[missing])).all()
    assert (result.target[missing] * request.held[missing] >= 0.0).all()
    assert (result.target[~missing] != request.held[~missing]).any()


def test_the_turnover_budget_goes_to_the_best_edge():
    request = random_request(1, names=4, held=False, turnover=0.005, max_trade=np.full(4, 1.0), volatility=1.0)
    request = replace(
        request,
        alpha=np.array([0.010, -0.012, 0.011, 0.009]),
        linear=np.full(4, 0.001),
        impact=np.zeros(4),
        risk_aversion=0.001,
        borrow=np.zeros(4),
    )
    target = size_positions(request).target
    np.testing.assert_allclose(target, [0.0, -0.01, 0.0, 0.0], atol=1e-6)


def test_scaling_edge_and_cost_together_changes_nothing():
    request = random_request(7)
    scaled = replace(
        request,
        alpha=request.alpha * 3.0,
        linear=request.linear * 3.0,
        impact=request.impact * 3.0,
        borrow=request.borrow * 3.0,
        risk_aversion=request.risk_aversion * 3.0,
    )
    np.testing.assert_allclose(size_positions(scaled).target, size_positions(request).target, atol=1e-6)


def test_equal_requests_give_equal_bits():
    first, second = (size_positions(random_request(11, names=40, sectors=4)) for _ in range(2))
    assert first.target.tobytes() == second.target.tobytes()


def test_a_singular_factor_covariance_is_no_obstacle():
    request = random_request(2)
    flat = replace(request, risk=replace(request.risk, factor_covariance=np.zeros((3, 3))))
    assert size_positions(flat).solution.converged


def test_a_full_size_book_stays_inside_with_a_tiny_budget():
    for seed in range(5):
        request = random_request(seed, names=130, sectors=11, turnover=2e-4)
        result = size_positions(request)
        assert (excess(result.target, request.held, request.sectors, request.limits) <= 0.0).all()
        assert 0.5 * np.abs(result.target - result.base).sum() <= request.turnover * (1 + 1e-9)
        assert (np.abs(result.target - request.held) <= request.max_trade + 1e-12).all()


def test_the_naive_book_is_proportional_to_the_signal_within_every_limit():
    request = replace(
        random_request(2, names=4, held=False), proportional=True, alpha=np.array([0.03, 0.01, -0.01, -0.03])
    )
    wide = ExposureLimits(1.0, 1.0, 1.0, 0.08)
    free = replace(request, limits=wide, max_trade=np.ones(4), turnover=1.0, volatility=1.0)
    np.testing.assert_allclose(size_positions(free).target, [0.03, 0.01, -0.01, -0.03])
    half = size_positions(replace(free, turnover=0.02))
    np.testing.assert_allclose(half.target, [0.015, 0.005, -0.005, -0.015])
    long_only = size_positions(replace(free, limits=replace(wide, long_only=True)))
    np.testing.assert_allclose(long_only.target, [0.06, 0.02, 0.0, 0.0], atol=1e-12)
    missing = size_positions(replace(free, alpha=np.array([0.03, np.nan, -0.01, -0.03])))
    assert missing.target[1] == 0.0
    limit = 0.5 * np.sqrt(free.risk.variance(np.array([0.03, 0.01, -0.01, -0.03])))
    calm = size_positions(replace(free, volatility=limit))
    np.testing.assert_allclose(calm.target, [0.015, 0.005, -0.005, -0.015])
    for seed in range(20):
        bound = replace(random_request(seed, names=30, sectors=4), proportional=True)
        result = size_positions(bound)
        assert (excess(result.target, bound.held, bound.sectors, bound.limits) <= 0.0).all()
        assert 0.5 * np.abs(result.target - result.base).sum() <= bound.turnover * (1 + 1e-9)
