import numpy as np
import pytest

from aurora_pipeline.policy.forced_reductions import DRIFT_MARGIN, forced_reductions
from aurora_pipeline.policy.limits_in_force import ExposureLimits, excess, largest_step
from aurora_pipeline.policy.risk_model import RiskModel


def reduce(held, limits, *, sectors=None, closing=(), max_trade=1.0, volatility=1.0, reason="gross_cap"):
    held = np.array(held, dtype=float)
    n = held.size
    risk = RiskModel(("market",), np.zeros((n, 1)), np.zeros((1, 1)), np.full(n, 0.0004), np.full(n, 0.02))
    return forced_reductions(
        held,
        np.zeros(n, dtype=np.int64) if sectors is None else np.array(sectors),
        np.isin(np.arange(n), closing),
        np.broadcast_to(np.asarray(max_trade, dtype=float), n),
        limits,
        reason,
        risk,
        volatility,
    )


WIDE = ExposureLimits(1.0, 10.0, 10.0, 10.0)


def test_a_book_inside_its_limits_is_left_alone():
    base, reasons = reduce([0.01, -0.02, 0.0], ExposureLimits(0.02, 0.02, 0.02, 0.03))
    assert base.tolist() == [0.01, -0.02, 0.0]
    assert set(reasons) == {""}


def test_a_name_that_left_the_universe_is_closed_as_fast_as_its_bar_allows():
    base, reasons = reduce([0.03, -0.03, 0.01], WIDE, closing=(0, 1), max_trade=[1.0, 0.01, 1.0])
    np.testing.assert_allclose(base, [0.0, -0.02, 0.01])
    assert reasons.tolist() == ["left_universe", "left_universe", ""]


def test_drift_over_the_name_cap_is_cut_back_with_room():
    base, reasons = reduce([0.012, -0.008], ExposureLimits(0.01, 1.0, 1.0, 1.0))
    np.testing.assert_allclose(base, [0.01 * (1 - DRIFT_MARGIN), -0.008])
    assert reasons.tolist() == ["name_cap", ""]


def test_gross_is_shrunk_in_proportion():
    base, reasons = reduce([0.2, -0.1], ExposureLimits(1.0, 1.0, 1.0, 0.15), reason="drawdown")
    np.testing.assert_allclose(base, np.array([0.2, -0.1]) * 0.15 * (1 - DRIFT_MARGIN) / 0.3)
    assert set(reasons) == {"drawdown"}


def test_only_the_heavy_side_of_a_sector_or_book_is_cut():
    base, reasons = reduce([0.06, -0.01, 0.02], ExposureLimits(1.0, 0.04, 1.0, 1.0), sectors=[0, 0, 1])
    np.testing.assert_allclose(base, [0.04 * (1 - DRIFT_MARGIN) + 0.01, -0.01, 0.02])
    assert reasons.tolist() == ["sector_cap", "", ""]
    base, reasons = reduce([0.06, -0.01, 0.03], ExposureLimits(1.0, 1.0, 0.05, 1.0), sectors=[0, 1, 2])
    assert base.sum() == pytest.approx(0.05 * (1 - DRIFT_MARGIN))
    assert reasons.tolist() == ["net_cap", "", "net_cap"]


def test_shorts_of_a_long_only_book_are_covered():
    base, reasons = reduce([0.02, -0.02], ExposureLimits(1.0, 1.0, 1.0, 1.0, long_only=True))
    assert base.tolist() == [0.02, 0.0]
    assert reasons.tolist() == ["", "long_only"]


def test_volatility_above_its_band_is_brought_to_the_target():
    # 0.1 and -0.1 at 2 % each: 0.00283 a session, against a target of 0.002.
    base, reasons = reduce([0.1, -0.1], WIDE, volatility=0.002)
    np.testing.assert_allclose(np.sqrt((base**2 * 0.0004).sum()), 0.002)
    assert set(reasons) == {"volatility_target"}
    inside, reasons = reduce([0.1, -0.1], WIDE, volatility=0.0026)
    assert set(reasons) == {""}
    assert inside.tolist() == [0.1, -0.1]


def test_closing_one_side_stops_where_it_would_break_another_limit():
    # The short cannot trade: closing the long altogether would leave a net of -0.1 against a cap of 0.03.
    limits = ExposureLimits(1.0, 1.0, 0.03, 1.0)
    held = np.array([0.1, -0.1])
    base, _ = reduce(held, limits, closing=(0,), max_trade=[1.0, 0.0])
    assert base[1] == -0.1
    assert base.sum() == pytest.approx(-0.03, abs=1e-6)
    assert (excess(base, held, np.zeros(2, dtype=np.int64), limits) <= 0.0).all()


def test_a_forced_step_and_a_trade_after_it_stay_within_the_tolerance_of_the_check_together():
    limits = ExposureLimits(1.0, 1.0, 0.0, 1.0)
    held, sectors = np.array([0.1, -0.1]), np.zeros(2, dtype=np.int64)
    base, _ = reduce(held, limits, closing=(0,), max_trade=[1.0, 0.0])
    wanted = np.array([0.05, -0.1])
    target = base + largest_step(base, wanted, sectors, limits) * (wanted - base)
    assert target.sum() < base.sum() < 0.0
    assert (excess(target, held, sectors, limits) <= 0.0).all()
