"""What the assets between predictions and signals share: partitioned by session, a range in one run, polars in and out."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg

from aurora_pipeline.adapters.models.model_registry import ModelRegistry
from aurora_pipeline.defs.resources import HomeResource, RegistryResource
from aurora_pipeline.defs.stage_run import StageRun

OWNERS = ["team:research"]
UNMATURED = "rows that rest on evidence their session could not have had"
Body = Callable[[StageRun, ModelRegistry], dg.MaterializeResult]


def session_asset(
    name: str,
    group: str,
    deps: Sequence[str | dg.AssetKey],
    partitions: dg.PartitionsDefinition[Any],
    description: str,
    body: Body,
    *,
    kinds: Sequence[str] = ("polars",),
    checks: Sequence[dg.AssetCheckSpec] = (),
) -> dg.AssetsDefinition:
    """Build an asset whose stage, see :mod:`aurora_pipeline.stages`, has the same name.

    Parameters
    ----------
    name, group, deps, partitions, description, kinds, checks
        As Dagster has them.
    body : callable
        Given the run of the stage, and MLflow, which nothing opens before it is used.
    """

    @dg.asset(
        name=name,
        deps=list(deps),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=group,
        owners=OWNERS,
        kinds=set(kinds),
        description=description,
        check_specs=list(checks),
    )
    def made(context: dg.AssetExecutionContext, home: HomeResource, registry: RegistryResource) -> dg.MaterializeResult:
        return body(StageRun(context, home.open(), name), registry.open())

    return made


def blocking_check(name: str, asset: str, description: str) -> dg.AssetCheckSpec:
    """Declare a check that stops what comes after it."""
    return dg.AssetCheckSpec(name, asset=asset, blocking=True, description=description)


def matured_check(asset: str) -> dg.AssetCheckSpec:
    """Declare the check :data:`UNMATURED` is about."""
    return blocking_check("matured", asset, "Evidence had matured before the session it is used in opened.")


def prediction_keys(families: Sequence[str]) -> list[dg.AssetKey]:
    """Assets of the families' predictions."""
    return [dg.AssetKey(["prediction", family]) for family in families]


def opens(run: StageRun, sessions: Sequence[date]) -> dict[date, datetime]:
    """Opening moment of each session."""
    return {day: run.home.calendar.open(day) for day in sessions}


def scored_sessions(run: StageRun) -> list[date]:
    """All sessions from the first scored one to the last of the run."""
    return [day for day in run.lineage.sessions if run.scored_from <= day <= run.sessions[-1]]
