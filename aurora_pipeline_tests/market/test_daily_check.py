from datetime import timedelta

import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.market.daily_check import contradicted_sessions
from aurora_pipeline.settings import QualitySettings
from aurora_pipeline_tests.market.tiny import CALENDAR, sessions_from

DAY = sessions_from("2025-03-03", 1)[0]
CLOSE = CALENDAR.close(DAY)
NIGHT = CLOSE + timedelta(hours=3)


def bars(prices, known=None, first=0):
    ends = CALENDAR.bar_ends(DAY)[first : first + len(prices)]
    return pl.DataFrame(
        {
            "instrument_id": ["AAA"] * len(prices),
            "session": [DAY] * len(prices),
            "bar_end": ends,
            "known_at": known or ends,
            "high": prices,
            "low": prices,
            "close": prices,
            "session_close": [CLOSE] * len(prices),
        },
        schema_overrides={"bar_end": TIMESTAMP, "known_at": TIMESTAMP, "session_close": TIMESTAMP},
    )


def daily(close=100.0, low=99.0, high=101.0, known=NIGHT):
    columns = {
        "instrument_id": pl.String,
        "session": pl.Date,
        "low": pl.Float64,
        "high": pl.Float64,
        "close": pl.Float64,
        "known_at": TIMESTAMP,
    }
    return pl.DataFrame([("AAA", DAY, low, high, close, known)], schema=columns, orient="row")


def verdict(intraday, witness):
    found = contradicted_sessions(intraday, witness, QualitySettings())
    return [] if found.is_empty() else [found["reason"][0], found["verdict_at"][0]]


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        ([100.0] * 78, None),
        ([100.0] * 77 + [100.9], None),
        ([100.0] * 77 + [101.1], "close_off_daily"),
        ([100.0] * 77 + [98.9], "close_off_daily"),
        ([103.0] * 8 + [100.0] * 70, "outside_daily_range"),
        ([103.0] * 7 + [100.0] * 71, None),
    ],
)
def test_whole_session(prices, reason):
    assert verdict(bars(prices), daily()) == ([reason, NIGHT] if reason else [])


def test_an_early_last_bar_is_not_compared_with_the_close():
    assert verdict(bars([100.0] * 60 + [101.5]), daily()) == []


def test_the_newest_version_known_at_the_verdict_counts():
    fixed = bars([100.0], known=[NIGHT - timedelta(hours=1)], first=77)
    late = bars([100.0], known=[NIGHT + timedelta(hours=1)], first=77)
    wrong = bars([100.0] * 77 + [105.0])
    assert verdict(pl.concat([wrong, fixed]), daily()) == []
    assert verdict(pl.concat([wrong, late]), daily()) == ["close_off_daily", NIGHT]


def test_no_daily_bar_no_verdict():
    assert verdict(bars([100.0] * 78), daily().clear()) == []
