"""One behaviour suite run over every feed: each row once, none before it was known, whatever the steps."""

from contextlib import ExitStack
from datetime import date, timedelta

import polars as pl
import pytest

from aurora_pipeline.adapters.feeds import pump
from aurora_pipeline.adapters.feeds.replayer import Replayer
from aurora_pipeline.adapters.inbox import KINDS, Inbox
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline_tests.market.tiny import (
    CALENDAR,
    bar_rows,
    daily_rows,
    feed_rows,
    flat_sessions,
    moment,
    sessions_from,
    universe,
    write_market,
)  # fmt: skip

SESSION = date(2024, 11, 26)
ENDS = CALENDAR.bar_ends(SESSION)


def replayer(path):
    days = sessions_from("2024-11-22", 4)
    late = {
        "symbol": "BBB",
        "bar_start": moment("2024-11-26T15:00"),
        "known_at": moment("2024-11-26T15:12"),
        "volume": 7.0,
    }
    market = write_market(
        path,
        universe("AAA", "BBB"),
        pl.concat([flat_sessions(["AAA", "BBB"], days), bar_rows([late])]),
        daily_bars=daily_rows("AAA", days, [10.0] * 4),
        earnings=feed_rows("earnings", [{"symbol": "AAA", "known_at": moment("2024-11-26T15:02"), "eps_actual": 1.0}]),
    )
    return Replayer(MarketFolder.open(market), SESSION)


class Seen:
    """A feed whose vendor's clock stands at the moment of the poll: what the vendor shows depends on it."""

    def __init__(self, feed, vendor):
        self._feed, self._vendor, self.name = feed, vendor, feed.name

    def poll(self, now):
        self._vendor.now = now
        return self._feed.poll(now)


def alpaca_market(stack):
    """Two stocks and a bar of BBB that the vendor has only twelve minutes after its end; a dividend of the day."""
    pytest.importorskip("alpaca", reason="alpaca-py is not installed")
    from aurora_pipeline_tests.adapters.vendors.alpaca_server import AlpacaMarket

    rows = flat_sessions(["AAA", "BBB"], sessions_from("2024-11-25", 2))
    late = (pl.col("symbol") == "BBB") & (pl.col("bar_start") == moment("2024-11-26T15:00"))
    ends = pl.col("bar_start") + timedelta(minutes=5)
    seen = pl.when(late).then(ends + timedelta(minutes=12)).otherwise(ends)
    market = AlpacaMarket(rows.with_columns(seen.alias("seen_from")), rows_per_page=100)
    day = {"process_date": "2024-12-10", "ex_date": SESSION.isoformat()}
    market.actions = {"cash_dividends": [{"symbol": "AAA", "rate": 0.1} | day]}
    return stack.enter_context(market.running())


def alpaca_bars(path, stack):
    from aurora_pipeline.adapters.feeds.alpaca import AlpacaBars

    market = alpaca_market(stack)
    feed = AlpacaBars(market.data(), ["AAA", "BBB"], CALENDAR, CALENDAR.close(date(2024, 11, 25)), wait=timedelta(0))
    return Seen(feed, market)


def alpaca_actions(path, stack):
    from aurora_pipeline.adapters.feeds.vendors import actions_feed

    market = alpaca_market(stack)
    return Seen(actions_feed(market.data(), ["AAA", "BBB"]), market)


def filings(path, stack):
    """A filing that is accepted in the middle of the session, and older ones."""
    from aurora_pipeline.adapters.feeds.vendors import filings_feed
    from aurora_pipeline_tests.adapters.vendors.edgar_server import STAMPS, EdgarSite, fact, facts_of

    rows = [
        fact("2024-04-01", "2024-06-30", 1.0, "q1", "2024-08-01"),
        fact("2024-07-01", "2024-09-30", 2.0, "q2", "2024-11-26"),
    ]
    stamps = STAMPS | {"q1": "2024-08-01T20:30:00.000Z", "q2": "2024-11-26T16:07:00.000Z"}
    site = stack.enter_context(EdgarSite({"AAA": facts_of(Revenues=rows)}, stamps).running())
    return Seen(filings_feed(site.edgar(), ["AAA"]), site)


def short_interest(path, stack):
    from aurora_pipeline.adapters.feeds.vendors import short_interest_feed
    from aurora_pipeline_tests.adapters.vendors.finra_server import FinraSite, record

    site = stack.enter_context(FinraSite([record("AAA", "2024-10-31", 5), record("AAA", "2024-11-15", 6)]).running())
    return Seen(short_interest_feed(site.finra(), ["AAA"]), site)


FEEDS = {
    "replayer": lambda path, stack: replayer(path),
    "alpaca bars": alpaca_bars,
    "alpaca actions": alpaca_actions,
    "edgar": filings,
    "finra": short_interest,
}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Builds a feed by name, as often as asked; servers end with the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ExitStack() as stack:
        yield lambda name, folder="market": FEEDS[name](tmp_path / folder, stack)


@pytest.fixture(params=sorted(FEEDS))
def name(request):
    return request.param


@pytest.fixture
def feed(make, name):
    return make(name)


def told(feed, moments):
    rows = {}
    closed = []
    for now in moments:
        delivery = feed.poll(now)
        closed += delivery.closed
        for kind, frame in delivery.rows.items():
            rows.setdefault(kind, []).append(frame.with_columns(pl.lit(now).alias("_told")))
    return {kind: pl.concat(frames) for kind, frames in rows.items()}, closed


def test_every_row_once_and_none_before_it_was_known(feed):
    rows, _ = told(feed, ENDS)
    assert rows
    for kind, frame in rows.items():
        assert set(KINDS[kind].columns) <= set(frame.columns)
        content = frame.drop("_told")
        assert content.unique().height == content.height
        known = pl.col("known_at").is_null() | (pl.col("known_at") <= pl.col("_told"))
        assert frame.filter(~known).is_empty(), kind
    if "bars" in rows:
        ended = rows["bars"].filter(pl.col("bar_start") + timedelta(minutes=5) > pl.col("_told"))
        assert ended.is_empty()


def test_larger_steps_tell_the_same_rows(feed, make, name):
    other = make(name, "again")
    fine, fine_closed = told(feed, ENDS)
    coarse, coarse_closed = told(other, [ENDS[10], ENDS[-1]])
    assert fine_closed == coarse_closed == (ENDS if "bars" in fine else [])
    assert set(fine) == set(coarse)
    for kind in fine:
        columns = list(KINDS[kind].columns)
        assert fine[kind].select(columns).sort(columns).equals(coarse[kind].select(columns).sort(columns))


def test_asking_again_or_for_an_earlier_moment_tells_nothing(feed):
    feed.poll(ENDS[3])
    for now in (ENDS[3], ENDS[1]):
        delivery = feed.poll(now)
        assert delivery.rows == {}
        assert delivery.closed == ()


def test_the_pump_drops_bars_after_feeds_and_marks_last(tmp_path):
    inbox = Inbox(tmp_path / "inbox")
    count = pump([replayer(tmp_path / "market")], inbox, ENDS[7])
    kinds = [file.kind for file in inbox.pending()]
    assert kinds == ["earnings", "bars"]
    assert count == 2 * 8 + 1
    assert inbox.closed_bars() == set(ENDS[:8])


def test_the_replayer_tells_late_versions_and_feed_rows_when_they_became_known(tmp_path):
    rows, _ = told(replayer(tmp_path), ENDS)
    late = rows["bars"].filter(pl.col("volume") == 7.0)
    assert late["_told"].to_list() == [moment("2024-11-26T15:15")]
    assert rows["earnings"]["_told"].to_list() == [moment("2024-11-26T15:05")]
    assert rows["daily_bars"]["_told"].to_list() == [ENDS[-1]]


def test_a_session_the_market_does_not_have_cannot_be_replayed(tmp_path):
    replayer(tmp_path)
    with pytest.raises(MarketDataError, match="no bar of session 2024-12-03"):
        Replayer(MarketFolder.open(tmp_path), date(2024, 12, 3))
