"""Dagster's SQLite storage that writes the events of many partitions at once; named in every home's `dagster.yaml`.

A range of a hundred sessions says of each asset and session that it is planned and that it was made. Dagster hands such events
over in batches where `DAGSTER_EVENT_BATCH_SIZE` is set, but its SQLite storage opens, commits and closes two databases for each
event: 8 ms each, over a minute of the main job. Here a batch shares its connections and is committed once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy.engine import Connection

BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE = 50
"""Events written at once: a tenth of a second during which other processes wait."""


class BatchedEventLog(SqliteEventLogStorage):
    """As its base, with batches that are one transaction for each database they touch."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        self._db_lock = threading.RLock()  # type: ignore[assignment]  # held over a batch, taken again for each database in it
        self._batch = _Batch()

    def store_event_batch(self, events: Sequence[Any]) -> None:
        """Write events, all or none."""
        with self._db_lock, ExitStack() as stack:
            self._batch.stack, self._batch.connections = stack, {}
            try:
                for event in events:
                    self.store_event(event)
            finally:
                self._batch.stack = None

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        batch = self._batch
        if batch.stack is None:
            with super()._connect(shard) as connection:
                yield connection
            return
        if shard not in batch.connections:
            batch.connections[shard] = batch.stack.enter_context(super()._connect(shard))
        yield batch.connections[shard]


class _Batch(threading.local):
    """What a thread's batch has open; no stack while it writes none."""

    stack: ExitStack | None = None
    connections: dict[str, Connection]


class BatchedSqliteStorage(DagsterSqliteStorage):
    """As its base, with :class:`BatchedEventLog`; processes that open it hand events over in batches."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        os.environ.setdefault(BATCH_SIZE_VARIABLE, str(BATCH_SIZE))
        self._event_log_storage = BatchedEventLog(self._event_log_storage._base_dir)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> BatchedSqliteStorage:
        """Make the storage from a `dagster.yaml`."""
        return cls.from_local(inst_data=inst_data, **config_value)
