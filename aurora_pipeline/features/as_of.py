"""Facts of a feed as they stood at each decision time.

A feed's fact counts from its `known_at` on, and a restatement replaces the version before it from its own `known_at` on only.
What a decision time can see therefore changes at a few moments: :func:`knowledge_states` reduces rows to those distinct states,
:func:`history_at` lays out the newest periods each state could see, and :func:`from_states` spreads results back over the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.calendar import TIMESTAMP, SessionCalendar
from aurora_pipeline.features.known_periods import known_periods, newest_known, shared_entries
from aurora_pipeline.features.windows import Panel

NEVER = np.iinfo(np.int64).min
"""Moment or period of an absent entry."""
Moments = NDArray[np.int64]
"""Moments in microseconds since 1970, UTC; `NEVER` where there is none."""


@dataclass(frozen=True)
class FactHistory:
    """Newest periods of a feed as each state could see them; column 0 is the newest.

    Many states see the same: what they see is laid out once per entry, and states point to entries.

    Attributes
    ----------
    period : ndarray of int of shape (entries, depth)
        Natural period of the fact (fiscal period end, settlement date, trading day), microseconds.
    first_known : ndarray of int of shape (entries, depth)
        Moment the period was first published: a restatement does not make it younger.
    known : ndarray of int of shape (entries, depth)
        Moment the version in force was published.
    values : dict of str to ndarray of shape (entries, depth)
        Columns of the feed, NaN where missing.
    entry : ndarray of int of shape (states,)
        Entry of each state.
    """

    period: Moments
    first_known: Moments
    known: Moments
    values: dict[str, Panel]
    entry: NDArray[np.int64]

    @property
    def example(self) -> NDArray[np.int64]:
        """One state of each entry; they share the instrument that is looked up and what is known of it, shape (entries,)."""
        states = np.zeros(len(self.period), dtype=np.int64)
        states[self.entry] = np.arange(len(self.entry))
        return states

    def take(self, positions: NDArray[np.int64]) -> FactHistory:
        """Histories of some states, without the entries none of them points to."""
        entry = self.entry[positions]
        used = np.zeros(len(self.period), dtype=np.bool_)
        used[entry] = True
        if used.all():
            return replace(self, entry=entry)
        return FactHistory(
            self.period[used],
            self.first_known[used],
            self.known[used],
            {name: values[used] for name, values in self.values.items()},
            (np.cumsum(used) - 1)[entry],
        )

    def gap_days(self) -> Panel:
        """Days from each period to the newest one; NaN where there is none."""
        gap = (self.period[:, :1] - self.period) / 86_400e6
        return np.where(self.period == NEVER, np.nan, gap)


def knowledge_states(rows: pl.DataFrame, feeds: Mapping[str, pl.DataFrame]) -> tuple[pl.DataFrame, pl.Series]:
    """Reduce rows to the states of knowledge in them.

    Parameters
    ----------
    rows : polars.DataFrame
        `session`, `instrument_id`, `decision_time` and, per feed, the column the feed is looked up by: `instrument_id`, or
        ``<feed>_id`` where present.
    feeds : mapping of str to polars.DataFrame
        Feeds by name, with `instrument_id` and `known_at`.

    Returns
    -------
    states : polars.DataFrame
        Distinct `session`, `instrument_id` and, per feed, ``<feed>_moment``: the newest `known_at` at or before the decision.
    state_of_row : polars.Series
        Position of each row's state.
    """
    names = rows.get_column("instrument_id").unique().sort()
    now = rows.get_column("decision_time").to_physical().to_numpy()
    day = rows.get_column("session").to_physical().to_numpy()
    own = _codes(rows.get_column("instrument_id"), names)
    moments = {
        name: _newest_moments(
            feed, rows.get_column(f"{name}_id" if f"{name}_id" in rows.columns else "instrument_id"), now
        )
        for name, feed in feeds.items()
    }
    # What is known only grows within a session: along its decision times a state begins where a moment changes.
    order = np.lexsort((now, own, day))
    begins = np.zeros(len(order), dtype=np.bool_)
    begins[:1] = True
    for values in (day, own, *moments.values()):
        begins[1:] |= np.diff(values[order]) != 0
    state = np.empty(len(order), dtype=np.int64)
    state[order] = np.cumsum(begins) - 1
    passed_on = [f"{name}_id" for name in feeds if f"{name}_id" in rows.columns]
    first = order[begins]
    told = {
        f"{name}_moment": pl.Series(values[first]).cast(TIMESTAMP).set(pl.Series(values[first] == NEVER), None)
        for name, values in moments.items()
    }
    return rows.select("session", "instrument_id", *passed_on)[first].with_columns(**told), pl.Series("state", state)


def _newest_moments(feed: pl.DataFrame, readers: pl.Series, now: Moments) -> Moments:
    """Newest publication of each reader's instrument at or before its moment; `NEVER` where there is none."""
    names = feed.get_column("instrument_id").unique().sort()
    facts = feed.select(
        pl.col("instrument_id").cast(pl.Enum(names)).to_physical().cast(pl.Int64).alias("own"),
        pl.col("known_at").to_physical().alias("known"),
    ).sort("own", "known")
    known = facts.get_column("known").to_numpy()
    starts = np.searchsorted(facts.get_column("own").to_numpy(), np.arange(len(names) + 1)).astype(np.int64)
    return np.asarray(newest_known(known, starts, _codes(readers, names), now, NEVER))


def _codes(values: pl.Series, names: pl.Series) -> NDArray[np.int64]:
    """Place of each name; -1 where it is not among them."""
    return values.cast(pl.Enum(names), strict=False).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()


def history_at(
    states: pl.DataFrame,
    name: str,
    feed: pl.DataFrame,
    *,
    period: str,
    columns: Sequence[str],
    depth: int,
    reach: timedelta,
    lags: Sequence[int] | None = None,
) -> FactHistory:
    """Lay out the newest periods of a feed, with the versions known at each state's moment.

    Parameters
    ----------
    states : polars.DataFrame
        From :func:`knowledge_states`.
    name : str
        Feed; its moment is ``<name>_moment``.
    feed : polars.DataFrame
        Versions of the feed's rows.
    period : str
        Column that orders the facts and, with the instrument, identifies one; where it is null `known_at` does.
    columns : sequence of str
        Values wanted.
    depth : int
        Periods looked at.
    reach : timedelta
        Versions published longer before the state's moment are left out.
    lags : sequence of int, optional
        Which of the periods are laid out, 0 the newest; all of them if left out.
    """
    by = f"{name}_id" if f"{name}_id" in states.columns else "instrument_id"
    facts = feed.select(
        "instrument_id",
        pl.coalesce(pl.col(period).cast(pl.Datetime("us")), pl.col("known_at").dt.replace_time_zone(None)).alias(
            "period"
        ),
        "known_at",
        *(pl.col(column).cast(pl.Float64) for column in columns),
    ).sort("instrument_id", "period", "known_at")
    names = facts.get_column("instrument_id").unique().sort()
    codes = _codes(facts.get_column("instrument_id"), names)
    told = states.get_column(f"{name}_moment").to_physical()
    moments = told.fill_null(NEVER).to_numpy()
    readers = np.where(moments == NEVER, -1, _codes(states.get_column(by), names))
    entry, asked = shared_entries(readers, moments, len(names))
    periods, known = (facts.get_column(column).to_physical().to_numpy() for column in ("period", "known_at"))
    newest, first = known_periods(
        periods,
        known,
        np.searchsorted(codes, np.arange(len(names) + 1)).astype(np.int64),
        readers[asked],
        moments[asked],
        depth,
        reach // timedelta(microseconds=1),
    )
    if lags is not None:
        newest, first = newest[:, list(lags)], first[:, list(lags)]

    def times(moments: Moments, at: NDArray[np.int64]) -> Moments:
        return np.append(moments, NEVER)[at]

    return FactHistory(
        times(periods, newest),
        times(known, first),
        times(known, newest),
        {
            column: np.append(facts.get_column(column).fill_null(np.nan).to_numpy(), np.nan)[newest]
            for column in columns
        },
        entry,
    )


def session_ages(calendar: SessionCalendar, states: pl.DataFrame, moments: Moments) -> Panel:
    """Sessions since each moment: 0 in the session whose decisions could first use it, NaN where there is none.

    Parameters
    ----------
    calendar : SessionCalendar
        Exchange calendar.
    states : polars.DataFrame
        With `session`.
    moments : ndarray of int of shape (states,)
        Such as ``FactHistory.first_known[:, 0]``.
    """
    present = moments != NEVER
    if not present.any():
        return np.full(moments.shape, np.nan)
    sessions = states.get_column("session")
    earliest = pl.Series([int(moments[present].min())]).cast(pl.Datetime("us")).dt.date().item()
    newest = sessions.max()
    axis = calendar.sessions(earliest, newest)  # type: ignore[arg-type]
    closes = calendar.closing_moments(axis[0], axis[-1])
    days = np.array(axis, dtype="datetime64[D]").astype(np.int64)
    current = np.searchsorted(days, sessions.to_physical().to_numpy())
    since = np.searchsorted(closes, moments, side="left")
    return np.where(present, current - since, np.nan).astype(np.float64)


def unexpired(values: Panel, ages: Panel, expiry_sessions: int) -> Panel:
    """Values whose fact is at most `expiry_sessions` sessions old; NaN for the others."""
    return np.where(ages <= expiry_sessions, values, np.nan)


def from_states(
    rows: pl.DataFrame, state_of_row: pl.Series, features: Mapping[str, NDArray[np.float64]]
) -> pl.DataFrame:
    """Spread features of states over the rows.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `decision_time` of the rows, in their order, and one Float32 column per feature; null where the
        value is not finite.
    """
    with np.errstate(over="ignore"):
        narrow = {name: values.astype(np.float32) for name, values in features.items()}
    table = pl.DataFrame(
        {
            name: pl.Series(np.where(np.isfinite(values), values, np.nan), nan_to_null=True)
            for name, values in narrow.items()
        }
    )
    return pl.concat([rows.select("session", "symbol", "decision_time"), table[state_of_row]], how="horizontal")
