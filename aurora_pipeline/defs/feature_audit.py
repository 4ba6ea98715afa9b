"""What each feature was worth before a fold's test block."""

import base64
from typing import Any

import dagster as dg

from aurora_pipeline.defs.partitions import fold_mapping
from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.stage_run import StageRun


def feature_audit_asset(folds: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of the feature audit."""

    @dg.asset(
        name="feature_audit",
        deps=[
            dg.AssetDep("feature_panel", partition_mapping=fold_mapping()),
            dg.AssetDep("labels", partition_mapping=fold_mapping()),
        ],
        partitions_def=folds,
        group_name="features",
        owners=["team:research"],
        kinds={"polars", "numba"},
        description="Coverage, IC, decay, turnover and what each feature adds to price and volume, on the fold's train block; "
        "verdict `alpha`, `commodity` or `unproven`.",
        check_specs=[
            dg.AssetCheckSpec(
                "sound_features",
                asset="feature_audit",
                description="No feature is constant, infinite, all missing although its feed is there, or the same as another.",
            )
        ],
    )
    def feature_audit(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.adapters.stage_inputs.audit import absent_features
        from aurora_pipeline.adapters.stage_inputs.fold import read_fold_inputs
        from aurora_pipeline.features.registry import REGISTRY
        from aurora_pipeline.monitoring.feature_audit import audit_features
        from aurora_pipeline.monitoring.feature_audit_report import audit_headline, audit_markdown, audit_plot

        run = StageRun(context, home.open(), "feature_audit")
        key = context.partition_key
        fold = next(fold for fold in run.lineage.folds if fold.key == key)
        features, labels = read_fold_inputs(run.home, run.settings, fold, run.lineage.content(run.stage, key))
        absent = absent_features(run.home, run.home.calendar.close(fold.train[1]))
        audit = audit_features(key, features, labels, REGISTRY, absent)
        run.home.lake.write("feature_audit", audit, fingerprint=run.lineage.actual(run.stage, key), fold=key)
        title = f"Features before {key}, {run.home.market().name}"
        picture = base64.b64encode(audit_plot(audit, title)).decode()
        faults = audit.drop_nulls("fault").select("feature", "fault")
        return dg.MaterializeResult(
            metadata={
                **audit_headline(audit),
                "plot": dg.MetadataValue.md(f"![{title}](data:image/png;base64,{picture})"),
                "table": dg.MetadataValue.md(audit_markdown(audit, title)),
                "latency_ms": run.summary()["latency_ms"],
            },
            check_results=[run.check("sound_features", faults, "features that are broken")],
        )

    return feature_audit
