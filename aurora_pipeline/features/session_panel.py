"""Daily history as dense arrays, as known when a session's decisions are made.

Rows are sessions, columns instruments. Daily bars of the feed come first; where an instrument has none for a session its bars'
aggregate stands in. Corporate actions known by then enter when returns are taken: across an ex-date the earlier close is scaled
by (1 - dividend / close) / ratio, the usual price-relative adjustment, so a stored price level is never rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.inputs import ResidualInputs
from aurora_pipeline.features.rolling import Panel
from aurora_pipeline.market.point_in_time import as_known_at

HISTORY_SESSIONS = 580
"""Sessions of daily history kept. The longest chain is a 60-session window of residuals, each with a sector beta over 252
sessions of returns orthogonalised with a market beta over 252 sessions before them."""
_COLUMNS = ("open", "high", "low", "close", "volume")
_ROW = ("instrument_id", "session", *_COLUMNS, "known_at", "quarantined_at")


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

    @property
    def dollar_volume(self) -> Panel:
        """Close times volume, USD."""
        return self.close * self.volume

    def column(self, instrument: str | None) -> int | None:
        """Position of an instrument; None if it has no history at all."""
        if instrument is None or instrument not in self._positions:
            return None
        return self._positions[instrument]

    @property
    def _positions(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.instruments)}

    def row(self, session: date) -> int:
        """Position of a session."""
        return self.sessions.index(session)


def session_panels(inputs: ResidualInputs) -> Iterator[tuple[list[date], SessionPanel]]:
    """Group the sessions to compute by what was known and who was in which sector, and build one panel per group.

    Within a group nothing about an earlier session became known late and no sector changed, so the rows up to a session's
    own newest row are exactly what would be seen at that session, and all sessions of the group share one panel.

    Yields
    ------
    sessions : list of date
        Sessions of the group.
    panel : SessionPanel
        History up to the newest row of the group's last session.
    """
    if not inputs.sessions:
        return
    calendar = inputs.calendar
    axis = calendar.sessions(calendar.shift(inputs.sessions[0], -HISTORY_SESSIONS), inputs.sessions[-1])
    bars = _daily_rows(inputs, axis)
    own = _own_rows(inputs, axis)
    late = _late_moments(inputs, pl.concat([bars, own]))
    group: list[date] = []
    mark: tuple[int, dict[str, str]] | None = None
    for session in inputs.sessions:
        sectors = _sectors(inputs.universe, session)
        seen = sum(moment <= inputs.session_cutoff(session) for moment in late)
        if group and mark != (seen, sectors):
            yield group, _build(inputs, axis, bars, own, group, mark[1] if mark else {})
            group = []
        mark = (seen, sectors)
        group.append(session)
    if group and mark:
        yield group, _build(inputs, axis, bars, own, group, mark[1])


def _daily_rows(inputs: ResidualInputs, axis: Sequence[date]) -> pl.DataFrame:
    feed = inputs.daily_bars.filter(pl.col("session").is_between(axis[0], axis[-1])).select(_ROW)
    return pl.concat([feed, _own_rows(inputs, axis).join(feed, on=["instrument_id", "session"], how="anti")])


def _own_rows(inputs: ResidualInputs, axis: Sequence[date]) -> pl.DataFrame:
    return inputs.session_bars.filter(pl.col("session").is_between(axis[0], axis[-1])).select(_ROW)


def _late_moments(inputs: ResidualInputs, bars: pl.DataFrame) -> list[datetime]:
    """Moments at which an earlier session's fact became known after the next cutoff that could have used it."""
    calendar = inputs.calendar
    days = bars.get_column("session").unique().sort().to_list()
    due = pl.DataFrame(
        {
            "session": days,
            "due": [
                inputs.session_cutoff(calendar.shift(day, 1) if inputs.frequency == "5min" else day) for day in days
            ],
        },
        schema={"session": pl.Date, "due": pl.Datetime("us", "UTC")},
    )
    rows = bars.join(due, on="session", how="left")
    late = rows.filter(pl.col("known_at") > pl.col("due")).get_column("known_at").to_list()
    late += rows.get_column("quarantined_at").drop_nulls().to_list()
    actions = inputs.corporate_actions.filter(
        pl.col("known_at") > pl.col("ex_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    )
    return sorted({*late, *actions.get_column("known_at").to_list()})


def _sectors(universe: pl.DataFrame, session: date) -> dict[str, str]:
    rows = universe.filter(
        pl.col("session") == session, pl.col("kind") == "stock", pl.col("sector").is_not_null()
    ).select("instrument_id", "sector")
    return dict(rows.iter_rows())


def _build(
    inputs: ResidualInputs,
    axis: Sequence[date],
    bars: pl.DataFrame,
    own: pl.DataFrame,
    group: Sequence[date],
    sectors: dict[str, str],
) -> SessionPanel:
    newest, cutoff = inputs.newest_session(group[-1]), inputs.session_cutoff(group[-1])
    oldest = inputs.calendar.shift(group[0], -HISTORY_SESSIONS)
    sessions = [day for day in axis if oldest <= day <= newest]
    seen = pl.col("session").is_between(oldest, newest)
    known, known_own = (as_known_at(rows.filter(seen), cutoff, ["instrument_id", "session"]) for rows in (bars, own))
    instruments = sorted({*known.get_column("instrument_id").unique().to_list(), *sectors})
    arrays = {name: dense(known, name, sessions, instruments) for name in _COLUMNS}
    own_close, own_volume = (dense(known_own, name, sessions, instruments) for name in ("close", "volume"))
    factor = adjustment_factors(inputs, sessions, instruments, arrays["close"], cutoff)
    before = last_close_before(arrays["close"], factor)
    return SessionPanel(
        sessions=sessions,
        instruments=instruments,
        bar_dollar_volume=own_close * own_volume,
        total_return=arrays["close"] / before - 1.0,
        overnight_return=arrays["open"] / before - 1.0,
        sectors=sectors,
        **arrays,
    )


def dense(rows: pl.DataFrame, value: str, sessions: Sequence[date], instruments: Sequence[str]) -> Panel:
    """Spread one row per (instrument, session) over a dense array; NaN where there is none."""
    out = np.full((len(sessions), len(instruments)), np.nan)
    row = rows.get_column("session").replace_strict(
        pl.Series(sessions, dtype=pl.Date), pl.Series(range(len(sessions))), default=None, return_dtype=pl.Int64
    )
    column = rows.get_column("instrument_id").replace_strict(
        pl.Series(instruments, dtype=pl.String), pl.Series(range(len(instruments))), default=None, return_dtype=pl.Int64
    )
    inside = (row.is_not_null() & column.is_not_null()).to_numpy()
    at = (row.fill_null(0).to_numpy()[inside], column.fill_null(0).to_numpy()[inside])
    out[at] = rows.get_column(value).cast(pl.Float64).fill_null(np.nan).to_numpy()[inside]
    return out


def adjustment_factors(
    inputs: ResidualInputs, sessions: Sequence[date], instruments: Sequence[str], close: Panel, moment: datetime
) -> Panel:
    """Factor by which closes before a session are scaled to compare with that session's prices.

    Returns
    -------
    ndarray of shape (sessions, instruments)
        1 where no split or dividend goes ex; NaN never.
    """
    factor = np.ones((len(sessions), len(instruments)))
    adjustment = inputs.manifest.price_adjustment
    if adjustment == "split_dividend" or not sessions:
        return factor
    actions = as_known_at(
        inputs.corporate_actions.filter(pl.col("ex_date").is_between(sessions[0], sessions[-1])),
        moment,
        ["instrument_id", "ex_date", "kind"],
    )
    kinds = ("split", "dividend") if adjustment == "none" else ("dividend",)
    columns = {name: index for index, name in enumerate(instruments)}
    days = np.array(sessions, dtype="datetime64[D]")
    # Dividends first: their amounts are per share before a split of the same day.
    for kind, instrument, day, ratio, amount in (
        actions.sort("kind").select("kind", "instrument_id", "ex_date", "ratio", "amount").iter_rows()
    ):
        if kind not in kinds or instrument not in columns:
            continue
        row = int(np.searchsorted(days, np.datetime64(day)))
        column = columns[instrument]
        if kind == "split" and ratio:
            factor[row, column] /= ratio
        earlier = close[:row, column]
        priced = earlier[~np.isnan(earlier)]
        if kind == "dividend" and amount and priced.size and amount < priced[-1]:
            factor[row, column] *= 1.0 - amount / priced[-1]
    return factor


def last_close_before(close: Panel, factor: Panel) -> Panel:
    """Last earlier close of each column, scaled across the ex-dates since; NaN before the first."""
    out = np.full_like(close, np.nan)
    last: NDArray[np.float64] = np.full(close.shape[1], np.nan)
    for row in range(close.shape[0]):
        last = last * factor[row]
        out[row] = last
        last = np.where(np.isnan(close[row]), last, close[row])
    return out
