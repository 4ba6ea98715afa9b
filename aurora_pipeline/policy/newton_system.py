"""The linear algebra of the sizing solver: one Newton matrix, assembled, factorised and solved in O(n (k + 4)^2).

The matrix is block diagonal, an arrow of (weight, trade bound, size bound) per name, plus one rank per factor, sector
and total. The arrows are eliminated by hand, the low rank by the Woodbury identity. All sums run in a fixed order:
equal inputs give equal bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
SMOOTHING = 1e-6  # added to a trade inside the square root of its marginal impact, whose slope is infinite at 0


class Problem(NamedTuple):
    """Scaled data; n names, k factors, S sectors.

    `exposure` (n, k) is E: loadings times a square root of the factor covariance. `sector` (n,) holds indices, -1 for
    none. Offsets are what names outside the problem contribute.
    """

    alpha: Floats
    base: Floats
    lower: Floats
    upper: Floats
    linear: Floats
    impact: Floats
    short: Floats
    exposure: Floats
    exposure_offset: Floats
    specific: Floats
    variance_offset: float
    gamma: float
    sector: Integers
    sector_offset: Floats
    sector_limit: Floats
    net_offset: float
    net_limit: float
    gross_limit: float
    turnover_limit: float
    variance_limit: float
    variance_scale: float


class NewtonMatrix(NamedTuple):
    """Arrows per name, the low-rank rows with the square roots of their weights, and the factor of the Schur matrix."""

    tt: Floats
    pp: Floats
    ww: Floats
    to_t: Floats
    to_p: Floats
    rows: Floats
    root: Floats
    chol: Floats


@njit(cache=True)  # type: ignore[untyped-decorator]
def factorise(
    problem: Problem, x: Floats, gradient: Floats, sn: Floats, ln: Floats, sg: Floats, lg: Floats
) -> NewtonMatrix:
    """Assemble and factorise the Newton matrix at an iterate."""
    n, k = problem.exposure.shape
    sectors = problem.sector_offset.size
    gamma = problem.gamma + problem.variance_scale * lg[4 + 2 * sectors]
    tt, pp, ww = np.empty(n), np.empty(n), np.empty(n)
    to_t, to_p = np.empty(n), np.empty(n)
    dense = k + 4  # factors, net, gross, turnover, variance
    rows = np.empty((n, dense))
    for i in range(n):
        a3, a4 = ln[2, i] / sn[2, i], ln[3, i] / sn[3, i]
        a5, a6 = ln[4, i] / sn[4, i], ln[5, i] / sn[5, i]
        bend = 0.75 * problem.impact[i] / np.sqrt(x[1, i] + SMOOTHING)
        tt[i] = a3 + a4 + bend
        pp[i] = a5 + a6
        to_t[i] = (a3 - a4) / tt[i]
        to_p[i] = (a5 - a6) / pp[i]
        # Eliminating t and p in a form without cancellation.
        ww[i] = gamma * problem.specific[i] + ln[0, i] / sn[0, i] + ln[1, i] / sn[1, i]
        ww[i] += (4.0 * a3 * a4 + bend * (a3 + a4)) / tt[i] + 4.0 * a5 * a6 / pp[i]
        for j in range(k):
            rows[i, j] = problem.exposure[i, j]
        rows[i, k] = 1.0
        rows[i, k + 1] = to_p[i]
        rows[i, k + 2] = to_t[i]
        rows[i, k + 3] = problem.variance_scale * gradient[i]
    size = dense + sectors
    root = np.empty(size)
    for j in range(k):
        root[j] = np.sqrt(gamma)
    root[k] = np.sqrt(lg[0] / sg[0] + lg[1] / sg[1])
    for j in range(3):
        root[k + 1 + j] = np.sqrt(lg[2 + 2 * sectors + j] / sg[2 + 2 * sectors + j])
    for j in range(sectors):
        root[dense + j] = np.sqrt(lg[2 + j] / sg[2 + j] + lg[2 + sectors + j] / sg[2 + sectors + j])
    schur = np.zeros((size, size))
    for i in range(n):
        inverse = 1.0 / ww[i]
        j = problem.sector[i]
        for a in range(dense):
            scaled = rows[i, a] * inverse
            for b in range(a + 1):
                schur[a, b] += scaled * rows[i, b]
            if j >= 0:
                schur[dense + j, a] += scaled
        if j >= 0:
            schur[dense + j, dense + j] += inverse
        schur[k + 1, k + 1] += 1.0 / pp[i]
        schur[k + 2, k + 2] += 1.0 / tt[i]
    for a in range(size):
        for b in range(a + 1):
            schur[a, b] *= root[a] * root[b]
        schur[a, a] += 1.0
    return NewtonMatrix(tt, pp, ww, to_t, to_p, rows, root, _cholesky(schur))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _cholesky(matrix: Floats) -> Floats:
    """Lower Cholesky factor, in place, of a matrix given by its lower triangle."""
    for a in range(matrix.shape[0]):
        for b in range(a + 1):
            value = matrix[a, b]
            for c in range(b):
                value -= matrix[a, c] * matrix[b, c]
            if a == b:
                matrix[a, a] = np.sqrt(max(value, 1e-300))
            else:
                matrix[a, b] = value / matrix[b, b]
    return matrix


@njit(cache=True)  # type: ignore[untyped-decorator]
def solve_newton(problem: Problem, newton: NewtonMatrix, rhs: Floats, out: Floats) -> None:
    """Solve the Newton system for one right-hand side (3, n), by Woodbury."""
    n, dense = newton.rows.shape
    size = newton.root.size
    k = dense - 4
    inner = np.zeros(size)
    for i in range(n):
        w = (rhs[0, i] + newton.to_t[i] * rhs[1, i] + newton.to_p[i] * rhs[2, i]) / newton.ww[i]
        out[0, i] = w
        out[1, i] = rhs[1, i] / newton.tt[i]
        out[2, i] = rhs[2, i] / newton.pp[i]
        for j in range(dense):
            inner[j] += newton.rows[i, j] * w
        inner[k + 1] += out[2, i]
        inner[k + 2] += out[1, i]
        if problem.sector[i] >= 0:
            inner[dense + problem.sector[i]] += w
    for a in range(size):
        inner[a] *= newton.root[a]
        for b in range(a):
            inner[a] -= newton.chol[a, b] * inner[b]
        inner[a] /= newton.chol[a, a]
    for a in range(size - 1, -1, -1):
        for b in range(a + 1, size):
            inner[a] -= newton.chol[b, a] * inner[b]
        inner[a] /= newton.chol[a, a]
    for a in range(size):
        inner[a] *= newton.root[a]
    for i in range(n):
        correction = 0.0
        for j in range(dense):
            correction += newton.rows[i, j] * inner[j]
        if problem.sector[i] >= 0:
            correction += inner[dense + problem.sector[i]]
        out[0, i] -= correction / newton.ww[i]
        out[1, i] += newton.to_t[i] * out[0, i] - inner[k + 2] / newton.tt[i]
        out[2, i] += newton.to_p[i] * out[0, i] - inner[k + 1] / newton.pp[i]
