from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.contracts import validated
from aurora_pipeline.monitoring.calibration_quality import (
    calibration_error,
    calibration_error_interval,
    coverage,
    matured_signals,
    mincer_zarnowitz,
)
from aurora_pipeline.monitoring.information_coefficient import information_coefficient
from aurora_pipeline.monitoring.signal_quality import (
    half_life,
    ic_stability,
    quality_headline,
    reliability,
    signal_ages,
    signal_quality,
)
from aurora_pipeline_tests.ensemble.test_signal_calibrator import PANEL, SIGNALS
from aurora_pipeline_tests.monitoring.test_calibration_quality import frames

QUALITY = signal_quality(SIGNALS, PANEL.labels)


def test_there_is_a_row_for_every_session_and_month_and_one_for_all() -> None:
    assert validated("signal_quality", QUALITY).height == 75 + 4 + 1
    assert QUALITY.group_by("kind").len().sort("kind").rows() == [("all", 1), ("month", 4), ("session", 75)]


def test_a_month_is_measured_as_its_rows_alone() -> None:
    month = QUALITY.filter(period="2025-03").row(0, named=True)
    rows = SIGNALS.filter(pl.col("session").dt.strftime("%Y-%m") == "2025-03")
    fit, covered = mincer_zarnowitz(rows, PANEL.labels), coverage(rows, PANEL.labels)
    assert month["slope"] == pytest.approx(fit["slope"])
    assert month["slope_lower"] == pytest.approx(fit["slope_lower"])
    assert month["intercept_bps"] == pytest.approx(1e4 * fit["intercept"])
    assert month["coverage_80"] == pytest.approx(covered["overall"]["80"])
    assert month["calibration_error"] == pytest.approx(calibration_error(covered))
    assert month["ic"] == pytest.approx(information_coefficient(rows, PANEL.labels).mean)
    matured = rows.join(PANEL.labels, on=["symbol", "decision_time"]).filter("calibrated")
    assert month["sharpness_bps"] == pytest.approx(1e4 * (matured["upper_80"] - matured["lower_80"]).mean())


def test_a_session_has_no_interval_and_an_unmatured_one_nothing() -> None:
    session = QUALITY.filter(period=str(PANEL.sessions[40])).row(0, named=True)
    assert session["slope"] is not None
    assert session["slope_lower"] is None
    assert session["ic_lower"] is None
    last = QUALITY.filter(period=str(PANEL.sessions[-1])).row(0, named=True)
    assert (last["matured_rows"], last["ic"], last["coverage_50"], last["sharpness_bps"]) == (0, None, None, None)


def test_nothing_scored_gives_an_empty_table() -> None:
    assert signal_quality(SIGNALS.clear(), PANEL.labels).is_empty()
    assert quality_headline(signal_quality(SIGNALS.clear(), PANEL.labels)) == {}
    assert validated("reliability", reliability(SIGNALS.clear(), PANEL.labels)).is_empty()
    unmatured = signal_quality(SIGNALS, PANEL.labels.clear())
    assert unmatured.filter(kind="all")["ic"].to_list() == [None]


def test_stability_by_hand() -> None:
    series = np.concatenate([np.full(21, 0.1), np.full(21, 0.2)])
    found = ic_stability(series, np.full(42, 101.0))
    means = np.array([series[k : k + 21].mean() for k in range(22)])
    floor = (1 / (21 * 100)) ** 0.5
    assert found["ic_floor"] == pytest.approx(floor)
    assert found["ic_stability"] == pytest.approx((means.var(ddof=1) - floor**2) ** 0.5)
    # One degree of freedom: chi-square exceeds 5.0239 with 2.5 %.
    assert found["ic_stability_lower"] == pytest.approx(max(0.0, means.var(ddof=1) / 5.023886 - floor**2) ** 0.5)
    assert found["ic_stability_upper"] > found["ic_stability"]  # type: ignore[operator]


def test_sampling_alone_is_stable_and_too_little_is_not_judged() -> None:
    generator = np.random.default_rng(1)
    noise = 0.1 + generator.normal(0.0, 1 / 10, 420)
    assert ic_stability(noise, np.full(420, 101.0))["ic_stability"] < 0.012  # type: ignore[operator]
    short = ic_stability(noise[:41], np.full(41, 101.0))
    assert short["ic_stability"] is None
    assert short["ic_floor"] is not None
    assert ic_stability(noise[:0], noise[:0])["ic_floor"] is None


def test_half_life_is_interpolated() -> None:
    assert half_life([0.8, 0.6, 0.4, 0.2, 0.1, 0.0]) == pytest.approx(2.5)
    assert half_life([0.25, None, None, None, None, None]) == pytest.approx(0.5 / 0.75)
    assert half_life([0.9, 0.9, 0.8, 0.8, 0.7, 0.6]) is None
    assert half_life([None] * 6) is None


def test_the_signal_is_held_against_the_same_time_of_day() -> None:
    one = SIGNALS.filter(symbol="S00").height  # decision times
    assert one == 225
    kept = SIGNALS.with_columns(pl.col("symbol").str.slice(1).cast(pl.Float64).alias("score"))
    ages = signal_ages(kept)
    assert ages["age_1"].to_list() == [None] + [pytest.approx(1.0)] * 74
    assert ages["age_5"].null_count() == 5
    turned = kept.with_columns(
        pl.when(pl.col("session") == PANEL.sessions[10]).then(-pl.col("score")).otherwise("score").alias("score")
    )
    found = signal_ages(turned)
    assert found["age_1"][10] == found["age_1"][11] == pytest.approx(-1.0)
    assert found["age_2"][12] == pytest.approx(-1.0)


def test_reliability_by_hand() -> None:
    expected = np.tile(np.arange(20.0), (2, 1)) * 1e-4
    label = expected + np.array([[1e-4], [3e-4]])
    table = reliability(*frames(expected, label)).filter(pl.col("period") == "all")
    assert validated("reliability", table).height == 10
    assert table["rows"].to_list() == [4] * 10
    assert table["expected_bps"].to_list() == pytest.approx([0.5 + 2 * k for k in range(10)])
    assert table["realised_bps"].to_list() == pytest.approx([2.5 + 2 * k for k in range(10)])
    # Two clusters of two rows, each off by 1 bp: sqrt(2 * (2^2 + 2^2)) / 4.
    assert table["realised_error_bps"].to_list() == pytest.approx([1.0] * 10)
    one = reliability(*frames(expected[:1], label[:1]))
    assert one["realised_error_bps"].null_count() == one.height


def test_interval_of_the_calibration_error_contains_it_and_needs_sessions() -> None:
    generator = np.random.default_rng(3)
    signals, labels = frames(np.zeros((60, 60)), 1.3 * generator.normal(size=(60, 60)))  # too narrow by 1.3
    error = calibration_error(coverage(signals, labels))
    lower, upper = calibration_error_interval(matured_signals(signals, labels), 1)  # type: ignore[misc]
    assert 0.05 < lower < error < upper < 0.25  # type: ignore[operator]
    few = matured_signals(*frames(np.zeros((19, 60)), np.zeros((19, 60))))
    assert calibration_error_interval(few, 1) is None
    assert calibration_error_interval(few.clear(), 1) is None


def test_equal_expectations_share_a_bin() -> None:
    nothing = reliability(*frames(np.zeros((2, 30)), np.ones((2, 30))))
    assert nothing.filter(pl.col("period") == "all")["rows"].to_list() == [60]
