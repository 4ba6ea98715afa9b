"""The share of its capital the live book uses: steps that are earned, kept, and taken away."""

import json
from dataclasses import replace
from datetime import date

import pytest

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.live import capital
from aurora_pipeline.live.capital import capital_step, settings_at, settings_in_force, step_downs, stepped_down
from aurora_pipeline.policy.capital_schedule import StepEvidence
from aurora_pipeline.policy.turnover_manager import TurnoverHistory
from aurora_pipeline.reports.dashboard.inputs import read_input
from aurora_pipeline.settings import Settings

FIRST, SECOND, THIRD = date(2024, 11, 4), date(2024, 11, 5), date(2024, 11, 6)
GOOD = StepEvidence(
    sessions=30, bias=1.0, cost_ratio=1.0, cost_error=0.1, fills=900, net_t=0.5, breaches=0, drawdown=0.1, drift=0
)
POOR = StepEvidence(
    sessions=30, bias=1.0, cost_ratio=1.0, cost_error=0.1, fills=900, net_t=0.5, breaches=1, drawdown=0.1, drift=0
)


def step(home, session, settings=None):
    return capital_step(home, settings or Settings(), "live", session)


def test_a_book_starts_with_the_first_step_and_says_what_is_in_the_way_of_the_next(tmp_path):
    found = step(Home(tmp_path), FIRST)
    assert (found.step, found.steps, found.share, found.since, found.before) == (0, 4, 0.1, FIRST, None)
    assert found.text.startswith(
        "step 1 of 4, 10 % of the capital, since 2024-11-04; in the way of the next: sessions: 0"
    )
    assert step(Home(tmp_path), FIRST) == found


def test_gates_that_hold_move_it_up_one_step_a_breach_back_down_and_a_second_look_changes_nothing(
    tmp_path, monkeypatch
):
    home = Home(tmp_path)
    step(home, FIRST)
    monkeypatch.setattr(capital, "_evidence", lambda *arguments: GOOD)
    up = step(home, SECOND)
    assert (up.share, up.since, up.before) == (0.25, SECOND, 0)
    assert step(home, SECOND) == up
    monkeypatch.setattr(capital, "_evidence", lambda *arguments: POOR)
    down = step(home, THIRD)
    assert (down.share, down.since, down.before) == (0.1, THIRD, 1)
    assert step(home, SECOND).share == 0.25
    assert [move["step"] for move in json.loads((tmp_path / "live" / "capital.json").read_text())] == [0, 1, 0]


def test_a_breach_on_the_first_step_begins_it_anew_and_does_not_hold_the_book_there_for_ever(tmp_path, monkeypatch):
    home, asked = Home(tmp_path), []
    step(home, FIRST)
    monkeypatch.setattr(capital, "_evidence", lambda home, rules, book, since, session: asked.append(since) or POOR)
    found = step(home, SECOND)
    assert (found.share, found.since, found.before) == (0.1, SECOND, 0)
    monkeypatch.setattr(capital, "_evidence", lambda home, rules, book, since, session: asked.append(since) or GOOD)
    assert step(home, THIRD).share == 0.25
    assert asked == [FIRST, SECOND]


def test_evidence_that_is_not_there_moves_nothing(tmp_path):
    home = Home(tmp_path)
    step(home, FIRST)
    found = step(home, SECOND)
    assert (found.step, found.since) == (0, FIRST)
    assert {gate.name for gate in found.gates if not gate.passed} >= {"sessions", "bias", "cost", "net result"}


def test_fewer_steps_in_the_settings_leave_the_book_at_the_last_of_them(tmp_path, monkeypatch):
    home = Home(tmp_path)
    step(home, FIRST)
    monkeypatch.setattr(capital, "_evidence", lambda *arguments: GOOD)
    step(home, SECOND)
    book = Settings().book.model_copy(update={"capital_steps": (0.5,)})
    found = step(home, THIRD, Settings().model_copy(update={"book": book}))
    assert (found.step, found.share) == (0, 0.5)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_share_of_the_capital_is_a_share_of_every_limit_and_the_same_portfolio_smaller(share):
    before, after = Settings().book, settings_at(Settings(), share).book
    for name in ("utilisation_cap", "name_cap", "sector_cap", "volatility_target", "turnover_day", "turnover_month"):
        assert getattr(after, name) == pytest.approx(share * getattr(before, name))
    assert after.risk_aversion == pytest.approx(before.risk_aversion / share)
    assert after.net_cap == before.net_cap
    assert settings_at(Settings(), 1.0) == Settings()


def test_a_book_that_is_stepped_down_is_as_deep_and_has_spent_as_much_of_its_limits_as_before(tmp_path):
    home = Home(tmp_path)
    (tmp_path / "live").mkdir()
    moves = [{"step": 1, "since": "2024-11-04"}, {"step": 0, "since": "2024-11-05"}, {"step": 1, "since": "2024-11-06"}]
    (tmp_path / "live" / "capital.json").write_text(json.dumps(moves))
    state = replace(BookState.flat("live", 98.0), peak_nav=100.0, turnover=TurnoverHistory((0.1, 0.2)))
    settings = Settings()
    smaller = stepped_down(home, settings, SECOND, state)  # from 25 % to 10 %
    assert smaller.turnover.spent == pytest.approx((0.04, 0.08))
    assert 1.0 - smaller.nav / smaller.peak_nav == pytest.approx(0.4 * 0.02)
    assert replace(smaller, peak_nav=state.peak_nav, turnover=state.turnover) == state
    for session in (FIRST, THIRD, date(2024, 11, 7)):
        assert stepped_down(home, settings, session, state) == state


def test_what_is_in_force_follows_the_newest_step(tmp_path):
    home = Home(tmp_path)
    assert (settings_in_force(home), step_downs(home)) == (home.settings(), [])
    (tmp_path / "live").mkdir()
    moves = [{"step": 0, "since": "2024-11-04"}, {"step": 1, "since": "2024-11-05"}, {"step": 0, "since": "2024-11-06"}]
    (tmp_path / "live" / "capital.json").write_text(json.dumps(moves))
    assert settings_in_force(home).book.utilisation_cap == pytest.approx(0.022)
    assert step_downs(home) == [(THIRD, pytest.approx(0.4))]
    assert read_input(home, "live", "rules").turnover_day == pytest.approx(0.005)
    assert read_input(home, "backtest-1", "rules") == home.settings().book
