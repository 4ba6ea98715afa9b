"""Random sizing problems, and their solution by a library solver."""

import warnings
from dataclasses import replace

import numpy as np

from aurora_pipeline.policy.forced_reductions import room_for_drift
from aurora_pipeline.policy.limits_in_force import ExposureLimits
from aurora_pipeline.policy.risk_model import RiskModel
from aurora_pipeline.policy.sizing_request import SizingRequest

UNIT = 0.01


def random_risk(random, names, sectors):
    members = random.integers(0, sectors, names)
    loadings = np.zeros((names, sectors + 1))
    loadings[:, 0] = random.normal(1.0, 0.3, names)
    loadings[np.arange(names), 1 + members] = random.normal(1.0, 0.3, names)
    covariance = np.diag(np.r_[0.01**2, np.full(sectors, 0.006**2)])
    specific = random.uniform(0.01, 0.025, names) ** 2
    factors = ("market", *(f"sector {index}" for index in range(sectors)))
    return members, RiskModel(factors, loadings, covariance, specific, np.sqrt(specific))


def random_request(seed, names=8, sectors=2, *, held=True, long_only=False, **changes):
    """A book of a few names with enough edge that several limits bind."""
    random = np.random.default_rng(seed)
    members, risk = random_risk(random, names, sectors)
    weights = np.where(random.random(names) < 0.6, random.uniform(-0.04, 0.04, names), 0.0)
    weights = np.abs(weights) if long_only else weights - weights.mean()
    weights *= held * min(1.0, (0.06 if long_only else 0.15) / max(np.abs(weights).sum(), 1e-9))
    request = SizingRequest(
        held=weights,
        alpha=random.normal(0.0, 0.006, names),
        frozen=np.zeros(names, bool),
        must_close=np.zeros(names, bool),
        max_trade=random.uniform(0.01, 0.08, names),
        linear=random.uniform(0.0001, 0.0015, names),
        impact=random.uniform(0.0, 0.01, names),
        borrow=random.uniform(0.0, 4e-4, names),
        sectors=members,
        risk=risk,
        holding_sessions=float(random.uniform(1.0, 5.0)),
        risk_aversion=float(10.0 ** random.uniform(0.0, 2.5)),
        limits=ExposureLimits(0.05, 0.08, np.inf if long_only else 0.03, 0.22, long_only),
        gross_reason="gross_cap",
        volatility=max(float(random.uniform(0.0008, 0.003)), np.sqrt(risk.variance(weights))),
        turnover=float(random.uniform(0.005, 0.08)),
    )
    return replace(request, **changes)


def box_of(request):
    """Bounds of every name of a request in which nothing is forced."""
    cap, floor = room_for_drift(request.limits.name), 0.0 if request.limits.long_only else -np.inf
    lower = np.maximum(np.maximum(-cap, floor), request.held - request.max_trade)
    upper = np.minimum(cap, request.held + request.max_trade)
    return np.minimum(lower, request.held), np.maximum(upper, request.held)


def best_by_cvxpy(request):
    """Best weights of the same problem, written as in the paper: with absolute values and powers, by a conic solver."""
    import cvxpy as cp

    base, limits, risk, n = request.held, request.limits, request.risk, request.held.size
    lower, upper = box_of(request)
    root = np.linalg.cholesky(risk.factor_covariance)
    # In units of 1 % of NAV, so that the solver's tolerances mean something.
    w = cp.Variable(n)
    trade = cp.abs(w - base / UNIT)
    deviation = cp.hstack([(risk.loadings @ root).T @ w, cp.multiply(np.sqrt(risk.specific_variance), w)])
    value = (
        request.alpha @ w
        - 0.5 * request.risk_aversion * request.holding_sessions * UNIT * cp.sum_squares(deviation)
        - request.linear @ trade
        - np.sqrt(UNIT) * request.impact @ cp.power(trade, 1.5)
        - request.short_rate @ cp.neg(w)
    )
    nets = np.array([(request.sectors == index).astype(float) for index in range(request.sectors.max() + 1)])
    constraints = [
        w >= lower / UNIT,
        w <= upper / UNIT,
        cp.abs(nets @ w) <= np.maximum(room_for_drift(limits.sector), np.abs(nets @ base)) / UNIT,
        cp.norm1(w) <= max(room_for_drift(limits.gross), np.abs(base).sum()) / UNIT,
        cp.sum(trade) <= 2.0 * request.turnover / UNIT,
        cp.norm2(deviation) <= np.sqrt(max(request.volatility**2, risk.variance(base))) / UNIT,
    ]
    if np.isfinite(limits.net):
        constraints.append(cp.abs(cp.sum(w)) <= max(room_for_drift(limits.net), abs(base.sum())) / UNIT)
    problem = cp.Problem(cp.Maximize(value / np.abs(request.alpha).max()), constraints)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "may be inaccurate": its answer is compared all the same
        problem.solve(solver=cp.CLARABEL)
    return w.value * UNIT, problem.status in {"optimal", "optimal_inaccurate"}
