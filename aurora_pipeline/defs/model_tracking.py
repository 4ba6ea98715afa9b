"""Matured predictions back to the MLflow runs of the models that made them."""

from collections.abc import Sequence

import dagster as dg

from aurora_pipeline.defs.resources import HomeResource, RegistryResource

TRACKING_ASSET = "model_tracking"
_SCORES = ("session", "symbol", "decision_time", "model_version", "score")


def model_tracking_asset(families: Sequence[str]) -> dg.AssetsDefinition:
    """Build the asset that writes out-of-fold ICs; it belongs to the report, so that no tick touches MLflow."""

    @dg.asset(
        name=TRACKING_ASSET,
        deps=[*(dg.AssetKey(["prediction", family]) for family in families), "labels"],
        group_name="models",
        owners=["team:research"],
        kinds={"mlflow", "polars"},
        description="Out-of-fold IC of every model version, from matured predictions, in the MLflow run of its fold (metric "
        "`out_of_fold_ic`, step: sessions matured) and on its registered version.",
    )
    def model_tracking(home: HomeResource, registry: RegistryResource) -> dg.MaterializeResult:
        from aurora_pipeline.monitoring.out_of_fold import version_information_coefficients

        opened, tracking = home.open(), registry.open()
        sessions = opened.sessions(opened.settings())
        span = sessions[0], sessions[-1]
        labels = opened.lake.read("labels", *span, ["session", "symbol", "decision_time", "label"])
        versions = new = 0
        for family in families:
            found = version_information_coefficients(
                opened.lake.read("predictions", *span, _SCORES, model=family), labels
            )
            versions += found.height
            new += sum(tracking.record_out_of_fold(family, *row) for row in found.iter_rows())
        return dg.MaterializeResult(metadata={"versions": versions, "newly_recorded": new})

    return model_tracking
