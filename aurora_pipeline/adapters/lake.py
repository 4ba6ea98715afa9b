"""The lake: hive-partitioned Parquet files under one root, queried through DuckDB.

One class knows where tables lie. A partition is written to a temporary file, fsynced and renamed under its one fixed name:
a reader sees the old or the new partition, never a part of one, and writers in different processes never block each other.
Every file carries the fingerprint of what it was made from (see :mod:`aurora_pipeline.lineage`).

Layout::

    <root>/<table>/data.parquet                                    unpartitioned feeds
    <root>/<table>/session=YYYY-MM-DD/[branch=value/]data.parquet  frequency 5min
    <root>/<table>/month=YYYY-MM/[branch=value/]data.parquet       frequency session
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import polars as pl

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.contracts import TABLES, Table, empty, table, validated
from aurora_pipeline.errors import LakeError

if TYPE_CHECKING:
    import duckdb

FINGERPRINT_KEY = "aurora.fingerprint"
_FILE = "data.parquet"
WRITERS = 8
"""Partitions flushed to disk at the same time."""
_READ_ATTEMPTS = 4
_Result = TypeVar("_Result")


def partition_of(session: date, frequency: Frequency) -> str:
    """Key of the partition that holds a session: the day at 5min, the month at frequency session."""
    return session.isoformat() if frequency == "5min" else f"{session:%Y-%m}"


def atomic_write(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary sibling, flush it to disk and rename it over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_text(path: Path, text: str) -> None:
    """Replace a small text file, with the same guarantees as a partition."""

    def fill(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    atomic_write(path, fill)


class Lake:
    """Tables of one home.

    Parameters
    ----------
    root : Path
        Folder that holds one folder per table.
    frequency : {"5min", "session"}
        Decides whether partitions are sessions or months.
    """

    def __init__(self, root: Path, frequency: Frequency) -> None:
        self.root = root.absolute()
        self.frequency: Frequency = frequency
        self._level = "session" if frequency == "5min" else "month"

    def path(self, name: str, partition: str | None = None, **branches: str) -> Path:
        """Where a partition lies, whether or not it exists."""
        declared = table(name)
        if set(branches) != set(declared.branches):
            raise LakeError(
                f"table {name} is laid out by {declared.branches or 'no branch'}, not by {sorted(branches)}"
            )
        folder = self.root / name
        if declared.partitioning == "session":
            if partition is None:
                raise LakeError(f"table {name} is partitioned by {self._level}: a partition is needed")
            folder = folder / f"{self._level}={partition}"
        for branch in declared.branches:
            folder = folder / f"{branch}={branches[branch]}"
        return folder / _FILE

    def write(
        self, name: str, frame: pl.DataFrame, partition: str | None = None, *, fingerprint: str, **branches: str
    ) -> None:
        """Validate and replace one partition.

        Raises
        ------
        ContractError
            The frame does not keep the table's contract.
        """
        self._store(self.path(name, partition, **branches), validated(name, frame), fingerprint)

    def _store(self, path: Path, checked: pl.DataFrame, fingerprint: str) -> None:
        metadata = {FINGERPRINT_KEY: fingerprint}
        atomic_write(
            path,
            lambda temporary: checked.write_parquet(
                temporary, compression="zstd", compression_level=1, metadata=metadata
            ),
        )

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
                    lambda key: self._store(self.path(name, key, **branches), written[key], fingerprints[key]), written
                )
            )
        return written

    def restamp(self, name: str, partition: str | None = None, *, fingerprint: str, **branches: str) -> None:
        """Replace the fingerprint of a stored partition, rows unchanged."""
        frame = pl.read_parquet(self.path(name, partition, **branches), hive_partitioning=False)
        self.write(name, frame, partition, fingerprint=fingerprint, **branches)

    def remove(self, name: str, partition: str | None = None, **branches: str) -> None:
        """Delete one partition, if it is there."""
        self.path(name, partition, **branches).unlink(missing_ok=True)

    def partitions(self, name: str, **branches: str) -> list[str]:
        """Return the partition keys present, sorted."""
        folder = self.root / name
        if not folder.is_dir():
            return []
        keys = [entry.name.partition("=")[2] for entry in folder.iterdir() if entry.name.startswith(f"{self._level}=")]
        return sorted(key for key in keys if self.path(name, key, **branches).exists())

    def branch_values(self, name: str, branch: str) -> list[str]:
        """Return the values a branch takes anywhere in the table, such as the models that have predictions."""
        declared = table(name)
        level = declared.branches.index(branch) + (declared.partitioning == "session")
        pattern = "/".join([*["*"] * level, f"{branch}=*"])
        return sorted({path.name.partition("=")[2] for path in (self.root / name).glob(pattern)})

    def fingerprint(self, name: str, partition: str | None = None, **branches: str) -> str | None:
        """Fingerprint of a stored partition; None where there is none."""
        path = self.path(name, partition, **branches)
        if not path.exists():
            return None
        return _patiently(lambda: pl.read_parquet_metadata(path)).get(FINGERPRINT_KEY)

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
            paths = sorted((self.root / name).glob("/".join([*levels, _FILE])))
        else:
            paths = self._files(declared, start, end, branches)
        if not paths:
            hollow = empty(name)
            return hollow.select(columns) if columns is not None and set(columns) <= set(hollow.columns) else hollow
        wanted = None if columns is None else list(dict.fromkeys(columns))
        frame = _patiently(lambda: pl.read_parquet(paths, columns=wanted, hive_partitioning=False, glob=False))
        if self._level == "month" and declared.partitioning == "session" and "session" in frame.columns:
            bounds = [pl.col("session") >= start] if start else []
            bounds += [pl.col("session") <= end] if end else []
            frame = frame.filter(*bounds) if bounds else frame
        return frame

    def read_at(self, name: str, decision_times: pl.Series, start: date, end: date) -> pl.DataFrame:
        """Rows of a table without branches at the given decision times, sessions from `start` to `end` inclusive.

        The other rows are dropped while reading and never held in memory.
        """
        paths = self._files(table(name), start, end, {})
        if not paths:
            return empty(name)
        wanted = pl.col("session").is_between(start, end) & pl.col("decision_time").is_in(decision_times.implode())
        return _patiently(lambda: pl.scan_parquet(paths, hive_partitioning=False, glob=False).filter(wanted).collect())

    def _files(self, declared: Table, start: date | None, end: date | None, branches: dict[str, str]) -> list[Path]:
        first = partition_of(start, self.frequency) if start else ""
        last = partition_of(end, self.frequency) if end else "9999"
        folder = self.root / declared.name
        if not folder.is_dir():
            return []
        below = "/".join(f"{branch}={branches.get(branch, '*')}" for branch in declared.branches)
        found: list[Path] = []
        for name in sorted(
            os.listdir(folder)
        ):  # plain names: a look-back of years has many, and comparing paths is slow
            level, _, key = name.partition("=")
            if level != self._level or not first <= key <= last:
                continue
            if below:
                found += sorted((folder / name).glob(f"{below}/{_FILE}"))
            elif (folder / name / _FILE).exists():
                found.append(folder / name / _FILE)
        return found

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return an in-memory DuckDB connection in which every table of the lake is a view."""
        import duckdb

        connection = duckdb.connect(":memory:")
        for statement in self.view_statements():
            connection.execute(statement)
        return connection

    def view_statements(self) -> Iterable[str]:
        """SQL that makes one view per table; a table without files becomes an empty view of the right types."""
        for declared in TABLES.values():
            depth = (1 if declared.partitioning == "session" else 0) + len(declared.branches)
            pattern = self.root / declared.name / "/".join(["*"] * depth + [_FILE])
            if not any((self.root / declared.name).glob("/".join(["*"] * depth + [_FILE]))):
                columns = ", ".join(
                    f'NULL::{_sql_type(dtype)} AS "{name}"' for name, dtype in empty(declared.name).schema.items()
                )
                yield f'CREATE OR REPLACE VIEW "{declared.name}" AS SELECT {columns} WHERE false'
                continue
            escaped = str(pattern).replace("'", "''")
            yield (
                f'CREATE OR REPLACE VIEW "{declared.name}" AS '
                f"SELECT * FROM read_parquet('{escaped}', hive_partitioning = false, union_by_name = true)"
            )

    def write_views(self, database: Path) -> None:
        """Write the DuckDB file that holds only views, if they changed; by rename, so that anyone may keep it open."""
        import duckdb

        statements = list(self.view_statements())
        stamp = database.with_name(f".{database.name}.views")
        wanted = "\n".join(statements)
        if database.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return

        def fill(temporary: Path) -> None:
            with duckdb.connect(str(temporary)) as connection:
                for statement in statements:
                    connection.execute(statement)

        atomic_write(database, fill)
        atomic_text(stamp, wanted)

    def export(self, database: Path) -> None:
        """Copy every table into real tables of a new DuckDB file."""
        import duckdb

        if database.exists():
            raise LakeError(f"{database} exists; name a new file or remove it")

        def fill(temporary: Path) -> None:
            with duckdb.connect(str(temporary)) as connection:
                for statement in self.view_statements():
                    connection.execute(statement.replace("CREATE OR REPLACE VIEW", "CREATE TABLE", 1))

        atomic_write(database, fill)


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


def _patiently(read: Callable[[], _Result]) -> _Result:
    """Try a read again when a partition was deleted between listing and opening it."""
    for attempt in range(_READ_ATTEMPTS):
        try:
            return read()
        except FileNotFoundError:
            if attempt == _READ_ATTEMPTS - 1:
                raise
            time.sleep(0.02 * 2**attempt)
    raise LakeError("unreachable")  # pragma: no cover
