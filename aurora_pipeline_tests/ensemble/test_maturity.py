"""Evidence is held against what had matured before the open: strictly before it, by row and by session."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.ensemble.maturity import unmatured_rows

FIRST, SECOND, SERVED = date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 8)


def at(hours):
    return datetime(2026, 1, 7, tzinfo=UTC) + timedelta(hours=hours)


LABELS = pl.DataFrame(
    {"session": [SECOND, FIRST, FIRST, SECOND], "matured_at": [at(5), at(9), at(1), at(3)]},
    schema_overrides={"matured_at": TIMESTAMP},
)
"""In no order of time: two rows have matured by hour 3, of both sessions only after it."""


@pytest.mark.parametrize(
    ("opens", "through", "rows", "sessions", "sound"),
    [
        (3, 1, 1, 1, True),
        (3, 3, 1, 1, False),  # matured at the open itself
        (3, 1, 2, 1, False),
        (3, 1, 1, 2, False),
        (4, 3, 2, 2, True),  # a session counts from its first row on
        (6, 5, 3, 2, True),
        (6, 5, 4, 2, False),
        (10, 9, 4, 2, True),
        (None, 1, 1, 1, False),  # nobody knows when it opened
    ],
)
def test_no_more_evidence_than_had_matured(opens, through, rows, sessions, sound):
    evidence = pl.DataFrame(
        {
            "session": [SERVED],
            "evidence_through": [at(through)],
            "evidence_rows": [rows],
            "matured_sessions": [sessions],
        },
        schema_overrides={"evidence_through": TIMESTAMP},
    )
    moments = {FIRST: at(0)} if opens is None else {SERVED: at(opens)}
    assert unmatured_rows(evidence, LABELS, moments).is_empty() is sound
    counted = sessions == 2 and opens == 3
    assert unmatured_rows(evidence.drop("matured_sessions"), LABELS, moments).is_empty() is (sound or counted)


def test_without_evidence_there_is_nothing_to_hold_against_it():
    evidence = pl.DataFrame(
        {"session": [SERVED], "evidence_through": [None], "evidence_rows": [0]},
        schema={"session": pl.Date, "evidence_through": TIMESTAMP, "evidence_rows": pl.Int64},
    )
    assert unmatured_rows(evidence, LABELS, {FIRST: at(0)}).is_empty()
