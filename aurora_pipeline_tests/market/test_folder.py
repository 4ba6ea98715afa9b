from datetime import date, timedelta

import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.folder import MarketFolder
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

DAYS = sessions_from("2025-03-03", 3)


def sound(path, **changes):
    return write_market(path / "m", universe("AAA"), flat_sessions(["AAA"], DAYS), **changes)


def test_reads_span_feeds_and_raw_rows(tmp_path):
    folder = MarketFolder.open(sound(tmp_path, daily_bars=daily_rows("AAA", DAYS, [10.0, 10.0, 10.0])))
    assert folder.span == (DAYS[0], DAYS[-1])
    assert folder.feeds == ["daily_bars"]
    assert folder.manifest.decoys == []
    assert folder.read_bars(DAYS[:2]).height == 2 * 78
    assert folder.read("earnings").is_empty()
    assert folder.read_truth() is None
    assert not folder.synthetic


def test_a_market_is_synthetic_by_its_truth_or_by_its_notes(tmp_path):
    path = sound(tmp_path)
    (path / "truth.parquet").touch()
    assert MarketFolder.open(path).synthetic
    (path / "truth.parquet").unlink()
    file = path / "market.yaml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("notes:")]
    file.write_text("\n".join([*lines, "notes: 'SYNTHETIC: made by hand'"]))
    assert MarketFolder.open(path).synthetic


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: (path / "market.yaml").unlink(), ["market.yaml", "missing"]),
        (lambda path: (path / "universe.parquet").unlink(), ["universe.parquet", "missing"]),
        (lambda path: (path / "bars" / "all.parquet").unlink(), ["bars/"]),
        (lambda path: (path / "bars" / "all.parquet").write_bytes(b"no parquet"), ["all.parquet", "Parquet"]),
        (lambda path: (path / "market.yaml").write_text("name: x\nextra: 1\n"), ["market.yaml", "extra", "calendar"]),
        (lambda path: (path / "market.yaml").write_text("- a\n"), ["market.yaml", "mapping"]),
        (lambda path: universe("AAA").clear().write_parquet(path / "universe.parquet"), ["universe.parquet", "empty"]),
        (lambda path: bar_rows([]).write_parquet(path / "bars" / "all.parquet"), ["empty"]),
    ],
)
def test_unusable_folder_is_one_clear_error(tmp_path, spoil, words):
    path = sound(tmp_path)
    spoil(path)
    with pytest.raises(MarketDataError) as error:
        MarketFolder.open(path)
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    ("key", "entry", "words"),
    [
        ("not_point_in_time", "earnings.eps_actuals", "of earnings these are: eps_estimate, eps_actual, known_at"),
        ("not_point_in_time", "earning.eps_actual", "expected feed.column of earnings, fundamentals"),
        ("not_point_in_time", "daily_bars.volume", "price_adjustment"),
        ("not_point_in_time", "earnings", "of earnings these are"),
        ("not_point_in_time", "earnings.symbol", "no column that can be kept out"),
        ("not_point_in_time", "bars.vwap", None),
        ("rebased_for_later_splits", "short_interest.shares_short", "list it under not_point_in_time"),
        ("not_point_in_time", "short_interest.shares_short", None),
        ("not_point_in_time", "earnings.analysts", None),
        ("rebased_for_later_splits", "earnings.analysts", None),
        ("rebased_for_later_splits", "earnings.eps_actual", None),
    ],
)
def test_a_column_that_is_declared_unusable_must_exist(tmp_path, key, entry, words):
    row = {"symbol": "AAA", "known_at": moment("2025-03-04 21:00")}
    earnings = feed_rows("earnings", [row]).with_columns(analysts=pl.lit(3))
    path = sound(tmp_path, earnings=earnings, manifest={key: [entry]})
    if words is None:
        MarketFolder.open(path)
    else:
        with pytest.raises(MarketDataError, match=words):
            MarketFolder.open(path)


def test_a_folder_is_read_whatever_characters_its_name_has(tmp_path):
    sound(tmp_path / "of 1")
    path = write_market(tmp_path / "of [1]" / "m", universe("BBB"), flat_sessions(["BBB"], DAYS))
    folder = MarketFolder.open(path)
    assert folder.universe()["symbol"].to_list() == folder.read_bars(DAYS)["symbol"].unique().to_list() == ["BBB"]


@pytest.mark.parametrize(("unit", "edge"), [(10**18, date(9999, 12, 30)), (-(10**17), date(1, 1, 2))])
def test_moments_beyond_the_years_of_python_are_moved_to_the_edge(tmp_path, unit, edge):
    bars = flat_sessions(["AAA"], DAYS)
    far = pl.lit(unit).cast(TIMESTAMP)
    stray = bars.head(1).with_columns(far.alias("bar_start"))
    late = bars.head(1).with_columns(far.alias("known_at"))
    listed = universe("AAA").with_columns(far.cast(pl.Date).alias("valid_to" if unit > 0 else "valid_from"))
    folder = MarketFolder.open(write_market(tmp_path / "m", listed, pl.concat([bars, stray, late])))
    assert folder.span == (DAYS[0], DAYS[-1])
    raw = folder.read_bars(DAYS)
    assert raw.height == bars.height + 2
    assert edge in raw["bar_start"].dt.date().to_list()
    assert edge in raw["known_at"].dt.date().to_list()
    assert len(folder.content_hash("bars/2025-03")) == 64


def test_a_file_with_damaged_content_is_named(tmp_path):
    path = sound(tmp_path, earnings=feed_rows("earnings", [{"symbol": "AAA", "known_at": moment("2025-03-04 21:00")}]))
    file = path / "earnings.parquet"
    content = bytearray(file.read_bytes())
    content[4:60] = bytes(56)
    file.write_bytes(content)
    folder = MarketFolder.open(path)
    with pytest.raises(MarketDataError, match=r"earnings\.parquet: not readable as Parquet"):
        folder.read("earnings")


def test_missing_folder(tmp_path):
    with pytest.raises(MarketDataError, match="no such folder"):
        MarketFolder.open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (pl.col("bar_start").dt.replace_time_zone(None), ["bar_start", "time zone"]),
        (pl.col("close").cast(pl.String), ["close", "String"]),
        (pl.col("bar_start").cast(pl.Int64), ["bar_start", "Int64"]),
    ],
)
def test_wrong_types_name_file_and_column(tmp_path, change, words):
    path = write_market(tmp_path / "m", universe("AAA"), flat_sessions(["AAA"], DAYS).with_columns(change))
    with pytest.raises(MarketDataError) as error:
        MarketFolder.open(path)
    assert all(word in str(error.value) for word in ["all.parquet", *words])


def test_missing_required_column(tmp_path):
    path = write_market(tmp_path / "m", universe("AAA"), flat_sessions(["AAA"], DAYS).drop("low"))
    with pytest.raises(MarketDataError, match="low"):
        MarketFolder.open(path)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (universe("AAA", kind=["bond"]), ["AAA", "bond"]),
        (universe("AAA", "AAA"), ["AAA", "overlaps"]),
        (universe("AAA", valid_from=[date(2025, 1, 2)], valid_to=[date(2025, 1, 2)]), ["AAA", "empty"]),
    ],
)
def test_faulty_universe(tmp_path, rows, words):
    path = write_market(tmp_path / "m", rows, flat_sessions(["AAA"], DAYS))
    with pytest.raises(MarketDataError) as error:
        MarketFolder.open(path)
    assert all(word in str(error.value) for word in words)


def test_absent_optional_columns_are_null_and_types_cast(tmp_path):
    bars = flat_sessions(["AAA"], DAYS).drop("vwap", "trade_count", "known_at")
    bars = bars.with_columns(
        pl.col("volume").cast(pl.Int32), pl.col("bar_start").dt.convert_time_zone("America/New_York")
    )
    flows = feed_rows(
        "etf_flows", [{"symbol": "AAA", "date": DAYS[0], "known_at": moment("2025-03-03 23:00"), "nav": float("nan")}]
    )
    path = write_market(tmp_path / "m", universe("AAA"), bars, etf_flows=flows.with_columns(net_flow_usd=float("nan")))
    folder = MarketFolder.open(path)
    read = folder.read_bars(DAYS)
    assert read.schema["volume"] == pl.Float64
    assert read.schema["bar_start"] == TIMESTAMP
    assert read["vwap"].null_count() == read.height
    flow = folder.read("etf_flows").row(0, named=True)
    assert flow["nav"] is None
    assert flow["net_flow_usd"] != flow["net_flow_usd"], "NaN in a required column is left for the validation"


def test_every_row_is_read_exactly_once_strays_included(tmp_path):
    strays = bar_rows(
        [
            {"bar_start": moment("1999-01-04 15:00")},
            {"bar_start": moment("2025-03-03 23:00")},
            {"bar_start": moment("2025-03-08 15:00")},
            {"bar_start": moment("2031-01-06 15:00")},
            {"bar_start": None},
        ]
    )
    bars = pl.concat([flat_sessions(["AAA"], DAYS), strays])
    folder = MarketFolder.open(write_market(tmp_path / "m", universe("AAA"), bars))
    assert folder.span == (DAYS[0], DAYS[-1]), "one row in 1999 and one in 2031 do not widen the market"
    single = pl.concat([folder.read_bars([day]) for day in DAYS])
    assert single.height == bars.height
    assert folder.read_bars(DAYS).height == bars.height


def test_frequency_session_reads_daily_bars(tmp_path):
    days = sessions_from("2025-03-03", 4)
    path = write_market(
        tmp_path / "m",
        universe("AAA"),
        manifest={"frequency": "session"},
        daily_bars=daily_rows("AAA", days, [10.0, 11.0, 12.0, 13.0]),
    )
    folder = MarketFolder.open(path)
    bars = folder.read_bars(days[1:3])
    assert bars["close"].to_list() == [11.0, 12.0]
    assert bars["bar_start"].to_list() == [folder.calendar.open(day) for day in days[1:3]]
    assert folder.content_hash("bars/2025-03") == folder.content_hash("daily_bars")


def test_content_hash_follows_the_month_and_the_file(tmp_path):
    days = sessions_from("2025-03-28", 4)
    path = write_market(tmp_path / "m", universe("AAA"), flat_sessions(["AAA"], days[:2]))
    flat_sessions(["AAA"], days[2:]).write_parquet(path / "bars" / "later.parquet")
    folder = MarketFolder.open(path)
    march, april = folder.content_hash("bars/2025-03"), folder.content_hash("bars/2025-04")
    assert march != april
    changed = flat_sessions(["AAA"], [*days[2:], days[-1] + timedelta(days=1)])
    changed.write_parquet(path / "bars" / "later.parquet")
    assert folder.content_hash("bars/2025-03") == march
    assert folder.content_hash("bars/2025-04") != april
