"""A fold's inputs on a hand-made lake: only sampled decision times are read, once, and labels are purged."""

from datetime import date

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.adapters.stage_inputs.fold import forget_fold_inputs, read_fold_inputs, read_train_block
from aurora_pipeline.contracts import empty
from aurora_pipeline.errors import TrainingError
from aurora_pipeline.models.walk_forward import Fold
from aurora_pipeline.settings import Settings

SESSIONS = [date(2025, 1, 2), date(2025, 1, 3), date(2025, 1, 6), date(2025, 1, 7)]
FOLD = Fold("2025-01", (SESSIONS[0], SESSIONS[2]), (SESSIONS[3], SESSIONS[3]), SESSIONS[:3], SESSIONS[3:])


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    made.record_market(MarketRecord(name="hand", first_session=SESSIONS[0], last_session=SESSIONS[-1]))
    for session in SESSIONS:
        ends = made.calendar.bar_ends(session)
        keys = [(session, symbol, end) for symbol in ("AAA", "BBB") for end in ends]
        columns = {name: kind for name, kind in empty("features").schema.items() if name in KEYS}
        rows = pl.DataFrame(keys, schema=columns, orient="row")
        blank = [pl.lit(None, kind).alias(name) for name, kind in empty("features").schema.items() if name not in KEYS]
        made.lake.write("features", rows.with_columns(blank), session.isoformat(), fingerprint="f")
        matured = made.calendar.close(session)
        labelled = rows.with_columns(
            pl.lit(0.0).alias("label"),
            pl.lit(matured).cast(empty("labels").schema["matured_at"]).alias("matured_at"),
            pl.lit(1, pl.Int32).alias("horizon_bars"),
        )
        made.lake.write("labels", labelled.select(empty("labels").columns), session.isoformat(), fingerprint="f")
    yield made
    forget_fold_inputs()


KEYS = ("session", "symbol", "decision_time")


def test_only_sampled_decision_times_of_the_train_block_are_read(home):
    features, labels = read_fold_inputs(home, Settings(), FOLD)
    expected = [end for session in FOLD.train_sessions for end in home.calendar.bar_ends(session)[6::13]]
    assert features.get_column("decision_time").unique().sort().to_list() == expected
    assert features.height == 2 * len(expected)
    assert features.columns == empty("features").columns
    assert labels.get_column("session").unique().sort().to_list() == FOLD.train_sessions
    everything = home.lake.read("features", FOLD.train[0], FOLD.train[1])
    assert features.equals(everything.filter(pl.col("decision_time").is_in(expected)))


def test_frames_are_kept_for_the_next_family_until_the_lake_or_the_sampling_changes(home):
    first = read_fold_inputs(home, Settings(), FOLD, "content")
    assert read_fold_inputs(home, Settings(), FOLD, "content")[0] is first[0]
    assert read_fold_inputs(home, Settings(), FOLD)[0] is not first[0], (
        "without a hash nothing can be trusted to be the same"
    )
    assert read_fold_inputs(home, Settings(), FOLD, "other")[0] is not first[0]
    coarser = Settings.model_validate({"walk_forward": {"sample_bars": 39}})
    assert read_fold_inputs(home, coarser, FOLD, "other")[0].height < first[0].height
    held = read_fold_inputs(home, coarser, FOLD, "other")[0]
    forget_fold_inputs()
    assert read_fold_inputs(home, coarser, FOLD, "other")[0] is not held


def test_a_fold_that_cannot_be_trained_says_so_to_every_family(home):
    for _ in range(2):
        with pytest.raises(TrainingError, match=r"3 session\(s\) have matured labels and features"):
            read_train_block(home, Settings(), FOLD, "content")
