"""Predictions to calibrated signals: weights from matured evidence, one score, one expected return with intervals."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg
import polars as pl

from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.stage_run import StageRun

GROUP = "ensemble"
OWNERS = ["team:research"]
LABEL_COLUMNS = ("session", "symbol", "decision_time", "label", "matured_at")
RESIDUAL_COLUMNS = ("session", "symbol", "instrument_id", "bar_end", "known_at", "residual_return")
UNMATURED = "rows that rest on evidence their session could not have had"


def _matured_spec(asset: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        "matured",
        asset=asset,
        blocking=True,
        description="Evidence had matured before the session it is used in opened.",
    )


def _opens(run: StageRun, sessions: Sequence[date]) -> dict[date, datetime]:
    return {day: run.home.calendar.open(day) for day in sessions}


def ensemble_weights_asset(families: Sequence[str], partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of the families' weights."""

    @dg.asset(
        name="ensemble_weights",
        deps=[
            *(dg.AssetKey(["prediction", family]) for family in families),
            "shadow_predictions",
            "labels",
            "model_states",
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars"},
        description="Weight of each family during a session, from the matured IC of the sessions before it.",
        check_specs=[
            dg.AssetCheckSpec(
                "weights",
                asset="ensemble_weights",
                blocking=True,
                description="Weights of a session are not negative, within the cap, and sum to one.",
            ),
            _matured_spec("ensemble_weights"),
        ],
    )
    def ensemble_weights(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.adapters.champions_in_force import weights_of_champions
        from aurora_pipeline.adapters.zoo import champion_sets
        from aurora_pipeline.contracts import empty
        from aurora_pipeline.ensemble.ic_weighted_ensemble import weight_violations
        from aurora_pipeline.ensemble.maturity import unmatured_rows

        run = StageRun(context, home.open(), "ensemble_weights")
        last = run.sessions[-1]
        labels = run.home.lake.read("labels", run.scored_from, last, LABEL_COLUMNS)
        opens = _opens(run, run.sessions)
        scored = [day for day in run.sessions if day >= run.scored_from]
        frame = empty("ensemble_weights")
        for sessions, members in champion_sets(run.read_back("model_states", scored, 0), scored):
            if members:
                own, span = {day: opens[day] for day in sessions}, (run.scored_from, last)
                frame = frame.vstack(weights_of_champions(run.home, run.settings, members, own, labels, span))
        run.write("ensemble_weights", frame, run.keys)
        violations = weight_violations(frame, run.settings)
        return dg.MaterializeResult(
            metadata=run.summary(),
            check_results=[
                run.check("weights", violations, "weights outside their bounds"),
                run.check("matured", unmatured_rows(frame, labels, opens), UNMATURED),
            ],
        )

    return ensemble_weights


def ensemble_asset(families: Sequence[str], partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of the combined score."""

    @dg.asset(
        name="ensemble",
        deps=[
            *(dg.AssetKey(["prediction", family]) for family in families),
            "shadow_predictions",
            "model_states",
            "ensemble_weights",
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars"},
        description="IC-weighted score of all families, the equal-weight score and their disagreement beside it.",
    )
    def ensemble(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.adapters.zoo import champion_sets, read_served
        from aurora_pipeline.ensemble.ic_weighted_ensemble import combine

        run = StageRun(context, home.open(), "ensemble")
        for keys, sessions in run.blocks():
            scored = [day for day in sessions if day >= run.scored_from]
            stretches = champion_sets(run.read_back("model_states", scored, 0), scored)
            predictions = pl.concat(read_served(run.home, members, days[0], days[-1]) for days, members in stretches)
            weights = run.read_back("ensemble_weights", scored, 0)
            run.write("ensemble", combine(predictions, weights), keys)
        return dg.MaterializeResult(metadata=run.summary())

    return ensemble


def calibrated_signals_asset(partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of calibrated signals."""

    @dg.asset(
        name="calibrated_signals",
        deps=["ensemble", "labels", "residual_returns"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars"},
        description="Expected residual return over the horizon with 50, 80 and 90 % intervals, calibrated on matured scores; "
        "table `signals`.",
        check_specs=[
            dg.AssetCheckSpec(
                "intervals",
                asset="calibrated_signals",
                blocking=True,
                description="Intervals are nested and contain the expected return; numbers are finite or flagged uncalibrated.",
            ),
            _matured_spec("calibrated_signals"),
        ],
    )
    def calibrated_signals(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.ensemble.maturity import unmatured_rows
        from aurora_pipeline.ensemble.signal_calibrator import calibrate, interval_violations

        run = StageRun(context, home.open(), "calibrated_signals")
        lake, last = run.home.lake, run.sessions[-1]
        opens = _opens(run, [day for day in run.lineage.sessions if run.scored_from <= day <= last])
        labels = lake.read("labels", run.scored_from, last, LABEL_COLUMNS)
        frame = calibrate(
            run.sessions,
            opens,
            lake.read(
                "ensemble", run.scored_from, last, ["session", "symbol", "decision_time", "score", "disagreement"]
            ),
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
                run.check("matured", unmatured_rows(frame, labels, opens), UNMATURED),
            ],
        )

    return calibrated_signals
