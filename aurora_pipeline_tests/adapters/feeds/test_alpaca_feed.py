"""Live bars: a vendor that is down mid-session, late trades, half-days, a restart."""

import time
from datetime import date, timedelta

import polars as pl
import pytest

pytest.importorskip("alpaca", reason="alpaca-py is not installed")

from aurora_pipeline.adapters.clock import Clock
from aurora_pipeline.adapters.feeds import Delivery
from aurora_pipeline.adapters.feeds.alpaca import AlpacaBars
from aurora_pipeline.adapters.feeds.vendors import vendor_feeds
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.inbox import Inbox
from aurora_pipeline.errors import MarketDataError, SettingsError, VendorDownError, VendorKeyError
from aurora_pipeline.live.alerting import kept_alerts
from aurora_pipeline.live.feed_pump import run_pump
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline_tests.adapters.vendors.alpaca_server import KEYS, AlpacaMarket
from aurora_pipeline_tests.adapters.vendors.loopback import Fault, Reply
from aurora_pipeline_tests.market.tiny import CALENDAR, bar_rows, flat_sessions, universe, write_market

DAY, HALF = date(2024, 11, 27), date(2024, 11, 29)
ENDS = CALENDAR.bar_ends(DAY)
SECOND = timedelta(seconds=1)
DOWN = Reply(503, b"")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def market():
    with AlpacaMarket(flat_sessions(["AAA", "BBB"], [DAY, HALF]), rows_per_page=500).running() as running:
        yield running


def bars_of(market, since=None, **options):
    return AlpacaBars(market.data(), ["AAA", "BBB"], CALENDAR, since or CALENDAR.open(DAY), **options)


def poll(feed, market, now):
    market.now = now
    return feed.poll(now)


def test_a_running_bar_is_not_told_and_an_ended_one_is_asked_for_once(market):
    feed = bars_of(market)
    assert poll(feed, market, ENDS[0] - SECOND).rows == {}
    assert market.asked == []
    delivery = poll(feed, market, ENDS[0])
    assert (delivery.rows["bars"].height, delivery.closed) == (2, (ENDS[0],))
    asked = len(market.asked)
    for seconds in (1, 20, 59):
        poll(feed, market, ENDS[0] + seconds * SECOND)
    assert len(market.asked) == asked


def test_a_symbol_that_is_late_keeps_its_bar_open_for_a_while(market):
    bbb = (pl.col("symbol") == "BBB") & (pl.col("bar_start") == CALENDAR.open(DAY))
    market.bars = market.bars.with_columns(
        pl.when(bbb).then(ENDS[0] + 4 * SECOND).otherwise("seen_from").alias("seen_from")
    )
    feed = bars_of(market)
    first = poll(feed, market, ENDS[0])
    assert (first.rows["bars"]["symbol"].to_list(), first.closed) == (["AAA"], ())
    second = poll(feed, market, ENDS[0] + 5 * SECOND)
    assert (second.rows["bars"]["symbol"].to_list(), second.closed) == (["BBB"], (ENDS[0],))


def test_a_symbol_that_does_not_trade_does_not_keep_its_bar_open_for_ever(market):
    market.bars = market.bars.filter(pl.col("symbol") == "AAA")
    feed = bars_of(market)
    assert poll(feed, market, ENDS[0]).closed == ()
    assert poll(feed, market, ENDS[0] + 15 * SECOND).closed == (ENDS[0],)


def test_a_late_correction_is_told_a_minute_later_also_of_the_last_bar(market):
    last = {"symbol": "AAA", "bar_start": ENDS[-1] - timedelta(minutes=5), "volume": 101.0}
    market.bars = pl.concat([market.bars, bar_rows([last]).with_columns(seen_from=ENDS[-1] + 30 * SECOND)])
    feed = bars_of(market)
    poll(feed, market, ENDS[-1])
    assert poll(feed, market, ENDS[-1] + 45 * SECOND).rows == {}
    (row,) = poll(feed, market, ENDS[-1] + 61 * SECOND).rows["bars"].iter_rows(named=True)
    assert (row["symbol"], row["volume"], row["known_at"]) == ("AAA", 101.0, None)
    asked = len(market.asked)
    assert poll(feed, market, ENDS[-1] + 600 * SECOND).rows == {}
    assert len(market.asked) == asked


def test_a_vendor_that_is_down_mid_session_loses_nothing(market):
    feed = bars_of(market)
    told = [poll(feed, market, end).rows["bars"] for end in ENDS[:10]]
    for end in ENDS[10:30]:
        market.faults += [Fault(DOWN)] * 3
        with pytest.raises(VendorDownError):
            poll(feed, market, end)
    back = poll(feed, market, ENDS[30] + 20 * SECOND)
    assert list(back.closed) == ENDS[10:31]
    rows = pl.concat([*told, back.rows["bars"]])
    assert rows.height == rows.unique().height == 2 * 31


def test_a_half_day_closes_early_and_the_next_session_follows_a_holiday(market):
    feed = bars_of(market, since=CALENDAR.close(DAY))
    delivery = poll(feed, market, CALENDAR.close(HALF) + timedelta(hours=3))
    assert list(delivery.closed) == CALENDAR.bar_ends(HALF)
    assert delivery.rows["bars"].height == 2 * 42


def test_a_restarted_feed_tells_from_the_open_again(market):
    poll(bars_of(market), market, ENDS[5])
    assert poll(bars_of(market), market, ENDS[6]).rows["bars"].height == 2 * 7


class Moving(Clock):
    def __init__(self, moments):
        self.moments = list(moments)

    def now(self):
        return self.moments[0]


def test_the_pump_tells_of_a_pause_goes_on_with_the_others_and_tells_when_it_is_over(market, tmp_path):
    class Other:
        name = "other"
        polled = 0

        def poll(self, now):
            self.polled += 1
            return Delivery()

    home, other, clock = Home(tmp_path), Other(), Moving(ENDS[:3])
    market.now = ENDS[2]
    market.faults += [Fault(DOWN)] * 3
    rounds = iter([True] * 4 + [False])
    run_pump(home, [bars_of(market), other], clock, running=lambda: next(rounds), sleep=lambda _: time.sleep(0.55))
    assert other.polled == 4
    assert [row["key"] for row in kept_alerts(home)] == ["feed:Alpaca, iex", "feed:Alpaca, iex:back"]
    assert "after 3 tries" in kept_alerts(home)[0]["text"]
    assert KEYS.secret not in str(kept_alerts(home))
    inbox = Inbox(tmp_path / "inbox")
    assert inbox.closed_bars() == {ENDS[0]}
    assert inbox.read(inbox.pending()[0]).height == 2


def test_keys_that_expire_mid_session_are_critical(market, tmp_path):
    market.now = ENDS[0]
    market.faults.append(Fault(Reply(403, b"Forbidden")))
    rounds = iter([True, False])
    run_pump(Home(tmp_path), [bars_of(market)], Moving(ENDS), running=lambda: next(rounds), sleep=lambda _: None)
    (alert,) = kept_alerts(Home(tmp_path))
    assert alert["severity"] == "critical"
    assert "wrong, expired" in alert["text"]


def test_the_feeds_of_a_home_ask_for_its_symbols_on_its_tape(market, tmp_path, monkeypatch):
    from aurora_pipeline.workflows.fetch import fetch_alpaca

    write_market(tmp_path / "m", universe("AAA", "BBB"), flat_sessions(["AAA"], [DAY]))
    fetch_alpaca(tmp_path / "m", market.data(), ["AAA"], DAY, DAY, CALENDAR, CALENDAR.open(HALF))
    folder = MarketFolder.open(tmp_path / "m")
    monkeypatch.delenv("APCA_API_KEY_ID", raising=False)
    with pytest.raises(VendorKeyError, match="APCA_API_KEY_ID"):
        vendor_feeds("alpaca", folder, ENDS[0])
    monkeypatch.setenv("APCA_API_KEY_ID", KEYS.key)
    monkeypatch.setenv("APCA_API_SECRET_KEY", KEYS.secret)
    assert [feed.name for feed in vendor_feeds("alpaca", folder, ENDS[0])] == [
        "Alpaca, corporate actions",
        "Alpaca, iex",
    ]
    with pytest.raises(MarketDataError, match="holds rows of alpaca-iex, not alpaca-sip"):
        vendor_feeds("alpaca", folder, ENDS[0], "sip")
    monkeypatch.setenv("EDGAR_USER_AGENT", "Ann ann@example.com")
    assert [feed.name for name in ("edgar", "finra") for feed in vendor_feeds(name, folder, ENDS[0])] == [
        "EDGAR, company facts",
        "FINRA, short interest",
    ]
    with pytest.raises(SettingsError, match="expected alpaca, edgar, finra"):
        vendor_feeds("yahoo", folder, ENDS[0])
