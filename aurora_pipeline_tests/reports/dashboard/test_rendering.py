import hashlib
import json
import re

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.errors import BookError
from aurora_pipeline.live.decision_log import decision_log
from aurora_pipeline.monitoring.performance_dashboard import PANELS
from aurora_pipeline.reports.dashboard import rendering
from aurora_pipeline.reports.dashboard.inputs import SOURCES, read_input, stamp
from aurora_pipeline.reports.dashboard.rendering import Dashboard, default_book, write_dashboard
from aurora_pipeline.stages import book_name
from aurora_pipeline_tests.monitoring.dashboard.stored_rows import day, moment
from aurora_pipeline_tests.monitoring.dashboard.test_result_panels import account
from aurora_pipeline_tests.reports.dashboard.conftest import store_session

FILLED = {"attention", "pnl", "costs", "turnover", "data", "feeds"}


def content(home):
    return {
        path.relative_to(home.path).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.path.rglob("*")
        if path.is_file()
    }


def absent_panels(page):
    sections = re.findall(r'<section class="panel[^"]*" id="(\w+)".*?</section>', page, flags=re.DOTALL)
    assert sections == [panel.key for panel in PANELS]
    parts = re.split(r"<section ", page)[1:]
    return {key for key, part in zip(sections, parts, strict=True) if 'class="absent"' in part}


def test_an_empty_home_says_of_every_panel_what_fills_it(tmp_path):
    home = Home(tmp_path)
    page, _ = Dashboard(home).render()
    assert absent_panels(page) == {panel.key for panel in PANELS} - {"attention"}
    assert "could not be drawn" not in page
    assert not list(tmp_path.iterdir())


def test_rendering_changes_nothing_in_the_home(tables):
    before = content(tables)
    page, _ = Dashboard(tables).render()
    assert content(tables) == before
    assert absent_panels(page) == {panel.key for panel in PANELS} - FILLED - {"capacity", "ticks"}
    assert "could not be drawn" not in page


def test_only_panels_whose_inputs_changed_are_drawn_again(tables, monkeypatch):
    dashboard = Dashboard(tables)
    _, before = dashboard.render()
    drawn = []
    real = rendering.rendered

    def noted(panel, *given, **named):
        drawn.append(panel.key)
        return real(panel, *given, **named)

    monkeypatch.setattr(rendering, "rendered", noted)
    assert dashboard.render()[1] == before
    assert drawn == []
    store_session(tables, dashboard.book, 2)
    page, after = dashboard.render()
    changed = {"attention", "portfolio", "data_quality", "feeds"}
    assert set(drawn) == {panel.key for panel in PANELS if changed & set(panel.reads)}
    assert after != before
    assert f"NAV</dt><dd>{1000 + 3 + 5 - 2 - 3:,} USD" in page


def test_a_book_that_is_not_there_is_an_error_that_names_those_that_are(home):
    with pytest.raises(BookError, match="backtest-"):
        Dashboard(home, "mine")


def test_the_live_book_comes_first_and_does_not_mix_with_the_backtest(home):
    backtest = Dashboard(home).book
    store_session(home, "live", 0)
    found = Dashboard(home)
    assert found.book == "live"
    assert read_input(home, "live", "portfolio").height == 1
    assert read_input(home, backtest, "portfolio").height == 2
    before = stamp(home, backtest, "portfolio")
    store_session(home, "live", 1)
    assert stamp(home, backtest, "portfolio") == before
    assert default_book(home, ["backtest-other"]) == "backtest-other"
    assert default_book(home, []) == backtest


def test_the_written_page_has_no_script_and_is_linked_from_the_heading(tables):
    tables.reports.joinpath("day-2024-12-16.html").write_text("old")
    tables.reports.joinpath("day-2024-12-17.html").write_text("new")
    page = write_dashboard(tables).read_text(encoding="utf-8")
    assert "<script" not in page
    assert 'href="day-2024-12-17.html"' in page
    assert "day-2024-12-16" not in page


def test_ticks_and_alerts_are_read_from_their_files(tables):
    log = decision_log(tables.path / "live", day(1))
    log.settle(moment(1), "decided", timings_ms={"features": 40.0, "scores": 2.5})
    log.settle(moment(1, 1), "skipped", "late: too old")
    ticks = read_input(tables, "live", "ticks")
    assert ticks["computation_ms"].to_list() == [42.5, None]
    alert = {"at": f"{day(1)}T15:00:00+00:00", "severity": "critical", "key": "dead:bars", "text": "no bars"}
    (tables.path / "live" / "alerts.jsonl").write_text(json.dumps(alert) + "\n")
    page, _ = Dashboard(tables).render()
    assert "alert dead:bars: no bars" in page
    (tables.path / "live" / "alerts.jsonl").write_text(json.dumps(alert | {"at": "2001-01-01T15:00:00+00:00"}) + "\n")
    assert "dead:bars" not in Dashboard(tables).render()[0]


def test_a_stamp_follows_each_source(tables):
    before = {name: stamp(tables, "live", name) for name in SOURCES}
    (tables.path / "kill_switch.json").write_text("[]")
    (tables.path / "settings.yaml").write_text("seed: 5\n")
    (tables.reports / "ablation.json").write_text("{}")
    after = {name: stamp(tables, "live", name) for name in SOURCES}
    changed = {name for name in SOURCES if before[name] != after[name]}
    assert changed == {"attention", "rules", "step_downs", "seed", "ablation"}


def test_the_result_of_the_newest_session_is_held_against_what_is_usual_in_its_own_book(tables):
    store_session(tables, "live", 1)
    lost = account((-9.0, 1.0, 0.01, 0.0)).with_columns(session=pl.lit(day(1)), book=pl.lit("live"))
    tables.lake.write("portfolio", lost, day(1).isoformat(), fingerprint="made", book="live")
    assert "−10.0 standard deviations" in read_input(tables, "live", "attention")["what"][0]
    assert "−10.0 standard deviations" in Dashboard(tables).render()[0]
    assert ": 4.0 standard deviations" in read_input(tables, default_book(tables, []), "attention")["what"][0]


def test_a_book_of_other_settings_is_named_as_such(tmp_path):
    home = Home(tmp_path)
    in_force = book_name(home.settings())
    for number in (0, 1):
        store_session(home, "backtest-before", number)
    said = f"book backtest-before, of other settings than those in force ({in_force}) ·"
    assert said in Dashboard(home).render()[0]
    store_session(home, in_force, 0)
    assert f"book {in_force} ·" in Dashboard(home).render()[0]
    assert said in Dashboard(home, "backtest-before").render()[0]
    store_session(home, "live", 0)
    assert "book live ·" in Dashboard(home).render()[0]
