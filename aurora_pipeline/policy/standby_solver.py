"""The general solver that stands by: SciPy's trust-region interior point on the same problem.

It is two orders of magnitude slower than :mod:`aurora_pipeline.policy.interior_point` and is asked only where that one
does not converge. Buys `b`, sells `s` and a bound `p >= |w|` are its unknowns, so that everything but the variance limit
is linear and the objective smooth (Byrd, Hribar and Nocedal, *An interior point algorithm for large-scale nonlinear
programming*, 1999).
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint, minimize

from aurora_pipeline.policy.newton_system import SMOOTHING, Floats, Problem

MAXIMUM_ITERATIONS = 400
TOLERANCE = 1e-7


def solve_standby(problem: Problem) -> Floats:
    """Weights of a scaled sizing problem, shape (n_names,); the best point found, whether or not it is the last word."""
    n = problem.alpha.size
    covariance = problem.exposure @ problem.exposure.T + np.diag(problem.specific)
    shift = problem.exposure @ problem.exposure_offset
    eye = sparse.identity(n, format="csr")
    to_weight = sparse.hstack([eye, -eye, sparse.csr_matrix((n, n))], format="csr")
    half = to_weight.toarray()

    def weights(x: Floats) -> Floats:
        return np.asarray(problem.base + x[:n] - x[n : 2 * n])

    def loss(x: Floats) -> float:
        w, t = weights(x), x[:n] + x[n : 2 * n] + SMOOTHING
        risk = 0.5 * problem.gamma * (w @ covariance @ w + 2.0 * shift @ w)
        cost = problem.linear @ t + problem.impact @ t**1.5 + problem.short @ (x[2 * n :] - w)
        return float(risk + cost - problem.alpha @ w)

    def slope(x: Floats) -> Floats:
        w, t = weights(x), x[:n] + x[n : 2 * n] + SMOOTHING
        edge = problem.gamma * (covariance @ w + shift) - problem.alpha - problem.short
        cost = problem.linear + 1.5 * problem.impact * np.sqrt(t)
        return np.concatenate([edge + cost, cost - edge, problem.short])

    def curvature(x: Floats) -> Floats:
        bend = np.diag(0.75 * problem.impact / np.sqrt(x[:n] + x[n : 2 * n] + SMOOTHING))
        full = np.zeros((3 * n, 3 * n))
        full[: 2 * n, : 2 * n] = np.block([[bend, bend], [bend, bend]])
        return np.asarray(full + problem.gamma * half.T @ covariance @ half)

    def variance(x: Floats) -> float:
        w = weights(x)
        own = w @ covariance @ w + 2.0 * shift @ w + problem.exposure_offset @ problem.exposure_offset
        return float(0.5 * problem.variance_scale * (own + problem.variance_offset))

    def variance_slope(x: Floats) -> sparse.csr_matrix:
        row = problem.variance_scale * (covariance @ weights(x) + shift) @ half
        return sparse.csr_matrix(row[None, :])

    def variance_curvature(_: Floats, multiplier: Floats) -> Floats:
        return np.asarray(multiplier[0] * problem.variance_scale * half.T @ covariance @ half)

    rows, low, high = _linear_rows(problem, to_weight)
    start = np.concatenate([np.full(2 * n, 1e-3), np.abs(problem.base) + 1e-2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = minimize(
            loss,
            start,
            method="trust-constr",
            jac=slope,
            hess=curvature,
            bounds=Bounds(np.zeros(3 * n), np.full(3 * n, np.inf), keep_feasible=True),
            constraints=[
                LinearConstraint(rows, low, high),
                NonlinearConstraint(
                    variance,
                    -np.inf,
                    0.5 * problem.variance_scale * problem.variance_limit,
                    jac=variance_slope,
                    hess=variance_curvature,
                ),
            ],
            options={"maxiter": MAXIMUM_ITERATIONS, "gtol": TOLERANCE, "xtol": 1e-9, "barrier_tol": TOLERANCE},
        )
    return np.clip(weights(found.x), problem.lower, problem.upper)


def _linear_rows(problem: Problem, to_weight: sparse.csr_matrix) -> tuple[sparse.csr_matrix, Floats, Floats]:
    """Box, size, sector, net, gross and turnover as ``low <= rows x <= high``."""
    n, sectors = problem.alpha.size, problem.sector_offset.size
    size = sparse.hstack([sparse.csr_matrix((n, 2 * n)), sparse.identity(n)], format="csr")
    member = np.flatnonzero(problem.sector >= 0)
    groups = sparse.csr_matrix((np.ones(member.size), (problem.sector[member], member)), shape=(sectors, n))
    total = sparse.csr_matrix(np.ones((1, n)))
    trade = sparse.csr_matrix(np.concatenate([np.ones(2 * n), np.zeros(n)])[None, :])
    sector_base = groups @ problem.base + problem.sector_offset
    net_base = float(problem.base.sum()) + problem.net_offset
    rows = sparse.vstack(
        [to_weight, size - to_weight, size + to_weight, groups @ to_weight, total @ to_weight, total @ size, trade],
        format="csr",
    )
    unbounded = np.full(n, np.inf)
    low = [problem.lower - problem.base, problem.base, -problem.base, -problem.sector_limit - sector_base]
    high = [problem.upper - problem.base, unbounded, unbounded, problem.sector_limit - sector_base]
    low += [np.array([-problem.net_limit - net_base, -np.inf, -np.inf])]
    high += [np.array([problem.net_limit - net_base, problem.gross_limit, problem.turnover_limit])]
    return rows, np.concatenate(low), np.concatenate(high)
