from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.inspection import inspect_market
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.settings import Settings
from aurora_pipeline_tests.market.tiny import (
    CALENDAR,
    daily_rows,
    feed_rows,
    flat_sessions,
    moment,
    sessions_from,
    universe,
    write_market,
)

MARKETS = Path(__file__).resolve().parents[3] / "shared" / "markets"


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    directory = tmp_path_factory.mktemp("markets") / "tiny"
    simulate_market(directory, preset="small", seed=2, sessions=8, symbols=16)
    return directory


def test_a_sound_market_has_every_simulated_feed_and_nothing_refused(market):
    report = inspect_market(MarketFolder.open(market), Settings())
    assert (report.sessions, report.stocks, report.refused_share) == (8, 16, 0.0)
    assert {feed.name: feed.status for feed in report.feeds} == dict.fromkeys(
        ["daily_bars", "corporate_actions", "earnings", "fundamentals", "short_interest", "etf_flows", "options"],
        "present",
    ) | {"borrow": "missing"}
    assert report.refusals == []
    assert len(report.eligible) == 8


def test_a_missing_and_a_stopped_feed_are_named_with_their_cost(market, tmp_path):
    copy = tmp_path / "market"
    copy.mkdir()
    for path in market.rglob("*.parquet"):
        target = copy / path.relative_to(market)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    (copy / "market.yaml").write_text((market / "market.yaml").read_text())
    (copy / "earnings.parquet").unlink()
    options = pl.read_parquet(copy / "options.parquet")
    early = options.filter(pl.col("date") < date(2024, 6, 1))
    (early if early.height else options.head(5)).write_parquet(copy / "options.parquet")
    report = {feed.name: feed for feed in inspect_market(MarketFolder.open(copy), Settings()).feeds}
    assert report["earnings"].status == "missing"
    assert "earnings-surprise" in report["earnings"].cost
    assert report["options"].status == "stops"
    assert "skew" in report["options"].cost


@pytest.mark.parametrize("shift", [timedelta(0), timedelta(days=2)])
def test_a_known_at_filled_in_from_the_day_of_its_event_is_named(tmp_path, shift):
    days = sessions_from("2025-03-03", 3)
    known = [moment(f"{day}T00:00:00") + shift for day in days]
    row = {"symbol": "AAA", "known_at": known[0], "eps_actual": 1.0, "fiscal_period_end": days[0]}
    options = [
        {"symbol": "AAA", "known_at": at, "date": day, "iv_30d": 0.3} for at, day in zip(known, days, strict=True)
    ]
    path = write_market(
        tmp_path / "m",
        universe("AAA"),
        flat_sessions(["AAA"], days),
        earnings=feed_rows("earnings", [row]),
        options=feed_rows("options", options),
    )
    notes = [note for note in inspect_market(MarketFolder.open(path), Settings()).notes if "filled in" in note]
    found = ["1 of 1 rows of earnings", "3 of 3 rows of options"] if not shift else []
    assert [note.split(" have")[0] for note in notes] == found


def test_refused_daily_bars_count_where_they_decide(tmp_path):
    days = sessions_from("2025-03-03", 4)
    daily = daily_rows("AAA", days, [10.0] * 4)
    broken = daily.with_columns(pl.when(pl.col("session") == days[1]).then(-1.0).otherwise("low").alias("low"))
    path = write_market(tmp_path / "m", universe("AAA"), daily_bars=broken, manifest={"frequency": "session"})
    assert inspect_market(MarketFolder.open(path), Settings()).refused_share == 0.25


def test_refused_rows_are_counted_by_reason_with_one_example_per_symbol(market, tmp_path):
    copy = tmp_path / "market"
    (copy / "bars").mkdir(parents=True)
    for path in market.rglob("*"):
        if path.is_file() and path.parent.name != "bars":
            (copy / path.name).write_bytes(path.read_bytes())
    for path in (market / "bars").glob("*.parquet"):
        bars = pl.read_parquet(path)
        broken = pl.int_range(pl.len()) < 3
        bars.with_columns(pl.when(broken).then(-1.0).otherwise(pl.col("low")).alias("low")).write_parquet(
            copy / "bars" / path.name
        )
    report = inspect_market(MarketFolder.open(copy), Settings())
    (refusal,) = report.refusals
    assert refusal.source == "bars"
    assert refusal.rows == 3 * len(list((market / "bars").glob("*.parquet")))
    assert refusal.examples
    assert report.refused_share > 0


@pytest.mark.skipif(not MARKETS.is_dir(), reason=f"real markets are not at {MARKETS.name}/ beside the repository")
def test_the_dirty_week_is_found():
    report = inspect_market(MarketFolder.open(MARKETS / "dirty-5min-2026"), Settings())
    assert {refusal.reason for refusal in report.refusals if refusal.source == "bars"} >= {"close_off_daily"}


def notes(folder, settings=None):
    return inspect_market(MarketFolder.open(folder), settings or Settings()).notes


def test_a_named_benchmark_and_a_sector_fund_without_bars_are_told(tmp_path):
    listed = universe("AAA", "SPY", "XLE", kind=["stock", "etf", "etf"])
    manifest = {"benchmark": "SPY", "sector_etfs": {"Energy": "XLE"}}
    sessions = sessions_from("2025-03-10", 2)
    told = notes(write_market(tmp_path / "without", listed, flat_sessions(["AAA"], sessions), manifest=manifest))
    assert any(note.startswith("the benchmark SPY has no bars") for note in told)
    assert "sectors whose ETF has no bars, measured against their peers: Energy (XLE)" in told
    bars = flat_sessions(["AAA", "SPY", "XLE"], sessions)
    told = notes(write_market(tmp_path / "with", listed, bars, manifest=manifest))
    assert not [note for note in told if "no bars" in note]


@pytest.mark.parametrize(("minutes", "told"), [(0, False), (15, True)])
def test_daily_bars_that_come_after_the_decision_are_told(tmp_path, minutes, told):
    days = sessions_from("2025-03-03", 4)
    known = pl.Series([CALENDAR.close(day) + timedelta(minutes=minutes) for day in days], dtype=TIMESTAMP)
    daily = daily_rows("AAA", days, [10.0] * 4).with_columns(known.alias("known_at"))
    folder = write_market(tmp_path, universe("AAA"), manifest={"frequency": "session"}, daily_bars=daily)
    notes = inspect_market(MarketFolder.open(folder), Settings()).notes
    assert any("100 % of the daily bars have a known_at after" in note for note in notes) is told


def test_a_market_read_in_the_wrong_zone_is_told_where_to_look(tmp_path):
    bars = flat_sessions(["AAA"], sessions_from("2025-03-10", 2))
    early = bars.with_columns(pl.col("bar_start") - timedelta(hours=4))
    (told,) = [
        note for note in notes(write_market(tmp_path / "early", universe("AAA"), early)) if "--time-zone" in note
    ]
    assert told.startswith("62 % of the bar rows")
    assert "--bar-label" in told
    assert not [
        note for note in notes(write_market(tmp_path / "sound", universe("AAA"), bars)) if "--time-zone" in note
    ]


def test_sessions_with_an_eligible_stock_begin_after_the_sound_ones_it_needs(tmp_path):
    sessions = sessions_from("2025-03-10", 24)
    folder = write_market(tmp_path / "market", universe("AAA", "BBB"), flat_sessions(["AAA", "BBB"], sessions))
    found = inspect_market(MarketFolder.open(folder), Settings())
    assert found.eligible == frozenset(sessions[20:])
