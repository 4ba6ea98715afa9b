"""Walk-forward folds: time is cut into test blocks, and each is predicted by models trained on what came before it.

1. :func:`make_folds`: one fold per test month (frequency `5min`) or test year (`session`) after the warm-up;
2. :func:`purged_labels`: of the train block's labels, those that had matured before the test block opens, less the
   embargo: the interval of a label runs from its entry to `matured_at`, so none of them touches the test block;
3. :func:`inner_split`: the train block's own tail, purged the same way, on which penalties and rounds are chosen;
4. :func:`purge_violations`: the check that no train row got past 2.

A row is never assigned by index or at random. The purge follows from `matured_at`, hence from execution lag and
horizon; it is not a setting. Terms as in López de Prado, "Advances in Financial Machine Learning", 2018, chapter 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from aurora_pipeline.calendar import Frequency, SessionCalendar
from aurora_pipeline.errors import TrainingError
from aurora_pipeline.settings import Settings


@dataclass(frozen=True)
class Fold:
    """One step of the walk-forward.

    Attributes
    ----------
    key : str
        Test month ``YYYY-MM``, or test year ``YYYY`` at frequency `session`.
    train, test : tuple of date
        First and last session of each block, both inclusive.
    train_sessions, test_sessions : list of date
        All sessions of each block. The test block ends with the sessions there are so far.
    """

    key: str
    train: tuple[date, date]
    test: tuple[date, date]
    train_sessions: list[date]
    test_sessions: list[date]


def make_folds(sessions: Sequence[date], frequency: Frequency, settings: Settings) -> list[Fold]:
    """Cut sessions into folds.

    A fold depends only on the sessions before its test block and on which sessions of its period exist, so folds do not
    change when later sessions arrive.

    Parameters
    ----------
    sessions : sequence of date
        Sessions of the market in time order.
    frequency : {"5min", "session"}
        Decides whether a test block is a calendar month or a calendar year.
    settings : Settings
        Warm-up, scheme, fewest train sessions.

    Returns
    -------
    list of Fold
        In time order; every session after the warm-up lies in exactly one test block.

    Raises
    ------
    TrainingError
        There are too few sessions for a first fold.
    """
    warm_up = settings.warm_up(frequency)
    walk_forward = settings.walk_forward
    if len(sessions) <= warm_up:
        raise TrainingError(
            f"too short to train on: {len(sessions)} session(s), at least {warm_up + 1} needed; "
            "warm_up_sessions sets how many come before the first fold, so use a longer span or lower it"
        )
    if warm_up < walk_forward.minimum_train_sessions:
        raise TrainingError(
            f"the first train block has {warm_up} session(s) (warm_up_sessions), but "
            f"walk_forward.minimum_train_sessions asks for {walk_forward.minimum_train_sessions}; "
            "raise one or lower the other"
        )
    period = "%Y-%m" if frequency == "5min" else "%Y"
    starts = [k for k in range(warm_up, len(sessions)) if k == warm_up or _turns(sessions, k, period)]
    folds = []
    for start, stop in zip(starts, [*starts[1:], len(sessions)], strict=True):
        from_rolling = max(0, start - walk_forward.train_sessions) if walk_forward.scheme == "rolling" else 0
        train, test = list(sessions[from_rolling:start]), list(sessions[start:stop])
        folds.append(Fold(test[0].strftime(period), (train[0], train[-1]), (test[0], test[-1]), train, test))
    return folds


def _turns(sessions: Sequence[date], k: int, period: str) -> bool:
    return sessions[k].strftime(period) != sessions[k - 1].strftime(period)


def purged_labels(labels: pl.DataFrame, fold: Fold, calendar: SessionCalendar, settings: Settings) -> pl.DataFrame:
    """Labels of the fold's train block that matured before the test block opens, less the embargo.

    Parameters
    ----------
    labels : polars.DataFrame
        Table `labels`.
    fold : Fold
        The fold to train for.
    calendar : SessionCalendar
        Gives the opening moment.
    settings : Settings
        `walk_forward.embargo_sessions`: with k of them, labels must have matured k sessions earlier.
    """
    until = calendar.open(calendar.shift(fold.test[0], -settings.walk_forward.embargo_sessions))
    return labels.filter(pl.col("session").is_between(*fold.train) & (pl.col("matured_at") < until))


def inner_split(labels: pl.DataFrame, fold: Fold, validation_share: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a purged train block into a part to fit and a later part to choose on.

    Parameters
    ----------
    labels : polars.DataFrame
        Result of :func:`purged_labels`, possibly thinned to fewer decision times.
    fold : Fold
        Named in errors.
    validation_share : float
        Share of the sessions, counted from the end, that form the tail.

    Returns
    -------
    fit, validation : polars.DataFrame
        Rows of the tail, and the earlier rows that had matured before the tail's first decision.

    Raises
    ------
    TrainingError
        One of the parts is empty.
    """
    sessions = labels.get_column("session").unique().sort().to_list()
    tail = max(1, round(len(sessions) * validation_share))
    if len(sessions) > tail:
        validation = labels.filter(pl.col("session") >= sessions[-tail])
        opens = validation.get_column("decision_time").min()
        fit = labels.filter(pl.col("session") < sessions[-tail], pl.col("matured_at") < opens)
        if not fit.is_empty():
            return fit, validation
    raise TrainingError(
        f"fold {fold.key}: {len(sessions)} labelled session(s) leave nothing to fit after a validation tail of {tail} "
        "and its purge; use a longer span, a shorter horizon, or lower walk_forward.validation_share"
    )


def purge_violations(train_labels: pl.DataFrame, fold: Fold, calendar: SessionCalendar) -> pl.DataFrame:
    """Return the train rows whose label interval touches the fold's test block; empty when the purge holds.

    Parameters
    ----------
    train_labels : polars.DataFrame
        Rows a model of this fold was trained on, with `session`, `decision_time` and `matured_at`.
    fold : Fold
        The fold.
    calendar : SessionCalendar
        Gives the opening moment of the test block.
    """
    opens = calendar.open(fold.test[0])
    return train_labels.filter((pl.col("matured_at") >= opens) | (pl.col("session") >= fold.test[0]))
