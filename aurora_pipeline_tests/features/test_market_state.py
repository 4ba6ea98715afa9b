"""Share bases: which splits lie between two days."""

from __future__ import annotations

from datetime import date

import numpy as np

from aurora_pipeline.features.market_state import market_states
from aurora_pipeline_tests.features.feed_market import TODAY, at, feed, market


def days(*values: date) -> np.ndarray:
    return np.array(values, dtype="datetime64[D]").astype(np.int64)


def test_splits_count_after_the_first_day_and_through_the_last() -> None:
    actions = [
        {"symbol": "AAA", "ex_date": ex_date, "kind": "split", "known_at": at(date(2024, 4, 1)), "ratio": ratio}
        for ex_date, ratio in ((date(2024, 5, 1), 2.0), (date(2024, 6, 3), 5.0))
    ]
    told_first = {"ex_date": date(2024, 5, 6), "known_at": at(date(2024, 3, 1))}
    moved = [actions[0] | told_first]
    inputs = market(corporate_actions=feed("corporate_actions", [*actions, *moved]))
    (state,) = market_states(inputs, ["AAA", "BBB"], np.repeat(days(TODAY), 5), np.array([0, 0, 0, 0, 1]))
    after = days(date(2024, 4, 30), date(2024, 5, 1), date(2024, 4, 30), date(2024, 4, 30), date(2024, 4, 30))
    through = days(date(2024, 6, 3), date(2024, 6, 3), date(2024, 6, 2), date(2024, 5, 1), date(2024, 6, 3))
    assert state.split_ratio(after, through).tolist() == [10.0, 5.0, 2.0, 2.0, 1.0]
