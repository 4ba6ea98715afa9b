from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.model_evidence import NOTHING, Evidence, matured_session_ics, no_session_ics
from aurora_pipeline.settings import LifecycleSettings

DAYS = [date(2024, 3, 4) + timedelta(days=k) for k in range(4)]
NAMES = ["A", "B", "C", "D", "E"]


def at(day, hour):
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def market(model="ridge", sign=1.0):
    """Two decision times a session; a label matures a session later at the same hour."""
    rows = [(day, name, at(day, hour), k) for day in DAYS for hour in (15, 16) for k, name in enumerate(NAMES)]
    predictions = pl.DataFrame(
        [(day, name, time, model, "v", sign * k) for day, name, time, k in rows],
        schema=empty("predictions").schema,
        orient="row",
    )
    labels = pl.DataFrame(
        [(day, name, time, float(k), 2, time + timedelta(days=1)) for day, name, time, k in rows],
        schema=empty("labels").schema,
        orient="row",
    )
    return predictions, labels


def test_a_session_counts_once_its_last_decision_has_matured():
    predictions, labels = market()
    evidence = Evidence(matured_session_ics(predictions, labels), 2, LifecycleSettings())
    assert evidence.measured("ridge", at(DAYS[1], 16)) == NOTHING
    found = evidence.measured("ridge", at(DAYS[1], 17))
    assert (found.sessions, found.ic, found.through) == (1, pytest.approx(1.0), at(DAYS[1], 16))


def test_what_is_known_live_in_the_middle_of_a_maturity_equals_what_a_backfill_finds():
    predictions, labels = market()
    whole = Evidence(matured_session_ics(predictions, labels), 2, LifecycleSettings())
    for hour in (14, 15, 16, 17):
        moment = at(DAYS[2], hour)
        live = Evidence(
            matured_session_ics(
                predictions.filter(pl.col("decision_time") < moment), labels.filter(pl.col("matured_at") < moment)
            ),
            2,
            LifecycleSettings(),
        )
        assert live.measured("ridge", moment) == whole.measured("ridge", moment)


def test_a_gain_is_measured_on_sessions_both_have():
    ours, labels = market()
    theirs, _ = market("other", -1.0)
    both = pl.concat([ours, theirs.filter(pl.col("session") > DAYS[0])])
    evidence = Evidence(matured_session_ics(both, labels), 2, LifecycleSettings())
    moment = at(DAYS[3], 20)
    better, worse = evidence.gain("ridge", "other", moment), evidence.gain("other", "ridge", moment)
    assert better is not None
    assert worse is not None
    assert better > worse
    assert evidence.gain("ridge", "other", at(DAYS[1], 20)) is None
    assert evidence.gain("ridge", "unknown", moment) is None


def test_nothing_matured_is_nothing_and_not_zero():
    evidence = Evidence(no_session_ics(), 2, LifecycleSettings())
    assert evidence.measured("ridge", at(DAYS[3], 20)) == NOTHING
    assert evidence.ics("ridge", at(DAYS[3], 20)).size == 0
