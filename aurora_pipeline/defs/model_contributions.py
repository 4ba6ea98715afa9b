"""What each model that traded contributed, and what its fit cost."""

import dagster as dg

from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.shown_numbers import shown_numbers


@dg.asset(
    name="model_contributions",
    deps=["model_states", "ensemble_weights", "shadow_predictions", "labels", "residual_returns", "portfolio"],
    group_name="report",
    owners=["team:research"],
    kinds={"polars"},
    description="What each model that trades adds to the IC of the ensemble and to the book's result, with intervals, and the "
    "seconds its fits took.",
)
def model_contributions(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """Measure every session that has states."""
    from aurora_pipeline.reports.contributions import store_contributions

    summary = store_contributions(home.open())
    numbers = {f"result_bps_{row['model']}": row["result_bps"] for row in summary if row["result_bps"] is not None}
    return dg.MaterializeResult(
        metadata={"models": len(summary), **shown_numbers(numbers), "contributions": dg.MetadataValue.json(summary)}
    )
