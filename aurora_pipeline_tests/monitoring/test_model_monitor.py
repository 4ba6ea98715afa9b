from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from aurora_pipeline.contracts import empty, validated
from aurora_pipeline.monitoring.model_evidence import Evidence, matured_session_ics
from aurora_pipeline.monitoring.model_monitor import (
    MonitoredModel,
    model_health,
    model_scores,
    session_earnings,
    session_looks,
)
from aurora_pipeline.monitoring.standings import Model
from aurora_pipeline.settings import LifecycleSettings

DAYS = [date(2024, 3, 4) + timedelta(days=k) for k in range(5)]
NAMES = ["A", "B", "C", "D", "E"]
NO_LOSS = pl.DataFrame(schema={"session": pl.Date, "model": pl.String, "features_lost": pl.Float64})


def _at(day, hour=15):
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def predictions(scores, model="ridge"):
    """One decision time a session; `scores` maps session to five numbers, None for no score."""
    rows = [
        (day, name, _at(day), model, f"{model}-v{day:%d}", value)
        for day, values in scores.items()
        for name, value in zip(NAMES, values, strict=True)
        if value is not None
    ]
    return pl.DataFrame(rows, schema=empty("predictions").schema, orient="row")


def labels(values, days=DAYS, mature_in=2):
    rows = [
        (day, name, _at(day), value, 78, _at(day) + timedelta(days=mature_in))
        for day in days
        for name, value in zip(NAMES, values, strict=True)
    ]
    return pl.DataFrame(rows, schema=empty("labels").schema, orient="row")


def features(days=DAYS):
    rows = [(day, name, _at(day)) for day in days for name in NAMES]
    return pl.DataFrame(rows, schema=empty("features").schema, orient="row")


RISING = {day: [1.0, 2.0, 3.0, 4.0, 5.0] for day in DAYS}


def test_looks_count_rows_constant_times_and_turnover():
    scores = {
        DAYS[0]: [1.0, 2.0, 3.0, 4.0, 5.0],
        DAYS[1]: [5.0, 4.0, 3.0, 2.0, 1.0],
        DAYS[2]: [2.0] * 5,
        DAYS[3]: [1.0, 2.0, None, None, None],
    }
    looks = session_looks(predictions(scores), features(), NO_LOSS)
    assert looks.get_column("coverage").to_list() == [1.0, 1.0, 1.0, 0.4]
    assert looks.get_column("constant_share").to_list() == [0.0, 0.0, 1.0, 0.0]
    assert looks.get_column("turnover").to_list() == [None, 2.0, None, None]
    assert looks.get_column("model_version").to_list()[0] == "ridge-v04"


def test_earnings_are_worked_by_hand():
    earned = session_earnings(predictions({DAYS[0]: [-1.0, 0.0, 0.0, 0.0, 1.0]}), labels([-0.01, 0.0, 0.0, 0.0, 0.03]))
    z = 1 / (0.4**0.5)
    assert earned.get_column("earned").to_list() == [pytest.approx(0.04 / 2)]
    assert earned.get_column("slope").to_list() == [pytest.approx(0.04 / (2 * z))]
    assert session_earnings(predictions({DAYS[0]: [1.0] * 5}), labels([0.0] * 5)).is_empty()


def _scores(frames, zoo=None, lab=None, looks=None, days=DAYS):
    lab = labels([1.0, 2.0, 3.0, 4.0, 5.0]) if lab is None else lab
    found = pl.concat(frames)
    evidence = Evidence(matured_session_ics(found, lab), 2, LifecycleSettings())
    zoo = zoo or [MonitoredModel(Model("ridge", "ridge", DAYS[0], True), "c1", ("f",))]
    looks = session_looks(found, features(), NO_LOSS) if looks is None else looks
    opens = {day: _at(day, 14) for day in DAYS}
    frame = model_scores(days, DAYS, opens, zoo, evidence, looks, session_earnings(found, lab), LifecycleSettings())
    return validated("model_scores", frame)


def test_a_session_sees_only_what_had_matured_before_its_open():
    frame = _scores([predictions(RISING)])
    # Matured two days later at 15:00, opens are at 14:00: session k sees k - 2 sessions.
    assert frame.get_column("matured_sessions").to_list() == [0, 0, 0, 1, 2]
    assert frame.get_column("newest_ic").to_list() == [None, None, None, 1.0, 1.0]
    assert frame.get_column("calibration_slope").to_list()[-1] == pytest.approx(1.0)
    through = frame.get_column("evidence_through").to_list()
    assert all(moment is None or moment < _at(day, 14) for moment, day in zip(through, DAYS, strict=True))


def test_one_session_alone_equals_the_same_session_in_a_range():
    whole = _scores([predictions(RISING)])
    assert _scores([predictions(RISING)], days=[DAYS[3]]).equals(whole.filter(pl.col("session") == DAYS[3]))


def test_models_are_ranked_by_ic_and_ties_share_a_place():
    zoo = [MonitoredModel(Model(name, name, DAYS[0], True), "c", ()) for name in ("a", "b", "c")]
    falling = {day: values[::-1] for day, values in RISING.items()}
    frames = [predictions(RISING, "a"), predictions(RISING, "b"), predictions(falling, "c")]
    last = _scores(frames, zoo).filter(pl.col("session") == DAYS[-1])
    assert last.select("model", "ic_rank").rows() == [("a", 1.5), ("b", 1.5), ("c", 3.0)]


def test_scores_that_are_all_tied_leave_no_ic_and_are_a_fault():
    frame = _scores([predictions({day: [1.0] * 5 for day in DAYS})])
    assert frame.get_column("matured_sessions").to_list() == [0] * 5
    assert frame.get_column("fault").to_list()[-1] == "constant scores at 100 % of the decision times"
    assert frame.get_column("unsound_sessions").to_list() == [0, 1, 2, 3, 4]


def test_a_model_that_misses_sessions_is_unsound_in_the_session_after_each():
    some = {day: values for day, values in RISING.items() if day not in DAYS[1:3]}
    frame = _scores([predictions(some)])
    assert frame.get_column("fault").to_list() == [None, None, "no scores", "no scores", None]
    assert frame.get_column("sound_sessions").to_list() == [0, 1, 0, 0, 1]
    health = model_health(frame)
    assert (DAYS[0], "ridge") not in health
    assert health[DAYS[3], "ridge"].unsound == 2


def test_features_that_went_missing_are_a_fault():
    looks = session_looks(
        predictions(RISING),
        features(),
        pl.DataFrame({"session": [DAYS[0]], "model": ["ridge"], "features_lost": [0.4]}),
    )
    frame = _scores([predictions(RISING)], looks=looks)
    assert frame.get_column("fault").to_list()[1] == "40 % of the features went missing"


def test_a_model_without_any_scores_has_no_looks_and_no_earnings():
    nothing = empty("predictions")
    assert session_looks(nothing, features(), NO_LOSS).is_empty()
    assert session_earnings(nothing, labels([0.0] * 5)).is_empty()
    both = pl.concat(
        [session_looks(nothing, features(), NO_LOSS), session_looks(predictions(RISING), features(), NO_LOSS)]
    )
    assert both.height == 5
