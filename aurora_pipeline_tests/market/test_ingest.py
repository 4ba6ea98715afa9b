from datetime import timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aurora_pipeline.contracts import FEED_TABLES, empty, validated
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.ingest import (
    LOOKBACK_SESSIONS,
    BarTables,
    bar_time_violations,
    grid_violations,
    ingest_bars,
    ingest_feeds,
    known_before_event,
    stored_feeds,
)
from aurora_pipeline.settings import Settings
from aurora_pipeline_tests.market.tiny import (
    bar_rows,
    daily_rows,
    feed_rows,
    flat_sessions,
    moment,
    sessions_from,
    universe,
    write_market,
)

SETTINGS = Settings()
NAMES = ("universe", "bars", "session_bars", "quarantine", "data_quality")
DAYS = sessions_from("2025-03-03", 32)


def ingest(folder, sessions, block=40):
    """Ingest in blocks, as the asset does; every table in one frame, checked against its contract."""
    feeds = ingest_feeds(folder, SETTINGS)
    recent = empty("bars")
    made: list[BarTables] = []
    for start in range(0, len(sessions), block):
        part = sessions[start : start + block]
        tables = ingest_bars(folder.read_bars(part), part, feeds, folder.manifest, folder.calendar, recent, SETTINGS)
        made.append(tables)
        first = folder.calendar.shift(part[-1], 1 - LOOKBACK_SESSIONS)
        recent = pl.concat([recent, tables.bars]).filter(pl.col("session") >= first)
    return {name: validated(name, pl.concat([getattr(each, name) for each in made])) for name in NAMES}


def scaled(bars, symbol, since, factor):
    hit = (pl.col("symbol") == symbol) & (pl.col("bar_start") >= since)
    return bars.with_columns(
        pl.when(hit).then(pl.col(name) * factor).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )


def faulty_market(tmp_path):
    """BAD breaks its level without a daily bar; CON is another symbol's for a session; SPK has one spike; REN is renamed."""
    symbols = universe(
        "BAD", "CON", "SPK", "OLD", "REN", valid_from=[None] * 4 + [DAYS[20]], valid_to=[None] * 3 + [DAYS[20], None]
    )
    bars = pl.concat(
        [
            flat_sessions(["BAD", "CON", "SPK"], DAYS),
            flat_sessions(["OLD"], DAYS[:20]),
            flat_sessions(["REN"], DAYS[20:]),
        ]
    )
    bars = scaled(bars, "BAD", moment(f"{DAYS[27]} 13:30"), 0.5)
    bars = scaled(bars, "CON", moment(f"{DAYS[28]} 13:30"), 1.2)
    bars = scaled(bars, "CON", moment(f"{DAYS[29]} 13:30"), 1 / 1.2)
    spike = (pl.col("symbol") == "SPK") & (pl.col("bar_start") == moment(f"{DAYS[29]} 15:00"))
    bars = bars.with_columns(pl.when(spike).then(pl.col("high") * 1.5).otherwise("high").alias("high"))
    late = {"bar_start": moment(f"{DAYS[26]} 15:00"), "known_at": moment(f"{DAYS[27]} 12:00"), "volume": 500.0}
    bars = pl.concat([bars, bar_rows([{"symbol": "SPK", **late}])])
    daily = pl.concat([daily_rows(symbol, DAYS, [10.01] * len(DAYS)) for symbol in ("CON", "SPK")])
    actions = feed_rows(
        "corporate_actions",
        [
            {
                "symbol": "OLD",
                "ex_date": DAYS[20],
                "kind": "rename",
                "new_symbol": "REN",
                "known_at": moment(f"{DAYS[10]} 20:00"),
            }
        ],
    )
    return MarketFolder.open(write_market(tmp_path / "m", symbols, bars, daily_bars=daily, corporate_actions=actions))


def test_a_faulty_market(tmp_path):
    folder = faulty_market(tmp_path)
    made = ingest(folder, DAYS)
    found = made["quarantine"].group_by("symbol", "reason").agg(pl.len().alias("rows"), pl.col("known_at").min())
    close = folder.calendar.close
    assert {row[:3] for row in found.select("symbol", "reason", "rows").iter_rows()} == {
        ("BAD", "unexplained_split", 5 * 78),
        ("CON", "close_off_daily", 78),
        ("SPK", "spike_off_daily", 1),
    }
    verdicts = dict(found.select("symbol", "known_at").iter_rows())
    assert verdicts["CON"] == close(DAYS[28])
    assert verdicts["SPK"] == close(DAYS[29])
    assert verdicts["BAD"] == moment(f"{DAYS[27]} 13:35"), "judged at sight: no daily bar will vouch for it"
    bars = made["bars"]
    assert bars.filter((pl.col("symbol") == "BAD") & (pl.col("session") >= DAYS[27])).is_empty()
    withdrawn = bars.filter(pl.col("quarantined_at").is_not_null())
    assert withdrawn.height == 79, "what the daily bar contradicts stays until its verdict"
    assert bars.filter(pl.col("symbol") == "REN")["instrument_id"].unique().to_list() == ["OLD"]
    versions = made["session_bars"].filter((pl.col("symbol") == "SPK") & (pl.col("session") == DAYS[26]))
    assert versions["volume"].to_list() == [7800.0, 8200.0]
    assert grid_violations(made["data_quality"], SETTINGS).is_empty()
    assert bar_time_violations(bars).is_empty()


def test_a_rename_keeps_its_history(tmp_path):
    made = ingest(faulty_market(tmp_path), DAYS)["universe"]
    renamed = made.filter((pl.col("instrument_id") == "OLD") & pl.col("eligible"))
    assert renamed["session"].to_list() == DAYS[20:], "20 sessions as OLD make REN eligible at once"


def test_a_renamed_symbol_listed_without_dates_joins_its_instrument_in_bars_as_in_feeds(tmp_path):
    bars = pl.concat([flat_sessions(["OLD"], DAYS[:20]), flat_sessions(["REN"], DAYS[20:])])
    daily = pl.concat([daily_rows("OLD", DAYS[:20], [10.01] * 20), daily_rows("REN", DAYS[20:], [10.01] * 12)])
    rename = {"symbol": "OLD", "ex_date": DAYS[20], "kind": "rename", "new_symbol": "REN"}
    actions = feed_rows("corporate_actions", [rename | {"known_at": moment(f"{DAYS[10]} 20:00")}])
    path = write_market(tmp_path / "m", universe("OLD", "REN"), bars, daily_bars=daily, corporate_actions=actions)
    folder = MarketFolder.open(path)
    made = ingest(folder, DAYS)
    assert set(made["bars"]["instrument_id"]) == {"OLD"}
    assert set(ingest_feeds(folder, SETTINGS)["daily_bars"]["instrument_id"]) == {"OLD"}
    eligible = made["universe"].filter((pl.col("session") == DAYS[20]) & pl.col("eligible"))
    assert eligible.select("symbol", "instrument_id").rows() == [("REN", "OLD")]


@pytest.mark.parametrize("block", [1, 5])
def test_a_session_does_not_depend_on_the_others_in_the_call(tmp_path, block):
    folder = faulty_market(tmp_path)
    whole, parts = ingest(folder, DAYS), ingest(folder, DAYS, block)
    for name in NAMES:
        assert_frame_equal(whole[name], parts[name], check_exact=True)


@pytest.mark.parametrize("block", [1, 3])
def test_neither_do_verdicts_that_follow_from_each_other(tmp_path, block):
    """A spike in a session's last bar, a split both feeds lack, and a level that breaks after a withdrawn session."""
    bars = flat_sessions(["SPK", "LAC", "WIT"], DAYS)
    last = (pl.col("symbol") == "SPK") & (pl.col("bar_start") == moment(f"{DAYS[24]} 19:55"))
    bars = bars.with_columns(pl.when(last).then(pl.col("high") * 2.0).otherwise("high").alias("high"))
    bars = scaled(bars, "LAC", moment(f"{DAYS[22]} 13:30"), 0.5)
    bars = scaled(bars, "WIT", moment(f"{DAYS[25]} 13:30"), 1.3)
    bars = scaled(bars, "WIT", moment(f"{DAYS[26]} 13:30"), 0.5 / 1.3)
    halved = [10.01 if day < DAYS[22] else 5.005 for day in DAYS]
    daily = pl.concat(
        [
            daily_rows("SPK", DAYS, [10.01] * 32),
            daily_rows("LAC", DAYS, halved),
            daily_rows("WIT", DAYS[:26], [10.01] * 26),
        ]
    )
    symbols = universe("SPK", "LAC", "WIT")
    folder = MarketFolder.open(write_market(tmp_path / "m", symbols, bars, daily_bars=daily))
    whole, parts = ingest(folder, DAYS), ingest(folder, DAYS, block)
    assert set(whole["quarantine"]["reason"]) == {"spike_off_daily", "unexplained_split", "close_off_daily"}
    for name in NAMES:
        assert_frame_equal(whole[name], parts[name], check_exact=True)


def test_later_data_changes_no_earlier_session(tmp_path):
    folder = faulty_market(tmp_path)
    whole = ingest(folder, DAYS)
    for count in (21, 28, 30):
        part = ingest(folder, DAYS[:count])
        for name in NAMES:
            assert_frame_equal(part[name], whole[name].filter(pl.col("session") < DAYS[count]), check_exact=True)


def test_a_jump_the_daily_bar_confirms_is_genuine(tmp_path):
    bars = scaled(flat_sessions(["AAA"], DAYS), "AAA", moment(f"{DAYS[27]} 13:30"), 0.52)
    noisy = [10.01 if day < DAYS[27] else 5.2052 for day in DAYS]
    daily = daily_rows("AAA", DAYS, noisy).with_columns(
        pl.when(pl.col("session") == DAYS[27]).then(9.0).otherwise("open").alias("open"),
        pl.when(pl.col("session") == DAYS[27]).then(9.2).otherwise("high").alias("high"),
    )
    made = ingest(MarketFolder.open(write_market(tmp_path / "m", universe("AAA"), bars, daily_bars=daily)), DAYS)
    assert made["quarantine"].is_empty()


def test_a_split_missing_in_daily_and_intraday_bars_alike(tmp_path):
    bars = scaled(flat_sessions(["AAA"], DAYS), "AAA", moment(f"{DAYS[27]} 13:30"), 0.5)
    daily = daily_rows("AAA", DAYS, [10.01 if day < DAYS[27] else 5.005 for day in DAYS])
    folder = MarketFolder.open(write_market(tmp_path / "m", universe("AAA"), bars, daily_bars=daily))
    assert ingest_feeds(folder, SETTINGS).quarantine["session"].to_list() == DAYS[27:]
    made = ingest(folder, DAYS)
    awaited = made["bars"].filter(pl.col("session") == DAYS[27])
    assert awaited["quarantined_at"].unique().to_list() == [folder.calendar.open(DAYS[28])]
    assert made["bars"].filter(pl.col("session") > DAYS[27]).is_empty()


def test_frequency_session(tmp_path):
    daily = pl.concat([daily_rows("AAA", DAYS, [100.0] * 27 + [10.0] * 5), daily_rows("BBB", DAYS, [100.0] * 32)])
    path = write_market(tmp_path / "m", universe("AAA", "BBB"), manifest={"frequency": "session"}, daily_bars=daily)
    folder = MarketFolder.open(path)
    made = ingest(folder, DAYS)
    assert made["bars"].filter(pl.col("symbol") == "AAA")["session"].to_list() == DAYS[:27]
    first = made["bars"].row(0, named=True)
    assert (first["bar_start"], first["bar_end"]) == (folder.calendar.open(DAYS[0]), folder.calendar.close(DAYS[0]))
    assert made["quarantine"].is_empty(), "the refused rows are in the feed's quarantine"
    assert made["data_quality"]["quarantined_bars"].sum() == 5
    assert grid_violations(made["data_quality"], SETTINGS).is_empty()
    assert made["session_bars"].drop("quarantined_at").height == made["bars"].height
    assert made["universe"].filter("eligible")["session"].unique().sort().to_list() == DAYS[20:]
    parts = ingest(folder, DAYS, 7)
    for name in NAMES:
        assert_frame_equal(made[name], parts[name], check_exact=True)


def test_stored_feeds_are_the_same(tmp_path):
    folder = faulty_market(tmp_path)
    feeds = ingest_feeds(folder, SETTINGS)
    stored = stored_feeds(folder, {name: validated(name, feeds[name]) for name in FEED_TABLES})
    assert_frame_equal(stored.intervals, feeds.intervals)
    day = DAYS[:1]
    first, second = (
        ingest_bars(
            folder.read_bars(day), day, each, folder.manifest, folder.calendar, empty("bars"), SETTINGS
        ).universe
        for each in (feeds, stored)
    )
    assert_frame_equal(first, second)


def test_known_before_event_sees_what_validation_would_have_missed(tmp_path):
    feeds = ingest_feeds(faulty_market(tmp_path), SETTINGS)
    assert known_before_event(feeds).is_empty()
    feeds.tables["daily_bars"] = feeds["daily_bars"].with_columns(pl.col("known_at") - timedelta(minutes=1))
    assert known_before_event(feeds).height == feeds["daily_bars"].height


def test_a_session_still_going_on_expects_only_its_bars_so_far(tmp_path):
    folder = faulty_market(tmp_path)
    until = moment(f"{DAYS[0]} 15:00")
    raw = folder.read_bars(DAYS[:1]).filter(pl.col("bar_start") < until)
    feeds = ingest_feeds(folder, SETTINGS)
    made = ingest_bars(raw, DAYS[:1], feeds, folder.manifest, folder.calendar, empty("bars"), SETTINGS, until)
    assert made.data_quality["missing_bars"].sum() == 0
    whole = ingest(folder, DAYS[:1])["bars"].filter(pl.col("bar_end") <= until)
    assert_frame_equal(validated("bars", made.bars), whole, check_exact=True)


def test_lending_rates_are_a_feed_and_no_rate_is_a_fact(tmp_path):
    known = moment("2025-03-03T12:00")
    rows = [
        {"symbol": "AAA", "known_at": known, "rate": 0.004},
        {"symbol": "BBB", "known_at": known, "rate": None},
        {"symbol": "AAA", "known_at": known + timedelta(days=1), "rate": -0.1},
    ]
    bars = flat_sessions(["AAA", "BBB"], DAYS[:2])
    path = write_market(tmp_path, universe("AAA", "BBB"), bars, borrow=feed_rows("borrow", rows))
    feeds = ingest_feeds(MarketFolder.open(path), SETTINGS)
    assert feeds["borrow"].select("symbol", "instrument_id", "rate").rows() == [
        ("AAA", "AAA", 0.004),
        ("BBB", "BBB", None),
    ]
    validated("borrow", feeds["borrow"])
    assert feeds.quarantine.get_column("reason").to_list() == ["negative_rate"]
