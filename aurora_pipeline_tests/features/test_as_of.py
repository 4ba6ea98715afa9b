"""The as-of join against a row-by-row reading of what was known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_pipeline.calendar import session_calendar
from aurora_pipeline.features.as_of import from_states, history_at, session_ages
from aurora_pipeline.features.feed_facts import lay_out_facts
from aurora_pipeline.features.readers import NEVER, knowledge_states, readers_of

START = datetime(2024, 3, 4, 15, tzinfo=UTC)
STAMP = pl.Datetime("us", "UTC")
FACTS = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(0, 4), st.integers(0, 30), st.floats(-5, 5)),
    max_size=15,
    unique_by=lambda fact: fact[:3],
)
DECISIONS = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 30)), min_size=1, max_size=12)


def facts_frame(facts: list[tuple[str, int, int, float]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (name, date(2024, 1, 1 + period), START + timedelta(hours=hour), value)
            for name, period, hour, value in facts
        ],
        schema={"instrument_id": pl.String, "end": pl.Date, "known_at": STAMP, "value": pl.Float64},
        orient="row",
    )


def rows_frame(decisions: list[tuple[str, int]]) -> pl.DataFrame:
    moments = [START + timedelta(hours=hour) for _, hour in decisions]
    return pl.DataFrame(
        {
            "session": [moment.date() for moment in moments],
            "symbol": [name for name, _ in decisions],
            "instrument_id": [name for name, _ in decisions],
            "decision_time": pl.Series(moments, dtype=STAMP),
        }
    )


@settings(max_examples=60, deadline=None)
@given(facts=FACTS, decisions=DECISIONS)
def test_history_is_what_a_reader_at_the_moment_would_see(
    facts: list[tuple[str, int, int, float]], decisions: list[tuple[str, int]]
) -> None:
    feed, rows = lay_out_facts(facts_frame(facts), "end"), rows_frame(decisions)
    states, state_of_row = knowledge_states(readers_of(rows), {"feed": feed})
    history = history_at(states, "feed", feed, columns=["value"], depth=3, reach=timedelta(days=400))
    for (name, hour), state in zip(decisions, state_of_row, strict=True):
        newest: dict[int, tuple[int, float]] = {}
        first: dict[int, int] = {}
        for own, period, known, value in sorted(facts, key=lambda fact: fact[2]):
            if own == name and known <= hour:
                newest[period] = (known, value)
                first.setdefault(period, known)
        periods = sorted(newest, reverse=True)[:3]
        seen = history.values["value"][history.entry[state]]
        assert seen[: len(periods)].tolist() == [newest[period][1] for period in periods]
        assert np.isnan(seen[len(periods) :]).all()
        micro = [int((START + timedelta(hours=first[period])).timestamp() * 1e6) for period in periods]
        assert history.first_known[history.entry[state], : len(periods)].tolist() == micro
        assert (history.first_known[history.entry[state], len(periods) :] == NEVER).all()


def test_age_is_zero_in_the_first_session_that_can_use_a_fact() -> None:
    calendar = session_calendar("XNYS")
    day = np.full(5, np.datetime64("2024-03-05").astype(np.int64))
    moments = [
        datetime(2024, 3, 5, 12, tzinfo=UTC),  # before the open of the same session
        datetime(2024, 3, 4, 21, 30, tzinfo=UTC),  # the evening before
        datetime(2024, 3, 4, 21, tzinfo=UTC),  # at the close of the session before
        datetime(2024, 3, 4, 20, tzinfo=UTC),  # in the session before
        datetime(2024, 3, 2, 12, tzinfo=UTC),  # on the Saturday before
    ]
    micro = np.array([int(moment.timestamp() * 1e6) for moment in moments])
    assert session_ages(calendar, day, micro, np.arange(5)).tolist() == [0.0, 0.0, 1.0, 1.0, 1.0]
    assert np.isnan(session_ages(calendar, day, np.full(1, NEVER), np.zeros(5, dtype=np.int64))).all()


def test_a_fact_without_a_period_is_ordered_by_when_it_was_known() -> None:
    rows = facts_frame([("A", 0, 1, 1.0), ("A", 0, 2, 2.0)]).with_columns(pl.lit(None, pl.Date).alias("end"))
    feed = lay_out_facts(rows, "end")
    states, _ = knowledge_states(readers_of(rows_frame([("A", 5)])), {"feed": feed})
    history = history_at(states, "feed", feed, columns=["value"], depth=2, reach=timedelta(days=9))
    assert history.values["value"].tolist() == [[2.0, 1.0]]


def test_values_that_are_not_finite_become_null() -> None:
    rows = rows_frame([("A", 0), ("A", 1), ("B", 2)])
    out = from_states(rows, np.array([1, 0, 2]), {"x": np.array([1.0, np.inf, np.nan])})
    assert out.get_column("x").to_list() == [None, 1.0, None]
    assert out.get_column("x").dtype == pl.Float32


def test_rows_that_saw_the_same_in_a_session_share_a_state() -> None:
    feed = lay_out_facts(facts_frame([("A", 0, 2, 1.0), ("B", 0, 3, 1.0)]), "end")
    readers = readers_of(rows_frame([("A", 0), ("A", 1), ("A", 2), ("A", 3), ("B", 2), ("C", 3), ("A", 24), ("A", 3)]))
    states, state_of_row = knowledge_states(readers, {"feed": feed})
    assert state_of_row.tolist() == [0, 0, 1, 1, 2, 3, 4, 1]
    known = int((START + timedelta(hours=2)).timestamp() * 1e6)
    assert states.moments["feed"].tolist() == [NEVER, known, NEVER, NEVER, known]


def test_a_feed_can_be_looked_up_by_another_instrument_or_by_none() -> None:
    feed = lay_out_facts(facts_frame([("A", 0, 0, 1.0), ("B", 0, 0, 2.0)]), "end")
    readers = replace(readers_of(rows_frame([("A", 1), ("B", 1)])), others={"feed": np.array([1, -1])})
    states, _ = knowledge_states(readers, {"feed": feed})
    history = history_at(states, "feed", feed, columns=["value"], depth=1, reach=timedelta(days=9))
    assert history.values["value"][history.entry, 0].tolist() == pytest.approx([2.0, np.nan], nan_ok=True)
    assert states.moments["feed"][1] == NEVER
