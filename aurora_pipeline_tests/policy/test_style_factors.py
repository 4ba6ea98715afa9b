import numpy as np
import pytest

from aurora_pipeline.policy.style_factors import STYLES, estimate_styles, z_scores


def planted(style, size=0.004, names=300, sessions=60, seed=2):
    """Residual returns that a style moves by `size` a session and standard deviation of loading."""
    random = np.random.default_rng(seed)
    value, volatility = np.exp(random.normal(17.0, 1.0, names)), np.exp(random.normal(-4.0, 0.3, names))
    loading = {"size": z_scores(np.log(value)), "volatility": z_scores(np.log(volatility))}[style]
    factor = size * np.sign(random.normal(size=sessions))
    residual = factor[:, None] * loading + random.normal(0.0, 0.01, (sessions, names))
    return residual, value, volatility, factor


@pytest.mark.parametrize("style", ["size", "volatility"])
def test_a_planted_style_is_found_and_taken_out(style):
    residual, value, volatility, factor = planted(style)
    found = estimate_styles(residual, residual, value, volatility)
    column = STYLES.index(style)
    assert np.corrcoef(found.returns[:, column], factor)[0, 1] > 0.95
    others = [index for index in range(3) if index != column]
    assert found.returns[:, others].std() < 0.25 * found.returns[:, column].std()
    assert found.residual.var() < 0.93 * residual.var()


def test_momentum_looks_only_at_sessions_before_the_one_it_explains():
    random = np.random.default_rng(5)
    total = random.normal(0.0, 0.01, (60, 100))
    value, volatility = np.full(100, 1e7), np.full(100, 0.01)
    before = estimate_styles(total[:50], total[:50], value, volatility)
    jump = total.copy()
    jump[50:] = random.normal(0.0, 1.0, (10, 100))
    np.testing.assert_array_equal(estimate_styles(jump, jump, value, volatility).returns[:50], before.returns)
    # Without any style in the returns, the slope is noise of about sigma / sqrt(names), not a share of its own past.
    plain = estimate_styles(total, total, value, volatility).returns[:, STYLES.index("momentum")]
    assert (plain[:20] == 0.0).all()
    assert plain[20:].std() < 1.6 * 0.01 / 10.0


def test_few_names_have_no_styles():
    residual, value, volatility, _ = planted("size", names=19)
    assert estimate_styles(residual, residual, value, volatility) is None


def test_a_missing_value_loads_like_the_average_name():
    assert z_scores(np.array([1.0, 3.0, np.nan])).tolist() == [-1.0, 1.0, 0.0]
    assert z_scores(np.array([2.0, 2.0, np.nan])).tolist() == [0.0, 0.0, 0.0]
    assert np.abs(z_scores(np.r_[np.zeros(99), 100.0])).max() == 3.0
