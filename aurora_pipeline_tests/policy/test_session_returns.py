"""Session returns as known at each open: late, corrected and withdrawn bars."""

from datetime import date, timedelta

import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP, session_calendar
from aurora_pipeline.market.point_in_time import as_known_at
from aurora_pipeline.policy.session_returns import KEPT, SUMMED, session_returns

CALENDAR = session_calendar()
DAY = date(2025, 3, 3)
ENDS = CALENDAR.bar_ends(DAY)[:3]
CLOSE = CALENDAR.close(DAY)


def rows_of(*rows):
    """Rows of (bar, return, known_at or None: on time, quarantined_at)."""
    frame = pl.DataFrame(
        [(ENDS[bar], known or ENDS[bar], gone, value) for bar, value, known, gone in rows],
        schema={"bar_end": TIMESTAMP, "known_at": TIMESTAMP, "quarantined_at": TIMESTAMP, "value": pl.Float64},
        orient="row",
    )
    return frame.with_columns(
        pl.lit("A").alias("instrument_id"),
        pl.lit(DAY).alias("session"),
        *(pl.col("value").alias(name) for name in SUMMED),
        *(pl.lit(1.0).alias(name) for name in KEPT),
    )


def seen(frame, moment):
    found = as_known_at(session_returns(frame), moment, ["instrument_id", "session"])
    return found.get_column("residual_return").to_list()


def test_a_withdrawn_bar_leaves_the_sum_when_its_verdict_falls():
    verdict = CLOSE + timedelta(minutes=10)
    frame = rows_of((0, 0.01, None, None), (1, 1.0, None, verdict), (2, -0.5, None, None), (2, 0.02, verdict, None))
    assert seen(frame, CLOSE) == [pytest.approx(0.51)]
    assert seen(frame, verdict) == [pytest.approx(0.03)]


def test_a_session_of_which_nothing_stands_is_gone_until_something_does():
    verdict, again = CLOSE + timedelta(minutes=10), CLOSE + timedelta(hours=1)
    gone = [(bar, 0.1, None, verdict) for bar in range(3)]
    assert seen(rows_of(*gone), CLOSE) == [pytest.approx(0.3)]
    assert seen(rows_of(*gone), verdict) == []
    mended = rows_of(*gone, (1, 0.02, again, None))
    assert [seen(mended, moment) for moment in (verdict, again)] == [[], [0.02]]
