"""Features and labels to trained models and predictions: two assets per family, from one factory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import polars as pl

from aurora_pipeline.adapters.models.model_registry import ModelRegistry
from aurora_pipeline.defs.partitions import fold_mapping
from aurora_pipeline.defs.resources import HomeResource, RegistryResource
from aurora_pipeline.defs.shown_numbers import shown_numbers
from aurora_pipeline.defs.stage_run import StageRun, check_result
from aurora_pipeline.errors import AuroraError, ModelError
from aurora_pipeline.settings import TrainingSettings

OWNERS = ["team:research"]


def trained_model_asset(
    family: str, folds: dg.PartitionsDefinition[Any], training: TrainingSettings
) -> dg.AssetsDefinition:
    """Build the training asset of one family.

    A training that breaks off is tried again as `training.retries` says; an error with a name is final. A family that cannot
    be trained for a fold leaves the others running and sits that fold out.
    """
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
        retry_policy=dg.RetryPolicy(
            max_retries=training.retries, delay=training.retry_seconds, backoff=dg.Backoff.EXPONENTIAL
        ),
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
        from aurora_pipeline.adapters.models.configuration_log import own_configurations
        from aurora_pipeline.adapters.models.model_store import publish_model, withdraw_champion
        from aurora_pipeline.adapters.stage_inputs.fold import read_train_block
        from aurora_pipeline.models.configuration import configured
        from aurora_pipeline.models.training_pipeline import train_on_block
        from aurora_pipeline.models.walk_forward import purge_violations

        run = StageRun(context, home.open(), f"trained_model/{family}")
        fold = next(fold for fold in run.lineage.folds if fold.key == context.partition_key)
        tracking = registry.open()
        metadata: dict[str, Any] = {"train_sessions": len(fold.train_sessions)}
        with _sitting_out_on_failure(run, tracking, family, final=context.retry_number >= training.retries):
            settings = configured(run.settings, own_configurations(run.home, run.settings)[family].values)
            block, rows = read_train_block(run.home, settings, fold, run.lineage.content(run.stage, fold.key))
            trained = train_on_block(family, fold, block, rows, settings)
            violations = purge_violations(rows, fold, run.home.calendar)
            metadata |= shown_numbers(
                {
                    **trained.metrics,
                    "model_version": trained.version,
                    "fit_seconds": trained.seconds,
                    "measuring_seconds": trained.measuring_seconds,
                }
            )
            if violations.is_empty():
                metadata["mlflow_run_id"] = publish_model(run.home, tracking, trained, fold, run.lineage, run.stage)
            else:
                withdraw_champion(run.home, family, fold.key)
        shown = trained.importance.head(15)
        return dg.MaterializeResult(
            metadata={
                **metadata,
                "importance": dg.MetadataValue.json(shown.to_dicts()),
                "latency_ms": run.summary()["latency_ms"],
            },
            check_results=[run.check("purge", violations, "training labels that reach the test block", key)],
        )

    return trained_model


@contextmanager
def _sitting_out_on_failure(run: StageRun, registry: ModelRegistry, family: str, final: bool) -> Iterator[None]:
    """Withdraw the family's model of this fold when training fails, and record why; an error with a name is not retried."""
    from aurora_pipeline.adapters.models.model_store import withdraw_champion

    fold = run.context.partition_key
    try:
        yield
    except Exception as error:
        withdraw_champion(run.home, family, fold)
        named = isinstance(error, AuroraError)
        if named or final:
            registry.record_failure(family, fold, f"{type(error).__name__}: {error}")
        if named:
            raise dg.Failure(str(error), allow_retries=False) from error
        raise


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
                description="Every row of the feature panel has a finite score, and no decision time has a constant one; "
                "sessions no model serves are left to the check `served`.",
            ),
            dg.AssetCheckSpec(
                "served",
                asset=key,
                description="A model of the family serves every session. Where none does the family has no rows, and the "
                "ensemble goes on with the others.",
            ),
        ],
    )
    def prediction(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.adapters.models.configuration_log import own_configurations
        from aurora_pipeline.contracts import empty
        from aurora_pipeline.models.training_pipeline import load_trained, predict, prediction_violations

        run = StageRun(context, home.open(), f"prediction/{family}")
        champions = run.home.champions()
        asked = set(run.sessions)
        fold_of = {day: fold.key for fold in run.lineage.folds for day in fold.test_sessions if day in asked}
        # What a family that was added later would have predicted before is known only with hindsight.
        begins = own_configurations(run.home, run.settings)[family].session or run.scored_from
        if not any(
            fold in champions.get(other, {}) for other in run.settings.models.families for fold in fold_of.values()
        ):
            folds = ", ".join(sorted(set(fold_of.values())))
            raise ModelError(
                f"no model of any family serves fold(s) {folds}; train those first (`aurora backfill` does)"
            )
        own = champions.get(family, {})
        loaded = {fold: load_trained(run.home.models / own[fold]) for fold in sorted(set(fold_of.values()) & set(own))}
        violations = []
        for keys, sessions in run.blocks():
            served = [day for day in sessions if day >= begins and fold_of.get(day) in loaded]
            scores = empty("predictions")
            if served:
                features = run.read_back("features", served, 0).filter(pl.col("session").is_in(served))
                by_fold = pl.col("session").replace_strict(fold_of, return_dtype=pl.String)
                parts = features.with_columns(by_fold.alias("fold")).partition_by(
                    "fold", as_dict=True, include_key=False
                )
                scores = pl.concat([predict(loaded[str(fold[0])], part) for fold, part in parts.items()])
                violations.append(prediction_violations(scores, features))
            run.write("predictions", scores, keys, model=family)
        unserved = pl.DataFrame(
            {"session": [day for day, fold in fold_of.items() if day >= begins and fold not in loaded]},
            schema={"session": pl.Date},
        )
        found = pl.concat(violations) if violations else pl.DataFrame()
        return dg.MaterializeResult(
            metadata={**run.summary(), "unserved_sessions": unserved.height},
            check_results=[
                run.check("covers_universe", found, "missing, infinite or constant scores", key),
                check_result(
                    "served", unserved, "sessions without a model of this family", key, dg.AssetCheckSeverity.WARN
                ),
            ],
        )

    return prediction
