from datetime import UTC, date, datetime

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from aurora_pipeline.cli import app
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


@pytest.mark.parametrize("symbol", ["TRUE", "NAN", "0700", "1E5"])
def test_a_symbol_is_text_whatever_it_looks_like(tmp_path, symbol):
    source = _csv(tmp_path / "bars.csv", f"{symbol},2025-03-10 13:30:00,10,11,9,10,100")
    import_market(source, tmp_path / "market", columns=MAP)
    assert _symbols(tmp_path / "market") == {symbol: "stock"}
    assert _bars(tmp_path / "market").get_column("symbol").to_list() == [symbol]


def test_numbers_that_become_fractions_after_many_rows_and_quoted_blanks_are_read(tmp_path):
    volumes = [*["100"] * 10_001, "100.5"]
    source = tmp_path / "rates.csv"
    rows = [f'"S{k}","2025-03-10 13:30:00","{volume}",""\n' for k, volume in enumerate(volumes)]
    source.write_text("symbol,known_at,eps_actual,eps_estimate\n" + "".join(rows), encoding="utf-8")
    import_market(source, tmp_path / "market", kind="earnings")
    written = pl.read_parquet(tmp_path / "market" / "earnings.parquet")
    assert written.get_column("eps_actual")[-1] == 100.5
    assert written.get_column("eps_estimate").null_count() == written.height


def test_blank_lines_are_no_rows(tmp_path):
    row = "AAA,2025-03-10 13:30:00,10,11,9,10.5,100"
    source = _csv(tmp_path / "bars.csv", row, "", row.replace(":30", ":35"), "", "")
    assert import_market(source, tmp_path / "market", columns=MAP).rows == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEADER.replace(",", ";") + "AAA;2025-03-10 13:30:00;10,5;11;9;10;100\n", "separated by ';'"),
        (HEADER.replace(",", "\t"), "separated by"),
        (
            HEADER + "AAA,2025-03-10 13:30:00,10,11,9,10,100\n" * 2 + "AAA,2025-03-10 13:30:00,10,11,9,10,1,000\n",
            "row 3 has 8",
        ),
        (HEADER + "TOTAL,,,,,,100\n", "row 1, column bar_start: blank"),
        ((HEADER + "AAA,2025-03-10 13:30:00,10,11,9,10,100\n").encode("utf-16"), "UTF-8"),
    ],
)
def test_a_file_of_another_form_says_which(tmp_path, content, words):
    source = tmp_path / "bars.csv"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MarketDataError, match=words) as error:
        import_market(source, tmp_path / "market", columns=MAP)
    assert str(source) in str(error.value)
    assert not (tmp_path / "market").exists() or not list((tmp_path / "market").iterdir())


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
            "row 1, column bar_start: 2025-03-09 02:30:00 does not exist in America/New_York",
        ),
        (
            ["AAA,2025-11-02 01:30:00,10,11,9,10,1"],
            {"time_zone": "America/New_York"},
            "row 1, column bar_start: 2025-11-02 01:30:00 exists twice in America/New_York",
        ),
        (
            ["AAA,2025-13-10 09:30:00,10,11,9,10,100"],
            {},
            "row 1, column bar_start: '2025-13-10 09:30:00' is not a time",
        ),
        (["AAA,2025-03-10,10,11,9,10,100"], {}, "row 1, column bar_start: '2025-03-10' is not a time"),
        (["AAA,2025-03-10 09:30:00,10,11,9,10,100"], {"time_zone": "Mars/X"}, "unknown time zone 'Mars/X'; expected"),
        (
            ["AAA,2025-03-10 09:30:00,10,11,9,10,100"],
            {"frequency": "10min"},
            "--frequency 10min: expected 5min or session",
        ),
        (
            ["AAA,2025-03-10 09:30:00,10,11,9,10,100"],
            {"price_adjustment": "full"},
            "--price-adjustment full: expected none, split or split_dividend",
        ),
        (["AAA,2025-03-10 09:30:00,10,11,9,10,100"], {"calendar": "XMRS"}, "unknown exchange calendar 'XMRS'"),
        (["AAA,2025-03-09 13:30:00,10,11,9,10,100"], {}, "market: none of the days in bars/ is a session of XNYS"),
        ([",2025-03-10 13:30:00,10,11,9,10,100"], {}, "universe.parquet: the market is empty: no symbol"),
        ([], {}, "bars.csv: it has column names and no row"),
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
    assert [path.name for path in tmp_path.iterdir()] == ["bars.csv"]


BAR = "2025-03-10 13:30:00,10,11,9,10.5,100"


def _symbols(target):
    return dict(MarketFolder.open(target).universe().select("symbol", "kind").iter_rows())


def _file(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_time_that_is_not_iso_is_read_only_as_the_format_says(tmp_path):
    source = _csv(tmp_path / "bars.csv", "AAA,06/03/2024 09:35,10,11,9,10.5,100")
    options = {"columns": MAP, "time_zone": "America/New_York"}
    with pytest.raises(MarketDataError, match=r"row 1, column bar_start: '06/03/2024 09:35' is not .*--time-format"):
        import_market(source, tmp_path / "market", **options)
    import_market(source, tmp_path / "market", time_formats=["%m/%d/%Y %H:%M"], **options)
    bars = pl.read_parquet(tmp_path / "market" / "bars" / "2024-06.parquet")
    assert bars.get_column("bar_start").to_list() == [datetime(2024, 6, 3, 13, 35, tzinfo=UTC)]


def test_every_form_of_iso_8601_is_read_as_the_same_moment(tmp_path):
    forms = [
        "2025-03-10T13:30Z",
        "2025-03-10 13:30:00",
        "2025-03-10T13:30:00.000000",
        "2025-03-10 09:30:00-04:00",
        "2025-03-10T09:30-0400",
        "2025-03-10T14:30:00+01",
    ]
    source = _csv(tmp_path / "bars.csv", *(f"S{k},{form},10,11,9,10.5,100" for k, form in enumerate(forms)))
    import_market(source, tmp_path / "market", columns=MAP)
    assert set(_bars(tmp_path / "market").get_column("bar_start")) == {datetime(2025, 3, 10, 13, 30, tzinfo=UTC)}
    assert _bars(tmp_path / "market").height == len(forms)


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        (
            ["%d.%m.%Y %H:%M"],
            "row 1, column bar_start: '06/03/2024 09:35' is not written as --time-format '%d.%m.%Y %H:%M'",
        ),
        (["today"], "--time-format 'today': expected a format such as"),
        (["%m/%d/%Y %H:%M", "%H:%M %m/%d/%Y"], "'%m/%d/%Y %H:%M' was given already"),
    ],
)
def test_a_format_that_does_not_fit_is_refused(tmp_path, formats, message):
    source = _csv(tmp_path / "bars.csv", "AAA,06/03/2024 09:35,10,11,9,10.5,100")
    with pytest.raises(MarketDataError, match=message):
        import_market(source, tmp_path / "market", columns=MAP, time_formats=formats)


def test_days_are_iso_or_as_the_format_says_beside_that_of_the_times(tmp_path):
    target = tmp_path / "market"
    import_market(_csv(tmp_path / "bars.csv", f"AAA,{BAR}"), target, columns=MAP)
    eps = _file(
        tmp_path / "eps.csv", "symbol,known_at,fiscal_period_end,eps_actual\nAAA,06/03/2024 16:05,04/05/2024,1.5\n"
    )
    with pytest.raises(MarketDataError, match="column fiscal_period_end: '04/05/2024' is not a day in ISO 8601"):
        import_market(eps, target, kind="earnings", time_formats=["%m/%d/%Y %H:%M"])
    import_market(eps, target, kind="earnings", time_formats=["%m/%d/%Y %H:%M", "%m/%d/%Y"])
    (row,) = MarketFolder.open(target).read("earnings").iter_rows(named=True)
    assert (row["fiscal_period_end"], row["known_at"]) == (date(2024, 4, 5), datetime(2024, 6, 3, 16, 5, tzinfo=UTC))


def test_parquet_times_are_wall_times_of_the_zone_and_days_are_midnights(tmp_path):
    bar = {"symbol": ["AAA"], "open": [1.0], "high": [2.0], "low": [1.0], "close": [2.0], "volume": [10]}
    wall = pl.Series("bar_start", [datetime(2025, 3, 10, 9, 30)], pl.Datetime("ns"))
    pl.DataFrame(bar).with_columns(wall).write_parquet(tmp_path / "bars.parquet")
    import_market(tmp_path / "bars.parquet", tmp_path / "market", time_zone="America/New_York")
    assert _bars(tmp_path / "market").get_column("bar_start").to_list() == [datetime(2025, 3, 10, 13, 30, tzinfo=UTC)]
    daily = tmp_path / "daily.parquet"
    pl.DataFrame(bar).with_columns(pl.lit(datetime(2025, 3, 10)).alias("session")).write_parquet(daily)
    import_market(daily, tmp_path / "market", kind="daily_bars")
    assert MarketFolder.open(tmp_path / "market").read("daily_bars").get_column("session").to_list() == [
        date(2025, 3, 10)
    ]
    pl.DataFrame(bar).with_columns(pl.lit(datetime(2025, 3, 10, 16)).alias("session")).write_parquet(daily)
    with pytest.raises(MarketDataError, match=r"row 1, column session: .* is not a day"):
        import_market(daily, tmp_path / "market", kind="daily_bars")


def test_a_whole_number_is_no_day_unless_a_format_says_so(tmp_path):
    source = _file(tmp_path / "d.csv", "symbol,session,open,high,low,close,volume\nAAA,20250310,1,2,1,2,10\n")
    options = {"kind": "daily_bars", "frequency": "session"}
    with pytest.raises(MarketDataError, match="column session: '20250310' is not a day in ISO 8601"):
        import_market(source, tmp_path / "market", **options)
    import_market(source, tmp_path / "market", time_formats=["%Y%m%d"], **options)
    assert MarketFolder.open(tmp_path / "market").span == (date(2025, 3, 10), date(2025, 3, 10))


def test_a_failed_first_import_leaves_nothing_that_overrides_the_corrected_one(tmp_path):
    source, target = _csv(tmp_path / "bars.csv", f"AAA,{BAR}"), tmp_path / "deep" / "market"
    wrong = _file(tmp_path / "wrong.csv", "symbol,sector\nAAA,Energy\n")
    with pytest.raises(MarketDataError, match=r"column\(s\) kind missing.*Name its columns symbol, kind .* and sector"):
        import_market(source, target, columns=MAP, benchmark="SPX", universe=wrong)
    assert not target.parent.exists()
    import_market(source, target, columns=MAP, benchmark="SPY")
    assert MarketFolder.open(target).manifest.benchmark == "SPY"
    assert MarketFolder.open(target).manifest.name == "market"


def test_a_failed_later_import_leaves_every_file_as_it_was(tmp_path):
    target = tmp_path / "market"
    import_market(_csv(tmp_path / "a.csv", f"AAA,{BAR}"), target, columns=MAP)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    clash = "symbol,kind,sector\nAAA,stock,Energy\nAAA,stock,Energy\n"
    with pytest.raises(MarketDataError, match=r"market/universe.parquet: symbol AAA.*overlaps"):
        import_market(
            _csv(tmp_path / "b.csv", f"BBB,{BAR}"),
            target,
            columns=MAP,
            universe=_file(tmp_path / "u.csv", clash),
        )
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"benchmark": "QQQ"}, r"--benchmark QQQ: .*market.yaml has benchmark: SPY; leave the option out, or change"),
        ({"frequency": "session"}, "--frequency session: .*has frequency: 5min"),
        ({"price_adjustment": "split"}, "--price-adjustment split: .*has price_adjustment: none"),
        ({"calendar": "XLON"}, "--calendar XLON: .*has calendar: XNYS"),
        ({"sector_etfs": {"Energy": "VDE"}}, "--sector Energy=VDE: .*has sector_etfs.Energy: XLE"),
        ({"sector_etfs": {"Utilities": "XLU"}}, "--sector Utilities=XLU: .*has sector_etfs.Utilities: null"),
    ],
)
def test_an_option_that_differs_from_the_folders_manifest_is_refused(tmp_path, options, message):
    source, target = _csv(tmp_path / "a.csv", f"AAA,{BAR}"), tmp_path / "market"
    same = {"benchmark": "SPY", "sector_etfs": {"Energy": "XLE"}}
    import_market(source, target, columns=MAP, **same)
    import_market(source, target, columns=MAP, frequency="5min", **same)
    with pytest.raises(MarketDataError, match=message):
        import_market(source, target, columns=MAP, **options)


def test_a_blank_symbol_is_no_stock_and_its_rows_are_named(tmp_path):
    source = _csv(tmp_path / "bars.csv", f"AAA,{BAR}", f'"",{BAR}', f'"  ",{BAR}')
    summary = import_market(source, tmp_path / "market", columns=MAP)
    assert summary.symbols == 1
    assert summary.notes == ("2 row(s) without a symbol, which will be refused as null_key",)
    assert _symbols(tmp_path / "market") == {"AAA": "stock"}
    listed = _file(tmp_path / "u.csv", 'symbol,kind,sector\nAAA,stock,Energy\n" ",stock,Energy\n')
    with pytest.raises(MarketDataError, match=r"u.csv: row 2, column symbol: blank"):
        import_market(source, tmp_path / "other", columns=MAP, universe=listed)


def test_a_feed_adds_no_symbol_to_a_universe_and_says_what_it_holds_beyond_it(tmp_path):
    target = tmp_path / "market"
    import_market(_csv(tmp_path / "bars.csv", f"AAA,{BAR}"), target, columns=MAP)
    eps = _file(
        tmp_path / "eps.csv",
        "symbol,known_at,eps_actual\n"
        + "".join(f"{name},2025-03-1{day}T21:00Z,1\n" for name in ("AAA", "ZZZ") for day in (0, 1)),
    )
    summary = import_market(eps, target, kind="earnings")
    assert [note[:52] for note in summary.notes] == ["2 row(s) of 1 symbol(s) that are in no universe, whi"]
    assert "ZZZ" in summary.notes[0]
    assert set(_symbols(target)) == {"AAA"}
    assert MarketFolder.open(target).read("earnings").height == 4


def test_bars_follow_the_universe_file_that_is_given_and_extend_it_where_none_is(tmp_path):
    target = tmp_path / "market"
    listed = _file(tmp_path / "u.csv", "symbol,kind,sector\nAAA,stock,Energy\n")
    bars = _csv(tmp_path / "bars.csv", f"AAA,{BAR}", f"BBB,{BAR}")
    summary = import_market(bars, target, columns=MAP, universe=listed, benchmark="SPY")
    assert _symbols(target) == {"AAA": "stock", "SPY": "etf"}
    assert "1 row(s) of 1 symbol(s) that are in no universe" in summary.notes[0]
    summary = import_market(bars, target, columns=MAP)
    assert _symbols(target) == {"AAA": "stock", "BBB": "stock", "SPY": "etf"}
    assert "1 symbol(s) new to the universe, as stocks of unknown sector" in summary.notes[0]
    summary = import_market(bars, target, columns=MAP, universe=listed)
    assert "1 symbol(s) left the universe: BBB" in summary.notes


def test_daily_bars_may_come_before_the_bars(tmp_path):
    daily = _file(tmp_path / "d.csv", "symbol,session,open,high,low,close,volume\nAAA,2025-03-10,1,2,1,2,10\n")
    import_market(daily, tmp_path / "market", kind="daily_bars")
    import_market(_csv(tmp_path / "bars.csv", f"AAA,{BAR}"), tmp_path / "market", columns=MAP)
    assert MarketFolder.open(tmp_path / "market").feeds == ["daily_bars"]


def test_a_folder_with_daily_bars_only_says_what_it_lacks_and_how_to_do_without(tmp_path):
    daily = _file(tmp_path / "d.csv", "symbol,session,open,high,low,close,volume\nAAA,2025-03-10,1,2,1,2,10\n")
    summary = import_market(daily, tmp_path / "market", kind="daily_bars")
    assert any("--frequency session" in note for note in summary.notes)
    with pytest.raises(MarketDataError, match=r"frequency: session into market\.yaml"):
        MarketFolder.open(tmp_path / "market")
    assert import_market(daily, tmp_path / "other", kind="daily_bars", frequency="session").notes == ()


def test_columns_are_known_by_their_names_whatever_the_case(tmp_path):
    daily = _file(
        tmp_path / "d.csv", "Symbol,SESSION,Open,high,Low,Close,Adj Close,Volume\nAAA,2025-03-10,1,2,1,2,1,10\n"
    )
    import_market(daily, tmp_path / "market", kind="daily_bars", frequency="session")
    found = MarketFolder.open(tmp_path / "market").read("daily_bars")
    assert found.select("symbol", "session", "open", "high", "low", "close").row(0) == (
        "AAA",
        date(2025, 3, 10),
        1,
        2,
        1,
        2,
    )
    import_market(daily, tmp_path / "adjusted", kind="daily_bars", frequency="session", columns={"close": "Adj Close"})
    assert MarketFolder.open(tmp_path / "adjusted").read("daily_bars").get_column("close").to_list() == [1.0]
    twice = _file(tmp_path / "e.csv", "symbol,session,open,high,low,Close,CLOSE,volume\nAAA,2025-03-10,1,2,1,2,1,10\n")
    with pytest.raises(MarketDataError, match=r"column\(s\) close missing"):
        import_market(twice, tmp_path / "twice", kind="daily_bars", frequency="session")


def test_daily_bars_taken_for_bars_are_told_their_kind(tmp_path):
    daily = _file(tmp_path / "d.csv", "symbol,Date,open,high,low,close,volume\nAAA,2025-03-10,1,2,1,2,10\n")
    with pytest.raises(MarketDataError, match="--kind daily_bars"):
        import_market(daily, tmp_path / "market")


def _aurora(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_line_passes_formats_on_and_prints_the_notes(tmp_path):
    source, target = _csv(tmp_path / "bars.csv", "AAA,03/10/2025 09:30,10,11,9,10.5,100"), tmp_path / "market"
    words = [word for ours, theirs in MAP.items() for word in ("--column", f"{ours}={theirs}")]
    words += ["--time-format", "%m/%d/%Y %H:%M", "--time-zone", "America/New_York", "--benchmark", "SPY"]
    listed = _file(tmp_path / "u.csv", "symbol,kind,sector\nBBB,stock,Energy\n")
    done = _aurora("import", source, target, *words, "--universe", listed)
    assert done.exit_code == 0, done.output
    assert "- 1 row(s) of 1 symbol(s) that are in no universe" in done.output
    manifest = yaml.safe_load((target / "market.yaml").read_text(encoding="utf-8"))
    assert (manifest["frequency"], manifest["calendar"], manifest["price_adjustment"]) == ("5min", "XNYS", "none")


def test_check_fails_where_no_bar_can_be_used(tmp_path):
    source, target = _csv(tmp_path / "bars.csv", "AAA,2025-03-10 13:30:00,10,9,11,10.5,100"), tmp_path / "market"
    import_market(source, target, columns=MAP)
    done = _aurora("check", target)
    assert "high_below_low" in done.output
    assert isinstance(done.exception, MarketDataError)
    assert done.exception.exit_code == 2
    assert "no bar is accepted" in str(done.exception)
