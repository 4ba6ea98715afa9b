"""Features and labels to trained models and predictions: two assets per family, from one factory."""

import json
from typing import Any

import dagster as dg
import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.lake import atomic_text
from aurora_pipeline.adapters.progress import report
from aurora_pipeline.defs.partitions import fold_mapping
from aurora_pipeline.defs.resources import HomeResource, RegistryResource
from aurora_pipeline.defs.stage_run import StageRun
from aurora_pipeline.errors import ModelError

OWNERS = ["team:research"]


def trained_model_asset(family: str, folds: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the training asset of one family."""
    key = dg.AssetKey(["trained_model", family])

    @dg.asset(
        key=key,
        deps=[
            dg.AssetDep("feature_panel", partition_mapping=fold_mapping()),
            dg.AssetDep("labels", partition_mapping=fold_mapping()),
        ],
        partitions_def=folds,
        group_name="models",
        owners=OWNERS,
        kinds={family, "mlflow"},
        description=f"The {family} family trained on everything matured before the fold's test block; files below `models/`, "
        "tracked and registered in MLflow.",
        check_specs=[
            dg.AssetCheckSpec(
                "purge",
                asset=key,
                blocking=True,
                description="No training row's label interval touches the fold's test block.",
            )
        ],
    )
    def trained_model(
        context: dg.AssetExecutionContext, home: HomeResource, registry: RegistryResource
    ) -> dg.MaterializeResult:
        from aurora_pipeline.features.registry import feature_names
        from aurora_pipeline.models.training_pipeline import save_trained, train_model
        from aurora_pipeline.models.walk_forward import purge_violations, purged_labels

        run = StageRun(context, home.open(), f"trained_model/{family}")
        fold = next(fold for fold in run.lineage.folds if fold.key == context.partition_key)
        first, last = fold.train_sessions[0], fold.train_sessions[-1]
        labels = purged_labels(run.home.lake.read("labels", first, last), fold, run.home.calendar, run.settings)
        violations = purge_violations(labels, fold, run.home.calendar)
        features = run.home.lake.read("features", first, last)
        names = [name for view in run.settings.models.views for name in feature_names(view)]
        trained = train_model(family, fold, features, labels, run.settings, names)
        directory = run.home.models / family / fold.key
        fingerprint = run.lineage.actual(run.stage, fold.key)
        save_trained(trained, directory, extra={"fingerprint": fingerprint})
        run_id = registry.open().record_fold(
            family,
            fold.key,
            trained.version,
            directory,
            parameters={**trained.parameters, "train_first": first, "train_last": last},
            metrics=trained.metrics,
            tags={"lake_fingerprint": fingerprint, "features_sha256": trained.features_hash},
        )
        _name_champion(run.home, family, fold.key)
        report("training", 1, 1)
        return dg.MaterializeResult(
            metadata={
                **trained.metrics,
                "model_version": trained.version,
                "mlflow_run_id": run_id,
                "train_sessions": len(fold.train_sessions),
                "latency_ms": run.summary()["latency_ms"],
            },
            check_results=[run.check("purge", violations, "training labels that reach the test block", key)],
        )

    return trained_model


def _name_champion(home: Home, family: str, fold: str) -> None:
    """Enter a model into the champion manifest; until lifecycle exists every family is champion."""
    with home.locked("champions"):
        champions = home.champions()
        champions.setdefault(family, {})[fold] = f"{family}/{fold}"
        text = json.dumps(champions, indent=1, sort_keys=True) + "\n"
        atomic_text(home.champions_file, text)


def prediction_asset(family: str, partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the prediction asset of one family."""
    key = dg.AssetKey(["prediction", family])

    @dg.asset(
        key=key,
        deps=[
            "feature_panel",
            dg.AssetDep(dg.AssetKey(["trained_model", family]), partition_mapping=fold_mapping()),
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="models",
        owners=OWNERS,
        kinds={family, "polars"},
        description=f"Out-of-fold scores of the {family} family; each row names the model version that served.",
        check_specs=[
            dg.AssetCheckSpec(
                "covers_universe",
                asset=key,
                blocking=True,
                description="Every row of the feature panel has a finite score, and no decision time has a constant one.",
            )
        ],
    )
    def prediction(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.models.training_pipeline import load_trained, predict, prediction_violations

        run = StageRun(context, home.open(), f"prediction/{family}")
        champions = run.home.champions().get(family, {})
        served = {day: fold.key for fold in run.lineage.folds for day in fold.test_sessions}
        unserved = sorted({served[day] for day in run.sessions if day in served} - set(champions))
        if unserved:
            raise ModelError(
                f"no {family} model serves fold(s) {', '.join(unserved)}; materialise trained_model/{family} of those first"
            )
        loaded = {
            fold: load_trained(run.home.models / champions[fold]) for fold in set(served.values()) & set(champions)
        }
        violations = []
        for keys, sessions in run.blocks():
            features = run.read_back("features", [day for day in sessions if day in served], 0)
            by_fold = pl.col("session").replace_strict(served, return_dtype=pl.String)
            parts = features.with_columns(by_fold.alias("fold")).partition_by("fold", as_dict=True, include_key=False)
            scores = pl.concat([predict(loaded[str(fold[0])], part) for fold, part in parts.items()])
            violations.append(prediction_violations(scores, features))
            run.write("predictions", scores, keys, model=family)
        return dg.MaterializeResult(
            metadata=run.summary(),
            check_results=[
                run.check("covers_universe", pl.concat(violations), "missing, infinite or constant scores", key)
            ],
        )

    return prediction
