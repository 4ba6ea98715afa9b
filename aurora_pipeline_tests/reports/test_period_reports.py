import json

import pytest
from typer.testing import CliRunner

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.cli import app
from aurora_pipeline.errors import BookError, LakeError
from aurora_pipeline.market.manifest import MarketManifest
from aurora_pipeline.reports import period_reports
from aurora_pipeline.reports.period_reports import day_report_or_alert, write_day_report, write_week_report
from aurora_pipeline.stages import book_name
from aurora_pipeline_tests.monitoring.dashboard.stored_rows import day, rows
from aurora_pipeline_tests.reports.dashboard.conftest import GAINS, store_session


class Folder:
    """A market folder of which only the label is asked."""

    synthetic = True
    manifest: MarketManifest


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Home with three sessions of a book on a synthetic market."""
    made = Home(tmp_path)
    for number in range(len(GAINS)):
        store_session(made, book_name(made.settings()), number)
    monkeypatch.setattr(Home, "folder", lambda self: Folder())
    return made


def test_the_newest_session_beside_the_one_before(home):
    page = write_day_report(home)
    assert page.name == f"day-{day(2)}.html"
    text = page.read_text(encoding="utf-8")
    assert f"compared with {day(1)}" in text
    assert f"<title>Session {day(2)}: reference-seed1 (SYNTHETIC)</title>" in text
    assert "1,003 USD" in text


def test_a_week_and_the_one_before_which_may_not_exist(home):
    page = write_week_report(home, day(1))
    assert page.name == "week-2024-W51.html"
    assert "compared with nothing" in page.read_text(encoding="utf-8")


def test_a_session_that_is_not_stored_is_refused_with_what_is(home):
    for write in (write_day_report, write_week_report):
        with pytest.raises(LakeError, match=f"the lake has {day(0)} to {day(2)}"):
            write(home, day(30))


@pytest.mark.parametrize("command", ["day", "week"])
def test_a_book_that_is_not_there_is_refused_as_the_dashboard_does(home, command):
    result = CliRunner().invoke(app, ["report", command, "--home", str(home.path), "--book", "nope"])
    assert result.exit_code != 0
    assert isinstance(result.exception, BookError)
    assert "holds no book nope; it has backtest-" in str(result.exception)
    assert not home.reports.exists()


def test_a_session_of_the_warm_up_names_the_first_decision(home, monkeypatch):
    sessions = [day(number) for number in range(-60, 3)]
    monkeypatch.setattr(Home, "sessions", lambda self, settings: sessions)
    home.lake.write(
        "data_quality", rows("data_quality", {"session": sessions[9]}), f"{sessions[9]}", fingerprint="made"
    )
    text = write_day_report(home, sessions[9]).read_text(encoding="utf-8")
    assert text.count(f"Warm-up: the first decision is of {day(0)}.") == 5
    assert "It is filled by" not in text
    assert "Warm-up" not in write_day_report(home, day(0)).read_text(encoding="utf-8")


def test_an_empty_home_says_how_to_start(tmp_path):
    with pytest.raises(LakeError, match="aurora run"):
        write_day_report(Home(tmp_path))


def test_trouble_with_the_report_is_told_and_does_not_undo_the_close(home, monkeypatch):
    day_report_or_alert(home, day(30))
    told = json.loads((home.path / "live" / "alerts.jsonl").read_text())
    assert (told["severity"], told["key"]) == ("warning", "day_report")
    day_report_or_alert(home, day(2))
    assert (home.reports / f"day-{day(2)}.html").exists()

    def broken(*given):
        raise AssertionError

    monkeypatch.setattr(period_reports, "write_day_report", broken)
    with pytest.raises(AssertionError):
        day_report_or_alert(home, day(2))


@pytest.mark.parametrize(
    ("command", "name"),
    [(["day", "--session", str(day(1))], f"day-{day(1)}"), (["week"], "week-2024-W51"), (["dashboard"], "dashboard")],
)
def test_the_commands_write_the_pages(home, command, name):
    result = CliRunner().invoke(app, ["report", *command, "--home", str(home.path)])
    assert result.exit_code == 0, result.output
    assert (home.reports / f"{name}.html").exists()
