from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP, session_calendar
from aurora_pipeline.errors import LeakageError, ModelError, TrainingError
from aurora_pipeline.models.train_block import blocked_splits, build_train_block, feature_matrix, rank_target, sampled
from aurora_pipeline.models.walk_forward import make_folds, purged_labels
from aurora_pipeline.settings import Settings, WalkForwardSettings
from aurora_pipeline_tests.planted_panel import CALENDAR, planted_panel

SETTINGS = Settings(walk_forward=WalkForwardSettings(sample_bars=1))
PANEL = planted_panel()
FOLD = make_folds(PANEL.sessions, "5min", SETTINGS)[0]
LABELS = purged_labels(PANEL.labels, FOLD, CALENDAR, SETTINGS)


def test_target_is_the_rank_within_a_decision_time() -> None:
    target = rank_target(np.array([7.0, 9.0, -1e9, 8.0, 5.0, 5.0]), np.array([1, 1, 1, 1, 2, 2]))
    assert target.tolist() == pytest.approx([root * 12**0.5 / 4 for root in (-0.5, 1.5, -1.5, 0.5)] + [0.0, 0.0])


def test_target_has_unit_variance_whatever_the_outliers() -> None:
    values = np.random.default_rng(1).standard_cauchy(500)
    target = rank_target(values, np.zeros(500, dtype=np.int64))
    assert target.std() == pytest.approx(1.0, abs=1e-4)
    assert target.mean() == pytest.approx(0.0, abs=1e-6)


def test_sampling_spreads_over_the_session() -> None:
    days = [date(2025, 11, 26), date(2025, 11, 28)]
    times = [(day, end) for day in days for end in session_calendar().bar_ends(day)]
    frame = pl.DataFrame(times, schema={"session": pl.Date, "decision_time": TIMESTAMP}, orient="row")
    chosen = frame.with_row_index().join(sampled(frame, 13), on="decision_time").get_column("index").to_list()
    assert chosen == [6, 19, 32, 45, 58, 71, 78 + 6, 78 + 19, 78 + 32]


def test_a_session_with_one_decision_time_gives_it() -> None:
    frame = PANEL.features.filter(pl.col("decision_time") == pl.col("decision_time").min().over("session"))
    assert sampled(frame, 13).height == len(PANEL.sessions)


def test_every_stretch_is_judged_once_by_a_fit_whose_labels_stay_clear_of_it() -> None:
    block, rows = build_train_block(FOLD, PANEL.features, LABELS, SETTINGS, PANEL.feature_names)
    matured = rows.get_column("matured_at").to_physical().to_numpy()
    assert len(block.splits) == SETTINGS.walk_forward.cross_validation_blocks
    assert np.array_equal(np.concatenate([judged for _, judged in block.splits]), np.arange(len(block.X)))
    for fit, judged in block.splits:
        opens, ends = block.groups[judged].min(), matured[judged].max()
        assert ((matured[fit] < opens) | (block.groups[fit] > ends)).all()
        assert len(fit) > 0


def test_a_stretch_that_leaves_nothing_to_fit_is_left_out() -> None:
    days = [date(2025, 6, 2), date(2025, 6, 3), date(2025, 6, 4)]
    moments = [pl.datetime(day.year, day.month, day.day, 20, time_zone="UTC") for day in days]
    late = pl.datetime(2025, 7, 1, 20, time_zone="UTC")
    rows = pl.DataFrame({"row": [0, 1, 2], "session": days}).with_columns(
        pl.concat_list(moments).list.get(pl.col("row")).alias("decision_time"), late.alias("matured_at")
    )
    assert blocked_splits(rows, 5) == ()


def test_block_is_ordered_aligned_and_split_by_time() -> None:
    block, rows = build_train_block(FOLD, PANEL.features, LABELS, SETTINGS, PANEL.feature_names)
    assert rows.height == len(block.target) == len(block.X) == LABELS.height
    assert (np.diff(block.groups) >= 0).all()
    row = rows.row(1234, named=True)
    expected = PANEL.features.filter(symbol=row["symbol"], decision_time=row["decision_time"]).select(
        PANEL.feature_names
    )
    assert block.X[1234].tolist() == list(expected.row(0))
    matured = rows.get_column("matured_at").to_physical().to_numpy()
    assert matured[block.fit].max() < block.groups[block.validation].min()
    assert np.intersect1d(block.fit, block.validation).size == 0


def test_weights_halve_over_the_half_life() -> None:
    settings = Settings.model_validate(
        {"walk_forward": {"sample_bars": 1}, "models": {"recency_half_life_sessions": 10}}
    )
    block, rows = build_train_block(FOLD, PANEL.features, LABELS, settings, PANEL.feature_names)
    by_session = dict(zip(rows.get_column("session").to_list(), block.weights.tolist(), strict=True))
    newest = max(by_session)
    older = sorted(by_session)[-11]
    assert by_session[newest] == pytest.approx(2 * by_session[older])
    assert block.weights.mean() == pytest.approx(1.0)


def test_unpurged_labels_are_refused() -> None:
    with pytest.raises(LeakageError, match=r"fold 2025-04: the label of S\d\d .* inside the test block"):
        build_train_block(FOLD, PANEL.features, PANEL.labels, SETTINGS, PANEL.feature_names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, y: (f, y.with_columns(pl.lit(0.01).alias("label"))), "target is constant"),
        (
            lambda f, y: (f.with_columns(pl.lit(None, pl.Float32).alias(n) for n in PANEL.feature_names), y),
            "all 6 features are null",
        ),
        (
            lambda f, y: (f, y.filter(pl.col("session") >= PANEL.sessions[30])),
            "29 session.*minimum_train_sessions asks for 40",
        ),
        (lambda f, y: (f.drop("feature_3"), y), "feature_3 are not in the features table"),
        (
            lambda f, y: (f.with_columns(pl.lit(np.inf, pl.Float32).alias("feature_2")), y),
            "feature_2 is inf for S00 at 2025",
        ),
        (
            lambda f, y: (f.with_columns(pl.lit(np.nan, pl.Float32).alias("feature_2")), y),
            "feature_2 is nan for S00 at 2025",
        ),
    ],
)
def test_bad_input_is_named(change, message) -> None:  # type: ignore[no-untyped-def]
    features, labels = change(PANEL.features, LABELS)
    with pytest.raises(TrainingError, match=message):
        build_train_block(FOLD, features, labels, SETTINGS, PANEL.feature_names)


def test_null_becomes_nan_and_the_error_type_is_the_callers() -> None:
    frame = PANEL.features.head(2).with_columns(pl.Series("feature_0", [None, 0.25], dtype=pl.Float32))
    matrix = feature_matrix(frame, ["feature_0"], "here", ModelError)
    assert np.isnan(matrix[0, 0])
    assert matrix[1, 0] == 0.25
    with pytest.raises(ModelError, match="here: feature"):
        feature_matrix(frame, ["nowhere"], "here", ModelError)
