"""One behaviour suite run over every feed: each row once, none before it was known, whatever the steps."""

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


FEEDS = {"replayer": replayer}


@pytest.fixture(params=sorted(FEEDS))
def feed(request, tmp_path):
    return FEEDS[request.param](tmp_path / "market")


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
    for kind, frame in rows.items():
        assert set(KINDS[kind].columns) <= set(frame.columns)
        content = frame.drop("_told")
        assert content.unique().height == content.height
        known = pl.col("known_at").is_null() | (pl.col("known_at") <= pl.col("_told"))
        assert frame.filter(~known).is_empty(), kind
    ended = rows["bars"].filter(pl.col("bar_start") + timedelta(minutes=5) > pl.col("_told"))
    assert ended.is_empty()


def test_larger_steps_tell_the_same_rows(feed, tmp_path):
    other = replayer(tmp_path / "again")
    fine, fine_closed = told(feed, ENDS)
    coarse, coarse_closed = told(other, [ENDS[10], ENDS[-1]])
    assert fine_closed == coarse_closed == ENDS
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


def test_the_pump_drops_bars_after_feeds_and_marks_last(feed, tmp_path):
    inbox = Inbox(tmp_path / "inbox")
    count = pump([feed], inbox, ENDS[7])
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
