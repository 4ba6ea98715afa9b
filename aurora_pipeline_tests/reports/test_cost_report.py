import polars as pl
import pytest
from typer.testing import CliRunner

from aurora_pipeline.adapters.book.book_store import BookStore
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.cli import app
from aurora_pipeline.errors import BookError
from aurora_pipeline.reports.cost_report import AT_VWAP, IN_PRICE, cost_report
from aurora_pipeline_tests.monitoring.test_cost_shortfall import RULES, broker, traded


def stored(tmp_path, make):
    home = Home(tmp_path)
    home.save_settings(RULES)
    store = BookStore(home.lake, "tiny")
    for result in traded(make, sessions=8):
        store.commit(result.state.session.isoformat(), [result], "print")
    return home


@pytest.mark.parametrize(("make", "text", "multiple"), [(None, AT_VWAP, 0.0), (broker(2.5), IN_PRICE, 2.5)])
def test_the_fit_shows_what_the_fills_contain_and_says_whose_they_are(tmp_path, make, text, multiple):
    found = cost_report(stored(tmp_path, make), book="tiny")
    paid, fit = found.values()
    assert paid.row(0, named=True)["lower"] < paid.row(0, named=True)["estimate"] < paid.row(0, named=True)["upper"]
    assert text in list(found)[1]
    spread = fit.filter(pl.col("measure").str.contains("half-spread")).row(0, named=True)
    assert spread["estimate"] == pytest.approx(multiple, abs=0.3)  # its standard error is about 0.1
    assert spread["lower"] < spread["estimate"] < spread["upper"]


def test_the_command_prints_it_and_a_book_without_fills_is_an_error(tmp_path):
    home = stored(tmp_path, None)
    done = CliRunner().invoke(app, ["book", "costs", "--home", str(home.path), "--book", "tiny"])
    assert done.exit_code == 0, done.output
    assert "paid over forecast cost" in done.output
    with pytest.raises(BookError, match=r"no fill of book .*; it has those of tiny"):
        cost_report(home)
