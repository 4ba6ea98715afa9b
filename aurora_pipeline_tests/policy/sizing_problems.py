"""Random sizing problems, and their solution by a general-purpose solver."""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

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
        borrow=2e-4,
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


def best_by_slsqp(request):
    """Best weights under the same limits, with buys, sells, longs and shorts as variables of their own."""
    base, limits, risk, n = request.held, request.limits, request.risk, request.held.size
    lower, upper = box_of(request)
    sigma = risk.loadings @ risk.factor_covariance @ risk.loadings.T + np.diag(risk.specific_variance)
    aversion = request.risk_aversion * request.holding_sessions
    eye, one, none = np.eye(n), np.ones(n), np.zeros((n, n))
    to_weight = np.hstack([eye, -eye, none, none])
    nets = np.array([(request.sectors == index).astype(float) for index in range(request.sectors.max() + 1)])
    sector_cap = np.maximum(room_for_drift(limits.sector), np.abs(nets @ base))
    net_cap = min(max(room_for_drift(limits.net), abs(base.sum())), 10.0)
    gross_cap = max(room_for_drift(limits.gross), np.abs(base).sum())
    variance_cap = max(request.volatility**2, risk.variance(base))
    zero = np.zeros(n)
    rows = [
        (-one @ to_weight, net_cap - base.sum()),
        (one @ to_weight, net_cap + base.sum()),
        *((-net @ to_weight, cap - net @ base) for net, cap in zip(nets, sector_cap, strict=True)),
        *((net @ to_weight, cap + net @ base) for net, cap in zip(nets, sector_cap, strict=True)),
        (np.concatenate([zero, zero, -one, -one]), gross_cap),
        (np.concatenate([-one, -one, zero, zero]), 2.0 * request.turnover),
        *((-row, limit) for row, limit in zip(to_weight, upper - base, strict=True)),
        *((row, limit) for row, limit in zip(to_weight, base - lower, strict=True)),
    ]
    matrix, offset = np.array([row for row, _ in rows]), np.array([limit for _, limit in rows]) / UNIT
    split = np.hstack([eye, -eye, -eye, eye])

    def parts(x):
        buys, sells, _, shorts = (x * UNIT).reshape(4, n)
        return base + buys - sells, buys + sells, shorts

    def loss(x):
        weights, trades, shorts = parts(x)
        cost = request.linear @ trades + request.impact @ np.maximum(trades, 0.0) ** 1.5 + request.borrow * shorts.sum()
        return 1e4 * (cost + 0.5 * aversion * weights @ sigma @ weights - request.alpha @ weights)

    def slope(x):
        weights, trades, _ = parts(x)
        edge = request.alpha - aversion * sigma @ weights
        cost = request.linear + 1.5 * request.impact * np.sqrt(np.maximum(trades, 0.0))
        return 1e4 * UNIT * np.concatenate([cost - edge, cost + edge, zero, request.borrow * one])

    constraints = [
        {"type": "ineq", "fun": lambda x: matrix @ x + offset, "jac": lambda x: matrix},
        {"type": "eq", "fun": lambda x: split @ x + base / UNIT, "jac": lambda x: split},
        {
            "type": "ineq",
            "fun": lambda x: 1.0 - risk.variance(parts(x)[0]) / variance_cap,
            "jac": lambda x: -2.0 * UNIT / variance_cap * (sigma @ parts(x)[0]) @ to_weight,
        },
    ]
    start = np.concatenate([zero, zero, np.maximum(base, 0.0), np.maximum(-base, 0.0)]) / UNIT
    found = minimize(
        loss,
        start,
        jac=slope,
        bounds=[(0.0, None)] * (4 * n),
        constraints=constraints,
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-11},
    )
    return parts(found.x)[0], found.success
