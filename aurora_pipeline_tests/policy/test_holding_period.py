from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.policy.holding_period import Persistence, closing_scores, measure_persistence, replacement_sessions
from aurora_pipeline.settings import BookSettings

FIRST = date(2026, 1, 1)


def decaying(half_life, lasting=1.0, sessions=60, names=400, seed=1):
    """Scores whose correlation k sessions apart is ``lasting * 2**(-k / half_life)``."""
    random = np.random.default_rng(seed)
    phi = 2.0 ** (-1.0 / half_life)
    state, rows = random.normal(size=names), []
    for number in range(sessions):
        state = phi * state + np.sqrt(1.0 - phi**2) * random.normal(size=names)
        score = np.sqrt(lasting) * state + np.sqrt(1.0 - lasting) * random.normal(size=names)
        day = FIRST + timedelta(days=number)
        rows += [(day, f"N{index}", float(value)) for index, value in enumerate(score)]
    return pl.DataFrame(rows, schema=["session", "symbol", "score"], orient="row")


@pytest.mark.parametrize(("half_life", "lasting"), [(3.0, 1.0), (10.0, 1.0), (10.0, 0.5)])
def test_a_planted_decay_is_measured(half_life, lasting):
    found = measure_persistence(decaying(half_life, lasting), FIRST + timedelta(days=60))
    assert found.half_life == pytest.approx(half_life, rel=0.15)
    assert found.lasting == pytest.approx(lasting, abs=0.06)


def test_an_edge_is_worth_the_sum_of_the_horizons_a_position_is_kept():
    # Half-life 2, horizon 1, kept for ever: 1 + 0.7071 + 0.5 + 0.3536 + ... = 1 / (1 - 0.7071)
    assert Persistence(2.0, 1.0).horizons(1.0, 1e3) == pytest.approx(3.4142, abs=1e-4)
    assert Persistence(2.0, 0.5).horizons(1.0, 1e3) == pytest.approx(1.0 + 0.5 * 2.4142, abs=1e-4)
    assert Persistence(2.0, 1.0).horizons(1.0, 3.0) == pytest.approx(1.0 + 0.7071 + 0.5, abs=1e-4)
    assert Persistence(2.0, 0.5).horizons(1.0, 2.0) == pytest.approx(1.0 + 0.5 * 0.7071, abs=1e-4)
    assert Persistence(5.0, 1.0).horizons(5.0, 15.0) == pytest.approx(1.75)
    assert Persistence(1e6, 1.0).horizons(1.0, 21.0) == pytest.approx(21.0, abs=1e-3)
    assert Persistence(1e6, 1.0).horizons(5.0, 2.0) == 1.0
    assert Persistence(None, 0.0).horizons(1.0, 21.0) == 1.0


def test_a_position_is_kept_until_the_budget_has_replaced_the_book():
    assert replacement_sessions(BookSettings()) == pytest.approx(0.22 / (0.50 / 21))
    assert replacement_sessions(BookSettings(turnover_month=1.0)) == pytest.approx(0.22 / (1.0 / 21))
    assert replacement_sessions(BookSettings(turnover_month=0.1)) == 21.0
    assert replacement_sessions(BookSettings(turnover_month=0.0)) == 21.0


def test_nothing_of_the_session_itself_or_later_is_read():
    scores, today = decaying(5.0), FIRST + timedelta(days=30)
    poisoned = scores.with_columns(pl.when(pl.col("session") >= today).then(1e9).otherwise("score").alias("score"))
    assert measure_persistence(scores, today) == measure_persistence(poisoned, today)


def test_too_little_history_and_noise_are_unknown():
    assert measure_persistence(decaying(5.0), FIRST + timedelta(days=2)).half_life is None
    assert measure_persistence(decaying(5.0).clear(), FIRST).half_life is None
    noise = decaying(0.05, seed=4)
    assert measure_persistence(noise, FIRST + timedelta(days=60)).horizons(1.0, 21.0) < 1.1


def test_the_score_of_a_session_is_that_of_its_last_decision():
    times = [datetime(2026, 1, 5, 15, minute, tzinfo=UTC) for minute in (0, 5)]
    signals = pl.DataFrame(
        {
            "session": [date(2026, 1, 5)] * 3,
            "symbol": ["A", "A", "B"],
            "decision_time": [*times, times[1]],
            "score": [1.0, 2.0, 3.0],
        }
    )
    assert closing_scores(signals).sort("symbol").rows() == [
        (date(2026, 1, 5), "A", 2.0),
        (date(2026, 1, 5), "B", 3.0),
    ]
