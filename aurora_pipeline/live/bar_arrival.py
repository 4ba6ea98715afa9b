"""Whether a bar of the running session is there, how much of it, and whether it may still be decided."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import polars as pl

from aurora_pipeline.adapters.live_market import LiveMarket
from aurora_pipeline.calendar import BAR_MINUTES
from aurora_pipeline.settings import LiveSettings

_BAR = timedelta(minutes=BAR_MINUTES)


class BarArrival:
    """What has come of each bar of one session.

    Parameters
    ----------
    market : LiveMarket
    session : date
    bar_ends : sequence of datetime
        Ends of the session's bars, sorted.
    """

    def __init__(self, market: LiveMarket, session: date, bar_ends: Sequence[datetime]) -> None:
        self._market = market
        self._session = session
        self._bar_ends = bar_ends
        self._closed: set[datetime] = set()
        self._first_seen: dict[datetime, float] = {}

    def look_at_marks(self) -> None:
        """See which bars the feed has closed; to be called before the inbox is emptied, for a mark comes after its rows."""
        self._closed = self._market.inbox.closed_bars()

    def newest(self) -> datetime | None:
        """End of the newest bar on the session's grid of which a row is known."""
        starts = self._market.session_bars(self._session).get_column("bar_start").drop_nulls().unique()
        ends = {start + _BAR for start in starts}
        known = [end for end in self._bar_ends if end in ends or end in self._closed]
        return known[-1] if known else None

    def coverage(self, bar_end: datetime, universe: pl.DataFrame) -> float:
        """Share of the stocks eligible in the newest session of `universe` of which the bar was there at its end."""
        rows = self._market.session_bars(self._session)
        on_time = pl.col("known_at").is_null() | (pl.col("known_at") <= bar_end)
        here = rows.filter(pl.col("bar_start") == bar_end - _BAR, on_time)["symbol"].unique()
        newest = universe["session"].max()
        wanted = universe.filter(pl.col("session") == newest, pl.col("eligible"))["symbol"]
        return float(wanted.is_in(here.implode()).mean() or 0.0)  # type: ignore[arg-type]

    def complete(self, bar_end: datetime, coverage: float, settle_seconds: float) -> bool:
        """Whether nothing more of a bar is worth waiting for: the feed closed it, every stock has it, or it has had its time."""
        if bar_end in self._closed or coverage == 1.0:
            return True
        if coverage == 0.0:
            return False
        seen = self._first_seen.setdefault(bar_end, time.monotonic())
        return time.monotonic() - seen >= settle_seconds


def reason_to_skip(age_seconds: float, coverage: float, free_mb: float, rules: LiveSettings) -> str | None:
    """Why a bar that is there is not decided; None if it is.

    Parameters
    ----------
    age_seconds : float
        Since the bar's end.
    coverage : float
        0 to 1, see :meth:`BarArrival.coverage`.
    free_mb : float
        Free space on the home's disk, megabytes.
    rules : LiveSettings
    """
    if free_mb < rules.disk_reserve_mb:
        return f"disk full: {free_mb:.0f} MB free, live.disk_reserve_mb is {rules.disk_reserve_mb}"
    if age_seconds > rules.late_seconds:
        return f"late: the bar is {age_seconds:.0f} s old, live.late_seconds is {rules.late_seconds:.0f}"
    if coverage < rules.coverage:
        return f"thin: {100 * coverage:.0f} % of the eligible stocks have the bar, live.coverage is {rules.coverage}"
    return None
