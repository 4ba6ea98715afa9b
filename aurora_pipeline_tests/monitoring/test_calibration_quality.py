from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.monitoring.calibration_quality import calibration_error, coverage, mincer_zarnowitz
from aurora_pipeline_tests.planted_panel import CALENDAR, planted_panel

DAYS = planted_panel(sessions=60, names=2).sessions


def frames(
    expected: np.ndarray, label: np.ndarray, width: float | np.ndarray = 1.0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Signals and labels of shape (sessions, names)."""
    sessions, names = expected.shape
    keys = pl.DataFrame(
        {
            "session": np.repeat(np.array(DAYS[:sessions], dtype="datetime64[D]"), names),
            "symbol": [f"S{k:03d}" for k in range(names)] * sessions,
            "decision_time": pl.Series([CALENDAR.close(d) for d in DAYS[:sessions]], dtype=TIMESTAMP).gather(
                np.repeat(np.arange(sessions), names)
            ),
        }
    )
    scale = np.broadcast_to(width, expected.shape).ravel()
    signals = keys.with_columns(
        pl.Series("expected_return", expected.ravel()),
        pl.Series("residual_volatility", scale),
        pl.lit(value=True).alias("calibrated"),
    )
    for level, quantile in (("50", 0.674490), ("80", 1.281552), ("90", 1.644854)):
        signals = signals.with_columns(
            (pl.col("expected_return") - quantile * pl.col("residual_volatility")).alias(f"lower_{level}"),
            (pl.col("expected_return") + quantile * pl.col("residual_volatility")).alias(f"upper_{level}"),
        )
    return signals, keys.with_columns(pl.Series("label", label.ravel()))


def test_slope_and_intercept_by_hand() -> None:
    expected = np.array([[0.0, 1.0], [2.0, 3.0]])
    fit = mincer_zarnowitz(*frames(expected, 0.5 + 2.0 * expected))
    assert fit["slope"] == pytest.approx(2.0)
    assert fit["intercept"] == pytest.approx(0.5)
    assert (fit["rows"], fit["sessions"], fit["slope_lower"]) == (4, 2, None)


def test_interval_is_the_cluster_sandwich() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(20, 10))
    y = x + generator.normal(size=(20, 10)) + generator.normal(size=(20, 1))
    fit = mincer_zarnowitz(*frames(x, y))
    X = np.column_stack([np.ones(200), x.ravel()])
    beta = np.linalg.lstsq(X, y.ravel(), rcond=None)[0]
    scores = (X * (y.ravel() - X @ beta)[:, None]).reshape(20, 10, 2).sum(axis=1)
    bread = np.linalg.inv(X.T @ X)
    errors = np.sqrt(np.diag(bread @ (scores.T @ scores) @ bread) * 20 / 19)
    half = 2.093024 * errors  # Student's t with 19 degrees of freedom
    assert [fit["intercept"], fit["slope"]] == pytest.approx(beta.tolist())
    assert fit["slope_upper"] - fit["slope"] == pytest.approx(half[1], rel=1e-5)
    assert fit["intercept"] - fit["intercept_lower"] == pytest.approx(half[0], rel=1e-5)


def test_a_slope_that_one_session_tells_has_no_interval() -> None:
    generator = np.random.default_rng(2)
    x = np.zeros((20, 10))
    x[7] = generator.normal(size=10)
    y = generator.normal(size=(20, 10))
    fit = mincer_zarnowitz(*frames(x, y))
    assert fit["slope"] is not None
    assert (fit["slope_lower"], fit["slope_upper"]) == (None, None)
    assert fit["intercept_lower"] < fit["intercept"] < fit["intercept_upper"]
    x[[2, 9, 12, 16]] = generator.normal(size=(4, 10))
    assert mincer_zarnowitz(*frames(x, y))["slope_lower"] is None  # five sessions, of unequal weight
    x[[3, 4, 10]] = generator.normal(size=(3, 10))
    assert mincer_zarnowitz(*frames(x, y))["slope_lower"] is not None


def test_the_interval_covers_the_true_slope() -> None:
    generator = np.random.default_rng(2)
    hits = 0
    for _ in range(100):
        x = generator.normal(size=(40, 10))
        common = generator.normal(size=(40, 1)) * x.mean(axis=1, keepdims=True)
        fit = mincer_zarnowitz(*frames(x, x + 3 * generator.normal(size=x.shape) + common))
        hits += fit["slope_lower"] <= 1.0 <= fit["slope_upper"]
    assert 88 <= hits <= 100


def test_coverage_overall_and_by_tercile() -> None:
    generator = np.random.default_rng(3)
    width = np.tile(np.array([1.0, 2.0, 4.0]).repeat(100), (60, 1))
    too_wide_when_calm = np.where(width == 1.0, 0.5, 1.0)
    signals, labels = frames(np.zeros((60, 300)), width * too_wide_when_calm * generator.normal(size=(60, 300)), width)
    covered = coverage(signals, labels)
    assert covered["middle_volatility"]["80"] == pytest.approx(0.8, abs=0.01)
    assert covered["high_volatility"]["90"] == pytest.approx(0.9, abs=0.01)
    assert covered["low_volatility"]["50"] == pytest.approx(0.823, abs=0.01)
    error = calibration_error(covered)
    assert error == pytest.approx(covered["low_volatility"]["50"] - 0.5)


def test_uncalibrated_and_unmatured_rows_do_not_count() -> None:
    signals, labels = frames(np.zeros((10, 10)), np.full((10, 10), 99.0))
    inside = labels.with_columns(pl.lit(0.0).alias("label"))
    flags = signals.with_columns((pl.col("session") < DAYS[5]).alias("calibrated"))
    mixed = pl.concat([inside.filter(pl.col("session") < DAYS[5]), labels.filter(pl.col("session") >= DAYS[5])])
    assert coverage(flags, mixed)["overall"]["50"] == 1.0
    assert coverage(signals, inside.filter(pl.col("session") < DAYS[3]))["overall"]["50"] == 1.0


def test_nothing_to_judge() -> None:
    signals, labels = frames(np.zeros((6, 6)), np.ones((6, 6)))
    fit = mincer_zarnowitz(signals, labels)  # the expected return does not vary
    assert (fit["slope"], fit["rows"]) == (None, 36)
    assert mincer_zarnowitz(signals, labels.clear())["rows"] == 0
    assert coverage(signals, labels.clear()) == {}
    assert calibration_error({}) is None


def test_a_volatility_tercile_with_too_few_rows_is_left_out() -> None:
    signals, labels = frames(np.zeros((10, 29)), np.zeros((10, 29)))
    assert set(coverage(signals, labels)) == {"overall"}  # 290 rows: terciles of 96 and 97
    signals, labels = frames(np.zeros((10, 30)), np.zeros((10, 30)))
    assert set(coverage(signals, labels)) == {"overall", "low_volatility", "middle_volatility", "high_volatility"}
