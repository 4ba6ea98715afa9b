"""From vendors on loopback into a market folder that checks, goes on where it broke off, and runs."""

from __future__ import annotations

import logging
from datetime import date

import polars as pl
import pytest
from typer.testing import CliRunner

pytest.importorskip("alpaca", reason="alpaca-py is not installed")

from aurora_pipeline.adapters.progress import listening
from aurora_pipeline.cli import app
from aurora_pipeline.commands import fetch_commands
from aurora_pipeline.errors import AuroraError, MarketDataError, VendorDownError, VendorKeyError
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.folder_growth import extend_universe, started_folder
from aurora_pipeline.workflows.fetch import fetch_alpaca, fetch_edgar, fetch_finra
from aurora_pipeline_tests.adapters.vendors.alpaca_server import KEYS, AlpacaMarket
from aurora_pipeline_tests.adapters.vendors.edgar_server import STAMPS, YEAR, EdgarSite
from aurora_pipeline_tests.adapters.vendors.finra_server import FinraSite, record
from aurora_pipeline_tests.adapters.vendors.loopback import Fault, Reply
from aurora_pipeline_tests.market.tiny import CALENDAR, bar_rows, flat_sessions, moment

SESSIONS = CALENDAR.sessions(date(2024, 11, 25), date(2024, 12, 2))
SPAN = (SESSIONS[0], SESSIONS[-1])
NOW = moment("2024-12-03T12:00")
SYMBOLS = ["AAA", "BBB"]
SPLIT = {"symbol": "AAA", "new_rate": 2, "old_rate": 1, "process_date": "2024-11-29", "ex_date": "2024-11-29"}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def market():
    split = [flat_sessions(["AAA"], SESSIONS[:3]), flat_sessions(["AAA"], SESSIONS[3:], price=5.0, moves=(0.0, 0.005))]
    with AlpacaMarket(pl.concat([*split, flat_sessions(["BBB"], SESSIONS)]), rows_per_page=100).running() as running:
        running.actions = {"forward_splits": [SPLIT]}
        yield running


@pytest.fixture
def folder(tmp_path):
    target = tmp_path / "market"
    manifest = started_folder(
        target,
        frequency="5min",
        calendar="XNYS",
        benchmark=None,
        sector_etfs={},
        price_adjustment="none",
        notes="made by a test",
    )
    extend_universe(target, SYMBOLS, manifest)
    return target


def fetch(market, folder, symbols=SYMBOLS, now=NOW, span=SPAN, tape="iex", **options):
    return fetch_alpaca(folder, market.data(tape), symbols, *span, CALENDAR, now, **options)


def bars(folder):
    return MarketFolder.open(folder).read_bars(SESSIONS).sort("symbol", "bar_start", "known_at", nulls_last=False)


def asked_bars(market):
    return sum(request.path.endswith("bars") for request in market.asked)


def test_a_folder_has_every_bar_with_half_days_and_actions(market, folder):
    told = []
    with listening(lambda *report: told.append(report)):
        found = fetch(market, folder)
    assert found.rows == {"bars": 2 * (4 * 78 + 42), "corporate_actions": 1}
    assert (found.silent, found.waiting, found.left_out) == ([], [], {})
    assert told[-1] == ("bars, iex", 5, 5)
    opened = MarketFolder.open(folder)
    assert opened.span == SPAN
    assert bars(folder)["known_at"].null_count() == found.rows["bars"]
    assert opened.read("corporate_actions")["known_at"].to_list() == [moment("2024-11-29T05:00")]


def test_a_download_goes_on_where_it_broke_off_and_equals_one_in_one_go(market, folder, tmp_path):
    fetch(market, folder)
    whole = {path.name: path.read_bytes() for path in sorted((folder / "bars").iterdir())}
    pages = asked_bars(market)
    other = tmp_path / "other"
    fetched = 0
    market.asked.clear()
    for _ in range(len(SESSIONS)):
        served = asked_bars(market)
        answer = market.answer

        def dying(request, served=served, answer=answer):
            return answer(request) if asked_bars(market) <= served + 3 else Reply(503, b"")

        market.answer = dying
        try:
            fetched += fetch(market, other).rows["bars"]
        except VendorDownError:
            continue
        finally:
            market.answer = answer
    fetch(market, other)
    assert {path.name: path.read_bytes() for path in sorted((other / "bars").iterdir())} == whole
    assert asked_bars(market) < 3 * pages


def test_a_second_call_asks_for_no_bar_and_a_longer_one_only_for_what_is_new(market, folder):
    fetch(market, folder, span=(SESSIONS[0], SESSIONS[2]))
    market.asked.clear()
    assert fetch(market, folder, span=(SESSIONS[0], SESSIONS[2])).rows["bars"] == 0
    assert asked_bars(market) == 0
    assert fetch(market, folder).rows["bars"] == 2 * (42 + 78)
    market.bars = pl.concat([market.bars, flat_sessions(["CCC"], SESSIONS).with_columns(seen_from=NOW)], how="diagonal")
    assert fetch(market, folder, [*SYMBOLS, "CCC"]).rows["bars"] == 4 * 78 + 42
    assert bars(folder)["known_at"].null_count() == bars(folder).height


def test_a_late_correction_and_a_late_bar_become_known_when_they_are_seen(market, folder):
    gap = moment("2024-11-26T15:00")
    market.bars = market.bars.filter((pl.col("symbol") != "BBB") | (pl.col("bar_start") != gap))
    fetch(market, folder)
    fixed = {"symbol": "AAA", "bar_start": gap, "close": 10.005}
    late = {"symbol": "BBB", "bar_start": gap}
    rows = bar_rows([fixed, late]).with_columns(seen_from=NOW)
    market.bars = pl.concat([market.bars, rows])
    assert fetch(market, folder).rows["bars"] == 0
    seen = moment("2024-12-04T12:00")
    assert fetch(market, folder, now=seen, again=True).rows["bars"] == 2
    versions = bars(folder).filter(bar_start=gap).select("symbol", "close", "known_at").rows()
    assert [(symbol, known) for symbol, _, known in versions] == [("AAA", None), ("AAA", seen), ("BBB", seen)]
    before = [path.read_bytes() for path in sorted((folder / "bars").iterdir())]
    assert fetch(market, folder, again=True).rows["bars"] == 0
    assert [path.read_bytes() for path in sorted((folder / "bars").iterdir())] == before


def test_an_empty_day_is_kept_as_empty_and_not_asked_again(market, folder):
    market.bars = market.bars.filter(pl.col("bar_start").dt.date() != SESSIONS[1])
    fetch(market, folder)
    market.asked.clear()
    fetch(market, folder)
    assert asked_bars(market) == 0
    assert bars(folder).height == 2 * (3 * 78 + 42)
    assert MarketFolder.open(folder).span == SPAN


def test_a_session_that_is_not_over_is_left_for_later(market, folder):
    running = CALENDAR.close(SESSIONS[-1])
    found = fetch(market, folder, now=running)
    assert found.waiting == [SESSIONS[-1]]
    assert bars(folder).height == 2 * (3 * 78 + 42)
    assert fetch(market, folder).rows["bars"] == 2 * 78


def test_symbols_without_a_row_are_named(market, folder):
    assert fetch(market, folder, [*SYMBOLS, "NONE"]).silent == ["NONE"]


def test_the_tapes_are_told_apart(market, folder):
    fetch(market, folder)
    with pytest.raises(MarketDataError, match="holds rows of alpaca-iex, not alpaca-sip"):
        fetch(market, folder, tape="sip")


def test_days_without_a_session_are_refused(market, folder):
    with pytest.raises(MarketDataError, match="no session of XNYS from 2024-11-30 to 2024-12-01"):
        fetch(market, folder, span=(date(2024, 11, 30), date(2024, 12, 1)))


def test_filings_and_short_interest_join_the_folder_and_resume(folder):
    with EdgarSite({"AAA": YEAR}, STAMPS).running() as site:
        found = fetch_edgar(folder, site.edgar(), SYMBOLS, *SPAN, NOW)
        assert (found.rows, found.silent) == ({"fundamentals": 5}, ["BBB"])
        site.asked.clear()
        assert fetch_edgar(folder, site.edgar(), SYMBOLS, *SPAN, NOW).rows == {"fundamentals": 0}
        assert site.asked == []
        site.faults += [Fault(Reply(500, b""), path="companyfacts")] * 3
        with pytest.raises(VendorDownError):
            fetch_edgar(folder, site.edgar(), SYMBOLS, *SPAN, NOW, again=True)
    with FinraSite([record(name, "2024-10-15", 5) for name in SYMBOLS]).running() as site:
        assert fetch_finra(folder, site.finra(), SYMBOLS, *SPAN, NOW).rows == {"short_interest": 2}
        assert fetch_finra(folder, site.finra(), SYMBOLS, *SPAN, NOW).rows == {"short_interest": 0}
        assert len(site.asked) == 1


def test_a_revised_short_position_counts_from_when_it_is_seen(folder):
    with FinraSite([record("AAA", "2024-10-15", 5)]).running() as site:
        fetch_finra(folder, site.finra(), ["AAA"], *SPAN, NOW)
        site.records = [record("AAA", "2024-10-15", 6, revisionFlag="R")]
        seen = moment("2024-12-05T12:00")
        fetch_finra(folder, site.finra(), ["AAA"], *SPAN, seen, again=True)
    rows = pl.read_parquet(folder / "short_interest.parquet").sort("known_at")
    assert rows.select("shares_short", "known_at").rows() == [(5.0, moment("2024-10-26T04:00")), (6.0, seen)]


def run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def command(market, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_commands, "_vendor", lambda feed, tape: market.data(tape))
    (tmp_path / "symbols.txt").write_text("AAA\nBBB\n")

    def call(*more):
        span = ("--from", "2024-11-25", "--to", "2024-12-02")
        return run("fetch", "alpaca", "--out", tmp_path / "made", *span, *more)

    return call


def test_the_command_makes_a_folder_that_checks(command, market, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    market.bars = pl.concat([market.bars, flat_sessions(["SPY", "XLE"], SESSIONS).with_columns(seen_from=NOW)])
    symbols = ("--symbols", f"@{tmp_path / 'symbols.txt'}")
    done = command(*symbols, "--benchmark", "SPY", "--sector", "Energy=XLE")
    assert done.exit_code == 0, done.output
    assert "1416 new rows of bars, 1 new rows of corporate_actions" in done.output
    checked = run("check", tmp_path / "made")
    assert checked.exit_code == 0, checked.output
    assert "1416 bars accepted, 0 absent" in checked.output, checked.output
    assert "a few per cent of the consolidated volume" in MarketFolder.open(tmp_path / "made").manifest.notes
    universe = pl.read_parquet(tmp_path / "made" / "universe.parquet")
    assert universe.filter(kind="etf")["symbol"].to_list() == ["SPY", "XLE"]
    assert KEYS.secret not in caplog.text + done.output
    again = command()  # symbols of the folder
    assert "0 new rows of bars" in again.output


def test_a_fetch_that_is_refused_leaves_no_folder_and_another_benchmark_is_named(command, tmp_path):
    (tmp_path / "wrong.csv").write_text("ticker,sector\nAAA,Energy\n")
    refused = command("--symbols", "AAA", "--universe", tmp_path / "wrong.csv")
    assert "symbol" in str(refused.exception)
    assert not (tmp_path / "made").exists()
    assert command("--symbols", "AAA").exit_code == 0
    assert "--benchmark QQQ" in str(command("--symbols", "AAA", "--benchmark", "QQQ").exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["fetch", "yahoo", "--out", "x", "--from", "2024-11-25", "--to", "2024-12-02"],
            "expected alpaca, edgar, finra",
        ),
        (["fetch", "alpaca", "--out", "x", "--from", "2024-12-03", "--to", "2024-12-02"], "lies before --from"),
        (
            ["fetch", "alpaca", "--out", "x", "--from", "2024-12-01", "--to", "2024-12-02", "--tape", "otc"],
            "iex or sip",
        ),
    ],
)
def test_what_cannot_be_asked_for_is_named(arguments, message):
    done = run(*arguments)
    assert isinstance(done.exception, AuroraError)
    assert message in str(done.exception)


def test_without_keys_nothing_is_made(tmp_path, monkeypatch):
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "EDGAR_USER_AGENT"):
        monkeypatch.delenv(name, raising=False)
    for feed in ("alpaca", "edgar"):
        span = ("--from", "2024-11-25", "--to", "2024-12-02", "--symbols", "AAA")
        assert isinstance(run("fetch", feed, "--out", tmp_path / "made", *span).exception, VendorKeyError)
    assert not (tmp_path / "made").exists()


def test_without_symbols_there_is_nothing_to_ask(command):
    done = command()
    assert isinstance(done.exception, MarketDataError)
    assert "name them with --symbols" in str(done.exception)
