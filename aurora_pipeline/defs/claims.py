"""How good the signal was, and what of the plan has been shown."""

import dagster as dg

from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.shown_numbers import shown_numbers

OWNERS = ["team:research"]


@dg.asset(
    name="signal_quality",
    deps=["calibrated_signals", "labels", "universe"],
    group_name="report",
    owners=OWNERS,
    kinds={"polars"},
    description="IC, calibration, reliability in bps, sharpness, stability and life of the signal, by session, month and over "
    "everything, by sector, quantile and age; tables `signal_quality` and `reliability`.",
)
def signal_quality(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """Measure every period on matured rows only."""
    from aurora_pipeline.monitoring.signal_quality import quality_headline
    from aurora_pipeline.reports.claim_report import store_signal_quality

    quality, page = store_signal_quality(home.open())
    return dg.MaterializeResult(
        metadata={**shown_numbers(quality_headline(quality)), "page": dg.MetadataValue.md(page)}
    )


@dg.asset(
    name="claims",
    deps=["report", "signal_quality", "feature_audit", "ensemble", "portfolio", "labels"],
    group_name="report",
    owners=OWNERS,
    kinds={"polars"},
    description="The claim ledger: every promise of the plan with its measured value, interval, market and verdict.",
)
def claims(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """Build table `claims` and its pages from stored tables only."""
    from aurora_pipeline.monitoring.claims import claims_headline
    from aurora_pipeline.monitoring.claims_page import claims_markdown
    from aurora_pipeline.reports.claim_report import store_claims

    ledger, pages = store_claims(home.open())
    return dg.MaterializeResult(
        metadata={
            **claims_headline(ledger),
            "page": dg.MetadataValue.path(pages[1]),
            "table": dg.MetadataValue.md(claims_markdown(ledger)),
        }
    )
