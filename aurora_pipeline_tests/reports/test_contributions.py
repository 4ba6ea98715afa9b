from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from aurora_pipeline.reports.contributions import session_residuals

DAY = date(2024, 11, 4)
OPEN = datetime(2024, 11, 4, 14, 30, tzinfo=UTC)


def rows(*bars):
    """Rows of `residual_returns` of one stock: bar, known so many minutes after the open, return, withdrawn or not."""
    return pl.DataFrame(
        [
            (DAY, "A", OPEN + timedelta(minutes=5 * bar), OPEN + timedelta(minutes=known), gone, value)
            for bar, known, value, gone in bars
        ],
        schema={
            "session": pl.Date,
            "symbol": pl.String,
            "bar_end": pl.Datetime("us", "UTC"),
            "known_at": pl.Datetime("us", "UTC"),
            "quarantined_at": pl.Datetime("us", "UTC"),
            "residual_return": pl.Float64,
        },
        orient="row",
    )


def test_the_newest_version_counts_and_one_withdrawn_brings_no_older_one_back():
    given = rows((1, 5, 0.01, None), (2, 10, 0.02, None), (2, 30, 0.04, None), (3, 15, 0.5, None), (3, 40, 0.6, OPEN))
    assert session_residuals(given).rows() == [(DAY, "A", 0.05)]


def test_bars_that_became_known_together_are_added_in_time_order():
    values = np.random.default_rng(5).standard_normal(2000)
    given = rows(*((bar, 20_000, float(value), None) for bar, value in enumerate(values)))
    in_order = session_residuals(given).item(0, "return")
    assert all(
        session_residuals(given.sample(fraction=1.0, shuffle=True, seed=k)).item(0, "return") == in_order
        for k in range(5)
    )
