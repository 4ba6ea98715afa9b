"""Random sizing problems and their solution by a general-purpose solver."""

from dataclasses import replace

import numpy as np
from scipy.optimize import LinearConstraint, minimize

from aurora_pipeline.policy.cost_aware_sizer import SizingRequest
from aurora_pipeline.policy.forced_reductions import room_for_drift
from aurora_pipeline.policy.limits_in_force import ExposureLimits
from aurora_pipeline.policy.risk_model import RiskModel


def random_request(seed, names=8, sectors=2, *, turnover=None, held=True, long_only=False, **changes):
    """A book of a few names with enough edge that several limits bind."""
    random = np.random.default_rng(seed)
    members = random.integers(0, sectors, names)
    loadings = np.zeros((names, sectors + 1))
    loadings[:, 0] = random.normal(1.0, 0.3, names)
    loadings[np.arange(names), 1 + members] = random.normal(1.0, 0.3, names)
    covariance = np.diag(np.r_[0.01**2, np.full(sectors, 0.006**2)])
    specific = random.uniform(0.01, 0.025, names) ** 2
    risk = RiskModel(
        ("market", *(f"s{index}" for index in range(sectors))), loadings, covariance, specific, np.sqrt(specific)
    )
    weights = np.where(random.random(names) < 0.6, random.uniform(-0.04, 0.04, names), 0.0) if held else np.zeros(names)
    if long_only:
        weights = np.abs(weights)
    weights *= min(1.0, 0.15 / max(np.abs(weights).sum(), 1e-9))
    weights -= weights.mean() if not long_only else 0.0
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
        volatility=float(random.uniform(0.0008, 0.003)),
        turnover=float(random.uniform(0.005, 0.08)) if turnover is None else turnover,
    )
    return replace(request, **changes)


def best_by_slsqp(request, base, lower, upper):
    """Best weights under the same limits, with buys and sells, longs and shorts as variables of their own."""
    n, limits, risk = base.size, request.limits, request.risk
    sigma = risk.loadings @ risk.factor_covariance @ risk.loadings.T + np.diag(risk.specific_variance)
    alpha = np.nan_to_num(request.alpha)
    one, zero, eye = np.ones((1, n)), np.zeros((1, n)), np.eye(n)
    weights_of = np.hstack([eye, -eye, np.zeros((n, n)), np.zeros((n, n))])
    unit = 0.01

    def split(x):
        buys, sells, longs, shorts = (x * unit).reshape(4, n)
        return base + buys - sells, buys, sells, longs, shorts

    def loss(x):
        w, buys, sells, _, shorts = split(x)
        cost = request.linear @ (buys + sells) + request.impact @ np.maximum(buys + sells, 0.0) ** 1.5
        risk_cost = 0.5 * request.risk_aversion * request.holding_sessions * w @ sigma @ w
        return -(alpha @ w - risk_cost - cost - request.borrow * shorts.sum()) * 1e4

    def slope(x):
        w, buys, sells, _, _ = split(x)
        edge = alpha - request.risk_aversion * request.holding_sessions * sigma @ w
        cost = request.linear + 1.5 * request.impact * np.sqrt(np.maximum(buys + sells, 0.0))
        return np.concatenate([-edge + cost, edge + cost, np.zeros(n), np.full(n, request.borrow)]) * 1e4 * unit

    nets = np.array([(request.sectors == index).astype(float) for index in range(request.sectors.max() + 1)])
    sector_now = np.abs(nets @ base)
    rows = [
        ("ineq", lambda x: 1.0 - np.abs(0.0) - np.array([1.0])),
    ]
    rows.clear()

    def inequality(function):
        rows.append({"type": "ineq", "fun": function})

    def equality(function):
        rows.append({"type": "eq", "fun": function})

    net_cap = min(max(room_for_drift(limits.net), abs(base.sum())), 10.0)
    gross_cap = max(room_for_drift(limits.gross), np.abs(base).sum())
    sector_cap = np.maximum(room_for_drift(limits.sector), sector_now)
    variance_cap = max(request.volatility**2, risk.variance(base))
    equality(lambda x: (split(x)[0] - split(x)[3] + split(x)[4]) / unit)
    inequality(lambda x: (net_cap - split(x)[0].sum() * np.array([1.0, -1.0])) / unit)
    inequality(lambda x: (sector_cap - nets @ split(x)[0]) / unit)
    inequality(lambda x: (sector_cap + nets @ split(x)[0]) / unit)
    inequality(lambda x: (gross_cap - split(x)[3].sum() - split(x)[4].sum()) / unit)
    inequality(lambda x: (2.0 * request.turnover - split(x)[1].sum() - split(x)[2].sum()) / unit)
    inequality(lambda x: (variance_cap - split(x)[0] @ sigma @ split(x)[0]) / variance_cap)
    inequality(lambda x: (upper - split(x)[0]) / unit)
    inequality(lambda x: (split(x)[0] - lower) / unit)
    start = np.concatenate([np.zeros(2 * n), np.maximum(base, 0.0), np.maximum(-base, 0.0)]) / unit
    bounds = [(0.0, None)] * (4 * n)
    found = minimize(
        loss, start, jac=slope, bounds=bounds, constraints=rows, method="SLSQP", options={"maxiter": 500, "ftol": 1e-12}
    )
    del LinearConstraint_unused
    return split(found.x)[0], found.success
