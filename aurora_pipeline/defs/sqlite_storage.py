"""Dagster's SQLite storage that writes the events of many partitions at once; named in every home's `dagster.yaml`.

A range of a hundred sessions says of each asset and session that it is planned and that it was made. Dagster hands such events
over in batches where `DAGSTER_EVENT_BATCH_SIZE` is set, but its SQLite storage opens, commits and closes two databases for each
event: 8 ms each, over a minute of the main job. Here a batch shares its connections and is committed once. What is the same for
every event or partition (which tables there are, the text of a check that is planned for a whole range) is found out once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy.engine import Connection

BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE = 50
"""Events written at once: a tenth of a second during which other processes wait."""


class BatchedEventLog(SqliteEventLogStorage):
    """As its base, with batches that are one transaction for each database they touch."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._batch = _Batch()
        self._found: set[str] = set()
        super().__init__(base_dir, inst_data)
        self._db_lock = threading.RLock()  # type: ignore[assignment]  # held over a batch, taken again for each database in it

    def has_table(self, table_name: str) -> bool:
        """Whether there is a table; one that was found is not looked for again."""
        return self._once(table_name, lambda: super(BatchedEventLog, self).has_table(table_name))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        found = super()._has_asset_key_col_on_connection
        return self._once(f"asset_keys.{column_name}", lambda: found(conn, column_name))

    def _once(self, name: str, look: Callable[[], bool]) -> bool:
        if name not in self._found and look():
            self._found.add(name)
        return name in self._found

    def _store_asset_check_evaluation_planned(self, event: dg.EventLogEntry, event_id: int | None) -> None:
        """Note a check that is planned, a row for each partition: all with the same text, which the base makes anew for each."""
        planned = event.get_dagster_event().asset_check_planned_data
        subset = planned.partitions_subset
        row = {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": dg.serialize_value(event),
            "evaluation_event_timestamp": datetime.fromtimestamp(event.timestamp, tz=UTC).replace(tzinfo=None),
            "evaluation_event_storage_id": event_id,
        }
        rows = [row | {"partition": key} for key in (subset.get_partition_keys() if subset else [None])]
        with self.index_connection() as connection:
            connection.execute(AssetCheckExecutionsTable.insert(), rows)

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
