"""The loop through the real daemon: a replay that ends equal to the backfill, and one that is harmed on the way."""

import json
import shutil

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.live.decision_log import decision_log
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.serving.bench import PARTS, TickBench, verdicts
from aurora_pipeline.serving.bench_report import save_bench
from aurora_pipeline.serving.faults import FAULTS
from aurora_pipeline.serving.screenshots import PAGES, page_text, photograph, replayed_ui
from aurora_pipeline.serving.soak import Soak, SoakPlan
from aurora_pipeline.serving.soak_report import save_soak_report
from aurora_pipeline_tests.end_to_end.conftest import aurora, aurora_here, free_port
from aurora_pipeline_tests.end_to_end.test_live_tick import SESSION_INDEX

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def session(tiny_home):
    home = Home(tiny_home)
    return home.sessions(home.settings())[SESSION_INDEX]


@pytest.mark.slow
def test_a_replay_from_the_command_line_goes_bar_by_bar_through_the_sensor(tiny_home, tiny_market, session, tmp_path):
    target = tmp_path / "replay"
    done = aurora(
        "live", "--replay", tiny_market, "--session", session, "--home", tiny_home, "--replay-home", target,
        "--speed", 3000, "--bars", 4, "--port", free_port(), "--exit",
    )  # fmt: skip
    assert "4 bars: 4 decided, 0 skipped" in done.stdout
    assert [settled.status for settled in decision_log(target / "live", session)] == ["decided"] * 4


@pytest.mark.slow
def test_days_with_every_fault_settle_each_bar_once_equal_themselves_made_again_and_are_written_down(
    tiny_home, session, tmp_path
):
    plan = SoakPlan(session, undisturbed=3, disturbed=len(FAULTS) + 1, backfill=2)
    result = Soak(Home(tiny_home), plan, tmp_path / "soak", free_port(), print).run()
    # Too few bars for memory to settle, and a machine that tests share is no judge of seconds.
    wrong = [text for text in result.wrong() if "memory" not in text and not text.startswith("backfill succeeded")]
    assert wrong == []
    assert [bar.settled.status for bar in result.part(disturbed=False)] == ["decided"] * 3
    assert len(result.bars) == plan.undisturbed + plan.disturbed
    assert len({bar.end for bar in result.bars}) == len(result.bars)
    assert set(result.faults) == set(FAULTS)
    assert result.backfill == "succeeded"
    assert {"daemon", "code server"} <= set(result.restarts)
    by_fault = {bar.fault: bar.settled for bar in result.bars}
    assert by_fault["disk_full"].reason.startswith("disk full")
    assert by_fault["failing_model"].failed
    assert len(result.closes) == 2
    page = save_soak_report(result, "tiny", 9, "aurora soak", tmp_path / "soak.md").read_text()
    assert "| kill_run |" in page
    assert f"| bars | 3 | {plan.disturbed} |" in page


@pytest.mark.slow
def test_the_bench_measures_every_way_by_part_and_keeps_numbers_and_plot(tiny_home, session, tmp_path):
    run = TickBench(Home(tiny_home), session, tmp_path / "bench", free_port(), print)
    found = {each.name: each for each in run.run(2)}
    assert list(found) == ["computation", "empty run", "arrival sensor", "armed"]
    assert list(found["arrival sensor"].parts) == list(PARTS)
    for name in ("arrival sensor", "armed"):
        each = found[name]
        assert len(each.seconds) == 2
        assert all(value >= 0.0 for values in each.parts.values() for value in values)
        for bar, seconds in enumerate(each.seconds):
            assert sum(values[bar] for values in each.parts.values()) == pytest.approx(seconds, abs=0.1)
    data, plot = save_bench(list(found.values()), run.facts(), tmp_path / "report")
    content = json.loads(data.read_text())
    assert content["families"] == sorted(Home(tiny_home).settings().models.families)
    assert {verdict["what"] for verdict in content["verdicts"]} == {row[0] for row in verdicts(list(found.values()))}
    assert plot.stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium in PATH; .ci/run installs Debian's")
def test_a_replayed_bar_and_its_target_positions_are_seen_in_the_ui_and_photographed(tiny_home, session, tmp_path):
    with replayed_ui(Home(tiny_home), session, tmp_path / "replay", 2, free_port()) as (home, address):
        pages = {
            path: page_text(f"{address}/{path}", tmp_path / "chromium", drawn) for path, _, drawn in PAGES.values()
        }
        picture = tmp_path / "picture.png"
        photograph(f"{address}/assets/target_positions?view=overview", picture, tmp_path / "chromium", (1500, 1100))
    targets = home.lake.read("targets", book="live")
    newest = targets.filter(pl.col("decision_time") == targets["decision_time"].max())
    largest = newest.sort(pl.col("target_weight").abs())["symbol"][-1]
    asset = pages["assets/target_positions?view=overview"]
    assert session.isoformat() in asset
    assert ">nav<" in asset  # the key of the account's metadata; the bare letters are in "navigation" already
    assert largest in asset
    assert pages["runs"].count("bar_arrival") >= 2
    assert 5_000 < picture.stat().st_size < 200_000


def test_a_replay_of_another_market_is_refused(tiny_home, tmp_path):
    other = tmp_path / "other"
    simulate_market(other, preset="small", seed=4, sessions=20, symbols=8)
    done = aurora_here("live", "--replay", other, "--session", "2024-12-18", "--home", tiny_home, check=False)
    assert done.returncode == 2
    assert "holds market" in done.stderr


def test_a_replay_needs_a_session(tiny_home, tiny_market):
    done = aurora_here("live", "--replay", tiny_market, "--home", tiny_home, check=False)
    assert done.returncode == 2
    assert "--session" in done.stderr
