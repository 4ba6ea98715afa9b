"""Primal-dual interior-point solver of the sizing problem, linear in the number of names.

Unknowns per name are the weight `w`, a bound `t >= |w - base|` on its trade and a bound `p >= |w|` on its size:

    minimise    -alpha'w + gamma/2 (|e + E'w|^2 + specific'w^2) + linear't + impact't^1.5 + short'(p - w)
    subject to  lower <= w <= upper,  |sum w| <= net,  |sum of a sector's w| <= sector,
                sum p <= gross,  sum t <= turnover,  |e + E'w|^2 + specific'w^2 + variance_offset <= variance

Mehrotra's predictor-corrector (Nocedal and Wright, *Numerical Optimization*, chapter 19). Each Newton system is block
diagonal, an arrow of (w, t, p) per name, plus one rank per factor, sector and total, and is solved with the Woodbury
identity: a step costs O(n (k + 4)^2). All sums run in a fixed order, so equal inputs give equal bits. The caller
scales the data to about 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from aurora_pipeline.policy.newton_system import SMOOTHING, Floats, Problem, factorise, solve_newton

MAXIMUM_ITERATIONS = 60
TOLERANCE = 1e-7
NAME_ROWS = 6  # constraints per name: upper, lower, trade up, trade down, size up, size down
BOUNDARY_SHARE = 0.995
CAUTIOUS_SHARE = 0.9
FAR = 1e-2
GOOD_ENOUGH = 5e-5
"""Residuals and gap at which a solution counts where rounding stops the last digits, as with hardly any risk aversion."""
DIVERGED = 1e3
START = 0.05


class Solution(NamedTuple):
    """Weights and the multipliers of the totals: net (signed), sector (S,) (signed), gross, turnover, variance."""

    weights: Floats
    net: float
    sector: Floats
    gross: float
    turnover: float
    variance: float
    iterations: int
    converged: bool


@njit(cache=True)  # type: ignore[untyped-decorator]
def solve(problem: Problem) -> Solution:
    """Solve a scaled sizing problem.

    Parameters
    ----------
    problem : Problem
        With ``lower < upper`` for every name and a feasible set that has an inside.

    Returns
    -------
    Solution
        The best iterate. `converged` is False where neither residuals of 1e-7 nor, before rounding errors took over,
        residuals and a gap of 5e-5 were reached; the weights are then a point on the way, and the caller decides.
    """
    n = problem.alpha.size
    sectors = problem.sector_offset.size
    totals = 2 * sectors + 5
    x, gradient = _start(problem), np.empty(n)
    gn, gg = np.empty((NAME_ROWS, n)), np.empty(totals)
    _constraints(problem, x, gradient, gn, gg)
    sn, sg = np.maximum(-gn, START), np.maximum(-gg, START)
    ln, lg = START / sn, START / sg
    rd, rhs, dx = np.empty((3, n)), np.empty((3, n)), np.empty((3, n))
    vn, vg, dsn, dsg = np.empty_like(sn), np.empty_like(sg), np.empty_like(sn), np.empty_like(sg)
    dln, dlg = np.zeros_like(sn), np.zeros_like(sg)
    count = NAME_ROWS * n + totals
    converged = False
    best, best_x, best_lg = np.inf, x.copy(), lg.copy()
    iteration = 0
    while iteration < MAXIMUM_ITERATIONS:
        _constraints(problem, x, gradient, gn, gg)
        _dual_residual(problem, x, gradient, ln, lg, rd)
        mu = (np.sum(sn * ln) + np.sum(sg * lg)) / count
        primal = max(np.max(np.abs(gn + sn)), np.max(np.abs(gg + sg)))
        residual = max(np.max(np.abs(rd)), primal)
        merit = max(residual, mu * count)
        if merit < best:
            best, best_x[:], best_lg[:] = merit, x, lg
        if residual < TOLERANCE and mu < TOLERANCE / 100.0:
            converged = True
            break
        if not merit < DIVERGED * best and best < GOOD_ENOUGH:
            break
        iteration += 1
        newton = factorise(problem, x, gradient, sn, ln, sg, lg)
        target, step = 0.0, 0.0
        for attempt in range(2):  # predictor, then corrector
            for i in range(NAME_ROWS):
                for j in range(n):
                    second = dsn[i, j] * dln[i, j] * step**2 if attempt else 0.0
                    vn[i, j] = (ln[i, j] * gn[i, j] + target - second) / sn[i, j]
            for j in range(totals):
                second = dsg[j] * dlg[j] * step**2 if attempt else 0.0
                vg[j] = (lg[j] * gg[j] + target - second) / sg[j]
            # lambda r - r_c = lambda (g + s) - (s lambda - target + second) = lambda g + target - second.
            _transpose_product(problem, gradient, vn, vg, rhs)
            solve_newton(problem, newton, -rd - rhs, dx)
            _product(problem, gradient, dx, dsn, dsg)
            dln, dlg = vn + ln / sn * dsn, vg + lg / sg * dsg
            dsn, dsg = -(gn + sn) - dsn, -(gg + sg) - dsg
            step = _longest_step(x, dx, sn, dsn, ln, dln, sg, dsg, lg, dlg)
            if attempt == 0:
                after = np.sum((sn + step * dsn) * (ln + step * dln)) + np.sum((sg + step * dsg) * (lg + step * dlg))
                target = max(mu * (after / count / mu) ** 3, TOLERANCE / 1000.0)
        # Too near a bound before the constraints hold, and the next steps jam there.
        step = min(1.0, (CAUTIOUS_SHARE if primal > FAR else BOUNDARY_SHARE) * step)
        x += step * dx
        sn += step * dsn
        sg += step * dsg
        ln += step * dln
        lg += step * dlg
    if not converged:
        x, lg, converged = best_x, best_lg, best < GOOD_ENOUGH
    return Solution(
        x[0],
        lg[0] - lg[1],
        lg[2 : 2 + sectors] - lg[2 + sectors : 2 + 2 * sectors],
        lg[2 + 2 * sectors],
        lg[3 + 2 * sectors],
        problem.variance_scale * lg[4 + 2 * sectors],
        iteration,
        converged,
    )


@njit(cache=True)  # type: ignore[untyped-decorator]
def _start(problem: Problem) -> Floats:
    """Base, moved inside its bounds by less than the turnover budget, with room in the trade and size bounds."""
    n = problem.alpha.size
    x = np.empty((3, n))
    share = 0.5 * problem.turnover_limit / n
    size = 0.0
    for i in range(n):
        room = min(0.1 * (problem.upper[i] - problem.lower[i]), share)
        inside = min(max(problem.base[i], problem.lower[i] + 0.5 * room), problem.upper[i] - 0.5 * room)
        x[0, i] = inside
        x[1, i] = room
        size += abs(inside)
    spare = max(0.5 * (problem.gross_limit - size) / n, 0.01)
    for i in range(n):
        x[2, i] = abs(x[0, i]) + min(0.1 * (problem.upper[i] - problem.lower[i]), spare)
    return x


@njit(cache=True)  # type: ignore[untyped-decorator]
def _risk_gradient(problem: Problem, w: Floats, gradient: Floats) -> float:
    """Fill ``Sigma w`` and return the variance, names outside included."""
    n, k = problem.exposure.shape
    total = problem.variance_offset
    y = problem.exposure_offset.copy()
    for i in range(n):
        for j in range(k):
            y[j] += problem.exposure[i, j] * w[i]
    for j in range(k):
        total += y[j] * y[j]
    for i in range(n):
        gradient[i] = problem.specific[i] * w[i]
        total += gradient[i] * w[i]
        for j in range(k):
            gradient[i] += problem.exposure[i, j] * y[j]
    return total


@njit(cache=True)  # type: ignore[untyped-decorator]
def _constraints(problem: Problem, x: Floats, gradient: Floats, names: Floats, totals: Floats) -> None:
    """Fill the constraint values (feasible where <= 0) of every name (6, n) and of the totals (2 S + 5,)."""
    n = x.shape[1]
    sectors = problem.sector_offset.size
    variance = _risk_gradient(problem, x[0], gradient)
    net = problem.net_offset
    gross = -problem.gross_limit
    turnover = -problem.turnover_limit
    by_sector = problem.sector_offset.copy()
    for i in range(n):
        w, t, p = x[0, i], x[1, i], x[2, i]
        names[0, i] = w - problem.upper[i]
        names[1, i] = problem.lower[i] - w
        names[2, i] = w - problem.base[i] - t
        names[3, i] = problem.base[i] - w - t
        names[4, i] = w - p
        names[5, i] = -w - p
        net += w
        turnover += t
        gross += p
        if problem.sector[i] >= 0:
            by_sector[problem.sector[i]] += w
    totals[0] = net - problem.net_limit
    totals[1] = -net - problem.net_limit
    for j in range(sectors):
        totals[2 + j] = by_sector[j] - problem.sector_limit[j]
        totals[2 + sectors + j] = -by_sector[j] - problem.sector_limit[j]
    totals[2 + 2 * sectors] = gross
    totals[3 + 2 * sectors] = turnover
    totals[4 + 2 * sectors] = 0.5 * problem.variance_scale * (variance - problem.variance_limit)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _dual_residual(problem: Problem, x: Floats, gradient: Floats, ln: Floats, lg: Floats, out: Floats) -> None:
    """Fill the gradient of the Lagrangian, (3, n)."""
    sectors = problem.sector_offset.size
    net = lg[0] - lg[1]
    gamma = problem.gamma + problem.variance_scale * lg[4 + 2 * sectors]
    for i in range(x.shape[1]):
        slope = gamma * gradient[i] - problem.alpha[i] - problem.short[i] + net
        j = problem.sector[i]
        if j >= 0:
            slope += lg[2 + j] - lg[2 + sectors + j]
        out[0, i] = slope + ln[0, i] - ln[1, i] + ln[2, i] - ln[3, i] + ln[4, i] - ln[5, i]
        marginal = problem.linear[i] + 1.5 * problem.impact[i] * np.sqrt(x[1, i] + SMOOTHING)
        out[1, i] = marginal + lg[3 + 2 * sectors] - ln[2, i] - ln[3, i]
        out[2, i] = problem.short[i] + lg[2 + 2 * sectors] - ln[4, i] - ln[5, i]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _transpose_product(problem: Problem, gradient: Floats, names: Floats, totals: Floats, out: Floats) -> None:
    """Fill J'v (3, n) for values v of every constraint."""
    sectors = problem.sector_offset.size
    for i in range(out.shape[1]):
        value = names[0, i] - names[1, i] + names[2, i] - names[3, i] + names[4, i] - names[5, i]
        value += totals[0] - totals[1] + problem.variance_scale * gradient[i] * totals[4 + 2 * sectors]
        j = problem.sector[i]
        if j >= 0:
            value += totals[2 + j] - totals[2 + sectors + j]
        out[0, i] = value
        out[1, i] = totals[3 + 2 * sectors] - names[2, i] - names[3, i]
        out[2, i] = totals[2 + 2 * sectors] - names[4, i] - names[5, i]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _product(problem: Problem, gradient: Floats, dx: Floats, names: Floats, totals: Floats) -> None:
    """Fill J dx for every constraint."""
    sectors = problem.sector_offset.size
    totals[:] = 0.0
    for i in range(dx.shape[1]):
        w, t, p = dx[0, i], dx[1, i], dx[2, i]
        names[0, i] = w
        names[1, i] = -w
        names[2, i] = w - t
        names[3, i] = -w - t
        names[4, i] = w - p
        names[5, i] = -w - p
        totals[0] += w
        totals[2 + 2 * sectors] += p
        totals[3 + 2 * sectors] += t
        totals[4 + 2 * sectors] += problem.variance_scale * gradient[i] * w
        if problem.sector[i] >= 0:
            totals[2 + problem.sector[i]] += w
    totals[1] = -totals[0]
    for j in range(sectors):
        totals[2 + sectors + j] = -totals[2 + j]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _longest_step(
    x: Floats,
    dx: Floats,
    sn: Floats,
    dsn: Floats,
    ln: Floats,
    dln: Floats,
    sg: Floats,
    dsg: Floats,
    lg: Floats,
    dlg: Floats,
) -> float:
    """Longest step that keeps slacks, multipliers and trade bounds positive, at most just above 1."""
    step = _to_boundary(x[1], dx[1], 1.0 / BOUNDARY_SHARE)
    step = _to_boundary(sn.ravel(), dsn.ravel(), step)
    step = _to_boundary(ln.ravel(), dln.ravel(), step)
    step = _to_boundary(sg, dsg, step)
    return float(_to_boundary(lg, dlg, step))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _to_boundary(values: Floats, changes: Floats, longest: float) -> float:
    step = longest
    for index in range(values.size):
        if values[index] + step * changes[index] < 0.0:
            step = -values[index] / changes[index]
    return step
