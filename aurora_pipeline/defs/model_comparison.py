"""Families, ensemble and baselines side by side."""

import base64
from collections.abc import Sequence

import dagster as dg

from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.shown_numbers import shown_numbers


def model_comparison_asset(families: Sequence[str]) -> dg.AssetsDefinition:
    """Build the asset of the model comparison."""

    @dg.asset(
        name="model_comparison",
        deps=[
            *(dg.AssetKey(["prediction", family]) for family in families),
            "ensemble",
            "labels",
            "feature_panel",
            "feature_audit",
            "residual_returns",
        ],
        group_name="report",
        owners=["team:research"],
        kinds={"polars", "numba"},
        description="Every family, ensemble, mean score and baseline on stored out-of-fold scores: IC with intervals, "
        "decay, turnover, by sector, month and volatility, cost, deflated Sharpe ratio, probability of backtest overfitting.",
    )
    def model_comparison(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.defs.stored_costs import stored_costs
        from aurora_pipeline.monitoring.model_comparison_report import comparison_headline, comparison_markdown
        from aurora_pipeline.reports.comparisons import run_model_comparison

        costs = stored_costs(context.instance, families)
        found = run_model_comparison(home.open(), costs)
        picture = base64.b64encode(found.picture).decode()
        return dg.MaterializeResult(
            metadata={
                "rows": found.table.height,
                **shown_numbers(comparison_headline(found.table)),
                "plot": dg.MetadataValue.md(f"![{found.title}](data:image/png;base64,{picture})"),
                "page": dg.MetadataValue.md(comparison_markdown(found.table, found.title, costs, found.notes)),
            }
        )

    return model_comparison
