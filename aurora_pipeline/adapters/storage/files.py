"""Where files of a home lie: on this machine's disk, or as objects of an S3-compatible store.

What both promise is what the lake's rules rest on: a file is replaced as a whole under its one name, a reader sees the old or
the new one, and what was written is seen by whoever looks afterwards. Disk: :mod:`aurora_pipeline.atomic`. Object store
(:mod:`aurora_pipeline.adapters.storage.object_storage`): one PUT per object, strongly consistent reads and listings.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import polars as pl

from aurora_pipeline.atomic import atomic_text, atomic_write
from aurora_pipeline.errors import LakeError

_READ_ATTEMPTS = 4
_Result = TypeVar("_Result")


class Storage(Protocol):
    """Files below one root, named by keys such as `bars/session=2024-05-14/data.parquet`."""

    def write_frame(self, key: str, frame: pl.DataFrame, metadata: dict[str, str]) -> None:
        """Replace a Parquet file, with metadata in its footer."""

    def write_text(self, key: str, text: str) -> None:
        """Replace a small text file."""

    def read_text(self, key: str) -> str | None:
        """Content of a text file; None where there is none."""

    def read(self, keys: Sequence[str], columns: list[str] | None, wanted: pl.Expr | None = None) -> pl.DataFrame:
        """Rows of Parquet files one behind the other; rows that are not wanted are dropped while reading."""

    def metadata(self, keys: Sequence[str]) -> list[dict[str, str] | None]:
        """Footer metadata of each Parquet file; None where there is none, or where it is no Parquet file."""

    def size(self, key: str) -> int:
        """Bytes of a file."""

    def content(self, key: str) -> bytes:
        """Bytes of a file."""

    def exists(self, key: str) -> bool:
        """Whether a file is there."""

    def remove(self, key: str) -> None:
        """Delete a file, if it is there."""

    def find(self, folder: str, levels: Sequence[str], between: tuple[str, str] | None = None) -> list[str]:
        """Sorted keys below a folder: one `name=value` per level, `*` for any value, and the file's name last.

        With `between`, values of the first level from the first to the second, inclusive.
        """

    def values(self, folder: str, levels: Sequence[str]) -> list[str]:
        """Sorted values of the last of some levels, of which the earlier ones may be `*`."""

    def versions(self, folder: str) -> dict[str, str]:
        """Key of every file below a folder, with what changes when the file does."""

    def sibling(self, name: str) -> Storage:
        """Storage of a folder beside this one's root."""


class DiskStorage:
    """Files below a folder of this machine.

    Parameters
    ----------
    root : Path
        The folder; made when something is first written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def write_frame(self, key: str, frame: pl.DataFrame, metadata: dict[str, str]) -> None:
        """As :class:`Storage`."""
        atomic_write(
            self.root / key,
            lambda temporary: frame.write_parquet(
                temporary, compression="zstd", compression_level=1, metadata=metadata
            ),
        )

    def write_text(self, key: str, text: str) -> None:
        """As :class:`Storage`."""
        atomic_text(self.root / key, text)

    def read_text(self, key: str) -> str | None:
        """As :class:`Storage`."""
        path = self.root / key
        return path.read_text(encoding="utf-8") if path.exists() else None

    def read(self, keys: Sequence[str], columns: list[str] | None, wanted: pl.Expr | None = None) -> pl.DataFrame:
        """As :class:`Storage`."""
        paths = [self.root / key for key in keys]
        try:
            if wanted is not None:
                scan = pl.scan_parquet(paths, hive_partitioning=False, glob=False)
                return _patiently(lambda: scan.filter(wanted).collect())
            return _patiently(lambda: pl.read_parquet(paths, columns=columns, hive_partitioning=False, glob=False))
        except pl.exceptions.ComputeError as error:
            raise next((found for path in paths if (found := _damage(path)) is not None), error) from error

    def metadata(self, keys: Sequence[str]) -> list[dict[str, str] | None]:
        """As :class:`Storage`."""
        return [self._metadata(self.root / key) for key in keys]

    def _metadata(self, path: Path) -> dict[str, str] | None:
        if not path.exists():
            return None
        try:
            return _patiently(lambda: pl.read_parquet_metadata(path))
        except pl.exceptions.ComputeError:  # cut off or overwritten: counts as missing, and is made again
            return None

    def size(self, key: str) -> int:
        """As :class:`Storage`."""
        return (self.root / key).stat().st_size

    def content(self, key: str) -> bytes:
        """As :class:`Storage`."""
        return (self.root / key).read_bytes()

    def exists(self, key: str) -> bool:
        """As :class:`Storage`."""
        return (self.root / key).exists()

    def remove(self, key: str) -> None:
        """As :class:`Storage`."""
        (self.root / key).unlink(missing_ok=True)

    def find(self, folder: str, levels: Sequence[str], between: tuple[str, str] | None = None) -> list[str]:
        """As :class:`Storage`."""
        top = self.root / folder
        if not top.is_dir():
            return []
        if between is None:
            return sorted(path.relative_to(self.root).as_posix() for path in top.glob("/".join(levels)))
        first, last = between
        wanted, below = levels[0].partition("=")[0], levels[1:]
        file = below[-1]
        found: list[str] = []
        for name in sorted(os.listdir(top)):  # plain names: a look-back of years has many, and comparing paths is slow
            level, _, value = name.partition("=")
            if level != wanted or not first <= value <= last:
                continue
            if len(below) > 1:
                found += sorted(path.relative_to(self.root).as_posix() for path in (top / name).glob("/".join(below)))
            elif (top / name / file).exists():
                found.append(f"{folder}/{name}/{file}")
        return found

    def values(self, folder: str, levels: Sequence[str]) -> list[str]:
        """As :class:`Storage`."""
        return sorted({path.name.partition("=")[2] for path in (self.root / folder).glob("/".join(levels))})

    def versions(self, folder: str) -> dict[str, str]:
        """As :class:`Storage`; the version is the time of writing, ns, and the size."""
        found = {}
        for place, _, names in os.walk(self.root / folder):
            for name in names:
                if name.startswith("."):
                    continue  # a writer's temporary file
                file = Path(place) / name
                with suppress(FileNotFoundError):
                    status = file.stat()
                    found[file.relative_to(self.root).as_posix()] = f"{status.st_mtime_ns}:{status.st_size}"
        return found

    def sibling(self, name: str) -> DiskStorage:
        """As :class:`Storage`."""
        return DiskStorage(self.root.parent / name)


def _damage(path: Path) -> LakeError | None:
    """Return the error of a file that cannot be read whole; None where it can."""
    try:
        pl.read_parquet(path, hive_partitioning=False, glob=False)
    except pl.exceptions.ComputeError as error:
        return LakeError(
            f"{path}: not readable as Parquet: {error}; delete the file and `aurora run` makes it again, or, where it is of the "
            "book `live`, take it from a backup"
        )
    return None


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
