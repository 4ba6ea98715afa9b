"""The library solver that stands by: Clarabel, a conic interior-point method, on the same problem.

It is asked only where :mod:`aurora_pipeline.policy.interior_point` does not converge, such as limits without an inside.
Its unknowns are weights `w`, factor exposures `y`, bounds ``t >= |w - base|`` and ``p >= |w|``, and ``u >= t^1.5`` as a power
cone (Goulart and Chen, *Clarabel: An interior-point solver for conic programs with quadratic objectives*, 2024).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from aurora_pipeline.policy.newton_system import Floats, Problem


def solve_standby(problem: Problem) -> Floats:
    """Weights of a scaled sizing problem, shape (n_names,); NaN where the solver finds none."""
    import clarabel

    n, k = problem.exposure.shape
    bent = np.flatnonzero(problem.impact > 0.0)
    widths = (n, k, n, n, bent.size)
    quadratic = np.concatenate(
        [problem.gamma * problem.specific, np.full(k, problem.gamma), np.zeros(2 * n + bent.size)]
    )
    linear = np.concatenate(
        [-problem.alpha - problem.short, np.zeros(k), problem.linear, problem.short, problem.impact[bent]]
    )
    rows, bounds, cones = [], [], []

    def add(left: sparse.sparray, right: Floats, cone: object) -> None:
        rows.append(left)
        bounds.append(right)
        cones.append(cone)

    eye, none = sparse.identity(n), None
    ones = np.ones((1, n))
    add(
        _block([-problem.exposure.T, sparse.identity(k), none, none, none], widths),
        problem.exposure_offset,
        clarabel.ZeroConeT(k),
    )
    inequalities, limits = _inequalities(problem, eye, ones, widths)
    add(inequalities, limits, clarabel.NonnegativeConeT(limits.size))
    radius = np.sqrt(max(problem.variance_limit - problem.variance_offset, 0.0))
    ball = sparse.vstack(
        [
            sparse.csr_matrix((1, sum(widths))),
            _block([none, -sparse.identity(k), none, none, none], widths),
            _block([-sparse.diags(np.sqrt(problem.specific)), none, none, none, none], widths),
        ]
    )
    add(ball, np.concatenate([[radius], np.zeros(k + n)]), clarabel.SecondOrderConeT(1 + k + n))
    for position, name in enumerate(bent.tolist()):
        columns = [sum(widths[:4]) + position, n + k + name]
        cone = sparse.csr_matrix(([-1.0, -1.0], ([0, 2], columns)), shape=(3, sum(widths)))
        add(cone, np.array([0.0, 1.0, 0.0]), clarabel.PowerConeT(2.0 / 3.0))
    options = clarabel.DefaultSettings()
    options.verbose = False
    solver = clarabel.DefaultSolver(
        sparse.diags(quadratic, format="csc"),
        linear,
        sparse.vstack(rows, format="csc"),
        np.concatenate(bounds),
        cones,
        options,
    )
    found = solver.solve()
    usable = str(found.status) in {"Solved", "AlmostSolved"}
    weights = np.array(found.x[:n]) if usable else np.full(n, np.nan)
    return np.asarray(np.clip(weights, problem.lower, problem.upper))


def _inequalities(
    problem: Problem, eye: sparse.sparray, ones: Floats, widths: tuple[int, ...]
) -> tuple[sparse.sparray, Floats]:
    """Box, bounds of trade and size, net, sectors, gross and turnover as ``rows x <= limits``."""
    n, sectors, none = problem.alpha.size, problem.sector_offset.size, None
    member = np.flatnonzero(problem.sector >= 0)
    groups = sparse.csr_matrix((np.ones(member.size), (problem.sector[member], member)), shape=(sectors, n))
    zero = np.zeros(n)
    parts = [
        ([eye, none, none, none, none], problem.upper),
        ([-eye, none, none, none, none], -problem.lower),
        ([eye, none, -eye, none, none], problem.base),
        ([-eye, none, -eye, none, none], -problem.base),
        ([eye, none, none, -eye, none], zero),
        ([-eye, none, none, -eye, none], zero),
        ([ones, none, none, none, none], np.array([problem.net_limit - problem.net_offset])),
        ([-ones, none, none, none, none], np.array([problem.net_limit + problem.net_offset])),
        ([groups, none, none, none, none], problem.sector_limit - problem.sector_offset),
        ([-groups, none, none, none, none], problem.sector_limit + problem.sector_offset),
        ([none, none, none, ones, none], np.array([problem.gross_limit])),
        ([none, none, ones, none, none], np.array([problem.turnover_limit])),
    ]
    rows = sparse.vstack([_block(blocks, widths) for blocks, _ in parts])
    return rows, np.concatenate([limit for _, limit in parts])


def _block(blocks: list[sparse.sparray | Floats | None], widths: tuple[int, ...]) -> sparse.sparray:
    """Blocks side by side, zeros where there is none."""
    height = next(block.shape[0] for block in blocks if block is not None)
    return sparse.hstack(
        [
            sparse.csr_matrix((height, width)) if block is None else sparse.csr_matrix(block)
            for block, width in zip(blocks, widths, strict=True)
        ]
    )
