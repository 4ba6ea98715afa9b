"""Dagster's PostgreSQL storage that waits for a database that is away; named in the `dagster.yaml` of the profile `cluster`."""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster_postgres import DagsterPostgresStorage

from aurora_pipeline.adapters.storage.postgres import engine_address, wait_for_connections


class PatientPostgresStorage(DagsterPostgresStorage):  # type: ignore[misc]  # the extra has no types without itself
    """As its base, with `patience_seconds`: how long to wait for a connection."""

    @classmethod
    def config_type(cls) -> Any:
        """Return the base's configuration and the patience."""
        return {**DagsterPostgresStorage.config_type(), "patience_seconds": dg.Field(float, default_value=180.0)}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> PatientPostgresStorage:
        """Make the storage from a `dagster.yaml`."""
        wait_for_connections(config_value["patience_seconds"])
        return cls(postgres_url=engine_address(config_value["postgres_url"]), inst_data=inst_data)
