"""Predictions to calibrated signals: weights from matured evidence, one score, one expected return with intervals."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import polars as pl

from aurora_pipeline.adapters.models.model_registry import ModelRegistry
from aurora_pipeline.defs.session_asset import (
    UNMATURED,
    blocking_check,
    matured_check,
    opens,
    prediction_keys,
    scored_sessions,
    session_asset,
)
from aurora_pipeline.defs.stage_run import StageRun

GROUP = "ensemble"
RESIDUAL_COLUMNS = ("session", "symbol", "instrument_id", "bar_end", "known_at", "quarantined_at", "residual_return")


def ensemble_weights_asset(families: Sequence[str], partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of the families' weights."""
    return session_asset(
        "ensemble_weights",
        GROUP,
        [*prediction_keys(families), "shadow_predictions", "labels", "model_states"],
        partitions,
        "Weight of each family during a session, from the matured IC of the sessions before it.",
        _ensemble_weights,
        checks=[
            blocking_check(
                "weights",
                "ensemble_weights",
                "Weights of a session are not negative, within the cap, and sum to one.",
            ),
            matured_check("ensemble_weights"),
        ],
    )


def _ensemble_weights(run: StageRun, _: ModelRegistry) -> dg.MaterializeResult:
    from aurora_pipeline.adapters.models.champions_in_force import weights_of_champions
    from aurora_pipeline.adapters.models.zoo import LABEL_COLUMNS, champion_sets
    from aurora_pipeline.contracts import empty
    from aurora_pipeline.ensemble.ic_weighted_ensemble import weight_violations
    from aurora_pipeline.ensemble.maturity import unmatured_rows

    last = run.sessions[-1]
    labels = run.home.lake.read("labels", run.scored_from, last, LABEL_COLUMNS)
    opened = opens(run, run.sessions)
    scored = [day for day in run.sessions if day >= run.scored_from]
    frame = empty("ensemble_weights")
    for sessions, members in champion_sets(run.read_back("model_states", scored, 0), scored):
        if members:
            own, span = {day: opened[day] for day in sessions}, (run.scored_from, last)
            frame = frame.vstack(weights_of_champions(run.home, run.settings, members, own, labels, span))
    run.write("ensemble_weights", frame, run.keys)
    return dg.MaterializeResult(
        metadata=run.summary(),
        check_results=[
            run.check("weights", weight_violations(frame, run.settings), "weights outside their bounds"),
            run.check("matured", unmatured_rows(frame, labels, opened), UNMATURED),
        ],
    )


def ensemble_asset(families: Sequence[str], partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of the combined score."""
    return session_asset(
        "ensemble",
        GROUP,
        [*prediction_keys(families), "shadow_predictions", "model_states", "ensemble_weights"],
        partitions,
        "IC-weighted score of all families, the equal-weight score and their disagreement beside it.",
        _ensemble,
    )


def _ensemble(run: StageRun, _: ModelRegistry) -> dg.MaterializeResult:
    from aurora_pipeline.adapters.models.zoo import champion_sets, read_served
    from aurora_pipeline.ensemble.ic_weighted_ensemble import combine

    for keys, sessions in run.blocks():
        scored = [day for day in sessions if day >= run.scored_from]
        stretches = champion_sets(run.read_back("model_states", scored, 0), scored)
        predictions = pl.concat(read_served(run.home, members, days[0], days[-1]) for days, members in stretches)
        weights = run.read_back("ensemble_weights", scored, 0)
        run.write("ensemble", combine(predictions, weights), keys)
    return dg.MaterializeResult(metadata=run.summary())


def calibrated_signals_asset(partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of calibrated signals."""
    return session_asset(
        "calibrated_signals",
        GROUP,
        ["ensemble", "labels", "residual_returns"],
        partitions,
        "Expected residual return over the horizon with 50, 80 and 90 % intervals, calibrated on matured scores; table "
        "`signals`.",
        _calibrated_signals,
        checks=[
            blocking_check(
                "intervals",
                "calibrated_signals",
                "Intervals are nested and contain the expected return; numbers are finite or flagged uncalibrated.",
            ),
            matured_check("calibrated_signals"),
        ],
    )


def _calibrated_signals(run: StageRun, _: ModelRegistry) -> dg.MaterializeResult:
    from aurora_pipeline.adapters.models.zoo import LABEL_COLUMNS
    from aurora_pipeline.ensemble.maturity import unmatured_rows
    from aurora_pipeline.ensemble.signal_calibrator import calibrate, interval_violations

    lake, last = run.home.lake, run.sessions[-1]
    opened = opens(run, scored_sessions(run))
    labels = lake.read("labels", run.scored_from, last, LABEL_COLUMNS)
    frame = calibrate(
        run.sessions,
        opened,
        lake.read("ensemble", run.scored_from, last, ["session", "symbol", "decision_time", "score", "disagreement"]),
        labels,
        lake.read("residual_returns", None, last, RESIDUAL_COLUMNS),
        run.settings,
        run.settings.horizon_bars(run.home.frequency),
    )
    run.write("signals", frame, run.keys)
    return dg.MaterializeResult(
        metadata=run.summary(),
        check_results=[
            run.check("intervals", interval_violations(frame), "intervals out of order or not finite"),
            run.check("matured", unmatured_rows(frame, labels, opened), UNMATURED),
        ],
    )
