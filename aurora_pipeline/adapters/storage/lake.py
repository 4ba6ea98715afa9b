"""The lake: hive-partitioned Parquet files under one root, queried through DuckDB.

One class knows where tables lie. A partition is one file under one fixed name, replaced as a whole: a reader sees the old or
the new partition, never a part of one, and writers in different processes never block each other. How that is done, on disk
or on an object store, is the matter of :mod:`aurora_pipeline.adapters.storage.files`. Every file carries the fingerprint of
what it was made from (see :mod:`aurora_pipeline.lineage`).

Layout::

    <root>/<table>/data.parquet                                    unpartitioned feeds
    <root>/<table>/session=YYYY-MM-DD/[branch=value/]data.parquet  frequency 5min
    <root>/<table>/month=YYYY-MM/[branch=value/]data.parquet       frequency session
"""

from __future__ import annotations

import fcntl
import glob
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from aurora_pipeline.adapters.progress import report
from aurora_pipeline.adapters.storage.files import DiskStorage, Storage
from aurora_pipeline.atomic import atomic_text, atomic_write
from aurora_pipeline.calendar import Frequency
from aurora_pipeline.contracts import TABLES, Table, empty, table, validated
from aurora_pipeline.errors import LakeError

if TYPE_CHECKING:
    import duckdb

FINGERPRINT_KEY = "aurora.fingerprint"
_FILE = "data.parquet"
WRITERS = 8
"""Partitions flushed to disk at the same time."""
__all__ = ["FINGERPRINT_KEY", "WRITERS", "Lake", "partition_of"]


@lru_cache(maxsize=65536)
def partition_of(session: date, frequency: Frequency) -> str:
    """Key of the partition that holds a session: the day at 5min, the month at frequency session."""
    return session.isoformat() if frequency == "5min" else f"{session:%Y-%m}"


class Lake:
    """Tables of one home.

    Parameters
    ----------
    root : Path
        Folder that holds one folder per table.
    frequency : {"5min", "session"}
        Decides whether partitions are sessions or months.
    storage : Storage, optional
        Holds the files; the disk below `root` by default.
    """

    def __init__(self, root: Path, frequency: Frequency, storage: Storage | None = None) -> None:
        self.root = root.absolute()
        self.storage: Storage = storage or DiskStorage(self.root)
        self.frequency: Frequency = frequency
        self._level = "session" if frequency == "5min" else "month"

    @property
    def on_disk(self) -> bool:
        """Whether the files lie on this machine."""
        return isinstance(self.storage, DiskStorage)

    def path(self, name: str, partition: str | None = None, **branches: str) -> Path:
        """Where a partition lies on this machine, whether or not it exists."""
        if not self.on_disk:
            raise LakeError(f"table {name} lies in an object store (profile cluster): it has no path, read it")
        return self.root / self.key(name, partition, **branches)

    def key(self, name: str, partition: str | None = None, **branches: str) -> str:
        """Name of a partition's file in the storage."""
        declared = table(name)
        if set(branches) != set(declared.branches):
            raise LakeError(
                f"table {name} is laid out by {declared.branches or 'no branch'}, not by {sorted(branches)}"
            )
        parts = [name]
        if declared.partitioning == "session":
            if partition is None:
                raise LakeError(f"table {name} is partitioned by {self._level}: a partition is needed")
            parts.append(f"{self._level}={partition}")
        return "/".join([*parts, *(f"{branch}={branches[branch]}" for branch in declared.branches), _FILE])

    def write(
        self, name: str, frame: pl.DataFrame, partition: str | None = None, *, fingerprint: str, **branches: str
    ) -> None:
        """Validate and replace one partition.

        Raises
        ------
        ContractError
            The frame does not keep the table's contract.
        """
        self._store(self.key(name, partition, **branches), validated(name, frame), fingerprint)

    def _store(self, key: str, checked: pl.DataFrame, fingerprint: str) -> None:
        self.storage.write_frame(key, checked, {FINGERPRINT_KEY: fingerprint})

    def write_sessions(
        self, name: str, frame: pl.DataFrame, fingerprints: dict[str, str], **branches: str
    ) -> dict[str, pl.DataFrame]:
        """Replace several partitions at once; a partition without rows is written empty, which says it was computed.

        Parameters
        ----------
        name : str
            Table name.
        frame : polars.DataFrame
            Rows with `session`; none may lie outside the partitions named.
        fingerprints : dict of str to str
            Partition key to fingerprint.
        **branches : str
            Branch values.

        Returns
        -------
        dict of str to polars.DataFrame
            The rows of each partition.
        """
        pattern = "%Y-%m-%d" if self.frequency == "5min" else "%Y-%m"
        checked = validated(name, frame)
        keyed = checked.with_columns(pl.col("session").dt.strftime(pattern).alias("__partition"))
        parts = {str(key[0]): part for key, part in keyed.partition_by("__partition", as_dict=True).items()}
        outside = sorted(set(parts) - set(fingerprints))
        if outside:
            raise LakeError(f"table {name}: rows of {', '.join(outside)} lie outside the partitions being written")
        hollow = keyed.clear()
        written = {key: parts.get(key, hollow).drop("__partition") for key in fingerprints}
        # A write waits for the disk more than it computes.
        with ThreadPoolExecutor(WRITERS) as pool:
            list(
                pool.map(
                    lambda key: self._store(self.key(name, key, **branches), written[key], fingerprints[key]), written
                )
            )
        return written

    def restamp(self, name: str, partition: str | None = None, *, fingerprint: str, **branches: str) -> None:
        """Replace the fingerprint of a stored partition, rows unchanged."""
        frame = self.storage.read([self.key(name, partition, **branches)], None)
        self.write(name, frame, partition, fingerprint=fingerprint, **branches)

    def remove(self, name: str, partition: str | None = None, **branches: str) -> None:
        """Delete one partition, if it is there."""
        self.storage.remove(self.key(name, partition, **branches))

    def partitions(self, name: str, **branches: str) -> list[str]:
        """Return the partition keys present, sorted."""
        declared = table(name)
        if set(branches) != set(declared.branches):
            raise LakeError(
                f"table {name} is laid out by {declared.branches or 'no branch'}, not by {sorted(branches)}"
            )
        return [key.split("/")[1].partition("=")[2] for key in self._files(declared, None, None, branches)]

    def branch_values(self, name: str, branch: str) -> list[str]:
        """Return the values a branch takes anywhere in the table, such as the models that have predictions."""
        declared = table(name)
        level = declared.branches.index(branch) + (declared.partitioning == "session")
        return self.storage.values(name, [*["*"] * level, f"{branch}=*"])

    def fingerprint(self, name: str, partition: str | None = None, **branches: str) -> str | None:
        """Fingerprint of a stored partition; None where there is none."""
        return self._fingerprints([self.key(name, partition, **branches)])[0]

    def fingerprints(self, name: str, partitions: Sequence[str], **branches: str) -> dict[str, str | None]:
        """Fingerprints of several partitions: on an object store one listing, and a request for each not seen before."""
        found = self._fingerprints([self.key(name, partition, **branches) for partition in partitions])
        return dict(zip(partitions, found, strict=True))

    def _fingerprints(self, keys: Sequence[str]) -> list[str | None]:
        return [None if found is None else found.get(FINGERPRINT_KEY) for found in self.storage.metadata(keys)]

    def read(
        self,
        name: str,
        start: date | None = None,
        end: date | None = None,
        columns: Sequence[str] | None = None,
        **branches: str,
    ) -> pl.DataFrame:
        """Rows of a table, sessions from `start` to `end` inclusive.

        Parameters
        ----------
        name : str
            Table name.
        start, end : date, optional
            First and last session; open ended if None. Unpartitioned tables ignore them.
        columns : sequence of str, optional
            Columns wanted; all if None.
        **branches : str
            Branch values; a branch left out reads all of its values.

        Returns
        -------
        polars.DataFrame
            In key order within each partition, partitions in time order. Empty, with the contract's columns, where nothing
            is stored.
        """
        declared = table(name)
        if declared.partitioning == "none":
            levels = [f"{branch}={branches.get(branch, '*')}" for branch in declared.branches]
            keys = self.storage.find(name, [*levels, _FILE])
        else:
            keys = self._files(declared, start, end, branches)
        if not keys:
            hollow = empty(name)
            return hollow.select(columns) if columns is not None and set(columns) <= set(hollow.columns) else hollow
        wanted = None if columns is None else list(dict.fromkeys(columns))
        frame = self.storage.read(keys, wanted)
        if self._level == "month" and declared.partitioning == "session" and "session" in frame.columns:
            bounds = [pl.col("session") >= start] if start else []
            bounds += [pl.col("session") <= end] if end else []
            frame = frame.filter(*bounds) if bounds else frame
        return frame

    def read_at(self, name: str, decision_times: pl.Series, start: date, end: date) -> pl.DataFrame:
        """Rows of a table without branches at the given decision times, sessions from `start` to `end` inclusive.

        The other rows are dropped while reading and never held in memory.
        """
        keys = self._files(table(name), start, end, {})
        if not keys:
            return empty(name)
        wanted = pl.col("session").is_between(start, end) & pl.col("decision_time").is_in(decision_times.implode())
        return self.storage.read(keys, None, wanted)

    def _files(self, declared: Table, start: date | None, end: date | None, branches: dict[str, str]) -> list[str]:
        first = partition_of(start, self.frequency) if start else ""
        last = partition_of(end, self.frequency) if end else "9999"
        levels = [f"{branch}={branches.get(branch, '*')}" for branch in declared.branches]
        return self.storage.find(declared.name, [f"{self._level}=*", *levels, _FILE], (first, last))

    def files(self, name: str) -> list[str]:
        """Keys of every file of a table, sorted."""
        declared = table(name)
        return self.storage.find(name, ["*"] * self._depth(declared) + [_FILE])

    @staticmethod
    def _depth(declared: Table) -> int:
        return (declared.partitioning == "session") + len(declared.branches)

    def connect(self, query: str | None = None) -> duckdb.DuckDBPyConnection:
        """Return an in-memory DuckDB connection in which every table of the lake is a view.

        DuckDB opens files of a disk itself. Its extension for object stores is no package and cannot be pinned, so there the
        tables `query` names, or all of them, are read first and held in memory.
        """
        import duckdb

        connection = duckdb.connect(":memory:")
        if self.on_disk:
            self._make_views(connection, query)
            return connection
        named = set(TABLES) if query is None else connection.get_table_names(query)
        for name in sorted(named & set(TABLES)):
            connection.register(name, self.read(name).to_arrow())
        return connection

    def _make_views(self, connection: duckdb.DuckDBPyConnection, query: str | None = None) -> list[str]:
        """Make every view; returns their SQL. A damaged file costs its own table, and raises only where the query names that."""
        import duckdb

        made = []
        for name, statement in zip(TABLES, self.view_statements(), strict=True):
            try:
                connection.execute(statement)
            except duckdb.Error:
                if query is not None and name in connection.get_table_names(query):
                    raise
                continue
            made.append(statement)
        return made

    def view_statements(self) -> Iterable[str]:
        """SQL that makes one view per table; a table without files becomes an empty view of the right types."""
        for declared in TABLES.values():
            partitions = "/".join(["*"] * self._depth(declared) + [_FILE])
            if not any((self.root / declared.name).glob(partitions)):
                columns = ", ".join(
                    f'NULL::{_sql_type(dtype)} AS "{name}"' for name, dtype in empty(declared.name).schema.items()
                )
                yield f'CREATE OR REPLACE VIEW "{declared.name}" AS SELECT {columns} WHERE false'
                continue
            escaped = f"{glob.escape(str(self.root / declared.name))}/{partitions}".replace("'", "''")
            yield (
                f'CREATE OR REPLACE VIEW "{declared.name}" AS '
                f"SELECT * FROM read_parquet('{escaped}', hive_partitioning = false, union_by_name = true)"
            )

    def write_views(self, database: Path) -> None:
        """Write the DuckDB file that holds only views, if they changed; by rename, so that anyone may keep it open."""
        import duckdb

        if not self.on_disk:
            return  # a file of views over an object store would need its keys
        stamp = database.with_name(f".{database.name}.views")
        wanted = "\n".join(self.view_statements())
        if database.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return

        made: list[str] = []

        def fill(temporary: Path) -> None:
            with duckdb.connect(str(temporary)) as connection:
                made.extend(self._make_views(connection))

        atomic_write(database, fill)
        atomic_text(stamp, "\n".join(made))

    def export(self, database: Path) -> None:
        """Copy every table into real tables of a new DuckDB file, reporting progress; what a killed export left of it goes.

        Raises
        ------
        LakeError
            The file exists, or another process is writing it.
        """
        import duckdb

        if database.exists():
            raise LakeError(f"{database} exists; name a new file or remove it")
        _remove_half_written(database)

        def fill(temporary: Path) -> None:
            with duckdb.connect(str(temporary)) as connection:
                if self.on_disk:
                    statements = list(self.view_statements())
                    for done, statement in enumerate(statements):
                        report("tables", done, len(statements))
                        connection.execute(statement.replace("CREATE OR REPLACE VIEW", "CREATE TABLE", 1))
                    report("tables", len(statements), len(statements))
                    return
                for name in TABLES:  # one at a time in memory
                    connection.register("read", self.read(name).to_arrow())
                    connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM read')
                    connection.unregister("read")

        atomic_write(database, fill)


def _remove_half_written(database: Path) -> None:
    """Remove the temporary files of exports that were cut off; DuckDB holds a lock on one that is being written."""
    for left in database.parent.glob(f".{glob.escape(database.name)}.*.tmp*"):
        with left.open("r+b") as handle:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LakeError(
                    f"{database} is being written by another process; wait for it, or name another file"
                ) from error
            left.unlink()


def _sql_type(dtype: pl.DataType) -> str:
    types: dict[object, str] = {
        pl.String: "VARCHAR",
        pl.Float64: "DOUBLE",
        pl.Float32: "FLOAT",
        pl.Int64: "BIGINT",
        pl.Int32: "INTEGER",
        pl.Boolean: "BOOLEAN",
        pl.Date: "DATE",
        pl.Datetime: "TIMESTAMPTZ",
    }
    return types[dtype.base_type()]
