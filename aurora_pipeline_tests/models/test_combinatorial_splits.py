"""Combinatorial purged splits: which rows are kept, by hand, and that no train label reaches a test block."""

from __future__ import annotations

from datetime import date, timedelta
from math import comb

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_pipeline.calendar import TIMESTAMP, session_calendar
from aurora_pipeline.errors import TrainingError
from aurora_pipeline.models.combinatorial_splits import (
    CombinatorialSplit,
    backtest_paths,
    combinatorial_splits,
    split_labels,
    split_violations,
    time_groups,
)

CALENDAR = session_calendar()
SESSIONS = CALENDAR.sessions(date(2025, 1, 2), date(2025, 3, 31))


def labels_of(sessions: list[date], horizon: int) -> pl.DataFrame:
    """One row per session, decided at its close and matured at the close `horizon` sessions later."""
    ahead = [CALENDAR.close(CALENDAR.shift(session, horizon)) for session in sessions]
    return pl.DataFrame(
        {
            "session": sessions,
            "decision_time": pl.Series([CALENDAR.close(session) for session in sessions], dtype=TIMESTAMP),
            "matured_at": pl.Series(ahead, dtype=TIMESTAMP),
        }
    )


def kept(labels: pl.DataFrame, split: CombinatorialSplit) -> list[int]:
    train, _ = split_labels(labels, split)
    return [SESSIONS.index(session) for session in train.get_column("session")]


def test_groups_are_in_time_order_and_differ_by_one_session_at_most() -> None:
    groups = time_groups(SESSIONS[:11], 4)
    assert [len(group) for group in groups] == [2, 3, 3, 3]
    assert [session for group in groups for session in group] == SESSIONS[:11]


def test_there_is_a_split_for_every_choice_of_blocks() -> None:
    splits = combinatorial_splits(SESSIONS[:12], 6, 2)
    assert len(splits) == comb(6, 2) == 15
    assert [split.test_groups for split in splits[:3]] == [(0, 1), (0, 2), (0, 3)]


def test_neighbouring_test_blocks_are_one_stretch() -> None:
    joined, apart = combinatorial_splits(SESSIONS[:12], 6, 2)[:2]
    assert joined.test_blocks == ((SESSIONS[0], SESSIONS[3]),)
    assert apart.test_blocks == ((SESSIONS[0], SESSIONS[1]), (SESSIONS[4], SESSIONS[5]))


def test_purge_and_embargo_by_hand() -> None:
    # 12 sessions in 3 blocks, the middle one (4..7) is the test; labels reach 2 sessions ahead.
    labels = labels_of(SESSIONS[:12], 2)
    split = combinatorial_splits(SESSIONS[:12], 3, 1)[1]
    # Before: 2 matures at the close of 4, the first test decision: purged; 1 matures at 3: kept.
    # After: the block's last label matures at the close of 9. 8 and 9 lie inside it: purged. The label of 9, still open then,
    # matures at the close of 11: 10 and 11 are embargoed.
    assert kept(labels, split) == [0, 1]
    longer = labels_of(SESSIONS[:15], 2)
    split = CombinatorialSplit((1,), ((SESSIONS[4], SESSIONS[7]),))
    assert kept(longer, split) == [0, 1, 12, 13, 14]


def test_the_purge_follows_the_horizon() -> None:
    split = CombinatorialSplit((1,), ((SESSIONS[10], SESSIONS[12]),))
    assert kept(labels_of(SESSIONS[:30], 1), split) == [*range(9), *range(15, 30)]
    assert kept(labels_of(SESSIONS[:30], 5), split) == [*range(5), *range(23, 30)]


def test_a_test_block_without_labels_purges_nothing() -> None:
    labels = labels_of(SESSIONS[:8], 1)
    split = CombinatorialSplit((1,), ((SESSIONS[20], SESSIONS[22]),))
    train, test = split_labels(labels, split)
    assert train.equals(labels)
    assert test.is_empty()
    assert split_violations(train, test, split).is_empty()


def test_a_row_that_got_past_the_purge_is_found() -> None:
    labels = labels_of(SESSIONS[:12], 2)
    split = combinatorial_splits(SESSIONS[:12], 3, 1)[1]
    _, test = split_labels(labels, split)
    found = split_violations(labels, test, split)
    assert [SESSIONS.index(session) for session in found.get_column("session")] == [2, 3, 4, 5, 6, 7, 8, 9]


@given(
    st.integers(2, 7),
    st.data(),
    st.integers(8, 40),
    st.lists(st.integers(1, 9), min_size=40, max_size=40),
)
def test_no_train_label_touches_a_test_block(groups: int, data: st.DataObject, count: int, reach: list[int]) -> None:
    """Whatever the reach of each label, and however the blocks fall."""
    sessions = SESSIONS[:count]
    chosen = data.draw(st.integers(1, groups - 1))
    rows = labels_of(sessions, 0).with_columns(
        (pl.col("decision_time") + pl.Series([timedelta(days=days) for days in reach[:count]])).alias("matured_at")
    )
    for split in combinatorial_splits(sessions, groups, chosen):
        train, test = split_labels(rows, split)
        assert split_violations(train, test, split).is_empty()
        blocks = [test.filter(pl.col("session").is_between(*block)) for block in split.test_blocks]
        intervals = [(b.get_column("decision_time").min(), b.get_column("matured_at").max()) for b in blocks]
        for _, decided, matured in train.iter_rows():
            assert all(matured < opens or decided > ends for opens, ends in intervals)
        assert test.height == rows.filter(split.tests()).height


@pytest.mark.parametrize(("groups", "test_groups"), [(6, 2), (5, 1), (4, 3), (10, 5)])
def test_paths_use_every_block_of_every_split_once(groups: int, test_groups: int) -> None:
    splits = combinatorial_splits(SESSIONS[:20], groups, test_groups)
    paths = backtest_paths(splits)
    # Section 12.4: phi[N, k] = k / N * C(N, k).
    assert len(paths) * groups == test_groups * comb(groups, test_groups)
    used = {(split, group) for path in paths for group, split in enumerate(path)}
    assert used == {(place, group) for place, split in enumerate(splits) for group in split.test_groups}


@pytest.mark.parametrize(
    ("count", "groups", "test_groups", "message"),
    [
        (3, 4, 1, "3 session\\(s\\) cannot be cut into 4 blocks"),
        (5, 1, 1, "cannot be cut into 1 blocks"),
        (8, 4, 4, "4 of 4 blocks"),
        (8, 4, 0, "0 of 4 blocks"),
    ],
)
def test_splits_that_do_not_exist_are_refused(count: int, groups: int, test_groups: int, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        combinatorial_splits(SESSIONS[:count], groups, test_groups)
