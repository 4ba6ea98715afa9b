import json
from types import SimpleNamespace

import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from aurora_pipeline.adapters.book.book_store import BookStore
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.cli import app
from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.trade_book import run_session
from aurora_pipeline.reports import book_reports
from aurora_pipeline.reports.book_reports import book_status, replayed_book
from aurora_pipeline.stages import book_name
from aurora_pipeline_tests.execution.test_trade_book import random_sessions
from aurora_pipeline_tests.execution.tiny_market import settings

RULES = settings("book.risk_aversion=5")


@pytest.fixture
def home(tmp_path):
    """Home with three sessions of a book and nothing else."""
    made = Home(tmp_path)
    made.save_settings(RULES)
    store, state = BookStore(made.lake, book_name(made.settings())), None
    for inputs in random_sessions(3):
        result = run_session(state, inputs.session, inputs, RULES, store.book)
        state = result.state
        store.commit(inputs.session.isoformat(), [result], "print")
    return made


def test_the_status_of_a_book_is_read_off_its_tables(home):
    found = book_status(home)
    portfolio = home.lake.read("portfolio")
    costs = dict(found["costs"].select("term", "usd").rows())
    assert costs["all costs"] == pytest.approx(portfolio.get_column("cost").sum())
    assert costs["break-even"] == pytest.approx(portfolio.get_column("gross_pnl").sum())
    assert found["turnover against budgets"].get_column("budget").to_list() == ["day", "week", "month"]
    assert found["switch"].row(0)[0] == "on"
    assert dict(found["gates of the next capital step"].select("gate", "holds").rows())["sessions"] is False
    shown = CliRunner().invoke(app, ["book", "status", "--home", str(home.path)])
    assert shown.exit_code == 0, shown.output
    assert all(title in shown.output for title in found)
    assert shown.output.startswith(f"book {book_name(home.settings())}, ")
    assert all(unit in shown.output for unit in ("exposure, fraction of NAV", "gross P&L, USD", "mean, bps of NAV"))


def test_a_home_without_the_book_says_so(tmp_path):
    with pytest.raises(BookError, match="holds nothing of book"):
        book_status(Home(tmp_path))


def test_a_replay_from_prepared_sessions_is_the_stored_book(home):
    portfolio, positions = replayed_book(random_sessions(3), RULES)
    for name, replayed in (("portfolio", portfolio), ("positions", positions)):
        assert_frame_equal(
            replayed.drop("book"),
            home.lake.read(name).drop("book"),
            check_exact=True,
            check_row_order=name == "portfolio",
        )
    stressed, _ = replayed_book(random_sessions(3), settings("book.risk_aversion=5", "costs.stress=3"))
    assert stressed.get_column("nav")[-1] < portfolio.get_column("nav")[-1]


def test_the_capacity_curve_is_drawn_and_kept(home, monkeypatch):
    monkeypatch.setattr(book_reports, "stored_inputs", lambda *_: random_sessions(4))
    monkeypatch.setattr(Home, "folder", lambda _: SimpleNamespace(synthetic=True))
    found = book_reports.capacity_report(home, [], [1e6, 1e12])
    assert found.plot.read_bytes().startswith(b"\x89PNG")
    assert "| Capital, USD |" in found.page.read_text()
    kept = json.loads(found.data.read_text())
    assert kept["synthetic"] is True
    assert [row["at"] for row in kept["capacity"]] == [1e6, 1e12]
    assert kept["capacity"] == found.capacity.to_dicts()
    small, large = kept["capacity"]
    assert small["utilisation"] > large["utilisation"], (
        "a bar takes 2 % of its volume of an order, whatever the capital"
    )
    once, twice, thrice = kept["stress"]
    assert once["cost"] < twice["cost"], "costs twice as high cost more"
    assert (once["at"], thrice["at"]) == (1.0, 3.0)
