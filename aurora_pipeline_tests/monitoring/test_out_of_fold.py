from datetime import UTC, date, datetime

import polars as pl
import pytest

from aurora_pipeline.monitoring.out_of_fold import version_information_coefficients

NAMES = [f"S{k}" for k in range(6)]


def _rows(day, hour, **columns):
    moment = datetime(2025, 1, day, hour, tzinfo=UTC)
    keys = {"session": date(2025, 1, day), "symbol": NAMES, "decision_time": moment}
    return pl.DataFrame(keys | columns)


def test_the_mean_is_taken_within_sessions_first_and_what_has_not_matured_does_not_count():
    up, down = [1.0, 2, 3, 4, 5, 6], [6.0, 5, 4, 3, 2, 1]
    labels = pl.concat(_rows(day, hour, label=up) for day, hour in ((2, 15), (2, 16), (2, 17), (3, 15)))
    scores = pl.concat(
        [
            *(_rows(2, hour, model_version="a", score=up) for hour in (15, 16, 17)),
            _rows(3, 15, model_version="a", score=down),
            _rows(3, 15, model_version="b", score=up),
            _rows(6, 15, model_version="b", score=down),
            _rows(6, 15, model_version="c", score=up),
        ]
    )
    found = version_information_coefficients(scores, labels)
    assert found.rows() == [("a", pytest.approx(0.0), 2), ("b", pytest.approx(1.0), 1)]


def test_nothing_matured_gives_no_rows():
    scores = _rows(6, 15, model_version="c", score=[1.0, 2, 3, 4, 5, 6])
    assert version_information_coefficients(scores, _rows(3, 15, label=[0.0] * 6)).is_empty()
