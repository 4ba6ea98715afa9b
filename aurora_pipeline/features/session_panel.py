"""Daily history as dense arrays, as known when a session's decisions are made.

Rows are sessions, columns instruments. Daily bars of the feed come first; where an instrument has none for a session its bars'
aggregate stands in. Corporate actions known by then enter when returns are taken: across an ex-date the earlier close is scaled
by (1 - dividend / close) / ratio, the usual price-relative adjustment, so a stored price level is never rewritten.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.features.adjustment import adjustment_factors, last_close_before
from aurora_pipeline.features.codes import moments_of
from aurora_pipeline.features.inputs import ResidualInputs
from aurora_pipeline.features.membership import membership
from aurora_pipeline.features.rolling import rolling_mean
from aurora_pipeline.features.versioned_arrays import Moments, VersionedArrays, lay_out
from aurora_pipeline.features.windows import Panel
from aurora_pipeline.lookback import SESSION_LOOKBACK

VOLUME_SESSIONS = 20
"""Sessions of dollar volume that say how much is usually traded."""
_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class SessionPanel:
    """Daily history of some instruments.

    Attributes
    ----------
    sessions : list of date
        Row axis, oldest first.
    instruments : list of str
        Column axis, sorted.
    open, high, low, close, volume : ndarray of shape (sessions, instruments)
        As traded; NaN where there is no bar.
    bar_dollar_volume : ndarray of shape (sessions, instruments)
        Dollar volume in the market's own bars, USD: less than the feed's where the bars cover a part of all venues.
    total_return : ndarray of shape (sessions, instruments)
        Return since the instrument's last earlier close, corporate actions included, fraction.
    overnight_return : ndarray of shape (sessions, instruments)
        The part from that close to the open, fraction.
    sectors : dict of str to str
        Sector of each stock on the sessions the panel is for.
    """

    sessions: list[date]
    instruments: list[str]
    open: Panel
    high: Panel
    low: Panel
    close: Panel
    volume: Panel
    bar_dollar_volume: Panel
    total_return: Panel
    overnight_return: Panel
    sectors: dict[str, str]

    @cached_property
    def dollar_volume(self) -> Panel:
        """Close times volume, USD."""
        return self.close * self.volume

    @cached_property
    def mean_dollar_volume(self) -> Panel:
        """Mean dollar volume of the last :data:`VOLUME_SESSIONS` sessions, USD."""
        values: Panel = rolling_mean(self.dollar_volume, VOLUME_SESSIONS, VOLUME_SESSIONS // 2, 0)
        return values

    def column(self, instrument: str | None) -> int | None:
        """Position of an instrument; None if it has no history at all."""
        if instrument is None or instrument not in self._positions:
            return None
        return self._positions[instrument]

    def row(self, session: date) -> int:
        """Position of a session."""
        return self._rows[session]

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.instruments)}

    @cached_property
    def _rows(self) -> dict[date, int]:
        return {session: index for index, session in enumerate(self.sessions)}


def session_panels(inputs: ResidualInputs) -> list[tuple[list[date], SessionPanel]]:
    """Group the sessions to compute by what was known and who was in which sector, and build one panel per group, once.

    Within a group nothing about an earlier session became known late, no sector changed and no session is skipped, so the rows
    up to a session's own newest row are exactly what would be seen at that session, and all sessions share one panel.

    Returns
    -------
    list of tuple
        Sessions of a group, and the history up to the newest row of its last session.
    """
    return inputs.once("session_panels", lambda: _session_panels(inputs))


def _session_panels(inputs: ResidualInputs) -> list[tuple[list[date], SessionPanel]]:
    if not inputs.sessions:
        return []
    calendar = inputs.calendar
    axis = calendar.sessions(calendar.shift(inputs.sessions[0], -SESSION_LOOKBACK), inputs.sessions[-1])
    due = _due(inputs, axis)
    days = pl.Series(axis, dtype=pl.Date)
    feed, own = (lay_out(rows, "session", days, due) for rows in (inputs.daily_bars, inputs.session_bars))
    late = _late_moments(inputs, feed, own)
    members = membership(inputs)
    sectors = np.stack([members.stock_sectors(session) for session in inputs.sessions])
    seen = np.searchsorted(late, inputs.session_cutoffs(inputs.sessions), side="right")
    changed = (np.diff(seen) != 0) | (sectors[1:] != sectors[:-1]).any(axis=1)
    changed |= np.diff(calendar.places(inputs.sessions)) != 1
    starts = [0, *(np.flatnonzero(changed) + 1).tolist(), len(inputs.sessions)]
    groups = [(list(inputs.sessions[first:stop]), sectors[first]) for first, stop in itertools.pairwise(starts)]
    return [(group, _build(inputs, axis, feed, own, group, members.named_sectors(codes))) for group, codes in groups]


def _due(inputs: ResidualInputs, axis: Sequence[date]) -> Moments:
    """First cutoff that could use each session, microseconds since 1970."""
    later = [*axis[1:], inputs.calendar.shift(axis[-1], 1)] if inputs.frequency == "5min" else axis
    return inputs.session_cutoffs(later)


def _late_moments(inputs: ResidualInputs, feed: VersionedArrays, own: VersionedArrays) -> Moments:
    """Moments at which an earlier session's fact became known after the next cutoff that could have used it."""
    actions = inputs.action_versions()
    told = [
        moments_of(actions.filter(pl.col(name) > pl.col("ex_date").cast(TIMESTAMP)).get_column(name))
        for name in ("known_at", "superseded_at")
    ]
    rows = len(feed.due)
    return np.unique(np.concatenate([feed.late_moments(0, rows), own.late_moments(0, rows), *told]))


def _build(
    inputs: ResidualInputs,
    axis: Sequence[date],
    feed: VersionedArrays,
    own: VersionedArrays,
    group: Sequence[date],
    sectors: dict[str, str],
) -> SessionPanel:
    newest, cutoff = inputs.newest_session(group[-1]), inputs.session_cutoff(group[-1])
    first = bisect.bisect_left(axis, inputs.calendar.shift(group[0], -SESSION_LOOKBACK))
    stop = bisect.bisect_right(axis, newest)
    sessions = list(axis[first:stop])
    every = sorted({*feed.instruments, *own.instruments, *sectors})
    arrays = feed.seen(cutoff, first, stop, every, _COLUMNS)
    of_bars = own.seen(cutoff, first, stop, every, _COLUMNS)
    absent = np.flatnonzero(np.isnan(arrays["close"]))
    for name, values in arrays.items():
        values.ravel()[absent] = of_bars[name].ravel()[absent]
    present = set(np.flatnonzero((~np.isnan(arrays["close"])).any(axis=0)).tolist())
    kept = [index for index, name in enumerate(every) if index in present or name in sectors]
    instruments = [every[index] for index in kept]
    if len(kept) < len(every):
        arrays = {name: np.ascontiguousarray(values[:, kept]) for name, values in arrays.items()}
    factor = adjustment_factors(inputs, sessions, instruments, arrays["close"], cutoff)
    before = last_close_before(arrays["close"], factor)
    return SessionPanel(
        sessions=sessions,
        instruments=instruments,
        bar_dollar_volume=(of_bars["close"] * of_bars["volume"])[:, kept],
        total_return=arrays["close"] / before - 1.0,
        overnight_return=arrays["open"] / before - 1.0,
        sectors=sectors,
        **arrays,
    )
