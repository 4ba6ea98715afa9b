"""Arrays of versions show at every moment what `as_known_at` shows."""

from datetime import date, timedelta

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.features.codes import moments_of
from aurora_pipeline.features.versioned_arrays import lay_out
from aurora_pipeline.market.point_in_time import as_known_at
from aurora_pipeline_tests.features.tiny_market import CALENDAR

DAYS = CALENDAR.sessions(date(2025, 3, 3), date(2025, 3, 6))
DUE = [CALENDAR.open(CALENDAR.shift(day, 1)) for day in DAYS]
NAMES = ["AAA", "BBB"]
SCHEMA = {
    "instrument_id": pl.String,
    "session": pl.Date,
    "known_at": TIMESTAMP,
    "quarantined_at": TIMESTAMP,
    "close": pl.Float64,
}


@st.composite
def versions(draw):
    """Up to three versions per instrument and session: on time, late, some withdrawn before or after the next came."""
    rows = []
    for name in NAMES:
        for day in DAYS:
            known = CALENDAR.close(day)
            for version in range(draw(st.integers(0, 3))):
                gone = draw(st.sampled_from([None, None, 0.5, 3.0, 20.0, 40.0]))
                rows.append((name, day, known, gone and known + timedelta(hours=gone), len(rows) + version / 8))
                known += timedelta(hours=draw(st.sampled_from([1, 14, 30])))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@given(versions())
def test_what_is_seen_is_what_was_known(rows):
    arrays = lay_out(rows, "session", pl.Series(DAYS), moments_of(pl.Series(DUE, dtype=TIMESTAMP)))
    for count, moment in enumerate(DUE, start=1):
        seen = arrays.seen(moment, 0, count, NAMES, ["close"])["close"]
        expected = np.full((count, len(NAMES)), np.nan)
        known = as_known_at(rows.filter(pl.col("session").is_in(DAYS[:count])), moment, ["instrument_id", "session"])
        for name, day, close in known.select("instrument_id", "session", "close").iter_rows():
            expected[DAYS.index(day), NAMES.index(name)] = close
        np.testing.assert_array_equal(seen, expected)


def test_a_version_that_replaces_a_withdrawn_one_before_the_next_open_stands():
    close = CALENDAR.close(DAYS[0])
    rows = [
        ("AAA", DAYS[0], close, close + timedelta(minutes=10), 1.0),
        ("AAA", DAYS[0], close + timedelta(hours=1), None, 2.0),
    ]
    arrays = lay_out(
        pl.DataFrame(rows, schema=SCHEMA, orient="row"),
        "session",
        pl.Series(DAYS),
        moments_of(pl.Series(DUE, dtype=TIMESTAMP)),
    )
    assert arrays.seen(DUE[0], 0, 1, ["AAA"], ["close"])["close"].tolist() == [[2.0]]
