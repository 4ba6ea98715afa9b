"""What training and predicting cost, from the numbers the assets left with their materialisations."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import dagster as dg

from aurora_pipeline.monitoring.model_comparison_report import Cost

_FOLDS = 1000
"""Newest materialisations looked at; a family has one per fold and training."""


def stored_costs(instance: dg.DagsterInstance, families: Sequence[str]) -> dict[str, Cost]:
    """Read each family's cost from the event log.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Of the home.
    families : sequence of str
        Model families.

    Returns
    -------
    dict of str to Cost
        `fit_seconds` is the median over folds of the newest training: of the fit alone where that was noted, else with
        reading and writing. `predict_seconds` is the newest prediction run's time per session, with reading and writing.
        None where the log has nothing.
    """
    return {family: Cost(_fit_seconds(instance, family), _predict_seconds(instance, family)) for family in families}


def _fit_seconds(instance: dg.DagsterInstance, family: str) -> float | None:
    newest: dict[str | None, float] = {}
    for partition, numbers in _materializations(instance, dg.AssetKey(["trained_model", family]), _FOLDS):
        if "fit_seconds" in numbers:
            newest.setdefault(partition, numbers["fit_seconds"])
        elif "latency_ms" in numbers:
            newest.setdefault(partition, numbers["latency_ms"] / 1000.0)
    return median(newest.values()) if newest else None


def _predict_seconds(instance: dg.DagsterInstance, family: str) -> float | None:
    for _, numbers in _materializations(instance, dg.AssetKey(["prediction", family]), 1):
        if numbers.get("sessions") and "latency_ms" in numbers:
            return numbers["latency_ms"] / 1000.0 / numbers["sessions"]
    return None


def _materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey, limit: int
) -> list[tuple[str | None, dict[str, float]]]:
    """Partition and numbers of the newest materialisations, newest first."""
    found = []
    for record in instance.fetch_materializations(key, limit=limit).records:
        event = record.asset_materialization
        if event is not None:
            numbers = {
                name: float(value.value)
                for name, value in event.metadata.items()
                if isinstance(value.value, int | float)
            }
            found.append((event.partition, numbers))
    return found
