"""PostgreSQL of the profile `cluster`: Dagster's storage, MLflow's, and locks between machines.

Addresses with their passwords come from the environment only, so they are in no settings file, no `dagster.yaml` and no message.
Whoever connects while the database is away waits, with a bound: the hook below is every SQLAlchemy engine's of the process, so it
holds for Dagster and MLflow alike. Nothing that was begun is repeated here, so nothing is written twice; an operation that was
cut off fails, and with it its run, which Dagster tries again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aurora_pipeline.errors import ServiceDownError, SettingsError

DAGSTER_VARIABLE = "AURORA_DAGSTER_POSTGRES"
MLFLOW_VARIABLE = "AURORA_MLFLOW_POSTGRES"
_PAUSE_SECONDS = 1.0
_hooked = False
_patience = 180.0


def database_address(variable: str) -> str:
    """Address of a database from the environment.

    Raises
    ------
    SettingsError
        The variable is not set, or is no PostgreSQL address; its value is not shown.
    """
    address = os.environ.get(variable, "")
    if not address.startswith("postgresql://"):
        fault = "is not an address postgresql://user:password@host:port/database" if address else "is not set"
        raise SettingsError(f"profile cluster: environment variable {variable} {fault}")
    return address


def engine_address(address: str) -> str:
    """Address for SQLAlchemy, which takes another driver where none is named."""
    return address.replace("postgresql://", "postgresql+psycopg2://", 1)


def wait_for_connections(seconds: float) -> None:
    """Let every SQLAlchemy engine of this process wait up to `seconds` for a PostgreSQL that is away."""
    global _hooked, _patience  # noqa: PLW0603  (the hook is the process's, too)
    _patience = seconds
    if _hooked:
        return
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
        if dialect.name != "postgresql":
            return None
        return patiently(lambda: dialect.connect(*arguments, **options))

    _hooked = True


def patiently(connect: Callable[[], Any]) -> Any:
    """Call until a connection is made.

    Raises
    ------
    ServiceDownError
        There was none in the time :func:`wait_for_connections` was given.
    """
    import psycopg2

    until = time.monotonic() + _patience
    while True:
        try:
            return connect()
        except psycopg2.OperationalError as error:
            if _refused(error):
                raise SettingsError(f"the database refuses the user or password of its address: {error}") from error
            if time.monotonic() > until:
                raise ServiceDownError(f"no connection to PostgreSQL in {_patience:g} s: {error}") from error
            time.sleep(_PAUSE_SECONDS)


def _refused(error: BaseException) -> bool:
    return "authentication failed" in str(error) or 'database "' in str(error)


@contextmanager
def advisory_lock(what: str) -> Iterator[Callable[[], None]]:
    """Hold a lock between all machines of a cluster; it ends with the connection, however its holder ends.

    Yields
    ------
    callable
        Raises :class:`ServiceDownError` if the lock was lost since.
    """
    import psycopg2

    number = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big", signed=True)
    address = database_address(DAGSTER_VARIABLE)
    connection = patiently(lambda: psycopg2.connect(address))
    connection.autocommit = True

    def ask(statement: str) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, (number,))
        except psycopg2.Error as error:
            raise ServiceDownError(f"lock on {what}: PostgreSQL went away; nothing was written under it") from error

    try:
        ask("select pg_advisory_lock(%s)")
        yield lambda: ask("select pg_try_advisory_lock(%s)")
    finally:
        connection.close()


def postgres_storage(patience: float) -> Mapping[str, Any]:
    """Section `storage` of a `dagster.yaml`."""
    return {
        "custom": {
            "module": "aurora_pipeline.defs.dagster_storage",
            "class": "PatientPostgresStorage",
            "config": {"postgres_url": {"env": DAGSTER_VARIABLE}, "patience_seconds": patience},
        }
    }
