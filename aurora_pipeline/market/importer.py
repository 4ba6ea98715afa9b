"""A user's own CSV or Parquet file to a market folder; several calls build one folder file by file.

Column names are mapped, times without a zone are taken to be in the zone given, bars labelled by their end are moved to their
start. Rows are not judged here: `aurora check` and the pipeline quarantine with reasons. What cannot be read at all is an error
that names file, column and row.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import polars as pl
import yaml

from aurora_pipeline.calendar import BAR_MINUTES, TIMESTAMP
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.columns import BARS, FEEDS, UNIVERSE, RawFile
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.manifest import MANIFEST_FILE, MarketManifest, read_manifest

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
    target.mkdir(parents=True, exist_ok=True)
    manifest = _manifest(target, frequency, calendar, benchmark, dict(sector_etfs or {}), price_adjustment)
    _write_universe(target, rows, manifest, universe, time_zone)
    if kind == "bars":
        _write_bars(target, rows)
    else:
        _extend(target / f"{kind}.parquet", rows)
    if (target / "daily_bars.parquet").exists() or any((target / "bars").glob("*.parquet")):
        MarketFolder.open(target)
    return ImportSummary(kind, rows.height, rows.get_column("symbol").n_unique(), target)


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


def _manifest(
    target: Path,
    frequency: str,
    calendar: str,
    benchmark: str | None,
    sector_etfs: dict[str, str],
    price_adjustment: str,
) -> MarketManifest:
    file = target / MANIFEST_FILE
    if not file.exists():
        content = {
            "name": target.absolute().name,
            "calendar": calendar,
            "frequency": frequency,
            "benchmark": benchmark,
            "sector_etfs": sector_etfs,
            "price_adjustment": price_adjustment,
            "survivorship": "unknown: say here how the symbols were chosen",
            "redistribution": "unknown",
            "notes": "imported",
        }
        _replace(file, yaml.safe_dump(content, sort_keys=False).encode())
    return read_manifest(target)


def _write_universe(
    target: Path, rows: pl.DataFrame, manifest: MarketManifest, universe: Path | None, time_zone: str
) -> None:
    file = target / "universe.parquet"
    funds = {*manifest.sector_etfs.values(), *([manifest.benchmark] if manifest.benchmark else [])}
    held = pl.read_parquet(file) if file.exists() else pl.DataFrame(schema=UNIVERSE.columns)
    if universe is not None:
        held = _typed(_renamed(_read(universe), {}, UNIVERSE, universe), UNIVERSE, universe, time_zone)
    sectors = {fund: sector for sector, fund in manifest.sector_etfs.items()}
    new = sorted({*rows.get_column("symbol").drop_nulls().to_list(), *funds} - set(held.get_column("symbol").to_list()))
    added = pl.DataFrame(
        {
            "symbol": new,
            "kind": ["etf" if name in funds else "stock" for name in new],
            "sector": [sectors.get(name) for name in new],
            "valid_from": [None] * len(new),
            "valid_to": [None] * len(new),
        },
        schema=UNIVERSE.columns,
    )
    _write(file, pl.concat([held.select(list(UNIVERSE.columns)), added]).sort("symbol", "valid_from"))


def _write_bars(target: Path, rows: pl.DataFrame) -> None:
    (target / "bars").mkdir(exist_ok=True)
    if rows.get_column("bar_start").null_count():
        raise MarketDataError("bar_start: a bar without a time cannot be filed")
    months = rows.with_columns(pl.col("bar_start").dt.strftime("%Y-%m").alias("month"))
    for (month,), part in months.partition_by("month", as_dict=True, include_key=False).items():
        _extend(target / "bars" / f"{month}.parquet", part)


def _extend(file: Path, rows: pl.DataFrame) -> None:
    """Add rows to a file; a row that is already there, every value the same, is not added twice."""
    if file.exists():
        rows = pl.concat([pl.read_parquet(file).select(rows.columns), rows]).unique(maintain_order=True)
    _write(file, rows)


def _write(file: Path, rows: pl.DataFrame) -> None:
    temporary = file.with_name(f".{file.name}.{uuid4().hex}.tmp")
    try:
        rows.write_parquet(temporary)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _replace(file: Path, content: bytes) -> None:
    temporary = file.with_name(f".{file.name}.{uuid4().hex}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, file)
