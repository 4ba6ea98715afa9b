"""The inbox: a folder into which any process drops bars and feed rows, and from which the market takes them.

::

    <home>/inbox/bars-<anything>.parquet      rows of `bars/`, columns of the market folder
                 <feed>-<anything>.parquet    rows of a feed, such as `earnings-0421.parquet`
                 closed-<YYYYMMDDTHHMMSSZ>    empty: the bar that ends then is complete, nothing more is waited for
                 refused/                     files that could not be taken, each with `<name>.reason` beside it

A file is written under a name that starts with a dot and renamed: what is seen is whole. Nothing is deleted before its rows
are in the market (:mod:`aurora_pipeline.adapters.live_market`).

A file may end the process that reads it: a damaged one can abort the Parquet reader, one that is too large has the process
killed. Each reading is counted beside the file until it is over; a file at which :data:`READINGS` processes ended is put aside.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import polars as pl

from aurora_pipeline.atomic import atomic_text, atomic_write
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.columns import BARS, FEEDS, RawFile, contract_columns, require_columns

KINDS: dict[str, RawFile] = {"bars": BARS, **FEEDS}
READINGS = 3
"""Processes that may end while they read a file, killed for another reason perhaps."""
_CLOSED = re.compile(r"closed-(\d{8}T\d{6}Z)")
_MOMENT = "%Y%m%dT%H%M%SZ"
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What reading a damaged file raises, where it raises at all."""


@dataclass(frozen=True)
class InboxFile:
    """One file waiting in the inbox.

    Attributes
    ----------
    path : Path
        Where it lies.
    kind : str
        `bars` or the name of a feed; empty where its name says neither.
    stamp : tuple of int
        Time of its last change (ns), size and inode when it was listed.
    """

    path: Path
    kind: str
    stamp: tuple[int, int, int]


class Inbox:
    """The inbox of one home.

    Parameters
    ----------
    folder : Path
        Made when something is first dropped.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refused = folder / "refused"

    def drop(self, kind: str, rows: pl.DataFrame) -> Path:
        """Leave rows for the market, whole or not at all.

        Raises
        ------
        MarketDataError
            The kind is unknown.
        """
        if kind not in KINDS:
            raise MarketDataError(f"inbox: no such kind {kind!r}; expected {', '.join(KINDS)}")
        path = self.folder / f"{kind}-{time.time_ns()}-{uuid4().hex[:8]}.parquet"
        atomic_write(path, rows.write_parquet)
        return path

    def close_bar(self, bar_end: datetime) -> None:
        """Say that every row of the bar that ends at `bar_end` has been dropped."""
        atomic_text(self.mark(bar_end), "")

    def mark(self, bar_end: datetime) -> Path:
        """Where the mark lies that says a bar is complete."""
        return self.folder / f"closed-{bar_end.astimezone(UTC):{_MOMENT}}"

    def closed_bars(self) -> set[datetime]:
        """Return the ends of the bars said to be complete."""
        found = (_CLOSED.fullmatch(name) for name in self._names())
        return {datetime.strptime(match[1], _MOMENT).replace(tzinfo=UTC) for match in found if match}

    def forget_closed(self, through: datetime) -> None:
        """Remove the marks of bars that have been settled."""
        for moment in self.closed_bars():
            if moment <= through:
                self.mark(moment).unlink(missing_ok=True)

    def pending(self) -> list[InboxFile]:
        """Files waiting, oldest first."""
        paths = [self.folder / name for name in self._names() if not _CLOSED.fullmatch(name)]
        stamps = {path: stamp for path in paths if (stamp := _stamp(path)) is not None}
        files = [InboxFile(path, _kind(path.name), stamp) for path, stamp in stamps.items()]
        return sorted(files, key=lambda file: (file.stamp[0], file.path.name))

    def newest(self) -> tuple[int, str]:
        """Time (ns) and name of the newest entry, marks included: changes whenever something is dropped."""
        return max((((_stamp(self.folder / name) or (0,))[0], name) for name in self._names()), default=(0, ""))

    def read(self, file: InboxFile) -> pl.DataFrame:
        """Rows of a file in the contract's columns.

        Raises
        ------
        MarketDataError
            The name says no kind, or the file is truncated, no Parquet, or lacks a required column; or as :meth:`reading`.
        """
        if not file.kind:
            raise MarketDataError(f"{file.path.name}: expected a name such as bars-0935.parquet or earnings-1.parquet")
        form = KINDS[file.kind]
        try:
            with self.reading(file):
                schema = pl.Schema(pl.read_parquet_schema(file.path))
                require_columns(schema, form, file.path.name)
                return pl.read_parquet(file.path, glob=False).select(contract_columns(schema, form))
        except UNREADABLE as error:
            raise MarketDataError(f"{file.path.name}: not readable as Parquet: {error}") from error

    @contextmanager
    def reading(self, file: InboxFile) -> Iterator[None]:
        """Count that a file is being read, for as long as it is.

        Raises
        ------
        MarketDataError
            Too many processes ended while they read it.
        """
        count = self._count_of(file)
        ended = count.stat().st_size if count.exists() else 0
        if ended >= READINGS:
            raise MarketDataError(
                f"{file.path.name}: {ended} processes ended while they read it, damaged or too large for the memory; "
                "write it anew, whole, under another name"
            )
        try:
            with suppress(OSError), count.open("ab") as handle:  # a full disk is no reason not to read
                handle.write(b".")
            yield
        finally:
            count.unlink(missing_ok=True)

    def refuse(self, file: InboxFile, reason: str) -> Path:
        """Put a file aside with the reason beside it."""
        self.refused.mkdir(parents=True, exist_ok=True)
        target = self.refused / file.path.name
        atomic_text(target.with_name(target.name + ".reason"), reason + "\n")
        with suppress(FileNotFoundError):
            file.path.replace(target)
        self._count_of(file).unlink(missing_ok=True)
        return target

    def done(self, files: Sequence[InboxFile]) -> None:
        """Remove files whose rows are in the market; one that was written anew since it was listed stays, under another name."""
        for file in files:
            aside = self.folder / f".{file.kind}-{time.time_ns()}-{uuid4().hex[:8]}.parquet"
            with suppress(FileNotFoundError):
                file.path.rename(aside)
                if _stamp(aside) == file.stamp:
                    aside.unlink()
                else:
                    aside.rename(aside.with_name(aside.name[1:]))

    def _count_of(self, file: InboxFile) -> Path:
        return self.folder / f".reading-{file.path.name}"

    def _names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        with os.scandir(self.folder) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()]


def _kind(name: str) -> str:
    return next((kind for kind in KINDS if name.startswith(f"{kind}-") and name.endswith(".parquet")), "")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Time of a file's last change (ns), size and inode; None where another process took it between listing and looking."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
