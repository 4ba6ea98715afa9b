from datetime import timedelta

import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import validated
from aurora_pipeline.market.session_bars import aggregate_sessions
from aurora_pipeline_tests.market.tiny import CALENDAR, sessions_from

DAY = sessions_from("2025-03-03", 1)[0]
ENDS = CALENDAR.bar_ends(DAY)
CLOSE = CALENDAR.close(DAY)
HOUR = timedelta(hours=1)
CLOSES = pl.DataFrame(
    {"session": [DAY], "session_close": [CLOSE]}, schema={"session": pl.Date, "session_close": TIMESTAMP}
)


def bars(*rows):
    """Each row: (bar index, price, volume, known_at or None, quarantined_at or None)."""
    made = [
        {
            "symbol": "AAA",
            "instrument_id": "AAA",
            "session": DAY,
            "bar_start": ENDS[index] - timedelta(minutes=5),
            "bar_end": ENDS[index],
            "open": price,
            "high": price + 0.5,
            "low": price - 0.5,
            "close": price + 0.25,
            "volume": volume,
            "known_at": known or ENDS[index],
            "quarantined_at": gone,
        }
        for index, price, volume, known, gone in rows
    ]
    return pl.DataFrame(
        made, schema_overrides=dict.fromkeys(["bar_start", "bar_end", "known_at", "quarantined_at"], TIMESTAMP)
    )


def session(*rows):
    made = validated("session_bars", aggregate_sessions(bars(*rows), CLOSES))
    return made.select("open", "high", "low", "close", "volume", "known_at", "quarantined_at").rows()


def test_ohlcv_by_hand():
    assert session((0, 10.0, 5.0, None, None), (1, 12.0, 6.0, None, None), (2, 9.0, 7.0, None, None)) == [
        (10.0, 12.5, 8.5, 9.25, 18.0, CLOSE, None)
    ]


def test_a_correction_before_the_close_leaves_one_row():
    rows = session((0, 10.0, 5.0, None, None), (0, 11.0, 5.0, ENDS[3], None))
    assert rows == [(11.0, 11.5, 10.5, 11.25, 5.0, CLOSE, None)]


@pytest.mark.parametrize("late", [(1, 12.0, 6.0, CLOSE + HOUR, None), (0, 12.0, 6.0, CLOSE + HOUR, None)])
def test_late_knowledge_adds_a_version(late):
    rows = session((0, 10.0, 5.0, None, None), late)
    assert [row[-2] for row in rows] == [CLOSE, CLOSE + HOUR]
    assert rows[0][:5] == (10.0, 10.5, 9.5, 10.25, 5.0)


def test_late_knowledge_that_changes_nothing_adds_none():
    assert len(session((0, 10.0, 5.0, None, None), (0, 10.0, 5.0, CLOSE + HOUR, None))) == 1


def test_withdrawn_at_the_close_there_is_no_session_bar():
    assert session((0, 10.0, 5.0, None, CLOSE), (1, 12.0, 6.0, None, CLOSE)) == []


def test_withdrawn_later_the_session_bar_is_too():
    rows = session((0, 10.0, 5.0, None, CLOSE + HOUR), (1, 12.0, 6.0, None, CLOSE + HOUR))
    assert rows == [(10.0, 12.5, 9.5, 12.25, 11.0, CLOSE, CLOSE + HOUR)]


def test_a_single_bar_withdrawn_later_gives_a_version_without_it():
    rows = session((0, 10.0, 5.0, None, None), (1, 99.0, 6.0, None, CLOSE + HOUR))
    assert rows == [(10.0, 99.5, 9.5, 99.25, 11.0, CLOSE, None), (10.0, 10.5, 9.5, 10.25, 5.0, CLOSE + HOUR, None)]


def test_first_known_after_the_close():
    rows = session((0, 10.0, 5.0, CLOSE + HOUR, None))
    assert rows == [(10.0, 10.5, 9.5, 10.25, 5.0, CLOSE + HOUR, None)]
