from dataclasses import replace

import numpy as np
import pytest

from aurora_pipeline.policy.alpha_forgone import _lifted, _not_reached, alpha_forgone
from aurora_pipeline.policy.cost_aware_sizer import objective, size_positions
from aurora_pipeline.policy.limits_in_force import ExposureLimits
from aurora_pipeline_tests.policy.sizing_problems import random_request


def wide(**changes):
    request = random_request(3, names=6, held=False, max_trade=np.full(6, 1.0), volatility=1.0, turnover=5.0)
    return replace(request, alpha=np.abs(request.alpha), limits=ExposureLimits(1.0, 5.0, 5.0, 5.0), **changes)


def forgone(request):
    return dict(alpha_forgone(request, size_positions(request)))


def test_limits_that_do_not_bind_cost_nothing():
    assert max(forgone(wide()).values()) < 1e-6 * abs(objective(wide(), size_positions(wide()).target, np.zeros(6)))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("turnover_budget", {"turnover": 0.002}),
        ("name_cap", {"limits": ExposureLimits(0.002, 5.0, 5.0, 5.0)}),
        ("sector_cap", {"limits": ExposureLimits(1.0, 0.001, 5.0, 5.0)}),
        ("net_cap", {"limits": ExposureLimits(1.0, 5.0, 0.001, 5.0)}),
        ("gross_cap", {"limits": ExposureLimits(1.0, 5.0, 5.0, 0.004)}),
        ("volatility_target", {"volatility": 2e-5}),
        ("participation", {"max_trade": np.full(6, 0.001)}),
    ],
)
def test_the_limit_that_binds_is_the_one_that_costs(name, change):
    request = replace(wide(), **change)
    free, bound = wide(), size_positions(request)
    best = objective(free, size_positions(free).target, np.zeros(6))
    found = forgone(request)
    assert found[name] == pytest.approx(best - objective(request, bound.target, bound.base), rel=1e-3)
    assert max((value for other, value in found.items() if other != name), default=0.0) < 0.05 * found[name]


def test_what_a_breaker_withholds_is_not_laid_to_the_turnover_budget():
    found = forgone(replace(wide(), turnover=0.0, turnover_reason="circuit_breaker"))
    assert found["circuit_breaker"] > 0.0
    assert "turnover_budget" not in found


def test_limits_that_are_not_reached_are_rightly_not_decided_again():
    spared = 0
    for seed in range(25):
        request = random_request(seed, names=20, held=False)
        chosen = size_positions(request)
        away = _not_reached(request, chosen)
        spared += len(away)
        for name, freed in _lifted(request):
            other = size_positions(freed)
            gain = objective(freed, other.target, other.base) - objective(request, chosen.target, chosen.base)
            if name in away:
                assert gain <= 1e-6 * abs(objective(request, chosen.target, chosen.base)), (seed, name)
    assert spared > 25
