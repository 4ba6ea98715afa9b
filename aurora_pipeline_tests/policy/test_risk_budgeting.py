import pytest

from aurora_pipeline.policy.risk_budgeting import (
    build_scale,
    drawdown_scale,
    peak_at_smaller_target,
    restarted_peak,
    risk_budget,
)
from aurora_pipeline.settings import BookSettings

RULES = BookSettings(
    volatility_target=0.01, drawdown_start=2.0, drawdown_flat=5.0, build_sessions=4, utilisation_cap=0.2
)


@pytest.mark.parametrize(
    ("nav", "scale"),
    [(101.0, 1.0), (100.0, 1.0), (98.0, 1.0), (96.5, 0.5), (95.0, 0.0), (80.0, 0.0)],
)
def test_drawdown_throttles_linearly_in_volatility_targets(nav, scale):
    assert drawdown_scale(nav, 100.0, RULES) == pytest.approx(scale)


@pytest.mark.parametrize("nav", [101.0, 100.0, 98.0, 96.5, 95.2])
def test_a_smaller_target_leaves_the_drawdown_as_deep_in_targets_as_it_was(nav):
    smaller = RULES.model_copy(update={"volatility_target": 0.4 * RULES.volatility_target})
    peak = peak_at_smaller_target(nav, 100.0, 0.4)
    assert drawdown_scale(nav, peak, smaller) == pytest.approx(drawdown_scale(nav, 100.0, RULES))
    assert (peak == 100.0) == (nav >= 100.0)


def test_a_throttle_without_a_ramp_is_a_switch():
    rules = BookSettings(volatility_target=0.01, drawdown_start=3.0, drawdown_flat=3.0)
    assert drawdown_scale(97.1, 100.0, rules) == 1.0
    assert drawdown_scale(96.9, 100.0, rules) == 0.0


def test_no_volatility_target_means_no_exposure():
    assert drawdown_scale(100.0, 100.0, BookSettings(volatility_target=0.0)) == 0.0


def test_the_initial_build_ramps_over_its_sessions():
    assert [build_scale(done, RULES) for done in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_the_smaller_scale_binds_and_is_named():
    assert risk_budget(100.0, 100.0, 0, RULES).gross == pytest.approx(0.05)
    assert risk_budget(100.0, 100.0, 0, RULES).binding == "build_ramp"
    assert risk_budget(96.5, 100.0, 9, RULES).gross == pytest.approx(0.1)
    assert risk_budget(96.5, 100.0, 9, RULES).binding == "drawdown"
    assert risk_budget(100.0, 100.0, 9, RULES).binding == "gross_cap"
    assert risk_budget(100.0, 100.0, 9, RULES).volatility == pytest.approx(0.01 / 252**0.5)


def test_a_book_that_a_drawdown_made_flat_comes_back_after_its_pause():
    assert restarted_peak(95.0, 100.0, RULES.drawdown_pause_sessions - 1, RULES) == 100.0
    peak = restarted_peak(95.0, 100.0, RULES.drawdown_pause_sessions, RULES)
    assert drawdown_scale(95.0, peak, RULES) == pytest.approx(RULES.drawdown_restart)
    # A loss of a quarter of three volatility targets of 1 % of the peak makes it flat again, a gain lets it grow.
    assert drawdown_scale(95.0 - 0.0075 * peak, peak, RULES) == pytest.approx(0.0, abs=1e-12)
    assert drawdown_scale(95.0 + 0.0075 * peak, peak, RULES) == pytest.approx(0.5)


@pytest.mark.parametrize(("nav", "scale"), [(1.0, 1.0), (0.875, 1.0), (0.75, 0.0), (0.5, 0.0)])
def test_a_switch_is_thrown_at_its_depth(nav, scale):
    rules = BookSettings(volatility_target=0.125, drawdown_start=2.0, drawdown_flat=2.0)
    assert drawdown_scale(nav, 1.0, rules) == scale


def test_without_a_peak_there_is_no_drawdown():
    assert drawdown_scale(0.0, 0.0, RULES) == 1.0
    assert peak_at_smaller_target(0.0, 0.0, 0.4) == 0.0
    assert restarted_peak(95.0, 100.0, 99, RULES.model_copy(update={"volatility_target": 0.0})) == 100.0


def test_a_depth_of_more_than_all_there_is_restarts_from_a_hundred_times_what_is_left():
    rules = RULES.model_copy(update={"drawdown_start": 150.0, "drawdown_flat": 200.0})
    assert restarted_peak(0.5, 100.0, 99, rules) == pytest.approx(50.0)


def test_of_two_equal_scales_the_drawdown_is_named():
    rules = RULES.model_copy(update={"volatility_target": 0.125, "drawdown_start": 0.0, "drawdown_flat": 4.0})
    found = risk_budget(0.75, 1.0, 1, rules)
    assert (found.binding, found.gross) == ("drawdown", pytest.approx(0.1))


def test_a_restart_never_raises_the_peak():
    assert restarted_peak(99.0, 100.0, 99, RULES) == 100.0


def test_a_switch_like_throttle_restarts_whole():
    rules = RULES.model_copy(update={"drawdown_start": 3.0, "drawdown_flat": 3.0})
    assert drawdown_scale(90.0, restarted_peak(90.0, 100.0, 10, rules), rules) == 1.0
