"""Residual returns to labels: what the models are to forecast, once it is known."""

from typing import Any

import dagster as dg
from polars import concat

from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.stage_run import StageRun
from aurora_pipeline.stage import Read

CHECKS = {
    "maturity": "No label matures before execution lag and horizon have passed.",
    "entry": "No label of a sampled session contains a return up to the bar in which its decision is filled.",
    "label_truncation": "Labels of a sampled session equal those of the rows known when they mature.",
    "label_poison": "Garbage in rows known after a label of a sampled session matured does not change it.",
}
"""Blocking checks; all but the first are those of :mod:`aurora_pipeline.models.label_leakage`."""


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
            dg.AssetCheckSpec(name, asset="labels", blocking=True, description=text) for name, text in CHECKS.items()
        ],
    )
    def labels(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.models.label_leakage import LABEL_CHECKS, LabelInputs, label_cuts, label_leaks
        from aurora_pipeline.models.labels import compute_labels, maturity_violations

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
            violations.append(maturity_violations(frame, run.home.calendar, run.home.frequency, lag))
            run.write("labels", frame, keys)
        found = {"maturity": concat(violations)}
        session = run.sessions[len(run.sessions) // 2]
        sampled = LabelInputs(
            [session],
            run.home.lake.read("residual_returns", session, run.after(session, reach)),
            run.home.lake.read("universe", session, session),
            run.home.calendar,
            run.home.frequency,
            horizon,
            lag,
        )
        stored = run.home.lake.read("labels", session, session)
        leaks = label_leaks(sampled, stored, label_cuts(sampled, stored), session.toordinal(), LABEL_CHECKS)
        found |= {check.name: leaks.filter(leaks["check"] == check.name) for check in LABEL_CHECKS}
        return dg.MaterializeResult(
            metadata=run.summary(),
            check_results=[run.check(name, found[name], text) for name, text in CHECKS.items()],
        )

    return labels
