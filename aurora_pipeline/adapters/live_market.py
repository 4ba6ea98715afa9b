"""The market folder of a live home: a copy of the market it was trained on, to which the inbox's rows are added.

The folder is the home's own (`<home>/markets/live`): the user's market is never written to. Bars of each session that arrives go
to a file of their own, `bars/live-YYYY-MM-DD.parquet`, feed rows into the feed's file, each replaced by rename.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.inbox import Inbox, InboxFile
from aurora_pipeline.atomic import atomic_write
from aurora_pipeline.calendar import BAR_MINUTES, SessionCalendar
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.arrivals import arrived_bars, arrived_rows
from aurora_pipeline.market.columns import BARS, FEEDS, RawFile, contract_columns
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.session_bounds import owned_from

FEEDS_MARK = "feeds"
HELD_AHEAD = timedelta(minutes=10)
"""A bar this far ahead of the clock is wrong, up to that it waits for its time; neither holds back the others of its file."""


@dataclass
class Arrivals:
    """What one look into the inbox brought.

    Attributes
    ----------
    bars, repeated : int
        New bar rows, and rows that were there already.
    feeds : set of str
        Feeds that have new rows.
    refused : dict of str to str
        File name to reason.
    held : dict of str to str
        Files left for later, because their bars lie ahead of the clock.
    """

    bars: int = 0
    repeated: int = 0
    feeds: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)


class LiveMarket:
    """The live market folder of one home.

    Parameters
    ----------
    home : Home
    """

    def __init__(self, home: Home) -> None:
        self.folder = live_folder(home)
        self.calendar: SessionCalendar = home.calendar
        self.inbox = Inbox(home.path / "inbox")
        self._marks = self.folder / ".changed"

    def session_bars(self, session: date) -> pl.DataFrame:
        """Raw rows of a session that arrived live, contract columns of `bars/`."""
        return _read(self._day_file(session), BARS)

    def changed(self) -> set[str]:
        """Return what the lake has yet to follow: :data:`FEEDS_MARK`, and earlier sessions that have new rows."""
        return {path.name for path in self._marks.iterdir()} if self._marks.is_dir() else set()

    def followed(self, names: Iterable[str]) -> None:
        """Say that the lake has followed; what a dying process left undone stays marked."""
        for name in names:
            (self._marks / name).unlink(missing_ok=True)

    def take(self, session: date, now: datetime, decided: datetime | None, skew: timedelta) -> Arrivals:
        """Move the inbox's rows into the market.

        Parameters
        ----------
        session : date
            Running session.
        now : datetime
            Moment of arrival.
        decided : datetime or None
            Newest decision time that has been settled, in whichever session.
        skew : timedelta
            How far ahead of the clock a bar may end.
        """
        found = Arrivals()
        bars: list[pl.DataFrame] = []
        taken: list[InboxFile] = []
        wrong: list[tuple[InboxFile, str]] = []
        for file in self.inbox.pending():
            try:
                rows = self.inbox.read(file)
            except MarketDataError as error:
                wrong.append((file, str(error)))
                continue
            if file.kind != "bars":
                self._add_feed(file.kind, rows, now, decided, found)
                taken.append(file)
                continue
            ahead, due = _ahead(rows, now), _due(rows, now + skew)
            bars.append(due)
            if ahead > HELD_AHEAD:
                reason = (
                    f"{file.path.name}: a bar ends {ahead} ahead of the clock ({now:%Y-%m-%d %H:%M:%S} UTC); {due.height} of "
                    f"{rows.height} row(s) were taken; check this machine's clock and the feed's, then drop the others again"
                )
                wrong.append((file, reason))
            elif ahead > skew:
                found.held[file.path.name] = f"a bar ends {ahead} ahead of the clock"
            else:
                taken.append(file)
        if any(not part.is_empty() for part in bars):
            self._add_bars(pl.concat(bars), session, now, decided, found)
        self.inbox.done(taken)
        for file, reason in wrong:
            found.refused[file.path.name] = reason
            self.inbox.refuse(file, reason)
        return found

    def _add_bars(
        self, rows: pl.DataFrame, session: date, now: datetime, decided: datetime | None, found: Arrivals
    ) -> None:
        for day, part in self._by_session(rows, session):
            held = self.session_bars(day)
            earlier = self._stored_before(day) if day != session else held.clear()
            fresh = arrived_bars(part, pl.concat([earlier, held]), now, decided)
            found.bars += fresh.height
            found.repeated += part.height - fresh.height
            if not fresh.is_empty():
                if day != session:
                    self._mark(day.isoformat())
                _replace(self._day_file(day), pl.concat([held, fresh]))

    def _by_session(self, rows: pl.DataFrame, session: date) -> Iterator[tuple[date, pl.DataFrame]]:
        """Split rows by the session that owns their moment; whatever has no moment or lies ahead goes to the running one."""
        starts = rows.get_column("bar_start")
        first = starts.min()
        day = session
        if isinstance(first, datetime) and first < owned_from(self.calendar, session):
            days = self.calendar.sessions(first.date() - timedelta(days=5), session)
        else:
            days = [day]
        stops = [owned_from(self.calendar, self.calendar.shift(each, 1)) for each in days]
        position = pl.Series(stops).search_sorted(starts.fill_null(stops[-1]), side="right").clip(0, len(days) - 1)
        for key, part in rows.with_columns(pl.Series("_day", position)).partition_by("_day", as_dict=True).items():
            yield days[int(key[0])], part.drop("_day")

    def _stored_before(self, day: date) -> pl.DataFrame:
        """Rows of a session the market came with."""
        owned = pl.col("bar_start").is_between(self.calendar.open(day), self.calendar.close(day), closed="left")
        files = [path for path in sorted((self.folder / "bars").glob("*.parquet")) if path != self._day_file(day)]
        frames = [
            pl.scan_parquet(path, glob=False)
            .select(contract_columns(pl.Schema(pl.read_parquet_schema(path)), BARS))
            .filter(owned)
            for path in files
        ]
        return pl.concat(frames).collect() if frames else pl.DataFrame(schema=BARS.columns)

    def _add_feed(
        self, feed: str, rows: pl.DataFrame, now: datetime, decided: datetime | None, found: Arrivals
    ) -> None:
        path = self.folder / f"{feed}.parquet"
        held = _read(path, FEEDS[feed])
        told = held
        if feed == "daily_bars" and not rows.is_empty():
            told = held.filter(pl.col("session").is_in(rows["session"].implode()))
            rows, told = self._known_by_close(rows), self._known_by_close(told)
        fresh = arrived_rows(feed, rows, told, now, decided)
        if not fresh.is_empty():
            found.feeds.add(feed)
            self._mark(FEEDS_MARK)
            _replace(path, pl.concat([held, fresh]))

    def _known_by_close(self, daily: pl.DataFrame) -> pl.DataFrame:
        """Daily bars with the session's close as `known_at` where they say nothing else."""
        closes = {day: self.calendar.close(day) for day in daily["session"].unique() if self.calendar.is_session(day)}
        if not closes:
            return daily
        close = pl.col("session").replace_strict(closes, default=None, return_dtype=daily.schema["known_at"])
        return daily.with_columns(pl.coalesce("known_at", close).alias("known_at"))

    def _mark(self, name: str) -> None:
        self._marks.mkdir(exist_ok=True)
        (self._marks / name).touch()

    def _day_file(self, session: date) -> Path:
        return self.folder / "bars" / f"live-{session}.parquet"


def live_folder(home: Home) -> Path:
    """Where a live home keeps its market."""
    return home.path / "markets" / "live"


def adopt_market(source: MarketFolder, target: Path, before: datetime | None = None) -> None:
    """Copy a market folder by hard links, or, for a replay, what was known before a moment.

    Parameters
    ----------
    source : MarketFolder
    target : Path
        Replaced if it exists.
    before : datetime, optional
        Rows known at or after this moment are left out.
    """
    staging = target.with_name(f".{target.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "bars").mkdir(parents=True)
    for name in ("market.yaml", "universe.parquet"):
        link(source.path / name, staging / name)
    for path in sorted((source.path / "bars").glob("*.parquet")):
        _copy(path, staging / "bars" / path.name, before, bar_known(path))
    for feed in source.feeds:
        path = source.path / f"{feed}.parquet"
        _copy(path, staging / path.name, before, feed_known(feed, path, source.calendar))
    shutil.rmtree(target, ignore_errors=True)
    staging.replace(target)


def bar_known(path: Path) -> pl.Expr:
    """Moment a bar of a file was known."""
    end = pl.col("bar_start") + timedelta(minutes=BAR_MINUTES)
    return pl.max_horizontal(end, "known_at") if "known_at" in pl.read_parquet_schema(path) else end


def feed_known(feed: str, path: Path, calendar: SessionCalendar) -> pl.Expr:
    """Moment a row of a feed's file was known."""
    columns = pl.read_parquet_schema(path)
    if feed != "daily_bars":
        return pl.col("known_at")
    days = pl.read_parquet(path, glob=False, columns=["session"])["session"].unique()
    closes = {day: calendar.close(day) for day in days if calendar.is_session(day)}
    close = pl.col("session").replace_strict(closes, default=None, return_dtype=pl.Datetime("us", "UTC"))
    return pl.coalesce("known_at", close) if "known_at" in columns else close


def _copy(source: Path, target: Path, before: datetime | None, known: pl.Expr) -> None:
    if before is not None:
        rows = pl.read_parquet(source, glob=False)
        kept = rows.filter((known < before).fill_null(value=True))
        if kept.height < rows.height:
            if not kept.is_empty() or target.parent.name != "bars":
                kept.write_parquet(target)
            return
    link(source, target)


def link(source: Path, target: Path) -> None:
    """Share a file that neither side ever changes in place; copy it where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _ahead(rows: pl.DataFrame, now: datetime) -> timedelta:
    newest = rows.get_column("bar_start").max()
    return newest + timedelta(minutes=BAR_MINUTES) - now if isinstance(newest, datetime) else timedelta(0)


def _due(rows: pl.DataFrame, until: datetime) -> pl.DataFrame:
    """Rows of bars that end by a moment; one without a moment is for the quarantine to name."""
    return rows.filter((pl.col("bar_start") + timedelta(minutes=BAR_MINUTES) <= until).fill_null(value=True))


def _read(path: Path, form: RawFile) -> pl.DataFrame:
    if not path.exists():
        return pl.DataFrame(schema=form.columns)
    schema = pl.Schema(pl.read_parquet_schema(path))
    return pl.read_parquet(path, glob=False).select(contract_columns(schema, form))


def _replace(path: Path, rows: pl.DataFrame) -> None:
    atomic_write(path, rows.write_parquet)
