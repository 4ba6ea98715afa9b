from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import validated
from aurora_pipeline.ensemble import signal_calibrator
from aurora_pipeline.ensemble.calibration_state import RunningCalibration
from aurora_pipeline.ensemble.maturity import unmatured_rows
from aurora_pipeline.ensemble.residual_volatility import residual_volatility
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
        "session",
        "symbol",
        "decision_time",
        z.over("decision_time").alias("score"),
        pl.lit(0.5).alias("disagreement"),
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
    states = calibration_states(PANEL.opens, ENSEMBLE, PANEL.labels, volatility, SETTINGS.calibration, 2)
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
    # What matured in one session is one observation; residuals of neighbouring ones are correlated over two sessions.
    epochs = sorted(set(epoch))
    chosen = [np.array([day == one for day in epoch]) for one in epochs]
    P, Q = np.array([[(weight * z * v)[rows].sum() for rows in chosen] for v in (u, z)])
    r = P - row["information_coefficient"] * Q
    variance = (r * r).sum() + 4 / 3 * (r[1:] * r[:-1]).sum() + 2 / 3 * (r[2:] * r[:-2]).sum()
    effective = Q.sum() ** 2 / (Q * Q).sum()
    error = np.sqrt(variance * effective / (effective - 1)) / information
    assert row["standard_error"] == pytest.approx(error)
    believed = 1 - (error / row["information_coefficient"]) ** 2
    assert row["shrunk_ic"] == pytest.approx(believed * moment / (information + SETTINGS.calibration.prior_sessions))
    signals = SIGNALS.filter(session=session)
    expected = row["shrunk_ic"] * VOLATILITY * signals.get_column("score")
    assert signals.get_column("expected_return").to_list() == pytest.approx(expected.to_list(), rel=1e-6)
    assert signals.get_column("calibrator").unique().to_list() == ["grinold"]
    assert signals.get_column("disagreement").to_list() == pytest.approx(
        [row["shrunk_ic"] * VOLATILITY * 0.5] * signals.height
    )


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


def test_one_unmatured_row_among_the_calibrations_evidence_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant's only fault: one row of 9000 counts one session too early."""
    original = signal_calibrator._matured_rows

    def eager(*arguments):  # type: ignore[no-untyped-def]
        rows = original(*arguments)
        early = pl.int_range(pl.len()) == 3000
        moved = rows.with_columns(pl.when(early).then(pl.col("epoch") - 1).otherwise("epoch").alias("epoch"))
        return moved.sort("epoch", "session_index", maintain_order=True)

    session = PANEL.sessions[
        int(original(PANEL.opens, pl.Series(PANEL.sessions), ENSEMBLE, PANEL.labels, flat_volatility())["epoch"][3000])
        - 1
    ]
    monkeypatch.setattr(signal_calibrator, "_matured_rows", eager)
    mutant = signals_of()
    assert mutant.get_column("evidence_rows").max() == SIGNALS.get_column("evidence_rows").max()
    assert unmatured_rows(mutant, PANEL.labels, PANEL.opens).get_column("session").unique().to_list() == [session]
    # Hiding the moment does not help: it has a row more than there were labels.
    hidden = mutant.with_columns(SIGNALS.get_column("evidence_through"))
    assert unmatured_rows(hidden, PANEL.labels, PANEL.opens).get_column("session").unique().to_list() == [session]


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


def delayed(session: int, days: int, names: pl.Expr) -> pl.DataFrame:
    """Labels of which some of one session mature a minute after the close of the session so many days later."""
    late = pl.lit(CALENDAR.close(PANEL.sessions[session + days])).cast(TIMESTAMP) + pl.duration(minutes=1)
    chosen = (pl.col("session") == PANEL.sessions[session]) & names
    return PANEL.labels.with_columns(pl.when(chosen).then(late).otherwise("matured_at").alias("matured_at"))


def test_the_evidence_reaches_through_the_latest_of_all_that_matured() -> None:
    everybody = pl.lit(value=True)
    states = calibration_states(
        PANEL.opens, ENSEMBLE, delayed(10, 2, everybody), flat_volatility(), SETTINGS.calibration, 2
    )
    # Session 11's labels, which mature during session 12, come after them in order but not in time.
    through = CALENDAR.close(PANEL.sessions[12]).timestamp() + 60
    assert states.get_column("evidence_through")[13].timestamp() == through


def test_a_session_counts_once_however_its_labels_come() -> None:
    unaged = CalibrationSettings(half_life_sessions=1e9)
    halves = delayed(10, 2, pl.col("symbol") < "S20")
    whole, parts = (
        calibration_states(PANEL.opens, ENSEMBLE, labels, flat_volatility(), unaged, 2)
        for labels in (PANEL.labels, halves)
    )
    column = "information_coefficient"
    assert parts.get_column(column)[12] != pytest.approx(whole.get_column(column)[12])
    assert parts.get_column(column)[13:].to_list() == pytest.approx(whole.get_column(column)[13:].to_list())


def test_errors_are_held_against_the_forecast_of_their_own_session(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    class Spy(RunningCalibration):
        def observe(self, source: int, z: np.ndarray, *rest: object) -> None:
            seen.append((source, len(self.issued)))
            super().observe(source, z, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(signal_calibrator, "RunningCalibration", Spy)
    labels = delayed(10, 3, pl.lit(value=True))
    calibration_states(PANEL.opens, ENSEMBLE, labels, flat_volatility(), SETTINGS.calibration, 2)
    # (session scored, session that opens next); labels mature during the session after their own.
    assert seen[:14] == [*((k, k + 2) for k in range(10)), (11, 13), (10, 14), (12, 14), (13, 15)]


def test_a_name_without_volatility_is_not_calibrated() -> None:
    unknown = RETURNS.filter(pl.col("symbol") != "S07")
    signals = calibrate(PANEL.sessions, PANEL.opens, ENSEMBLE, PANEL.labels, unknown, SETTINGS, 1)
    assert not signals.filter(symbol="S07").get_column("calibrated").any()
    assert interval_violations(signals).is_empty()


def test_no_matured_history_is_uncalibrated() -> None:
    signals = signals_of(labels=PANEL.labels.clear())
    assert not signals.get_column("calibrated").any()
    assert validated("signals", signals).get_column("evidence_through").null_count() == signals.height


def test_volatility_and_reach_follow_the_bars_of_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bars a session: span and pull are those of intraday bars, and lag and horizon reach over two sessions."""
    loud = pl.when(pl.col("symbol") < "S20").then(3.0).otherwise(1.0)
    scaled = RETURNS.with_columns(pl.col("residual_return") * loud)
    earlier = [(pl.col(name) - pl.duration(hours=1)).alias(name) for name in ("bar_end", "known_at")]
    returns = pl.concat([scaled, scaled.with_columns(earlier)])
    reaches = []

    def spy(*arguments):  # type: ignore[no-untyped-def]
        reaches.append(arguments[-1])
        return calibration_states(*arguments)

    monkeypatch.setattr(signal_calibrator, "calibration_states", spy)
    signals = calibrate(PANEL.sessions[-2:], PANEL.opens, ENSEMBLE, PANEL.labels, returns, SETTINGS, 2)
    assert reaches == [2]  # (1 + 2) / 2, rounded up
    wanted = residual_volatility(PANEL.sessions, PANEL.opens, returns, 20.0, 2, 0.1)
    joined = signals.join(wanted, on=["session", "symbol"])
    assert joined.height == signals.height
    assert joined.get_column("residual_volatility").to_list() == joined.get_column("volatility").to_list()


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
        pl.lit(float("inf")).alias("upper_90"),
    ]
    for change in changes:
        assert interval_violations(calibrated.with_columns(change)).height == 4
    assert interval_violations(calibrated.with_columns(pl.lit(value=False).alias("calibrated"))).height == 4
    assert interval_violations(calibrated.with_columns(pl.col("expected_return").alias("upper_50"))).is_empty()


def test_missing_opening_moments_are_refused() -> None:
    opens = {session: CALENDAR.open(session) for session in PANEL.sessions[1:]}
    with pytest.raises(LeakageError, match=f"1 of 75 are missing, the first is {PANEL.sessions[0]}"):
        calibrate(PANEL.sessions, opens, ENSEMBLE, PANEL.labels, RETURNS, SETTINGS, HORIZON)


def kinked(strength: float, seed: int = 4) -> pl.DataFrame:
    """Labels that pay only where the score is above 1: a map that is monotone and not linear."""
    generator = np.random.default_rng(seed)
    rows = PANEL.labels.join(ENSEMBLE, on=["session", "symbol", "decision_time"], maintain_order="left")
    paid = strength * np.maximum(rows.get_column("score").to_numpy() - 1.0, 0.0)
    return PANEL.labels.with_columns(
        pl.Series("label", VOLATILITY * (paid - paid.mean() + generator.standard_normal(len(paid))))
    )


def test_the_isotonic_map_serves_only_where_it_won_out_of_time() -> None:
    linear = signals_of().filter("calibrated")
    assert linear.get_column("calibrator").unique().to_list() == ["grinold"]
    labels = kinked(2.0)
    signals = signals_of(labels=labels)
    assert validated("signals", signals).height == ENSEMBLE.height
    assert interval_violations(signals).is_empty()
    by_session = signals.filter("calibrated").group_by("session").agg(pl.col("calibrator").first()).sort("session")
    served = by_session.get_column("calibrator").to_list()
    assert served[:15] == ["grinold"] * 15  # 20 sessions of matured forecasts stand before the first choice
    assert served[-1] == "isotonic"
    after = signals.filter(pl.col("calibrator") == "isotonic")
    fit = mincer_zarnowitz(after, labels)
    assert fit["slope_lower"] < 1.1
    assert fit["slope_upper"] > 0.9
    # Never falling with the score, for one volatility.
    one = after.filter(session=PANEL.sessions[-1]).with_columns(
        pl.col("expected_return") / pl.col("residual_volatility")
    )
    assert (one.sort("score").get_column("expected_return").diff().drop_nulls() >= -1e-12).all()


def test_the_isotonic_map_is_the_same_alone_and_knows_nothing_of_later_labels() -> None:
    labels, session = kinked(2.0), PANEL.sessions[60]
    together = signals_of(labels=labels).filter(session=session)
    assert together.get_column("calibrator").unique().to_list() == ["isotonic"]
    cut = labels.filter(pl.col("matured_at") < PANEL.opens[session])
    assert signals_of([session], cut, ENSEMBLE.filter(pl.col("session") <= session)).equals(together)


def test_a_signal_within_its_noise_expects_nothing_or_little() -> None:
    generator = np.random.default_rng(9)
    noise = PANEL.labels.with_columns(pl.Series("label", VOLATILITY * generator.standard_normal(PANEL.labels.height)))
    planted = SIGNALS.filter("calibrated").get_column("expected_return").std()
    found = signals_of(labels=noise).filter("calibrated").get_column("expected_return").std()
    assert found < 0.05 * planted  # type: ignore[operator]


def test_ties_and_a_constant_score_are_not_calibrated() -> None:
    constant = ENSEMBLE.with_columns(pl.lit(0.0).alias("score"))
    signals = signals_of(ensemble=constant)
    assert not signals.get_column("calibrated").any()
    assert interval_violations(signals).is_empty()
    tied = ENSEMBLE.with_columns(pl.col("score").sign().alias("score"))
    both = signals_of(ensemble=tied).filter("calibrated")
    assert both.height > 0
    assert interval_violations(both).is_empty()


def test_fewer_errors_than_a_90_per_cent_interval_needs_are_not_calibrated() -> None:
    one = ENSEMBLE.filter(pl.col("symbol").is_in(["S01", "S02"])).with_columns(
        pl.when(pl.col("symbol") == "S01").then(1.0).otherwise(-1.0).alias("score")
    )
    first = one.group_by("session").agg(pl.col("decision_time").min())
    sparse = one.join(first, on=["session", "decision_time"], how="semi")  # two rows a session
    flags = signals_of(ensemble=sparse).group_by("session").agg(pl.col("calibrated").all()).sort("session")
    assert flags.get_column("calibrated").to_list() == [False] * 11 + [True] * 64  # ten sessions give 20 errors
