"""Dashboard, reports and explanations of a home that was really run; in headless Chromium where there is one."""

from __future__ import annotations

import http.client
import re
import shutil
import subprocess
import time

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.stage_inputs.explanation import read_decision
from aurora_pipeline.errors import BookError, LakeError
from aurora_pipeline.monitoring.explanation import explain
from aurora_pipeline.monitoring.performance_dashboard import PANELS
from aurora_pipeline.reports.dashboard.rendering import PAGE, Dashboard
from aurora_pipeline.reports.period_reports import write_day_report, write_week_report
from aurora_pipeline_tests.end_to_end.conftest import SHORT, aurora, aurora_here, settings
from aurora_pipeline_tests.end_to_end.test_live_tick import EAGER, Loop
from aurora_pipeline_tests.reports.dashboard.conftest import serving

CHROMIUM = shutil.which("chromium")
NOT_RUN = {"ticks", "capacity", "ablation"}
"""Panels that other commands than `aurora run` fill."""
FLAT = {"pnl", "costs", "exposures"}
"""Panels of a book that holds nothing: on the tiny market no edge pays for a trade, and rightly so."""


def absent(page: str) -> set[str]:
    parts = re.split(r'<section class="panel[^"]*" id="(\w+)"', page)
    return {key for key, part in zip(parts[1::2], parts[2::2], strict=True) if 'class="absent"' in part}


def test_a_run_fills_every_panel_but_those_of_other_commands_and_writes_the_page(tiny_home):
    page, _ = Dashboard(Home(tiny_home)).render()
    assert "could not be drawn" not in page
    assert absent(page) == NOT_RUN | FLAT
    assert page.count(">SYNTHETIC<") == len(PANELS) + 1
    assert len(page) < 4e6
    written = (tiny_home / "reports" / PAGE).read_text(encoding="utf-8")
    assert absent(written) == NOT_RUN | FLAT


@pytest.fixture(scope="module")
def loop(tiny_home, tmp_path_factory):
    """A session that was traded for three bars by the loop."""
    made = Loop(tiny_home, tmp_path_factory.mktemp("explained") / "replay")
    for bar in range(3):
        made.tick(bar)
    return made


def test_a_day_and_a_week_of_a_book_that_trades(loop):
    home = Home(loop.home.path)
    for page in (write_day_report(home), write_week_report(home)):
        text = page.read_text(encoding="utf-8")
        assert absent(text) == set()
        assert str(loop.session) in text
        assert text.count(">SYNTHETIC<") == 8


@pytest.fixture(scope="module")
def ordered(loop):
    """A decision that led to a fill."""
    home = Home(loop.home.path)
    fills = home.lake.read("fills", book="live").sort("decision_time", "symbol")
    return home, "live", fills.row(0, named=True)


def test_an_explanation_repeats_what_is_stored_to_the_last_bit(ordered):
    home, book, fill = ordered
    decision = read_decision(home, book, fill["symbol"], fill["decision_time"])
    session = decision.universe["session"][0]
    made = {section.title.partition(",")[0]: section for section in explain(decision, every_feature=True)}
    own = pl.col("symbol") == fill["symbol"], pl.col("decision_time") == fill["decision_time"]
    stored = home.lake.read("ensemble", session, session).filter(*own)
    assert made["ensemble"].table["score"].to_list() == stored["score"].to_list()
    features = home.lake.read("features", session, session).filter(*own)
    seen = dict(made["features"].table.select("feature", "as_seen").iter_rows())
    assert seen == {name: features[name][0] for name in features.columns[3:]}
    scored = made["scores and weights by model"].table
    assert scored["weight_times_z"].sum() / scored["weight"].sum() != 0.0
    linear = scored.filter(pl.col("model").is_in(list(decision.coefficients)))
    assert linear.height == 3
    scale = stored["score"][0] / scored["weight_times_z"].sum()
    assert made["features"].table["contribution"].sum() == pytest.approx(
        scale * linear["weight_times_z"].sum(), abs=1e-5
    )
    order = made["order"].table.row(0, named=True)
    assert (order["order_id"], order["filled"], order["fill_time"]) == (
        fill["order_id"],
        fill["shares"],
        fill["fill_time"],
    )
    assert made["limits and target of book " + book].table.height == 1
    after = made["position at the decision and after the next bar"].table
    assert after["decision_time"].max() == fill["fill_time"]


def test_explanations_of_what_is_not_there_name_what_is_nearest(ordered):
    home, book, fill = ordered
    at, symbol = fill["decision_time"], fill["symbol"]
    with pytest.raises(LakeError, match=rf"symbol {symbol}X is not in the universe.*nearest names: .*{symbol}"):
        read_decision(home, book, f"{symbol}X", at)
    with pytest.raises(LakeError, match=rf"nearest names: {symbol}$"):
        read_decision(home, book, symbol.lower(), at)
    with pytest.raises(LakeError, match=f"no decision time; nearest: {at:%Y-%m-%d %H:%M}"):
        read_decision(home, book, symbol, at.replace(second=1))
    with pytest.raises(LakeError, match="nothing is stored of session 2020"):
        read_decision(home, book, symbol, at.replace(year=2020))
    with pytest.raises(BookError, match=f"holds no book mine; it has {book}"):
        read_decision(home, "mine", symbol, at)


def test_the_command_prints_every_step_and_says_synthetic(ordered):
    home, _, fill = ordered
    done = aurora_here(
        "explain", "--home", home.path, "--symbol", fill["symbol"], "--at", fill["decision_time"].isoformat()
    )
    assert "(SYNTHETIC)" in done.stdout
    steps = ("bar", "quarantine", "universe", "features, 12 of", "scores and weights", "ensemble", "calibration")
    for step in (*steps, "limits and target", "order, fill and costs", "position"):
        assert f"\n{step}" in done.stdout
    wrong = aurora_here("explain", "--home", home.path, "--symbol", "A", "--at", "noon", check=False)
    assert wrong.returncode == 2
    assert "expected a time such as" in wrong.stderr


def test_an_etf_is_explained_as_far_as_it_goes(ordered):
    home, book, fill = ordered
    universe = home.lake.read("universe", fill["session"], fill["session"])
    etf = universe.filter(pl.col("kind") == "etf")["symbol"][0]
    made = explain(read_decision(home, book, etf, fill["decision_time"]), every_feature=False)
    assert not made[0].table.is_empty()
    assert all(section.remark for section in made[3:])


def said(dom: str) -> str:
    """What the page's script tells beside the time."""
    return re.search(r'id="fresh"[^>]*>([^<]*)<', dom)[1]


def seconds(port: int) -> tuple[float, float]:
    """Wall clock to the first byte and to the whole page."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read(1)
    first = time.perf_counter() - started
    answer.read()
    connection.close()
    return first, time.perf_counter() - started


def browse(address: str, folder, *options: str) -> tuple[str, list[str]]:
    """Page as headless Chromium has it after its scripts have run for half a minute, and what its console said."""
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
        f"--user-data-dir={folder / 'chromium'}", "--window-size=1400,2000", "--virtual-time-budget=30000", *options,
    ]  # fmt: skip
    done = subprocess.run([*command, address], capture_output=True, text=True, check=True, timeout=300)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def everything(tiny_home, tiny_market, loop, tmp_path_factory):
    """Home in which every command that fills a panel was run, with a book that trades on little."""
    folder = tmp_path_factory.mktemp("dashboard")
    home, eager = Home(folder / "home"), settings(*EAGER)
    shutil.copytree(tiny_home, home.path)
    aurora("run", "--home", home.path, *eager)
    aurora("book", "capacity", "--home", home.path, "--nav", "1e6", "--nav", "1e7")
    shutil.copytree(loop.home.path / "live" / "sessions", home.path / "live" / "sessions")
    ablated = folder / "ablated"
    aurora("ablate", "--market", tiny_market, "--home", ablated, *settings(*SHORT, "models.families=[ridge,xgboost]"))
    shutil.copy(ablated / "reports" / "ablation.json", home.reports)
    return home


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium in PATH; .ci/run installs Debian's")
def test_every_panel_has_data_in_a_browser_and_its_console_is_silent(everything, tmp_path, record_property):
    with serving(everything) as server:
        timings = [seconds(server.server_port) for _ in range(5)]
        dom, console = browse(server.address, tmp_path, "--dump-dom")
        browse(server.address, tmp_path, f"--screenshot={tmp_path / 'page.png'}")
    first, whole = (max(times) for times in zip(*timings, strict=True))
    record_property("first_byte_seconds", first)
    record_property("whole_page_seconds", whole)
    assert whole < 10.0, "only a page that is rendered on request takes this long"
    assert console == []
    assert absent(dom) == set()
    assert "could not be drawn" not in dom
    assert dom.count("<svg") >= 15
    assert said(dom) == ""
    assert (tmp_path / "page.png").stat().st_size > 50_000


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium in PATH; .ci/run installs Debian's")
def test_panels_that_changed_are_replaced_in_the_open_page(tiny_home, tmp_path, monkeypatch):
    with serving(Home(tiny_home)) as server:
        page, version = server.page(None)
        older = re.sub(r'(id="data" data-digest=")', r"\1old", page.replace(">bars present</dt>", ">EARLIER</dt>"))
        answers = iter([(older.replace(f'data-version="{version}"', 'data-version="old"'), "old")])
        monkeypatch.setattr(server, "page", lambda book: next(answers, (page, version)))
        dom, console = browse(server.address, tmp_path, "--dump-dom")
    assert console == []
    assert ">bars present</dt>" in dom
    assert ">EARLIER</dt>" not in dom


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium in PATH; .ci/run installs Debian's")
def test_an_open_page_says_when_its_numbers_do_not_change_any_more(tiny_home, tmp_path, monkeypatch):
    with serving(Home(tiny_home)) as server:
        answers = iter([server.page(None)])

        def gone(book):
            for answer in answers:
                return answer
            raise BookError("gone")

        monkeypatch.setattr(server, "page", gone)
        dom, _ = browse(server.address, tmp_path, "--dump-dom")
    assert "does not answer" in said(dom)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium in PATH; .ci/run installs Debian's")
def test_a_page_with_an_error_would_be_noticed(tmp_path):
    (tmp_path / "broken.html").write_text("<script>undefined_name()</script>")
    _, console = browse((tmp_path / "broken.html").as_uri(), tmp_path, "--dump-dom")
    assert any("undefined_name" in line for line in console)
