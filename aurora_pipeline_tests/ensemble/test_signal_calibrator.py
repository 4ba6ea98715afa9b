from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import validated
from aurora_pipeline.ensemble.maturity import unmatured_rows
from aurora_pipeline.ensemble.signal_calibrator import calibrate, calibration_states, interval_violations
from aurora_pipeline.errors import LeakageError
from aurora_pipeline.monitoring.calibration_quality import coverage, mincer_zarnowitz
from aurora_pipeline.settings import CalibrationSettings, Settings
from aurora_pipeline_tests.planted_panel import CALENDAR, HORIZON, planted_panel

PANEL = planted_panel(sessions=75, names=40, ic=0.3)
SETTINGS = Settings()
VOLATILITY = 0.02


def ensemble_of(panel=PANEL) -> pl.DataFrame:  # type: ignore[no-untyped-def]
    """The planted truth as the ensemble's score, standardised within each decision time."""
    truth = panel.features.select("session", "symbol", "decision_time").join(
        panel.truth, on=["symbol", "decision_time"]
    )
    expected = pl.col("expected_residual_return")
    z = (expected - expected.mean()) / expected.std(ddof=0)
    return truth.sort("decision_time", "symbol").select(
        "session", "symbol", "decision_time", z.over("decision_time").alias("score")
    )


def flat_volatility(panel=PANEL, level: float = VOLATILITY) -> pl.DataFrame:  # type: ignore[no-untyped-def]
    names = panel.features.select("session", "symbol").unique()
    return names.with_columns(pl.lit(level).alias("volatility"))


def residual_returns(panel=PANEL) -> pl.DataFrame:  # type: ignore[no-untyped-def]
    """One return per session and name, from 20 sessions before the panel, of the labels' standard deviation."""
    days = [CALENDAR.shift(panel.sessions[0], -k) for k in range(20, 0, -1)] + panel.sessions
    names = panel.features.get_column("symbol").unique().sort().to_list()
    closes = pl.Series([CALENDAR.close(day) for day in days], dtype=TIMESTAMP)
    generator = np.random.default_rng(5)
    return (
        pl.DataFrame({"session": days, "bar_end": closes, "known_at": closes})
        .join(pl.DataFrame({"symbol": names, "instrument_id": names}), how="cross")
        .with_columns(pl.Series("residual_return", VOLATILITY * generator.choice([-1.0, 1.0], len(days) * len(names))))
    )


ENSEMBLE = ensemble_of()
RETURNS = residual_returns()


def signals_of(sessions=None, labels=PANEL.labels, ensemble=ENSEMBLE, settings=SETTINGS) -> pl.DataFrame:  # type: ignore[no-untyped-def]
    return calibrate(sessions or PANEL.sessions, PANEL.opens, ensemble, labels, RETURNS, settings, 1)


SIGNALS = signals_of()


def test_contract_and_intervals_hold() -> None:
    assert validated("signals", SIGNALS).height == ENSEMBLE.height
    assert interval_violations(SIGNALS).is_empty()


def test_expected_return_is_shrunk_ic_times_volatility_times_score() -> None:
    volatility = flat_volatility()
    states = calibration_states(PANEL.opens, ENSEMBLE, PANEL.labels, volatility, SETTINGS.calibration)
    session = PANEL.sessions[10]
    matured = ENSEMBLE.join(PANEL.labels, on=["session", "symbol", "decision_time"]).filter(
        pl.col("matured_at") < PANEL.opens[session]
    )
    # A session's evidence ages from the open it first counted at.
    epoch = matured.get_column("matured_at").dt.date().to_list()
    age = np.array([PANEL.sessions.index(session) - PANEL.sessions.index(day) - 1 for day in epoch])
    weight = 0.5 ** (age / SETTINGS.calibration.half_life_sessions) / (3 * 40)
    z, u = matured.get_column("score").to_numpy(), matured.get_column("label").to_numpy() / VOLATILITY
    moment, information = (weight * z * u).sum(), (weight * z * z).sum()
    row = states.filter(session=session).row(0, named=True)
    assert row["information_coefficient"] == pytest.approx(moment / information)
    assert row["shrunk_ic"] == pytest.approx(moment / (information + SETTINGS.calibration.prior_sessions))
    signals = SIGNALS.filter(session=session)
    expected = row["shrunk_ic"] * VOLATILITY * signals.get_column("score")
    assert signals.get_column("expected_return").to_list() == pytest.approx(expected.to_list(), rel=1e-6)


def test_nothing_is_calibrated_before_enough_sessions_matured() -> None:
    flags = (
        SIGNALS.group_by("session").agg(pl.col("calibrated").all()).sort("session").get_column("calibrated").to_list()
    )
    # Session k's labels mature during session k + 1, so five sessions of evidence stand behind session 6.
    assert flags == [False] * 6 + [True] * (len(PANEL.sessions) - 6)
    cold = SIGNALS.filter(~pl.col("calibrated"))
    assert cold.select("expected_return", "lower_50", "upper_90").null_count().row(0) == (cold.height,) * 3


def test_the_planted_ic_and_nominal_coverage_come_back() -> None:
    later = SIGNALS.filter(pl.col("session") >= PANEL.sessions[25])
    fit = mincer_zarnowitz(later, PANEL.labels)
    assert fit["slope_lower"] < 1.25
    assert fit["slope_upper"] > 0.8
    overall = coverage(SIGNALS, PANEL.labels)["overall"]
    assert [overall["50"], overall["80"], overall["90"]] == pytest.approx([0.5, 0.8, 0.9], abs=0.02)


def test_a_losing_signal_expects_nothing() -> None:
    against = PANEL.labels.with_columns(-pl.col("label"))
    signals = signals_of(labels=against).filter("calibrated")
    assert signals.get_column("expected_return").abs().max() == 0.0
    assert interval_violations(signals).is_empty()


def test_one_session_alone_equals_the_range() -> None:
    session = PANEL.sessions[40]
    history = ENSEMBLE.filter(pl.col("session") <= session)
    labels = PANEL.labels.filter(pl.col("matured_at") < PANEL.opens[session])
    assert signals_of([session], labels, history).equals(SIGNALS.filter(session=session))


def test_a_partial_session_equals_its_part_of_the_whole() -> None:
    session = PANEL.sessions[40]
    newest = ENSEMBLE.filter(session=session).get_column("decision_time").min()
    partial = ENSEMBLE.filter(pl.col("decision_time") <= newest)
    assert signals_of([session], PANEL.labels, partial).equals(SIGNALS.filter(session=session, decision_time=newest))


def test_poison_after_the_open_changes_nothing() -> None:
    session = PANEL.sessions[40]
    garbage = PANEL.labels.with_columns(
        pl.when(pl.col("matured_at") >= PANEL.opens[session]).then(1e6).otherwise("label").alias("label")
    )
    assert signals_of([session], garbage).equals(SIGNALS.filter(session=session))


def test_labels_that_matured_too_late_are_caught() -> None:
    assert unmatured_rows(SIGNALS, PANEL.labels, PANEL.opens).is_empty()
    # The mutant calibrates with what is known at the close.
    closes = {session: CALENDAR.close(session) for session in PANEL.sessions}
    mutant = calibrate(PANEL.sessions, closes, ENSEMBLE, PANEL.labels, RETURNS, SETTINGS, 1)
    assert unmatured_rows(mutant, PANEL.labels, PANEL.opens).get_column("session").n_unique() == len(PANEL.sessions) - 1


def test_a_label_maturing_at_the_open_counts_from_the_session_after() -> None:
    session = PANEL.sessions[40]
    at_open = PANEL.labels.with_columns(
        pl.when(pl.col("matured_at").dt.date() == PANEL.sessions[39])
        .then(pl.lit(PANEL.opens[session]).cast(TIMESTAMP))
        .otherwise("matured_at")
        .alias("matured_at")
    )
    signals = signals_of(PANEL.sessions[:42], at_open)
    assert unmatured_rows(signals, at_open, PANEL.opens).is_empty()
    through = signals.group_by("session").agg(pl.col("evidence_through").max()).sort("session")
    assert through.get_column("evidence_through")[40] == through.get_column("evidence_through")[39]
    assert through.get_column("evidence_through")[41] > PANEL.opens[session]


def test_a_name_without_volatility_is_not_calibrated() -> None:
    unknown = RETURNS.filter(pl.col("symbol") != "S07")
    signals = calibrate(PANEL.sessions, PANEL.opens, ENSEMBLE, PANEL.labels, unknown, SETTINGS, 1)
    assert not signals.filter(symbol="S07").get_column("calibrated").any()
    assert interval_violations(signals).is_empty()


def test_no_matured_history_is_uncalibrated() -> None:
    signals = signals_of(labels=PANEL.labels.clear())
    assert not signals.get_column("calibrated").any()
    assert validated("signals", signals).get_column("evidence_through").null_count() == signals.height


def test_a_stronger_prior_expects_less() -> None:
    sceptical = Settings(calibration=CalibrationSettings(prior_sessions=200.0))
    ratio = (
        signals_of(settings=sceptical).get_column("expected_return").abs().sum()
        / SIGNALS.get_column("expected_return").abs().sum()
    )
    assert 0.05 < ratio < 0.5


def test_interval_violations_are_found() -> None:
    calibrated = SIGNALS.filter("calibrated").head(4)
    changes = [
        pl.col("upper_80") * 0 - 1,
        pl.lit(None, pl.Float64).alias("upper_80"),
        pl.lit(float("nan")).alias("upper_80"),
    ]
    for change in changes:
        assert interval_violations(calibrated.with_columns(change)).height == 4
    assert interval_violations(calibrated.with_columns(pl.lit(value=False).alias("calibrated"))).height == 4


def test_missing_opening_moments_are_refused() -> None:
    opens = {session: CALENDAR.open(session) for session in PANEL.sessions[1:]}
    with pytest.raises(LeakageError, match=f"1 of 75 are missing, the first is {PANEL.sessions[0]}"):
        calibrate(PANEL.sessions, opens, ENSEMBLE, PANEL.labels, RETURNS, SETTINGS, HORIZON)
