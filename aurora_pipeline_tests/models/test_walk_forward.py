from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_pipeline.calendar import TIMESTAMP, session_calendar
from aurora_pipeline.errors import TrainingError
from aurora_pipeline.models.walk_forward import inner_split, make_folds, purge_violations, purged_labels
from aurora_pipeline.settings import Settings, WalkForwardSettings

CALENDAR = session_calendar()
SESSIONS = CALENDAR.sessions(date(2025, 1, 2), date(2025, 6, 30))
FOLDS = make_folds(SESSIONS, "5min", Settings())


def labels_with(maturities: list[tuple[date, int]]) -> pl.DataFrame:
    """One row per (session, minutes from its close to maturity)."""
    closes = [CALENDAR.close(session) for session, _ in maturities]
    return pl.DataFrame(
        {
            "session": [session for session, _ in maturities],
            "symbol": [f"S{k}" for k in range(len(maturities))],
            "decision_time": pl.Series(closes, dtype=TIMESTAMP),
            "matured_at": pl.Series(
                [close + timedelta(minutes=m) for close, (_, m) in zip(closes, maturities, strict=True)],
                dtype=TIMESTAMP,
            ),
        }
    )


def test_folds_are_test_months_after_the_warm_up() -> None:
    first, second = FOLDS[0], FOLDS[1]
    assert first.key == "2025-04"
    assert first.train_sessions == SESSIONS[:60]
    assert first.test[0] == SESSIONS[60]
    assert second.key == "2025-05"
    assert second.test == (date(2025, 5, 1), date(2025, 5, 30))
    assert second.train == (SESSIONS[0], date(2025, 4, 30))
    assert [session for fold in FOLDS for session in fold.test_sessions] == SESSIONS[60:]


def test_folds_are_test_years_at_frequency_session() -> None:
    sessions = CALENDAR.sessions(date(2020, 1, 2), date(2023, 12, 29))
    folds = make_folds(sessions, "session", Settings())
    assert [fold.key for fold in folds] == ["2021", "2022", "2023"]
    assert folds[0].test[0] == sessions[504]


def test_a_rolling_train_block_has_its_length() -> None:
    rolling = Settings(walk_forward=WalkForwardSettings(scheme="rolling", train_sessions=45))
    assert [len(fold.train_sessions) for fold in make_folds(SESSIONS, "5min", rolling)] == [45] * len(FOLDS)


def test_an_expanding_train_block_keeps_every_session_from_the_first() -> None:
    expanding = Settings(walk_forward=WalkForwardSettings(scheme="expanding", train_sessions=45))
    assert [fold.train_sessions for fold in make_folds(SESSIONS, "5min", expanding)] == [
        SESSIONS[: SESSIONS.index(fold.test[0])] for fold in FOLDS
    ]


def test_a_rolling_train_block_longer_than_what_there_is_takes_all_of_it() -> None:
    rolling = Settings(walk_forward=WalkForwardSettings(scheme="rolling", train_sessions=90))
    folds = make_folds(SESSIONS, "5min", rolling)
    assert [len(fold.train_sessions) for fold in folds] == [60, 81, 90]
    assert folds[2].train == (folds[2].train_sessions[0], folds[1].test[1])
    before, first = SESSIONS[SESSIONS.index(folds[2].train[0]) - 1], folds[2].train[0]
    labels = labels_with([(before, 5), (first, 5), (folds[2].train[1], 5), (folds[2].test[0], 5)])
    assert purged_labels(labels, folds[2], CALENDAR, rolling).get_column("symbol").to_list() == ["S1", "S2"]


def test_the_first_fold_takes_one_session_more_than_the_warm_up() -> None:
    (fold,) = make_folds(SESSIONS[:61], "5min", Settings())
    assert (fold.train_sessions, fold.test_sessions) == (SESSIONS[:60], [SESSIONS[60]])
    with pytest.raises(TrainingError, match=r"60 session.*at least 61 needed"):
        make_folds(SESSIONS[:60], "5min", Settings())
    fewest = Settings(warm_up_sessions=40, walk_forward=WalkForwardSettings(minimum_train_sessions=40))
    assert make_folds(SESSIONS[:41], "5min", fewest)[0].train_sessions == SESSIONS[:40]


def test_later_sessions_do_not_change_earlier_folds() -> None:
    shorter = make_folds(SESSIONS[:90], "5min", Settings())
    assert shorter[:-1] == FOLDS[: len(shorter) - 1]
    assert shorter[-1].train_sessions == FOLDS[len(shorter) - 1].train_sessions


def test_too_short_a_span_says_what_is_needed() -> None:
    with pytest.raises(TrainingError, match=r"33 session.*at least 61 needed.*warm_up_sessions"):
        make_folds(SESSIONS[:33], "5min", Settings())
    with pytest.raises(TrainingError, match=r"20 session.*minimum_train_sessions asks for 40"):
        make_folds(SESSIONS, "5min", Settings(warm_up_sessions=20))


def test_a_label_maturing_at_the_open_is_purged() -> None:
    fold = FOLDS[1]
    last = fold.train[1]
    to_open = int((CALENDAR.open(fold.test[0]) - CALENDAR.close(last)) / timedelta(minutes=1))
    labels = labels_with([(last, to_open - 1), (last, to_open), (fold.test[0], 1)])
    assert purged_labels(labels, fold, CALENDAR, Settings()).get_column("symbol").to_list() == ["S0"]
    assert purge_violations(labels, fold, CALENDAR).get_column("symbol").to_list() == ["S1", "S2"]


def test_the_embargo_asks_for_earlier_maturity() -> None:
    fold = FOLDS[1]
    embargoed = Settings(walk_forward=WalkForwardSettings(embargo_sessions=2))
    labels = labels_with([(session, 5) for session in fold.train_sessions[-5:]])
    assert purged_labels(labels, fold, CALENDAR, Settings()).height == 5
    assert purged_labels(labels, fold, CALENDAR, embargoed).height == 3


@given(
    st.lists(st.tuples(st.sampled_from(SESSIONS), st.integers(1, 20_000)), min_size=1, max_size=40), st.integers(0, 3)
)
def test_purged_rows_never_violate_and_every_other_row_is_needed(rows: list[tuple[date, int]], embargo: int) -> None:
    configured = Settings(walk_forward=WalkForwardSettings(embargo_sessions=embargo))
    labels = labels_with(rows)
    for fold in FOLDS:
        kept = purged_labels(labels, fold, CALENDAR, configured)
        assert purge_violations(kept, fold, CALENDAR).is_empty()
        if embargo == 0:
            inside = labels.filter(pl.col("session").is_between(*fold.train))
            dropped = inside.join(kept, on="symbol", how="anti")
            assert purge_violations(dropped, fold, CALENDAR).height == dropped.height


def test_the_inner_tail_is_purged_as_well() -> None:
    fold = FOLDS[0]
    labels = labels_with([(session, 24 * 60) for session in fold.train_sessions[:50]])
    fit, validation = inner_split(labels, fold, 0.2)
    assert validation.get_column("session").to_list() == fold.train_sessions[40:50]
    assert fit.get_column("matured_at").max() < validation.get_column("decision_time").min()  # type: ignore[operator]
    assert fit.height == 39  # the label of the session before the tail matures as the tail decides first


def test_the_inner_tail_has_a_session_at_least_and_the_rest_is_for_the_fit() -> None:
    fold = FOLDS[0]
    for count, share, tail in ((10, 0.01, 1), (10, 0.26, 3), (2, 0.5, 1)):
        labels = labels_with([(session, 5) for session in fold.train_sessions[:count] for _ in range(3)])
        fit, validation = inner_split(labels, fold, share)
        assert (fit.height, validation.height) == (3 * (count - tail), 3 * tail)


def test_nothing_left_to_fit_is_an_error() -> None:
    fold = FOLDS[0]
    with pytest.raises(TrainingError, match=r"fold 2025-04: 2 labelled session.*validation_share"):
        inner_split(labels_with([(session, 24 * 60) for session in fold.train_sessions[:2]]), fold, 0.2)
