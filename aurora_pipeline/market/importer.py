"""A user's own CSV or Parquet file to a market folder; several calls build one folder file by file.

Column names are mapped, times without a zone are taken to be in the zone given, bars labelled by their end are moved to their
start. Rows are not judged here: `aurora check` and the pipeline quarantine with reasons. What cannot be read at all is an error
that names file, column and row, and leaves the folder as it was.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import get_args

import polars as pl

from aurora_pipeline.calendar import BAR_MINUTES, TIMESTAMP, Frequency, session_calendar
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.columns import BARS, FEEDS, UNIVERSE, RawFile
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.folder_growth import (
    extend_file,
    extend_universe,
    require_same_options,
    staged,
    started_folder,
)
from aurora_pipeline.market.import_times import TimeForms
from aurora_pipeline.market.manifest import MANIFEST_FILE, MarketManifest, read_manifest

KINDS = ("bars", *FEEDS)
LABELS = ("start", "end")
ADJUSTMENTS = get_args(MarketManifest.model_fields["price_adjustment"].annotation)
EXAMPLES = 3
BARS_TO_COME = {
    "5min": "no 5-minute bars yet: `aurora import --kind bars` them; where there will be none, make the folder anew with "
    "--frequency session",
    "session": "no daily bars yet: `aurora import --kind daily_bars` them",
}
"""What a new folder still lacks, by its frequency."""


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
    notes : tuple of str
        What became of rows that belong to no symbol of the universe, and how the universe changed.
    """

    kind: str
    rows: int
    symbols: int
    target: Path
    notes: tuple[str, ...] = ()

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
    time_formats: Sequence[str] = (),
    bar_label: str = "start",
    frequency: str | None = None,
    calendar: str | None = None,
    benchmark: str | None = None,
    sector_etfs: Mapping[str, str] | None = None,
    universe: Path | None = None,
    price_adjustment: str | None = None,
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
        Contract column to the column of `source`; those not named are taken by their name, whatever its case.
    time_zone : str
        Zone of timestamps that carry none, such as ``America/New_York``.
    time_formats : sequence of str
        How times are written, and how days are, where that is not ISO 8601: such as ``%m/%d/%Y %H:%M`` and ``%m/%d/%Y``.
    bar_label : {"start", "end"}
        What a bar's timestamp marks.
    frequency, calendar, benchmark, sector_etfs, price_adjustment
        For `market.yaml` of a new folder; by default 5min, XNYS, none, none and not adjusted. An existing folder keeps its own,
        and what is given must agree with it.
    universe : Path, optional
        File with `symbol`, `kind`, `sector`. Without one every symbol of the bars becomes a stock of unknown sector (the
        benchmark and sector ETFs become ETFs), which is enough to validate and not enough to trade. Other feeds add no symbol
        to a universe that is there.

    Raises
    ------
    MarketDataError
        Naming file, column and row of the first thing that cannot be read, or the option that is wrong; the folder stays as it
        was.
    """
    if kind not in KINDS:
        raise MarketDataError(f"--kind {kind}: expected one of {', '.join(KINDS)}")
    for option, value, known in (
        ("--bar-label", bar_label, LABELS),
        ("--frequency", frequency, get_args(Frequency)),
        ("--price-adjustment", price_adjustment, ADJUSTMENTS),
    ):
        if value is not None and value not in known:
            raise MarketDataError(f"{option} {value}: expected {', '.join(known[:-1])} or {known[-1]}")
    forms = TimeForms.of(time_zone, time_formats)
    declared = BARS if kind == "bars" else FEEDS[kind]
    rows = _typed(_renamed(_read(source), columns or {}, declared, source), declared, source, forms)
    if kind == "bars" and bar_label == "end":
        rows = rows.with_columns(pl.col("bar_start") - timedelta(minutes=BAR_MINUTES))
    listed = read_universe(universe, time_formats) if universe is not None else None
    with staged(target) as folder:
        if (folder / MANIFEST_FILE).exists():
            require_same_options(
                read_manifest(folder),
                target,
                frequency=frequency,
                calendar=calendar,
                benchmark=benchmark,
                sector_etfs=sector_etfs or {},
                price_adjustment=price_adjustment,
            )
        manifest = started_folder(
            folder,
            frequency=frequency or "5min",
            calendar=calendar or "XNYS",
            benchmark=benchmark,
            sector_etfs=sector_etfs or {},
            price_adjustment=price_adjustment or "none",
            notes="imported",
            name=target.absolute().name,
        )
        notes = _extend_universe(folder, kind, rows, manifest, listed)
        if kind == "bars":
            _write_bars(folder, rows, source)
        else:
            extend_file(folder / f"{kind}.parquet", rows)
        if not _require_usable(folder, manifest):
            notes.append(BARS_TO_COME[manifest.frequency])
    return ImportSummary(kind, rows.height, rows.get_column("symbol").drop_nulls().n_unique(), target, tuple(notes))


def read_universe(source: Path, time_formats: Sequence[str] = ()) -> pl.DataFrame:
    """Read a user's file with `symbol`, `kind`, `sector`; errors as of :func:`import_market`."""
    missing = "Name its columns symbol, kind (stock or etf) and sector"
    rows = _renamed(_read(source), {}, UNIVERSE, source, missing)
    rows = _typed(rows, UNIVERSE, source, TimeForms.of(time_formats=time_formats))
    blank = rows.get_column("symbol").is_null().arg_true()
    if len(blank):
        raise MarketDataError(f"{source}: row {int(blank[0]) + 1}, column symbol: blank; expected a symbol")
    return rows


def _extend_universe(
    folder: Path, kind: str, rows: pl.DataFrame, manifest: MarketManifest, listed: pl.DataFrame | None
) -> list[str]:
    """Extend the universe and say how it changed, and which rows belong to nobody in it."""
    file = folder / "universe.parquet"
    held = pl.read_parquet(file, glob=False) if file.exists() else None
    decides = kind == ("bars" if manifest.frequency == "5min" else "daily_bars")
    joining = listed is None and (decides or held is None)
    symbols = set(rows.get_column("symbol").drop_nulls())
    extend_universe(folder, symbols if joining else (), manifest, listed)
    known = set(pl.read_parquet(file, glob=False).get_column("symbol"))
    notes = []
    if held is not None:
        before = set(held.get_column("symbol"))
        if joining and symbols - before:
            notes.append(
                f"{len(symbols - before)} symbol(s) new to the universe, as stocks of unknown sector, which are never eligible: "
                f"{_some(symbols - before)}"
            )
        if before - known:
            notes.append(f"{len(before - known)} symbol(s) left the universe: {_some(before - known)}")
    if symbols - known:
        strange = rows.filter(pl.col("symbol").is_in(sorted(symbols - known))).height
        notes.append(
            f"{strange} row(s) of {len(symbols - known)} symbol(s) that are in no universe, which will be refused as "
            f"unknown_symbol: {_some(symbols - known)}; to use them, import with a --universe that lists them"
        )
    blank = rows.get_column("symbol").null_count()
    if blank:
        notes.append(f"{blank} row(s) without a symbol, which will be refused as null_key")
    return notes


def _some(symbols: set[str]) -> str:
    return ", ".join(sorted(symbols)[:EXAMPLES]) + (", ..." if len(symbols) > EXAMPLES else "")


def _require_usable(path: Path, manifest: MarketManifest) -> bool:
    """Open the folder, or as much of it as there is before its first bars have come; whether they have."""
    session_calendar(manifest.calendar).is_session(date(2000, 1, 3))
    folder = MarketFolder(path, manifest)
    ready = (path / "daily_bars.parquet").exists()
    if manifest.frequency == "5min":
        ready = any((path / "bars").glob("*.parquet"))
    if ready:
        MarketFolder.open(path)
    else:
        folder.universe()
    return ready


def _read(source: Path) -> pl.DataFrame:
    try:
        if source.suffix.lower() == ".parquet":
            rows = pl.read_parquet(source, glob=False)
        elif source.suffix.lower() == ".csv":
            rows = _read_csv(source)
        else:
            raise MarketDataError(f"{source}: expected a .csv or .parquet file")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise MarketDataError(f"{source}: not readable: {error}") from error
    if rows.is_empty():
        raise MarketDataError(f"{source}: it has column names and no row; expected at least one row")
    return rows


def _read_csv(source: Path) -> pl.DataFrame:
    """Read all columns as text: a symbol may look like a number or a truth value, and a number like a whole one for many rows."""
    with source.open(encoding="utf-8", errors="replace", newline="") as text:
        header = text.readline()
        if "\0" in header:
            raise MarketDataError(f"{source}: not text in UTF-8; save it as CSV in UTF-8")
        other = next((mark for mark in (";", "\t", "|") if mark in header and "," not in header), None)
        if other is not None:
            raise MarketDataError(
                f"{source}: its values are separated by {other!r}; expected commas, and points in numbers"
            )
        try:
            rows = pl.read_csv(source, infer_schema=False, null_values="")
        except pl.exceptions.ComputeError as error:
            names = len(next(csv.reader([header])))
            lengths = enumerate((len(values) for values in csv.reader(text)), 1)
            row, found = next((each for each in lengths if each[1] > names), (0, 0))
            if not row:
                raise
            raise MarketDataError(f"{source}: row {row} has {found} values under {names} column name(s)") from error
    return rows.filter(~pl.all_horizontal(pl.all().is_null()))


def _renamed(
    rows: pl.DataFrame, columns: Mapping[str, str], declared: RawFile, source: Path, advice: str | None = None
) -> pl.DataFrame:
    unknown = sorted(set(columns) - set(declared.columns))
    if unknown:
        raise MarketDataError(
            f"--column {unknown[0]}=...: not a column of the contract; it has {', '.join(declared.columns)}"
        )
    absent = sorted(set(columns.values()) - set(rows.columns))
    if absent:
        raise MarketDataError(f"{source}: no column {absent[0]!r}; it has {', '.join(rows.columns)}")
    found = {ours: columns.get(ours) or _same_but_for_case(ours, rows.columns) for ours in declared.columns}
    picked = {ours: theirs for ours, theirs in found.items() if theirs is not None}
    missing = sorted(declared.required - set(picked))
    if missing:
        raise MarketDataError(
            f"{source}: column(s) {', '.join(missing)} missing; it has {', '.join(rows.columns)}. "
            + (advice or _mapping_advice(missing))
        )
    return rows.select(pl.col(theirs).alias(ours) for ours, theirs in picked.items())


def _same_but_for_case(name: str, there: Sequence[str]) -> str | None:
    """Column of that name, else the only one that differs in upper and lower case alone."""
    alike = [column for column in there if column.casefold() == name.casefold()]
    return name if name in there else alike[0] if len(alike) == 1 else None


def _mapping_advice(missing: Sequence[str]) -> str:
    daily = "; daily bars come in with --kind daily_bars" if "bar_start" in missing else ""
    return f"Map each with --column, such as --column {missing[0]}=NAME{daily}"


def _typed(rows: pl.DataFrame, declared: RawFile, source: Path, forms: TimeForms) -> pl.DataFrame:
    out = rows
    for name in rows.columns:
        wanted = declared.columns[name]
        column = rows.get_column(name)
        if wanted == TIMESTAMP:
            made = forms.moments(column, source)
        elif wanted == pl.Date:
            made = forms.days(column, source)
        else:
            made = column.cast(wanted, strict=False)
            _require_all_read(column, made, source)
        out = out.with_columns(made.alias(name))
    named = pl.col("symbol").str.strip_chars() != ""
    return out.with_columns(
        pl.when(named).then("symbol").alias("symbol"),
        *(pl.lit(None, dtype).alias(name) for name, dtype in declared.columns.items() if name not in rows.columns),
    ).select(list(declared.columns))


def _require_all_read(before: pl.Series, after: pl.Series, source: Path) -> None:
    lost = (before.is_not_null() & after.is_null()).arg_true()
    if len(lost):
        row = int(lost[0])
        raise MarketDataError(
            f"{source}: row {row + 1}, column {before.name}: {before[row]!r} cannot be read as {after.dtype}"
        )


def _write_bars(target: Path, rows: pl.DataFrame, source: Path) -> None:
    blank = rows.get_column("bar_start").is_null().arg_true()
    if len(blank):
        raise MarketDataError(
            f"{source}: row {int(blank[0]) + 1}, column bar_start: blank; a bar without a time cannot be filed"
        )
    months = rows.with_columns(pl.col("bar_start").dt.strftime("%Y-%m").alias("month"))
    for (month,), part in months.partition_by("month", as_dict=True, include_key=False).items():
        extend_file(target / "bars" / f"{month}.parquet", part)
