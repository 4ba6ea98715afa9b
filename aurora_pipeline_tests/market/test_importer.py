from datetime import UTC, datetime

import polars as pl
import pytest

from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.importer import import_market

HEADER = "ticker,time,o,h,l,c,v\n"
MAP = {"symbol": "ticker", "bar_start": "time", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


def _csv(path, *rows):
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def _bars(target):
    return MarketFolder.open(target).read_bars([datetime(2025, 3, 10, tzinfo=UTC).date()])


def test_end_labelled_local_bars_become_utc_bar_starts(tmp_path):
    source = _csv(
        tmp_path / "bars.csv", "AAA,2025-03-10 09:35:00,10,11,9,10.5,100", "AAA,2025-03-10 09:40:00,10,11,9,10,50"
    )
    target = tmp_path / "market"
    summary = import_market(source, target, columns=MAP, time_zone="America/New_York", bar_label="end")
    assert (summary.rows, summary.symbols) == (2, 1)
    assert _bars(target).get_column("bar_start").to_list() == [
        datetime(2025, 3, 10, 13, 30, tzinfo=UTC),
        datetime(2025, 3, 10, 13, 35, tzinfo=UTC),
    ]


def test_times_with_their_own_offset_keep_it(tmp_path):
    source = _csv(tmp_path / "bars.csv", "AAA,2025-03-10T09:30:00-04:00,10,11,9,10.5,100")
    import_market(source, tmp_path / "market", columns=MAP, time_zone="Asia/Tokyo")
    assert _bars(tmp_path / "market").get_column("bar_start").to_list() == [datetime(2025, 3, 10, 13, 30, tzinfo=UTC)]


def test_a_second_file_extends_the_folder_and_repeats_add_nothing(tmp_path):
    target = tmp_path / "market"
    first = _csv(tmp_path / "a.csv", "AAA,2025-03-10 13:30:00,10,11,9,10.5,100")
    second = _csv(tmp_path / "b.csv", "AAA,2025-03-10 13:30:00,10,11,9,10.5,100", "BBB,2025-03-10 13:30:00,5,6,4,5,10")
    import_market(first, target, columns=MAP, benchmark="SPY", sector_etfs={"Energy": "XLE"})
    import_market(second, target, columns=MAP)
    assert sorted(_bars(target).get_column("symbol")) == ["AAA", "BBB"]
    universe = MarketFolder.open(target).universe()
    assert dict(universe.select("symbol", "kind").iter_rows()) == {
        "AAA": "stock",
        "BBB": "stock",
        "SPY": "etf",
        "XLE": "etf",
    }


def test_daily_bars_make_a_market_of_frequency_session(tmp_path):
    source = tmp_path / "daily.parquet"
    frame = {
        "symbol": ["AAA"],
        "session": ["2025-03-10"],
        "open": [1],
        "high": [2],
        "low": [1],
        "close": [2],
        "volume": [10],
    }
    pl.DataFrame(frame).write_parquet(source)
    import_market(source, tmp_path / "market", kind="daily_bars", frequency="session")
    assert MarketFolder.open(tmp_path / "market").manifest.frequency == "session"


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (["AAA,2025-03-10 09:30:00,ten,11,9,10,100"], {}, r"row 1, column open: 'ten'"),
        (
            ["AAA,2025-03-09 02:30:00,10,11,9,10,1"],
            {"time_zone": "America/New_York"},
            "row 1, column bar_start.*exists twice",
        ),
        (["AAA,2025-03-10 09:30:00,10,11,9,10,100"], {"time_zone": "Mars/Base"}, "--time-zone Mars/Base"),
        (["AAA,2025-03-10 09:30:00,10,11,9,10,100"], {"bar_label": "middle"}, "--bar-label middle"),
        (["AAA,2025-03-10 09:30:00,10,11,9,10,100"], {"kind": "ticks"}, "--kind ticks: expected one of bars"),
        (
            ["AAA,2025-03-10 09:30:00,10,11,9,10,100"],
            {"columns": {"symbol": "name"}},
            "no column 'name'; it has ticker",
        ),
        (["AAA,2025-03-10 09:30:00,10,11,9,10,100"], {"columns": {}}, "missing; it has ticker"),
    ],
)
def test_what_cannot_be_read_names_file_column_and_row(tmp_path, rows, options, message):
    with pytest.raises(MarketDataError, match=message):
        import_market(_csv(tmp_path / "bars.csv", *rows), tmp_path / "market", **({"columns": MAP} | options))
