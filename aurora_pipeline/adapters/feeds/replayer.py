"""A past session of a market folder, told again as it became known."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl

from aurora_pipeline.adapters.feeds import Delivery
from aurora_pipeline.adapters.live_market import bar_known, feed_known
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.columns import BARS, FEEDS, contract_columns
from aurora_pipeline.market.folder import MarketFolder


class Replayer:
    """Tells one session of a market folder.

    Parameters
    ----------
    folder : MarketFolder
        A market at frequency `5min`.
    session : date
        Session to tell: bars known from its open to its close, feed rows known from its open on.

    Raises
    ------
    MarketDataError
        The market has no 5-minute bars, or none of this session.
    """

    def __init__(self, folder: MarketFolder, session: date) -> None:
        self.name = f"replay of {folder.manifest.name}, {session}"
        if folder.manifest.frequency != "5min":
            raise MarketDataError(
                f"{folder.path}: frequency is {folder.manifest.frequency}; only 5-minute bars are replayed"
            )
        opened = folder.calendar.open(session)
        self._ends = folder.calendar.bar_ends(session)
        self._told = opened
        self._rows: dict[str, pl.DataFrame] = {}
        bars = []
        for path in sorted((folder.path / "bars").glob("*.parquet")):
            known, schema = bar_known(path), pl.Schema(pl.read_parquet_schema(path))
            rows = pl.scan_parquet(path, glob=False).select(*contract_columns(schema, BARS), known.alias("_known"))
            bars.append(
                rows.filter(pl.col("_known") >= opened, pl.col("_known") <= folder.calendar.close(session)).collect()
            )
        self._rows["bars"] = pl.concat(bars).sort("_known", maintain_order=True)
        if self._rows["bars"].filter(pl.col("bar_start") >= opened).is_empty():
            first, last = folder.span
            raise MarketDataError(f"{folder.path}: no bar of session {session}; the market has {first} to {last}")
        for feed in folder.feeds:
            path = folder.path / f"{feed}.parquet"
            schema, moment = pl.Schema(pl.read_parquet_schema(path)), feed_known(feed, path, folder.calendar)
            told = pl.read_parquet(path, glob=False).select(
                *contract_columns(schema, FEEDS[feed]), moment.alias("_known")
            )
            self._rows[feed] = told.filter(pl.col("_known") >= opened).sort("_known", maintain_order=True)

    def poll(self, now: datetime) -> Delivery:
        """Return what became known after the moment asked for last; see :class:`~aurora_pipeline.adapters.feeds.Feed`."""
        rows: dict[str, pl.DataFrame] = {}
        for kind, frame in self._rows.items():
            ready = frame.filter(pl.col("_known") <= now)
            if not ready.is_empty():
                rows[kind] = ready.drop("_known")
                self._rows[kind] = frame.filter(pl.col("_known") > now)
        closed = tuple(end for end in self._ends if self._told < end <= now)
        self._told = max(self._told, now)
        return Delivery(rows, closed)

    @property
    def decision_times(self) -> list[datetime]:
        """Bar ends of the session."""
        return list(self._ends)
