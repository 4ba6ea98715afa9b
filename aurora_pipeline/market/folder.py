"""Reading a market folder: the one on-disk form in which market data enters Aurora.

Reading checks form only: files, columns, types, time zones. What the rows say is judged by
:mod:`aurora_pipeline.market.validation` and :mod:`aurora_pipeline.market.bar_validation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import polars as pl

from aurora_pipeline.calendar import SessionCalendar, session_calendar
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.columns import (
    BARS,
    FEEDS,
    TRUTH,
    UNIVERSE,
    RawFile,
    contract_columns,
    require_columns,
)
from aurora_pipeline.market.file_facts import day_range, file_hash, parquet_rows, parquet_schema, rows_per_day
from aurora_pipeline.market.manifest import MANIFEST_FILE, MarketManifest, read_manifest, require_known_columns
from aurora_pipeline.market.session_bounds import owned_from, stretches

__all__ = ["MarketFolder", "MarketManifest"]


class MarketFolder:
    """One market folder, opened.

    Parameters
    ----------
    path : Path
        Directory with `market.yaml`, `universe.parquet` and bars.
    manifest : MarketManifest
        Content of `market.yaml`.

    Notes
    -----
    Use :meth:`open`, which checks that the folder can be used at all.
    """

    def __init__(self, path: Path, manifest: MarketManifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: Path | str) -> MarketFolder:
        """Open a folder.

        Raises
        ------
        MarketDataError
            The folder, a required file, column or key is missing, of a wrong type, or the market is empty.
        """
        directory = Path(path)
        if not directory.is_dir():
            raise MarketDataError(f"{directory}: no such folder; expected a market folder with {MANIFEST_FILE}")
        for name in (MANIFEST_FILE, "universe.parquet"):
            if not (directory / name).is_file():
                raise MarketDataError(f"{directory}: {name} is missing; every market folder has one")
        folder = cls(directory, read_manifest(directory))
        folder._require_bars()
        folder.universe()
        schemas = {name: parquet_schema(folder._feed_file(name)) for name in folder.feeds}
        for name, schema in schemas.items():
            require_columns(schema, FEEDS[name], str(folder._feed_file(name)))
        require_known_columns(folder.manifest, schemas, str(directory / MANIFEST_FILE))
        for file in folder._bar_files:
            require_columns(parquet_schema(file), BARS, str(file))
        if folder.manifest.frequency == "5min":
            folder.calendar.require_regular_bars()
        _ = folder.span  # an empty market and an unknown calendar fail here, not in the middle of a run
        return folder

    @property
    def calendar(self) -> SessionCalendar:
        """Calendar of the market's exchange."""
        return session_calendar(self.manifest.calendar)

    @property
    def feeds(self) -> list[str]:
        """Feeds the folder has a file for, daily bars included."""
        return [name for name in FEEDS if self._feed_file(name).is_file()]

    @cached_property
    def span(self) -> tuple[date, date]:
        """First and last session with bars of the decision frequency.

        A stretch of sessions that is cut off from the rest by a session without any bar and holds less than half a usual
        session's rows is taken for a wrong timestamp: it does not widen the span, and its rows are refused.

        Raises
        ------
        MarketDataError
            No bar lies in any session of the calendar.
        """
        counts = self._rows_per_day()
        if counts.is_empty():
            raise MarketDataError(f"{self.path}: the market is empty: no row in {self._bar_source}")
        days = set(self.calendar.sessions(counts["day"].min(), counts["day"].max()))  # type: ignore[arg-type]
        counts = counts.filter(pl.col("day").is_in(list(days)))
        if counts.is_empty():
            raise MarketDataError(
                f"{self.path}: none of the days in {self._bar_source} is a session of {self.manifest.calendar}"
            )
        usual = float(counts["rows"].median())  # type: ignore[arg-type]
        held = dict(zip(counts["day"], counts["rows"], strict=True))
        kept = [
            (first, last)
            for first, last in stretches(self.calendar, sorted(held))
            if sum(held.get(day, 0) for day in self.calendar.sessions(first, last)) >= usual / 2
        ]
        return kept[0][0], kept[-1][1]

    def universe(self) -> pl.DataFrame:
        """Rows of `universe.parquet`, checked.

        Raises
        ------
        MarketDataError
            A symbol or kind is null or unknown, or intervals are empty or overlap.
        """
        file = self.path / "universe.parquet"
        rows = self._read(file, UNIVERSE)
        _require_sound_universe(rows, str(file))
        return rows

    def read(self, feed: str) -> pl.DataFrame:
        """Raw rows of a feed, contract columns only; no rows where the folder has no such file."""
        file = self._feed_file(feed)
        if not file.is_file():
            return pl.DataFrame(schema=FEEDS[feed].columns)
        return self._read(file, FEEDS[feed])

    def read_bars(self, sessions: Sequence[date]) -> pl.DataFrame:
        """Raw bars that belong to the given sessions, stray ones around them included.

        Parameters
        ----------
        sessions : sequence of date
            Sorted sessions. The market's first also owns rows without a time and all before it, its last all after it.

        Returns
        -------
        polars.DataFrame
            Contract columns of `bars/`. At frequency `session` the daily bars, `bar_start` being the session's open.
        """
        if self.manifest.frequency == "session":
            opens = self.calendar.grid(sessions, "session").select("session", "bar_start")
            asked = pl.col("session").is_in(list(sessions))
            daily = self._read(self._feed_file("daily_bars"), FEEDS["daily_bars"], asked)
            daily = daily.join(opens, on="session", how="inner")
            empty = [pl.lit(None, pl.Float64).alias(name) for name in ("vwap", "trade_count")]
            return daily.with_columns(empty).select(list(BARS.columns))
        wanted = pl.any_horizontal([self._owned(first, last) for first, last in stretches(self.calendar, sessions)])
        return pl.concat([self._select(file, BARS, wanted) for file in self._bar_files])

    @property
    def synthetic(self) -> bool:
        """Whether a generator made it: there is a planted truth, or, as in a live copy that left it behind, the notes say so."""
        return (self.path / "truth.parquet").is_file() or self.manifest.notes.startswith("SYNTHETIC")

    def read_truth(self) -> pl.DataFrame | None:
        """Planted truth of a simulated market; None where there is none. Only scoring may read it."""
        file = self.path / "truth.parquet"
        if not file.is_file():
            return None
        return self._read(file, TRUTH).with_columns(pl.col("horizon_bars").cast(pl.Int32))

    def content_hash(self, part: str) -> str:
        """SHA-256 of a part's files.

        Parameters
        ----------
        part : str
            `manifest`, `universe`, a feed, or `bars/<YYYY-MM>`: the bar files that hold bars of that month, at frequency
            `session` the daily bars.
        """
        if part == "manifest":
            return file_hash(self.path / MANIFEST_FILE)
        if part == "universe":
            return file_hash(self.path / "universe.parquet")
        if part in FEEDS:
            return file_hash(self._feed_file(part))
        if self.manifest.frequency == "session":
            return file_hash(self._feed_file("daily_bars"))
        first = date.fromisoformat(part.removeprefix("bars/") + "-01")
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        return "-".join(file_hash(file) for file in self._bar_files if _overlaps(file, first, last))

    @cached_property
    def _bar_files(self) -> list[Path]:
        return sorted((self.path / "bars").glob("*.parquet"))

    @property
    def _bar_source(self) -> str:
        return "bars/" if self.manifest.frequency == "5min" else "daily_bars.parquet"

    def _feed_file(self, feed: str) -> Path:
        return self.path / f"{feed}.parquet"

    def _require_bars(self) -> None:
        needed = self._bar_files if self.manifest.frequency == "5min" else self._feed_file("daily_bars").is_file()
        if not needed:
            daily = self.manifest.frequency == "5min" and "daily_bars" in self.feeds
            raise MarketDataError(
                f"{self.path}: frequency {self.manifest.frequency} needs {self._bar_source}, which is missing or has no file"
                + ("; if daily bars are all there is, write frequency: session into market.yaml" if daily else "")
            )

    def _read(self, file: Path, form: RawFile, wanted: pl.Expr | None = None) -> pl.DataFrame:
        require_columns(parquet_schema(file), form, str(file))
        return self._select(file, form, wanted)

    def _select(self, file: Path, form: RawFile, wanted: pl.Expr | None = None) -> pl.DataFrame:
        columns = contract_columns(parquet_schema(file), form)
        return parquet_rows(
            file, lambda rows: rows.select(columns) if wanted is None else rows.select(columns).filter(wanted)
        )

    def _rows_per_day(self) -> pl.DataFrame:
        if self.manifest.frequency == "session":
            return rows_per_day(self._feed_file("daily_bars"), "session")
        parts = [rows_per_day(file, "bar_start") for file in self._bar_files]
        return pl.concat(parts).group_by("day").agg(pl.col("rows").sum()).sort("day")

    def _owned(self, first: date, last: date) -> pl.Expr:
        start = pl.col("bar_start")
        begins = start >= owned_from(self.calendar, first)
        ends = start < owned_from(self.calendar, self.calendar.shift(last, 1))
        if first == self.span[0]:
            begins = pl.lit(True)
        if last == self.span[1]:
            ends = pl.lit(True)
        owned = begins & ends
        return owned | start.is_null() if first == self.span[0] else owned & start.is_not_null()


def _overlaps(file: Path, first: date, last: date) -> bool:
    held = day_range(file, "bar_start")
    return held is not None and held[0] <= last and held[1] >= first


def _require_sound_universe(rows: pl.DataFrame, file: str) -> None:
    if rows.is_empty():
        raise MarketDataError(f"{file}: the market is empty: no symbol")
    wrong = rows.with_row_index("row").filter(
        pl.col("symbol").is_null() | ~pl.col("kind").is_in(["stock", "etf"]).fill_null(value=False)
    )
    if not wrong.is_empty():
        first = wrong.row(0, named=True)
        raise MarketDataError(
            f"{file}: row {first['row']}, symbol {first['symbol']}: kind is {first['kind']!r}; expected stock or etf"
        )
    begin = pl.col("valid_from").fill_null(date.min)
    previous_end = pl.col("valid_to").fill_null(date.max).shift(1).over("symbol")
    clash = rows.sort("symbol", begin).filter((begin >= pl.col("valid_to")) | (begin < previous_end))
    if not clash.is_empty():
        first = clash.row(0, named=True)
        raise MarketDataError(
            f"{file}: symbol {first['symbol']}, valid_from {first['valid_from']}: the interval is empty or overlaps another; "
            "valid_from is inclusive, valid_to exclusive"
        )
