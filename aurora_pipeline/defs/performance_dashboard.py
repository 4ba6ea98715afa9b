"""The dashboard as a file."""

import dagster as dg

from aurora_pipeline.defs.resources import HomeResource

DASHBOARD_ASSET = "performance_dashboard"


@dg.asset(
    name=DASHBOARD_ASSET,
    deps=[
        "report",
        "signal_quality",
        "claims",
        "portfolio",
        "fills",
        "model_states",
        "model_scores",
        "drift",
        "data_quality",
    ],
    group_name="report",
    owners=["team:research"],
    kinds={"html", "matplotlib"},
    description="The dashboard as one HTML page: result, risk, signal, models, data, evidence. `aurora dashboard` serves it.",
)
def performance_dashboard(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """Write `<home>/reports/dashboard.html` from what is stored."""
    from aurora_pipeline.reports.dashboard.rendering import write_dashboard

    page = write_dashboard(home.open())
    return dg.MaterializeResult(metadata={"bytes": page.stat().st_size, "page": dg.MetadataValue.path(page)})
