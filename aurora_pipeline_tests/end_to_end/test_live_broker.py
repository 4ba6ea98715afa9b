"""Orders of the live book are sent once, after their decision is durable, and the broker's account is the truth."""

import json
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from aurora_pipeline.defs.session_jobs import train_fold
from aurora_pipeline.errors import LakeError
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.live import tick
from aurora_pipeline.live.paper_broker import ACCOUNT, JOURNAL, read_account, save_account, sent_orders
from aurora_pipeline.live.parity import parity
from aurora_pipeline.live.preflight import run_preflight
from aurora_pipeline.policy.turnover_manager import TurnoverHistory
from aurora_pipeline.workflows.main_job import prepare_home
from aurora_pipeline_tests.end_to_end.test_live_tick import Loop


@pytest.fixture
def loop(tiny_home, tmp_path):
    return Loop(tiny_home, tmp_path / "replay")


def killed_before_sending(loop, bar, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr(tick, "send", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            loop.tick(bar)
    loop.restart()
    return {order["order_id"] for order in loop.runner.log.get(loop.ends[bar]).content["orders"]}


def test_every_order_that_filled_is_in_the_journal_once_and_the_brokers_account_is_the_books(loop):
    for bar in range(4):
        loop.tick(bar)
    journal = [json.loads(line)["order_id"] for line in (loop.runner.folder / JOURNAL).read_text().splitlines()]
    assert len(set(journal)) == len(journal)
    fills = loop.home.lake.read("fills", loop.session, book="live")
    assert fills.height > 0
    assert set(fills["order_id"]) <= set(journal)
    decided = {order["order_id"] for settled in loop.runner.log for order in settled.content["orders"]}
    assert decided == set(journal)
    held = loop.home.lake.read("positions", book="live").filter(pl.col("decision_time") == loop.ends[3])
    account = read_account(loop.home.path / "live")
    assert (account.session, account.bar_end) == (loop.session, loop.ends[3])
    assert account.positions == dict(held.select("instrument_id", "shares").iter_rows())


def test_no_commit_of_a_session_fits_the_tables_of_another(loop):
    found = set()
    for bar in range(3):
        loop.tick(bar)
        found.add(loop.home.lake.fingerprint("portfolio", loop.session.isoformat(), book="live"))
    assert len(found) == 3


def test_a_process_that_dies_before_sending_is_completed_while_the_bar_runs(loop, monkeypatch):
    loop.tick(0)
    wanted = killed_before_sending(loop, 1, monkeypatch)
    assert wanted
    assert not wanted & sent_orders(loop.runner.folder)
    assert not loop.runner.attempt(loop.ends[1]).own
    assert wanted <= sent_orders(loop.runner.folder)
    loop.tick(2)
    fills = loop.home.lake.read("fills", loop.session, book="live")
    assert set(fills["order_id"]) & wanted
    assert parity(loop.home, loop.session).is_empty()


def test_orders_that_were_not_sent_in_time_are_never_sent_fill_nothing_and_are_on_record(loop, monkeypatch):
    loop.tick(0)
    wanted = killed_before_sending(loop, 1, monkeypatch)
    loop.runner.clock.set(loop.ends[2] + timedelta(seconds=1))
    assert not loop.runner.attempt(loop.ends[1]).own
    assert not wanted & sent_orders(loop.runner.folder)
    for bar in (2, 3):
        loop.tick(bar)
    orders = loop.home.lake.read("orders", loop.session, book="live").filter(pl.col("order_id").is_in(list(wanted)))
    assert set(orders.select("status", "reason").iter_rows()) == {("rejected", "not_sent")}
    assert set(orders["order_id"]) == wanted
    assert not set(loop.home.lake.read("fills", loop.session, book="live")["order_id"]) & wanted
    assert parity(loop.home, loop.session).is_empty()


def test_a_broker_that_holds_something_else_is_believed_halts_the_book_and_is_seen_before_the_open(tiny_home, tmp_path):
    def drift(loop):
        state = json.loads(json.loads(next((loop.home.path / "books/live").glob("*.json")).read_text())["state"])
        before, held = loop.home.calendar.shift(loop.session, -1), dict(state["shares"])
        loop.name = sorted(held)[0]
        held[loop.name] += 100.0
        save_account(loop.home.path / "live", before, loop.home.calendar.close(before), held)

    loop = Loop(tiny_home, tmp_path / "replay", prepare=drift)
    check = {check.name: check for check in run_preflight(loop.home, loop.session, train_fold)}["broker"]
    assert not check.passed
    assert loop.name in check.found
    assert "aurora resume" in check.found
    for bar in range(2):
        assert loop.tick(bar).settled.status == "decided"
    events = loop.home.lake.read("events", loop.session, book="live")
    assert loop.name in set(events.filter(pl.col("event") == "position_drift")["name"])
    assert not sent_orders(loop.runner.folder)
    assert parity(loop.home, loop.session).is_empty()


def test_preflight_asks_the_kill_switch_and_the_broker(loop):
    checks = {check.name: check for check in run_preflight(loop.home, loop.session, train_fold)}
    assert (checks["kill switch"].passed, checks["kill switch"].found) == (True, "on")
    assert checks["broker"].passed
    assert "3 positions agree" in checks["broker"].found
    thrown = [{"mode": "flatten", "reason": "drill", "since": (loop.ends[0] - timedelta(hours=1)).isoformat()}]
    loop.home.kill_switch_file.write_text(json.dumps(thrown))
    wrong = {
        check.name: check.found for check in run_preflight(loop.home, loop.session, train_fold) if not check.passed
    }
    assert set(wrong) == {"kill switch"}
    assert "flatten" in wrong["kill switch"]
    loop.home.kill_switch_file.write_text("{")
    assert (
        "cannot be read" in {c.name: c for c in run_preflight(loop.home, loop.session, train_fold)}["kill switch"].found
    )


def test_a_live_book_uses_the_share_of_its_capital_it_has_earned(tiny_home, tmp_path):
    loop = Loop(tiny_home, tmp_path / "replay", "book.capital_steps=[0.5,1.0]")
    whole, used = loop.home.settings().book, loop.runner.opening.settings.book
    assert loop.runner.opening.capital == 0.5
    assert used.utilisation_cap == pytest.approx(0.5 * whole.utilisation_cap)
    assert loop.tick(0).numbers["capital"] == 0.5
    targets = loop.home.lake.read("targets", loop.session, book="live")
    grown = targets.filter(pl.col("target_weight").abs() > pl.col("current_weight").abs() + 1e-12)
    assert (grown["target_weight"].abs() <= used.name_cap + 1e-9).all()
    assert parity(loop.home, loop.session).is_empty()
    check = {check.name: check for check in run_preflight(loop.home, loop.session, train_fold)}["capital"]
    assert check.found.startswith("step 1 of 2, 50 % of the capital")
    assert (loop.home.path / "live" / ACCOUNT).exists()


def test_a_book_that_is_stepped_down_with_its_budgets_spent_goes_on_smaller(tiny_home, tmp_path):
    def step_down(loop):
        path = next((loop.home.path / "books/live").glob("*.json"))
        content = json.loads(path.read_text())
        state = BookState.from_json(content["state"])
        spent = TurnoverHistory((0.9 * loop.home.settings().book.turnover_month / 21,) * 21)
        loop.state = replace(state, turnover=spent, peak_nav=1.01 * state.nav)
        path.write_text(json.dumps(content | {"state": loop.state.to_json()}))
        moves = [{"step": 1, "since": "2024-01-02"}, {"step": 0, "since": loop.session.isoformat()}]
        (loop.home.path / "live").mkdir(exist_ok=True)
        (loop.home.path / "live" / "capital.json").write_text(json.dumps(moves))

    loop = Loop(tiny_home, tmp_path / "replay", "book.capital_steps=[0.5,1.0]", prepare=step_down)
    assert loop.runner.opening.capital == 0.5
    opened = loop.runner.opening.state
    assert opened.turnover.spent == pytest.approx(loop.state.turnover.scaled(0.5).spent)
    assert 1.0 - opened.nav / opened.peak_nav == pytest.approx(0.5 * (1.0 - 1.0 / 1.01))
    for bar in range(3):
        assert loop.tick(bar).settled.status == "decided"
    assert parity(loop.home, loop.session).is_empty()


def test_a_home_that_trades_does_not_take_another_market_folder(loop, tiny_market):
    assert loop.home.market().live
    with pytest.raises(LakeError, match="trades live on its own market folder"):
        prepare_home(loop.home, tiny_market, [])
    assert loop.home.market().live
