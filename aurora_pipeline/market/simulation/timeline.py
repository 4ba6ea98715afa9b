"""Sessions and bars of a simulated market, and how a label's bars spread over the sessions ahead.

Sessions are counted from the first daily bar: `warmup` sessions of daily bars, then `sessions` with decisions. Feeds
reach further back, so the timeline also knows the sessions before.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.calendar import SessionCalendar, session_calendar
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.simulation.presets import END, Preset

HISTORY = 320  # sessions of feed history before the first daily bar
AHEAD = 15  # sessions after the last bar that labels and publications may reach into


@dataclass(frozen=True)
class Timeline:
    """Sessions of one simulated market.

    Attributes
    ----------
    days : list of date
        Every simulated session, warm-up first.
    history : list of date
        The `HISTORY` sessions before `days`.
    ahead : list of date
        The `AHEAD` sessions after `days`.
    warmup : int
        Index in `days` of the first session with decisions.
    """

    calendar: SessionCalendar
    preset: Preset
    days: list[date]
    history: list[date]
    ahead: list[date]
    warmup: int

    def bars(self, index: int) -> int:
        """Bars of session `index` of `days`, which may lie in `ahead`: 78, 42 on a half-day, 1 at ``session``."""
        if self.preset.frequency == "session":
            return 1
        day = self.days[index] if index < len(self.days) else self.ahead[index - len(self.days)]
        return len(self.calendar.bar_ends(day))

    def open(self, day: date) -> datetime:
        """Opening moment of a session, UTC."""
        return self.calendar.open(day)

    def close(self, day: date) -> datetime:
        """Closing moment of a session, UTC."""
        return self.calendar.close(day)

    def index_from(self, day: date) -> int:
        """Index in `days` of the first session on or after `day`; len(days) if there is none."""
        return bisect.bisect_left(self.days, day)

    def all_days(self) -> list[date]:
        """History, simulated and later sessions in one list; index 0 is `history[0]`."""
        return self.history + self.days + self.ahead

    def last_horizon_index(self, index: int, horizon: int) -> int:
        """Number of sessions after `index` that the label of its last bar reaches."""
        remaining, ahead = horizon + 1, 0
        while remaining > 0:
            ahead += 1
            remaining -= self.bars(index + ahead)
        return ahead


def build_timeline(preset: Preset) -> Timeline:
    """Lay a preset's sessions on the exchange calendar so that the last one is `END`."""
    calendar = session_calendar("XNYS")
    every = calendar.sessions(date(1998, 1, 2), END + timedelta(days=60))
    last = bisect.bisect_right(every, END)
    first = last - preset.sessions - preset.warmup
    if first < HISTORY:
        raise MarketDataError(f"sessions={preset.sessions} reaches back beyond the calendar; use fewer")
    return Timeline(
        calendar=calendar,
        preset=preset,
        days=every[first:last],
        history=every[first - HISTORY : first],
        ahead=every[last : last + AHEAD],
        warmup=preset.warmup,
    )


def horizon_counts(timeline: Timeline, index: int) -> NDArray[np.int64]:
    """Count the label bars of each decision time of a session by the session they fall into.

    A decision at bar i is labelled over bars i+2 .. i+1+horizon.

    Returns
    -------
    ndarray of shape (n_bars, n_sessions_ahead + 1)
        Column 0 counts bars of the session itself, column l those of the l-th session after it.
    """
    horizon = timeline.preset.horizon
    reach = timeline.last_horizon_index(index, horizon)
    sizes = [timeline.bars(index + step) for step in range(reach + 1)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    first = np.arange(sizes[0])[:, None] + 2
    low = np.maximum(first, starts[None, :-1])
    high = np.minimum(first + horizon, starts[None, 1:])
    return np.asarray(np.maximum(high - low, 0))
