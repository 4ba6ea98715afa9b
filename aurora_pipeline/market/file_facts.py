"""Facts about a file that are costly to find and do not change with it: hash, time range, rows per day.

Remembered per process by path, size and modification time, since a home opens its market folder many times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache, wraps
from pathlib import Path
from typing import TypeVar

import polars as pl

_Fact = TypeVar("_Fact")


def _remembered(find: Callable[..., _Fact]) -> Callable[..., _Fact]:
    @lru_cache(maxsize=4096)
    def found(path: Path, size: int, modified: int, *rest: str) -> _Fact:
        return find(path, *rest)

    @wraps(find)
    def fact(path: Path, *rest: str) -> _Fact:
        state = path.stat()
        return found(path, state.st_size, state.st_mtime_ns, *rest)

    return fact


@_remembered
def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@_remembered
def moment_range(path: Path, column: str) -> tuple[datetime, datetime] | None:
    """Smallest and largest value of a timestamp column; None without any."""
    low, high = (
        pl.scan_parquet(path)
        .select(pl.col(column).min().alias("low"), pl.col(column).max().alias("high"))
        .collect()
        .row(0)
    )
    return None if low is None else (low, high)


@_remembered
def rows_per_day(path: Path, column: str) -> pl.DataFrame:
    """Rows of each day (UTC) of a date or timestamp column, as `day` and `rows`."""
    return (
        pl.scan_parquet(path)
        .select(pl.col(column).cast(pl.Date).alias("day"))
        .drop_nulls()
        .group_by("day")
        .agg(pl.len().alias("rows"))
        .sort("day")
        .collect()
    )
