"""Residual returns to labels: what the models are to forecast, once it is known."""

from typing import Any

import dagster as dg

from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.stage_run import StageRun
from aurora_pipeline.lineage import Read


def labels_asset(partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of labels."""

    @dg.asset(
        name="labels",
        deps=["residual_returns", "universe"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="features",
        owners=["team:research"],
        kinds={"polars", "numba"},
        description="Residual return from the close of the next bar over the horizon, as known at maturity; rows that have "
        "not matured are absent.",
        check_specs=[
            dg.AssetCheckSpec(
                "entry_after_decision",
                asset="labels",
                blocking=True,
                description="No label uses a price at or before its decision time, or matures before its horizon.",
            )
        ],
    )
    def labels(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.models.labels import compute_labels, entry_violations

        run = StageRun(context, home.open(), "labels")
        reach = next(read.sessions for read in run.stage.reads if isinstance(read, Read) and read.window == "ahead")
        horizon = run.settings.horizon_bars(run.home.frequency)
        lag = run.settings.execution_lag_bars
        violations = []
        for keys, sessions in run.blocks():
            frame = compute_labels(
                sessions,
                run.home.lake.read("residual_returns", sessions[0], run.after(sessions[-1], reach)),
                run.home.lake.read("universe", sessions[0], sessions[-1]),
                run.home.calendar,
                run.home.frequency,
                horizon,
                lag,
            )
            violations.append(entry_violations(frame, run.home.calendar, run.home.frequency, lag))
            run.write("labels", frame, keys)
        from polars import concat

        return dg.MaterializeResult(
            metadata=run.summary(),
            check_results=[run.check("entry_after_decision", concat(violations), "labels that use a price too early")],
        )

    return labels
