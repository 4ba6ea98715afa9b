from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.contracts import validated
from aurora_pipeline.monitoring.model_contribution import contribution_summary, named, session_contributions

DAY = date(2024, 11, 4)
TIME = datetime(2024, 11, 4, 15, 0, tzinfo=UTC)
NAMES = list("ABCDEF")
GOOD, BAD = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
LABELS = pl.DataFrame(
    {"symbol": NAMES, "decision_time": [TIME] * 6, "label": [0.1 * k for k in range(6)]},
)
NO_LABELS = LABELS.clear()
MOVES = [0.01, 0.0, -0.01, 0.02, 0.0, 0.03]
RETURNS = pl.DataFrame({"session": [DAY] * 6, "symbol": NAMES, "return": MOVES})
NONE_HELD = pl.DataFrame(schema={"session": pl.Date, "symbol": pl.String, "weight": pl.Float64})


def scores(**models):
    rows = [
        {"session": DAY, "symbol": name, "decision_time": TIME, "model": model, "score": value}
        for model, values in models.items()
        for name, value in zip(NAMES, values, strict=True)
    ]
    return pl.DataFrame(rows)


def weights(**models):
    return pl.DataFrame({"session": [DAY] * len(models), "model": list(models), "weight": list(models.values())})


def held(values):
    return pl.DataFrame({"session": [DAY] * 6, "symbol": NAMES, "weight": values})


def found(frame, column):
    return dict(frame.select("model", column).iter_rows())


def z(values):
    return (np.array(values) - np.mean(values)) / np.std(values)


def test_the_gain_is_the_rank_ic_with_a_model_less_that_without_it():
    made = session_contributions(scores(good=GOOD, bad=BAD), weights(good=0.75, bad=0.25), LABELS, NONE_HELD, RETURNS)
    # Together the good one wins, IC 1; without it the bad one is left, IC -1; without the bad one it is 1 as before.
    assert found(made, "ensemble_gain") == pytest.approx({"good": 2.0, "bad": 0.0})


def test_a_model_that_is_alone_is_all_there_is():
    made = session_contributions(scores(good=GOOD), weights(good=1.0), LABELS, NONE_HELD, RETURNS)
    assert found(made, "ensemble_gain") == pytest.approx({"good": 1.0})


def test_results_are_the_models_parts_of_holdings_that_follow_the_score():
    other = [2.0, 1.0, 4.0, 3.0, 6.0, 5.0]
    whole = 0.6 * z(GOOD) + 0.4 * z(other)
    made = session_contributions(
        scores(good=GOOD, other=other), weights(good=0.6, other=0.4), LABELS, held(0.01 * whole), RETURNS
    )
    result = found(made, "result")
    assert result["good"] == pytest.approx(0.01 * 0.6 * z(GOOD) @ MOVES)
    assert sum(result.values()) == pytest.approx(0.01 * whole @ MOVES)


def test_holdings_that_do_not_follow_the_score_are_no_models_result():
    across = np.array([1.0, -1.0, 0.0, 0.0, -1.0, 1.0])
    assert abs(across @ z(GOOD)) < 1e-12
    made = session_contributions(scores(good=GOOD), weights(good=1.0), LABELS, held(0.01 * across), RETURNS)
    assert found(made, "result")["good"] == pytest.approx(0.0, abs=1e-15)


def test_nothing_held_and_nothing_matured_is_nothing_known():
    made = session_contributions(scores(good=GOOD), weights(good=1.0), NO_LABELS, NONE_HELD, RETURNS)
    assert made.select("ensemble_gain", "result").row(0) == (None, None)


def test_a_constant_model_adds_nothing():
    made = session_contributions(
        scores(good=GOOD, flat=[1.0] * 6), weights(good=0.5, flat=0.5), LABELS, held(0.01 * z(GOOD)), RETURNS
    )
    assert found(made, "ensemble_gain") == pytest.approx({"good": 1.0, "flat": 0.0})
    assert found(made, "result")["flat"] == 0.0


def test_rows_carry_the_model_that_served_and_its_version():
    made = session_contributions(scores(ridge=GOOD), weights(ridge=1.0), LABELS, held(0.01 * z(GOOD)), RETURNS)
    versions = pl.DataFrame({"session": [DAY], "model": ["ridge"], "model_version": ["v7"]})
    table = validated("model_contributions", named(made, {"ridge": "ridge~2024-10-01"}, versions))
    assert table.select("model", "family", "model_version").row(0) == ("ridge~2024-10-01", "ridge", "v7")
    (summary,) = contribution_summary(table, 1)
    assert (summary["sessions"], summary["weight"], summary["ensemble_gain"]) == (1, 1.0, 1.0)
    assert summary["ensemble_gain_lower"] is None, "one session has no interval"
    assert summary["result_bps"] == pytest.approx(1e4 * 0.01 * z(GOOD) @ MOVES)
