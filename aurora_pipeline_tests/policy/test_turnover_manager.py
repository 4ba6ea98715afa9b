import pytest

from aurora_pipeline.policy.turnover_manager import (
    TurnoverAllowance,
    TurnoverHistory,
    allowance,
)
from aurora_pipeline.settings import BookSettings

RULES = BookSettings(turnover_day=0.05, turnover_week=0.15, turnover_month=0.42)  # month / 21 = 0.02


@pytest.mark.parametrize(
    ("spent", "progress", "remaining", "binding"),
    [
        ((0.0,), 0.5, 0.01, "pace"),  # half a session's share of the month
        ((0.0,), 1.0, 0.02, "pace"),
        ((0.0, 0.0), 0.5, 0.03, "pace"),  # the first session's share carried over
        ((0.0, 0.0, 0.0, 0.01), 1.0, 0.04, "day"),  # carry is rich, the day is not
        ((0.05, 0.05, 0.045, 0.0), 1.0, 0.0, "pace"),
        ((0.0,) * 10 + (0.05, 0.05, 0.045, 0.0), 1.0, 0.005, "week"),
        ((0.0,) * 10 + (0.04, 0.03, 0.03, 0.03, 0.03, 0.02), 1.0, 0.01, "week"),  # of the newest five sessions
        ((0.02,) * 20 + (0.0,), 1.0, 0.02, "month"),
        ((0.03,) + (0.0195,) * 20, 1.0, 0.0, "month"),
    ],
)
def test_the_tightest_budget_binds(spent, progress, remaining, binding):
    found = allowance(TurnoverHistory(spent), progress, RULES)
    assert found.remaining == pytest.approx(remaining)
    assert found.binding == binding


def test_the_month_binds_on_its_own():
    rules = BookSettings(turnover_day=1.0, turnover_week=1.0, turnover_month=0.42)
    found = allowance(TurnoverHistory((0.5, 0.0)), 1.0, rules)
    assert found == TurnoverAllowance(0.0, "pace")
    full = TurnoverHistory((0.0,) * 20 + (0.40,))
    assert allowance(full, 1.0, rules).remaining == pytest.approx(0.02)


def test_budgets_that_are_scaled_leave_the_same_share():
    assert TurnoverHistory((0.02, 0.04)).scaled(0.25) == TurnoverHistory((0.005, 0.01))


def test_sessions_leave_the_window_after_21():
    history = TurnoverHistory()
    for _ in range(25):
        history = history.next_session().add(0.01)
    assert len(history.spent) == 21
