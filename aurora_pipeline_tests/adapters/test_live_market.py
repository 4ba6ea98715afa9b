"""From the inbox into the market: whole files, bad files, files before their time, rows of other sessions."""

from datetime import date, timedelta

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.adapters.inbox import READINGS, Inbox
from aurora_pipeline.adapters.live_market import LiveMarket, adopt_market, live_folder
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

TODAY, YESTERDAY = date(2024, 11, 26), date(2024, 11, 25)
SKEW = timedelta(seconds=5)


@pytest.fixture
def market(tmp_path):
    days = sessions_from("2024-11-21", 4)
    source = write_market(
        tmp_path / "source",
        universe("AAA", "BBB"),
        flat_sessions(["AAA", "BBB"], days),
        daily_bars=daily_rows("AAA", days, [10.0] * 4),
        earnings=feed_rows("earnings", [{"symbol": "AAA", "known_at": moment("2024-11-26T16:00"), "eps_actual": 1.0}]),
    )
    home = Home(tmp_path / "home")
    adopt_market(MarketFolder.open(source), live_folder(home), before=CALENDAR.open(TODAY))
    home.record_market(
        MarketRecord(name="tiny", directory=live_folder(home), first_session=days[0], last_session=TODAY, live=True)
    )
    return LiveMarket(Home(home.path))


def bars(*clocks, day=TODAY, **values):
    return bar_rows([{"symbol": "AAA", "bar_start": moment(f"{day}T{clock}"), **values} for clock in clocks])


def take(market, clock, decided=None):
    at = None if decided is None else moment(f"{TODAY}T{decided}")
    return market.take(TODAY, moment(f"{TODAY}T{clock}"), at, SKEW)


def test_a_cut_market_holds_nothing_that_was_not_known_before(market):
    folder = MarketFolder.open(market.folder)
    assert folder.span[1] == YESTERDAY
    assert folder.read("earnings").is_empty()
    assert folder.read("daily_bars")["session"].max() == YESTERDAY


def test_bars_go_into_the_file_of_their_session_and_leave_the_inbox(market):
    market.inbox.drop("bars", bars("14:30"))
    market.inbox.drop("bars", bars("14:35"))
    found = take(market, "14:40")
    assert found.bars == 2
    assert not market.inbox.pending()
    assert market.session_bars(TODAY)["bar_start"].to_list() == bars("14:30", "14:35")["bar_start"].to_list()
    assert MarketFolder.open(market.folder).read_bars([TODAY]).height == 2


def test_a_repeated_file_adds_nothing(market):
    market.inbox.drop("bars", bars("14:30"))
    take(market, "14:35")
    market.inbox.drop("bars", bars("14:30"))
    found = take(market, "14:36")
    assert (found.bars, found.repeated) == (0, 1)
    assert market.session_bars(TODAY).height == 1


def test_a_late_bar_and_a_correction_are_stamped_with_their_arrival(market):
    market.inbox.drop("bars", bars("14:30"))
    take(market, "14:35")
    market.inbox.drop("bars", pl.concat([bars("14:30", close=10.2), bars("14:35")]))
    take(market, "14:47", decided="14:45")
    assert market.session_bars(TODAY)["known_at"].to_list() == [None, *[moment(f"{TODAY}T14:47")] * 2]


def test_a_correction_of_yesterday_lies_with_yesterday_and_counts_from_its_arrival(market):
    market.inbox.drop("bars", bars("15:00", day=YESTERDAY, close=10.3, high=11.0))
    take(market, "14:47", decided="14:45")
    assert market.changed() == {YESTERDAY.isoformat()}
    market.followed(market.changed())
    assert market.changed() == set()
    (row,) = market.session_bars(YESTERDAY).to_dicts()
    assert row["known_at"] == moment(f"{TODAY}T14:47")
    assert market.session_bars(TODAY).is_empty()


def test_a_repetition_of_what_the_market_came_with_is_seen(market):
    rows = MarketFolder.open(market.folder).read_bars([YESTERDAY]).head(3)
    market.inbox.drop("bars", rows)
    assert take(market, "14:47").repeated == 3


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("bars-1.parquet", b"PAR1 but truncated", "not readable as Parquet"),
        ("bars-1.parquet", b"", "not readable as Parquet"),
        ("notes.txt", b"hello", "expected a name such as"),
        ("bars-1.csv", b"symbol", "expected a name such as"),
    ],
)
def test_a_file_that_cannot_be_read_is_put_aside_with_its_reason(market, name, content, reason):
    market.inbox.drop("bars", bars("14:30"))
    (market.inbox.folder / name).write_bytes(content)
    found = take(market, "14:35")
    assert found.bars == 1
    assert reason in found.refused[name]
    assert reason in (market.inbox.refused / f"{name}.reason").read_text()
    assert (market.inbox.refused / name).read_bytes() == content


def test_a_file_without_a_required_column_is_put_aside(market):
    market.inbox.drop("bars", bars("14:30").drop("close"))
    (reason,) = take(market, "14:35").refused.values()
    assert "column(s) close missing" in reason


def test_a_bar_ahead_of_the_clock_waits_and_one_far_ahead_is_refused(market):
    market.inbox.drop("bars", bars("14:30"))
    assert take(market, "14:34").held
    assert take(market, "14:35").bars == 1
    market.inbox.drop("bars", bars("19:30"))
    (reason,) = take(market, "14:36").refused.values()
    assert "ahead of the clock" in reason


@pytest.mark.parametrize("clock", ["14:32", "14:35", "19:30"], ids=["off the grid", "still forming", "far ahead"])
def test_a_bar_ahead_of_the_clock_does_not_hold_back_the_others_of_its_file(market, clock):
    rows = pl.concat([bars("14:30"), bars("14:30", close=float("nan")), bars(clock)])
    market.inbox.drop("bars", rows)
    found = take(market, "14:35")
    assert found.bars == 2
    assert market.session_bars(TODAY)["bar_start"].unique().to_list() == bars("14:30")["bar_start"].to_list()
    far = clock == "19:30"
    assert (len(found.held), len(found.refused)) == ((0, 1) if far else (1, 0))
    if far:
        assert "2 of 3 row(s) were taken" in next(iter(found.refused.values()))
        assert market.inbox.pending() == []
        return
    assert take(market, "14:36").bars == 0, "what was taken is a repetition until the file's time has come"
    assert take(market, "14:40").bars == 1
    assert market.inbox.pending() == []


def test_a_half_written_file_is_not_seen(market):
    market.inbox.folder.mkdir(parents=True, exist_ok=True)
    (market.inbox.folder / ".bars-1.parquet.tmp").write_bytes(b"half")
    assert not market.inbox.pending()
    assert take(market, "14:35").refused == {}


def test_feed_rows_are_added_once(market):
    rows = feed_rows("earnings", [{"symbol": "BBB", "known_at": moment(f"{TODAY}T14:31"), "eps_actual": 2.0}])
    for _ in range(2):
        market.inbox.drop("earnings", rows)
        take(market, "14:35")
    assert market.changed() == {"feeds"}
    assert MarketFolder.open(market.folder).read("earnings").height == 1


def test_a_daily_bar_after_the_last_decision_counts_from_its_arrival(market):
    market.inbox.drop("daily_bars", daily_rows("AAA", [TODAY], [10.0]))
    take(market, "21:10", decided="21:00")
    rows = MarketFolder.open(market.folder).read("daily_bars").filter(pl.col("session") == TODAY)
    assert rows["known_at"].to_list() == [moment(f"{TODAY}T21:10")]


def test_the_users_market_is_never_written_to(market, tmp_path):
    before = {path: path.read_bytes() for path in (tmp_path / "source").rglob("*.parquet")}
    market.inbox.drop("bars", bars("14:30"))
    market.inbox.drop("earnings", feed_rows("earnings", [{"symbol": "BBB", "known_at": moment(f"{TODAY}T14:31")}]))
    take(market, "14:35")
    assert {path: path.read_bytes() for path in (tmp_path / "source").rglob("*.parquet")} == before


def test_marks_of_complete_bars_are_kept_until_settled(tmp_path):
    inbox = Inbox(tmp_path)
    ends = CALENDAR.bar_ends(TODAY)[:3]
    for end in ends:
        inbox.close_bar(end)
    assert inbox.closed_bars() == set(ends)
    inbox.forget_closed(ends[1])
    assert inbox.closed_bars() == {ends[2]}


def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(MarketDataError, match="bars, daily_bars"):
        Inbox(tmp_path).drop("quotes", bars("14:30"))


def test_a_file_that_is_written_anew_while_it_is_taken_is_taken_too(market, monkeypatch):
    path = market.inbox.drop("bars", bars("14:30"))
    read = type(market.inbox).read

    def replaced(self, file):
        rows = read(self, file)
        bars("14:35").write_parquet(file.path)
        return rows

    with monkeypatch.context() as racing:
        racing.setattr(type(market.inbox), "read", replaced)
        assert take(market, "14:40").bars == bars("14:30").height
    assert len(market.inbox.pending()) == 1
    assert take(market, "14:40").bars == bars("14:35").height
    assert not list(path.parent.glob("*.parquet"))
    assert not list(path.parent.glob(".*"))


def test_a_file_that_ends_the_processes_that_read_it_is_put_aside(market):
    market.inbox.drop("bars", bars("14:30"))
    (file,) = market.inbox.pending()
    never_over = [market.inbox.reading(file) for _ in range(READINGS)]
    for reading in never_over:
        reading.__enter__()
    (reason,) = take(market, "14:35").refused.values()
    assert f"{READINGS} processes ended while they read it" in reason
    assert market.inbox.pending() == []
    market.inbox.drop("bars", bars("14:30"))
    assert take(market, "14:35").bars == bars("14:30").height
    assert not list(market.inbox.folder.glob(".*"))
