from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.calendar import session_calendar
from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.bar_arrays import bar_arrays
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.execution.corporate_events import CorporateEvent, events_at_open
from aurora_pipeline.execution.running_session import with_held_names
from aurora_pipeline.execution.session_inputs import prepare_session_inputs
from aurora_pipeline.execution.trade_book import run_session
from aurora_pipeline.policy.session_returns import session_returns
from aurora_pipeline_tests.execution.tiny_market import settings

CALENDAR = session_calendar()
SESSIONS = CALENDAR.sessions(date(2026, 1, 5), date(2026, 1, 9))
TIME = pl.Datetime("us", "UTC")
RAW = SimpleNamespace(price_adjustment="none")
ENDS = [datetime(2026, 1, 5, 14, 35, tzinfo=UTC) + timedelta(minutes=5 * bar) for bar in range(4)]


def bar(name, index, close, known=0, refused=None, vwap=None, volume=100.0):
    return {
        "instrument_id": name,
        "bar_end": ENDS[index],
        "high": close + 1.0,
        "low": close - 2.0,
        "close": close,
        "vwap": vwap,
        "volume": volume,
        "known_at": ENDS[index] + timedelta(minutes=known),
        "quarantined_at": None if refused is None else ENDS[refused],
    }


def arrays(*rows, count=4):
    times = {"bar_end": TIME, "known_at": TIME, "quarantined_at": TIME, "vwap": pl.Float64}
    return bar_arrays(pl.DataFrame(list(rows), schema_overrides=times), ["A", "B"], ENDS, count)


@pytest.mark.parametrize("vwap", [8e17, 0.01, float("nan")])
def test_a_vwap_outside_its_bar_is_no_price_to_fill_at(vwap):
    found, without = arrays(bar("A", 0, 100.0, vwap=vwap)), arrays(bar("A", 0, 100.0))
    assert found.fill_price[0, 0] == without.fill_price[0, 0] == pytest.approx(100.0, rel=0.02)


def test_fills_use_vwap_or_the_typical_price():
    found = arrays(bar("A", 0, 100.0), bar("A", 1, 100.0, vwap=99.5))
    np.testing.assert_allclose(found.fill_price[:2, 0], [(101 + 98 + 100) / 3, 99.5])
    np.testing.assert_array_equal(found.fill_volume[:, 0], [100.0, 100.0, 0.0, 0.0])
    assert np.isnan(found.fill_price[2:, 0]).all()


def test_a_mark_is_the_newest_close_known():
    found = arrays(bar("A", 0, 100.0), bar("A", 2, 102.0))
    np.testing.assert_array_equal(found.mark[:, 0], [100.0, 100.0, 102.0, 102.0])
    np.testing.assert_array_equal(found.fresh[:, 0], [True, False, True, False])
    assert np.isnan(found.mark[:, 1]).all()


def test_a_late_bar_marks_when_it_comes_and_never_fills():
    found = arrays(bar("A", 0, 100.0), bar("A", 1, 101.0, known=7))
    np.testing.assert_array_equal(found.mark[:, 0], [100.0, 100.0, 100.0, 101.0])
    assert not found.fresh[1, 0]
    assert np.isnan(found.fill_price[1, 0])


def test_a_correction_moves_the_mark_and_leaves_the_fill():
    found = arrays(bar("A", 0, 100.0, vwap=100.0), bar("A", 0, 90.0, known=5, vwap=90.0))
    np.testing.assert_array_equal(found.mark[:, 0], [100.0, 90.0, 90.0, 90.0])
    assert found.fill_price[0, 0] == 100.0


def test_a_refused_bar_is_gone_with_all_its_versions():
    rows = (bar("A", 0, 100.0), bar("A", 1, 500.0), bar("A", 1, 501.0, known=5, refused=3))
    np.testing.assert_array_equal(arrays(*rows).mark[:, 0], [100.0, 500.0, 501.0, 100.0])


def test_what_is_known_later_is_not_read():
    rows = [bar("A", 0, 100.0), bar("A", 1, 101.0)]
    late = [bar("A", 2, 102.0), bar("A", 3, 103.0), bar("A", 0, 1.0, known=15)]
    for got, expected in zip(
        vars(arrays(*rows, *late, count=2)).values(), vars(arrays(*rows, count=2)).values(), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def action(kind, ex_day, *, known=datetime(2025, 12, 1, tzinfo=UTC), ratio=None, amount=None, name="A"):
    return {
        "symbol": name,
        "instrument_id": name,
        "ex_date": ex_day,
        "kind": kind,
        "known_at": known,
        "ratio": ratio,
        "amount": amount,
        "new_symbol": None,
    }


def actions(*rows):
    schema = {
        "symbol": pl.String,
        "instrument_id": pl.String,
        "ex_date": pl.Date,
        "kind": pl.String,
        "known_at": TIME,
        "ratio": pl.Float64,
        "amount": pl.Float64,
        "new_symbol": pl.String,
    }
    return pl.DataFrame(list(rows), schema=schema)


def events(frame, session, adjustment="none"):
    return events_at_open(frame, session, CALENDAR, adjustment)


def test_actions_reach_holdings_once_on_their_ex_date():
    frame = actions(action("split", SESSIONS[1], ratio=2.0), action("dividend", SESSIONS[1], amount=0.5))
    due = (CorporateEvent("A", "split", 2.0), CorporateEvent("A", "dividend", 0.5))
    assert [events(frame, session) for session in SESSIONS] == [(), due, (), (), ()]


def test_an_action_learnt_late_is_booked_at_the_next_open():
    frame = actions(action("split", SESSIONS[1], known=CALENDAR.close(SESSIONS[2]), ratio=2.0))
    assert [len(events(frame, session)) for session in SESSIONS] == [0, 0, 0, 1, 0]


def test_a_correction_before_the_open_counts_and_one_after_does_not():
    early = action("dividend", SESSIONS[2], known=CALENDAR.open(SESSIONS[1]), amount=0.7)
    late = action("dividend", SESSIONS[2], known=CALENDAR.close(SESSIONS[2]), amount=0.9)
    frame = actions(action("dividend", SESSIONS[2], amount=0.5), early, late)
    assert [[event.value for event in events(frame, session)] for session in SESSIONS] == [[], [], [0.7], [], []]


@pytest.mark.parametrize(
    ("known", "booked"),
    [
        (CALENDAR.close(SESSIONS[1]), [0, 1, 0, 0, 0]),  # too late: the first date has been booked
        (CALENDAR.close(SESSIONS[0]), [0, 0, 1, 0, 0]),  # in time: the second date replaces the first
    ],
)
def test_an_action_told_again_with_another_date_is_booked_once(known, booked):
    frame = actions(action("split", SESSIONS[1], ratio=2.0), action("split", SESSIONS[2], known=known, ratio=2.0))
    assert [len(events(frame, session)) for session in SESSIONS] == booked
    other = actions(action("split", SESSIONS[1], ratio=2.0), action("split", SESSIONS[2], known=known, ratio=3.0))
    assert [len(events(other, session)) for session in SESSIONS] == [0, 1, 1, 0, 0]


def test_a_moved_action_that_is_told_once_more_is_booked():
    early, late = CALENDAR.close(SESSIONS[0]), CALENDAR.close(SESSIONS[1])
    moved = [action("split", SESSIONS[2], known=known, ratio=2.0) for known in (early, late)]
    frame = actions(action("split", SESSIONS[1], ratio=2.0), *moved)
    assert [len(events(frame, session)) for session in SESSIONS] == [0, 0, 1, 0, 0]


def test_every_dividend_of_a_weekly_payer_is_booked():
    days = CALENDAR.sessions(date(2026, 1, 5), date(2026, 2, 27))
    paid = days[::5]
    told = [action("dividend", day, known=CALENDAR.open(CALENDAR.shift(day, -3)), amount=0.1) for day in paid]
    assert [day for day in days if events(actions(*told), day)] == paid


def test_an_ex_date_without_trading_counts_at_the_next_session():
    assert len(events(actions(action("delist", date(2026, 1, 10))), date(2026, 1, 12))) == 1


@pytest.mark.parametrize("amount", [None, 0.0, 12.5])
def test_a_delisting_pays_what_it_says_or_the_last_price(amount):
    (event,) = events(actions(action("delist", SESSIONS[1], amount=amount)), SESSIONS[1])
    assert event == CorporateEvent("A", "delist", 0.0, amount)


@pytest.mark.parametrize(
    ("adjustment", "kinds"),
    [("none", ["split", "dividend", "delist"]), ("split", ["dividend", "delist"]), ("split_dividend", ["delist"])],
)
def test_what_is_in_the_prices_is_not_booked_again(adjustment, kinds):
    day = SESSIONS[1]
    frame = actions(
        action("delist", day),
        action("dividend", day, amount=1.0),
        action("split", day, ratio=3.0),
        action("rename", day),
    )
    assert [event.kind for event in events(frame, day, adjustment)] == kinds


def test_a_split_without_a_ratio_is_not_guessed():
    assert events(actions(action("split", SESSIONS[1])), SESSIONS[1]) == ()


def lake(names=("A", "B", "C"), first=date(2025, 12, 1), last=SESSIONS[-1]):
    """Frames of a small market at frequency `session`."""
    random = np.random.default_rng(0)
    sessions = CALENDAR.sessions(first, last)
    steps = random.normal(0, 0.01, (len(sessions), len(names)))
    price = 100.0 * np.exp(np.cumsum(steps, axis=0))
    rows = [
        {
            "session": session,
            "symbol": name,
            "instrument_id": name,
            "bar_start": CALENDAR.open(session),
            "bar_end": CALENDAR.close(session),
            "open": price[at, of],
            "high": price[at, of] * 1.01,
            "low": price[at, of] * 0.99,
            "close": price[at, of],
            "volume": 1e6,
            "vwap": None,
            "known_at": CALENDAR.close(session),
            "quarantined_at": None,
            "bar_return": steps[at, of],
            "market_return": steps[at].mean(),
            "sector_return": 0.0,
            "residual_return": steps[at, of] - steps[at].mean(),
            "beta_market": 1.0,
            "beta_sector": 1.0,
            "kind": "stock",
            "sector": "Tech",
            "eligible": True,
            "decision_time": CALENDAR.close(session),
            "expected_return": random.normal(0, 0.01),
            "calibrated": True,
        }
        for at, session in enumerate(sessions)
        for of, name in enumerate(names)
    ]
    times = dict.fromkeys(("bar_start", "bar_end", "known_at", "quarantined_at", "decision_time"), TIME)
    frame = pl.DataFrame(rows, schema_overrides=times | {"vwap": pl.Float64})
    return {
        "bars": frame,
        "signals": frame.select("session", "symbol", "decision_time", "expected_return", "calibrated"),
        "universe": frame.select(
            "session", "symbol", "instrument_id", "kind", "sector", "eligible", reason=pl.lit(None, pl.String)
        ),
        "session_bars": frame.clear(),
        "daily_bars": frame,
        "corporate_actions": actions(),
    }


def prepared(session, frames, **changes):
    frames = {"returns": session_returns(frames["bars"]), **frames}
    return prepare_session_inputs(session, CALENDAR, "session", RAW, settings(), **(frames | changes))


def equal(left, right):
    for name, value in vars(left).items():
        other = getattr(right, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other, err_msg=name)
        elif name == "risk":
            equal(value, other)
        else:
            assert value == other, name


def test_inputs_of_a_session_are_laid_out_by_instrument():
    frames = lake()
    session = SESSIONS[-1]
    inputs = prepared(session, frames)
    assert inputs.instruments == ("A", "B", "C")
    assert inputs.decision_times == (CALENDAR.close(session),)
    assert inputs.next_bar_end == (CALENDAR.close(date(2026, 1, 12)),)
    today = frames["bars"].filter(pl.col("session") == session)
    np.testing.assert_array_equal(inputs.mark[0], today.get_column("close"))
    before = frames["bars"].filter(pl.col("session") < session, pl.col("instrument_id") == "A").tail(20)
    volume = (before.get_column("close") * before.get_column("volume")).mean()
    assert inputs.average_value[0] == pytest.approx(volume)
    assert inputs.horizon_sessions == 5.0


def test_rows_of_the_session_itself_and_later_change_nothing_known_at_its_open():
    session, frames = SESSIONS[2], lake()
    poison = pl.col("session") >= session
    spoilt = {
        name: frame.with_columns(
            pl.when(poison).then(pl.col(column) * 7.0).otherwise(pl.col(column)).alias(column)
            for column in ("close", "volume", "bar_return", "residual_return", "market_return")
        )
        for name, frame in (("daily_bars", frames["daily_bars"]), ("returns", frames["bars"]))
    }
    clean = prepared(session, frames)
    changed = prepared(session, frames, daily_bars=spoilt["daily_bars"], returns=session_returns(spoilt["returns"]))
    equal(clean, changed)
    cut = {name: frame.filter(pl.col("session") < session) for name, frame in frames.items() if name == "daily_bars"}
    equal(clean, prepared(session, frames, **cut))


def test_a_session_alone_equals_the_session_of_a_range():
    session, frames = SESSIONS[2], lake()
    alone = {
        name: frame.filter(pl.col("session") == session) if name in {"bars", "signals", "universe"} else frame
        for name, frame in frames.items()
    }
    equal(prepared(session, frames), prepared(session, alone, returns=session_returns(frames["bars"])))


def test_a_running_session_reads_up_to_its_newest_bar():
    inputs = prepared(SESSIONS[0], lake(), through=CALENDAR.open(SESSIONS[0]))
    assert inputs.decision_times == ()
    assert inputs.mark.shape == (0, 3)


def test_a_name_that_trades_outside_the_universe_is_there_to_be_closed():
    frames = lake()
    frames["universe"] = frames["universe"].filter(pl.col("symbol") != "B")
    inputs = prepared(SESSIONS[0], frames)
    assert inputs.instruments == ("A", "B", "C")
    assert inputs.eligible.tolist() == [True, False, True]
    assert inputs.sectors.tolist() == [0, -1, 0]


def test_a_name_held_but_no_longer_listed_pays_what_the_feed_quotes_for_it():
    frames = lake()
    known = CALENDAR.open(SESSIONS[0]) - timedelta(hours=1)
    borrow = pl.DataFrame(
        {"instrument_id": ["B", "dear"], "symbol": ["B", "dear"], "known_at": [known] * 2, "rate": [0.25, 0.4]},
        schema_overrides={"known_at": TIME},
    )
    inputs = prepared(SESSIONS[0], frames, borrow=borrow)
    assert inputs.quoted_borrow == (None, 0.25, None)
    shares = {"A": 10.0, "dear": -5.0, "gone": 5.0}
    state = replace(BookState.flat("backtest-x", 1e6), shares=shares, prices=dict.fromkeys(shares, 1.0))
    held = with_held_names(inputs, state)
    assert held.instruments == ("A", "B", "C", "dear", "gone")
    assert held.quoted_borrow == (None, 0.25, None, 0.4, None)
    assert with_held_names(prepared(SESSIONS[0], frames), state).quoted_borrow == ()


def test_etfs_are_not_traded():
    frames = lake()
    etf = pl.when(pl.col("symbol") == "B").then(pl.lit("etf")).otherwise(pl.col("kind")).alias("kind")
    frames["universe"] = frames["universe"].with_columns(etf)
    assert prepared(SESSIONS[0], frames).instruments == ("A", "C")


def test_nulls_in_signals_stay_missing():
    frames = lake()
    frames["signals"] = frames["signals"].with_columns(
        pl.when(pl.col("symbol") == "A").then(None).otherwise(pl.col("expected_return")).alias("expected_return")
    )
    assert np.isnan(prepared(SESSIONS[0], frames).expected_return[0]).tolist() == [True, False, False]


def test_a_session_without_universe_is_refused():
    frames = lake()
    with pytest.raises(BookError, match="universe has no row"):
        prepared(SESSIONS[0], frames | {"universe": frames["universe"].clear()})


def test_a_book_runs_over_the_lake_at_session_frequency():
    frames, results = lake(), []
    for session in SESSIONS:
        state = results[-1].state if results else None
        results.append(run_session(state, session, prepared(session, frames), settings()))
    assert [result.state.session for result in results] == SESSIONS
    assert results[0].fills.is_empty()
    assert results[1].fills.height > 0
    decided = results[1].fills.get_column("decision_time").unique().to_list()
    assert decided == [CALENDAR.close(SESSIONS[0])]
