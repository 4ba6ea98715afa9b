"""Reading a Parquet file of a market folder, and facts about it that are costly to find and do not change with it.

Hash, time range and rows per day are remembered per process by path, size and modification time, since a home opens its market
folder many times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date
from functools import lru_cache, wraps
from pathlib import Path
from typing import TypeVar

import polars as pl

from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.columns import within_years

_Fact = TypeVar("_Fact")


def parquet_schema(file: Path) -> pl.Schema:
    """Columns and types of a Parquet file.

    Raises
    ------
    MarketDataError
        It is not readable as Parquet.
    """
    try:
        return pl.scan_parquet(file, glob=False).collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(file, error) from error


def parquet_rows(file: Path, query: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
    """Result of a query on one Parquet file, whatever characters its path has; errors as of :func:`parquet_schema`."""
    try:
        return query(pl.scan_parquet(file, glob=False)).collect()
    except (pl.exceptions.ComputeError, OSError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> MarketDataError:
    return MarketDataError(f"{file}: not readable as Parquet: {error}")


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
def day_range(path: Path, column: str) -> tuple[date, date] | None:
    """Smallest and largest day (UTC) of a date or timestamp column; None without any."""
    day = _day(column)
    low, high = parquet_rows(path, lambda rows: rows.select(day.min().alias("low"), day.max().alias("high"))).row(0)
    return None if low is None else (low, high)


@_remembered
def rows_per_day(path: Path, column: str) -> pl.DataFrame:
    """Rows of each day (UTC) of a date or timestamp column, as `day` and `rows`."""
    day = _day(column).alias("day")
    return parquet_rows(
        path, lambda rows: rows.select(day).drop_nulls().group_by("day").agg(pl.len().alias("rows")).sort("day")
    )


def _day(column: str) -> pl.Expr:
    return within_years(pl.col(column).cast(pl.Date), pl.Date())
