import polars as pl
import pytest

from aurora_pipeline.calendar import session_calendar
from aurora_pipeline.models.labels import compute_labels
from aurora_pipeline.models.train_block import sampled
from aurora_pipeline.models.trainable_folds import training_notes
from aurora_pipeline.models.walk_forward import make_folds, purged_labels
from aurora_pipeline.settings import Settings
from aurora_pipeline_tests.market.tiny import sessions_from

CALENDAR = session_calendar("XNYS")


def told(sessions, waiting, frequency="5min", **settings):
    return training_notes(sessions, set(sessions[waiting:]), CALENDAR, frequency, Settings.model_validate(settings))


def trained_on(sessions, waiting, frequency, settings):
    """Sessions the first fold's train block really has, by the labels of a stock with every bar."""
    grid = CALENDAR.grid(sessions, frequency)
    returns = grid.select(
        "session",
        "bar_end",
        pl.lit("AAA").alias("symbol"),
        pl.lit("AAA").alias("instrument_id"),
        pl.lit(0.001).alias("residual_return"),
        pl.col("bar_end").alias("known_at"),
    )
    names = pl.DataFrame({"session": sessions[waiting:]}).with_columns(
        pl.lit("AAA").alias("symbol"),
        pl.lit("AAA").alias("instrument_id"),
        pl.lit("stock").alias("kind"),
        pl.lit(value=True).alias("eligible"),
    )
    horizon, lag = settings.horizon_bars(frequency), settings.execution_lag_bars
    labels = compute_labels(sessions, returns, names, CALENDAR, frequency, horizon, lag)
    fold = make_folds(sessions, frequency, settings)[0]
    times = sampled(grid.select("session", pl.col("bar_end").alias("decision_time")), settings.walk_forward.sample_bars)
    train = purged_labels(labels, fold, CALENDAR, settings).join(times, on="decision_time", how="semi")
    return train.get_column("session").n_unique()


@pytest.mark.parametrize(
    ("frequency", "first", "changed"),
    [
        ("5min", "2025-03-10", {}),
        ("5min", "2025-10-06", {"warm_up_sessions": 41}),
        ("5min", "2025-03-10", {"horizon": 200}),
        ("5min", "2025-03-10", {"horizon": 6}),
        ("5min", "2025-03-10", {"walk_forward": {"embargo_sessions": 3}}),
        ("5min", "2025-03-10", {"walk_forward": {"train_sessions": 45}}),
        ("session", "2025-03-10", {"warm_up_sessions": 60}),
        ("session", "2025-03-10", {"warm_up_sessions": 60, "walk_forward": {"embargo_sessions": 2}}),
    ],
)
def test_the_count_is_that_of_the_labels_that_matured(frequency, first, changed):
    sessions = sessions_from(first, 64)
    section = changed.get("walk_forward", {})
    settings = Settings.model_validate(changed)
    real = trained_on(sessions, 20, frequency, settings)
    for asked, expected in ((real, 0), (real + 1, 1)):
        wanted = changed | {"walk_forward": section | {"minimum_train_sessions": asked}}
        # The last test block is not the first one's: only what the first fold says is compared.
        notes = told(sessions[: settings.warm_up(frequency) + 1], 20, frequency, **wanted)
        assert len(notes) == expected, (real, notes)
    assert f"has {real} session(s) to train on" in notes[0]


def test_history_before_the_first_bar_saves_the_first_fold():
    assert told(sessions_from("2025-03-10", 64), 20)
    assert not told(sessions_from("2025-03-10", 64), 0)


def test_only_settings_that_help_are_named():
    sessions = sessions_from("2025-03-10", 61)
    (note,) = told(sessions, 20)
    assert note.endswith("asks for 40: lower walk_forward.minimum_train_sessions to 39")
    (note,) = told(sessions, 60)
    assert note.endswith("asks for 40: use a longer span")


def test_a_market_in_which_nobody_is_ever_eligible_trains_no_fold():
    sessions = sessions_from("2025-03-10", 64)
    (note,) = told(sessions, len(sessions))
    assert note.startswith("no fold will train: no stock is eligible on any session")


def test_settings_that_contradict_each_other_are_told_as_the_run_would():
    (note,) = told(sessions_from("2025-03-10", 64), 0, warm_up_sessions=30)
    assert note.startswith("no fold will train: the first train block has 30 session(s)")
