"""A user's own CSV or Parquet file to a market folder; several calls build one folder file by file.

Column names are mapped, times without a zone are taken to be in the zone given, bars labelled by their end are moved to their
start. Rows are not judged here: `aurora check` and the pipeline quarantine with reasons. What cannot be read at all is an error
that names file, column and row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl

from aurora_pipeline.calendar import BAR_MINUTES, TIMESTAMP
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.columns import BARS, FEEDS, UNIVERSE, RawFile
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.folder_growth import extend_file, extend_universe, started_folder

KINDS = ("bars", *FEEDS)
LABELS = ("start", "end")


@dataclass(frozen=True)
class ImportSummary:
    """What one call added.

    Attributes
    ----------
    kind : str
        `bars` or a feed.
    rows, symbols : int
        Rows read and symbols among them.
    target : Path
        The market folder.
    """

    kind: str
    rows: int
    symbols: int
    target: Path

    def __str__(self) -> str:
        """One line for the terminal."""
        return f"{self.rows} rows of {self.symbols} symbols into {self.kind} of {self.target}; next: aurora check {self.target}"


def import_market(
    source: Path,
    target: Path,
    *,
    kind: str = "bars",
    columns: Mapping[str, str] | None = None,
    time_zone: str = "UTC",
    bar_label: str = "start",
    frequency: str = "5min",
    calendar: str = "XNYS",
    benchmark: str | None = None,
    sector_etfs: Mapping[str, str] | None = None,
    universe: Path | None = None,
    price_adjustment: str = "none",
) -> ImportSummary:
    """Add one file to a market folder, which is made if it does not exist.

    Parameters
    ----------
    source : Path
        `.csv` or `.parquet`.
    target : Path
        Market folder.
    kind : str
        `bars`, `daily_bars` or another feed of the market-folder contract.
    columns : mapping of str to str, optional
        Contract column to the column of `source`.
    time_zone : str
        Zone of timestamps that carry none, such as ``America/New_York``.
    bar_label : {"start", "end"}
        What a bar's timestamp marks.
    frequency, calendar, benchmark, sector_etfs, price_adjustment
        For `market.yaml` of a new folder; an existing folder keeps its own.
    universe : Path, optional
        File with `symbol`, `kind`, `sector`. Without one every symbol becomes a stock of unknown sector (the benchmark and
        sector ETFs become ETFs), which is enough to validate and not enough to trade.

    Raises
    ------
    MarketDataError
        Naming file, column and row of the first thing that cannot be read.
    """
    if kind not in KINDS:
        raise MarketDataError(f"--kind {kind}: expected one of {', '.join(KINDS)}")
    if bar_label not in LABELS:
        raise MarketDataError(f"--bar-label {bar_label}: expected start or end")
    declared = BARS if kind == "bars" else FEEDS[kind]
    rows = _typed(_renamed(_read(source), columns or {}, declared, source), declared, source, time_zone)
    if kind == "bars" and bar_label == "end":
        rows = rows.with_columns(pl.col("bar_start") - timedelta(minutes=BAR_MINUTES))
    manifest = started_folder(
        target,
        frequency=frequency,
        calendar=calendar,
        benchmark=benchmark,
        sector_etfs=sector_etfs or {},
        price_adjustment=price_adjustment,
        notes="imported",
    )
    listed = read_universe(universe, time_zone) if universe is not None else None
    extend_universe(target, rows.get_column("symbol").drop_nulls().to_list(), manifest, listed)
    if kind == "bars":
        _write_bars(target, rows)
    else:
        extend_file(target / f"{kind}.parquet", rows)
    if (target / "daily_bars.parquet").exists() or any((target / "bars").glob("*.parquet")):
        MarketFolder.open(target)
    return ImportSummary(kind, rows.height, rows.get_column("symbol").n_unique(), target)


def read_universe(source: Path, time_zone: str = "UTC") -> pl.DataFrame:
    """Read a user's file with `symbol`, `kind`, `sector`; errors as of :func:`import_market`."""
    return _typed(_renamed(_read(source), {}, UNIVERSE, source), UNIVERSE, source, time_zone)


def _read(source: Path) -> pl.DataFrame:
    try:
        if source.suffix.lower() == ".parquet":
            return pl.read_parquet(source)
        if source.suffix.lower() == ".csv":
            return pl.read_csv(source, infer_schema_length=10_000, try_parse_dates=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise MarketDataError(f"{source}: not readable: {error}") from error
    raise MarketDataError(f"{source}: expected a .csv or .parquet file")


def _renamed(rows: pl.DataFrame, columns: Mapping[str, str], declared: RawFile, source: Path) -> pl.DataFrame:
    unknown = sorted(set(columns) - set(declared.columns))
    if unknown:
        raise MarketDataError(
            f"--column {unknown[0]}=...: not a column of the contract; it has {', '.join(declared.columns)}"
        )
    absent = sorted(set(columns.values()) - set(rows.columns))
    if absent:
        raise MarketDataError(f"{source}: no column {absent[0]!r}; it has {', '.join(rows.columns)}")
    picked = {ours: columns.get(ours, ours) for ours in declared.columns if columns.get(ours, ours) in rows.columns}
    missing = sorted(declared.required - set(picked))
    if missing:
        raise MarketDataError(
            f"{source}: column(s) {', '.join(missing)} missing; it has {', '.join(rows.columns)}. "
            f"Map them with --column {missing[0]}=NAME"
        )
    return rows.select(pl.col(theirs).alias(ours) for ours, theirs in picked.items())


def _typed(rows: pl.DataFrame, declared: RawFile, source: Path, time_zone: str) -> pl.DataFrame:
    out = rows
    for name in rows.columns:
        wanted = declared.columns[name]
        column = rows.get_column(name)
        if wanted == TIMESTAMP:
            made = _moments(column, source, time_zone)
        elif wanted == pl.Date and column.dtype == pl.String:
            made = column.str.to_date(strict=False)
        else:
            made = column.cast(wanted, strict=False)
        _require_all_read(column, made, source)
        out = out.with_columns(made.alias(name))
    return out.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in declared.columns.items() if name not in rows.columns
    ).select(list(declared.columns))


def _moments(column: pl.Series, source: Path, time_zone: str) -> pl.Series:
    if column.dtype == pl.String:
        aware = column.str.contains(r"(Z|[+-]\d{2}:?\d{2})$").all()
        column = column.str.to_datetime(time_unit="us", time_zone="UTC" if aware else None, strict=False)
    if not isinstance(column.dtype, pl.Datetime):
        raise MarketDataError(f"{source}: column {column.name} is {column.dtype}; expected timestamps")
    if column.dtype.time_zone is None:
        try:
            column = column.dt.replace_time_zone(time_zone, ambiguous="null", non_existent="null")
        except pl.exceptions.PolarsError as error:
            raise MarketDataError(f"--time-zone {time_zone}: {error}") from error
    return column.dt.convert_time_zone("UTC").dt.cast_time_unit("us")


def _require_all_read(before: pl.Series, after: pl.Series, source: Path) -> None:
    lost = (before.is_not_null() & after.is_null()).arg_true()
    if len(lost):
        row = int(lost[0])
        raise MarketDataError(
            f"{source}: row {row + 1}, column {before.name}: {before[row]!r} cannot be read as {after.dtype}"
            + (" (it does not exist, or exists twice, in that zone)" if after.dtype == TIMESTAMP else "")
        )


def _write_bars(target: Path, rows: pl.DataFrame) -> None:
    if rows.get_column("bar_start").null_count():
        raise MarketDataError("bar_start: a bar without a time cannot be filed")
    months = rows.with_columns(pl.col("bar_start").dt.strftime("%Y-%m").alias("month"))
    for (month,), part in months.partition_by("month", as_dict=True, include_key=False).items():
        extend_file(target / "bars" / f"{month}.parquet", part)
