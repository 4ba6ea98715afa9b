"""Facts of a feed as they stood at each decision time.

A feed's fact counts from its `known_at` on, and a restatement replaces the version before it from its own `known_at` on only.
What a decision time can see therefore changes at a few moments: :func:`knowledge_states` reduces rows to those distinct states,
:func:`history_at` lays out the newest periods each state could see, and :func:`from_states` spreads results back over the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.calendar import SessionCalendar
from aurora_pipeline.features.feed_facts import FeedFacts
from aurora_pipeline.features.known_periods import gathered, known_periods, shared_entries, spread
from aurora_pipeline.features.readers import NEVER, KnowledgeStates
from aurora_pipeline.features.windows import Panel

Moments = NDArray[np.int64]
"""Moments in microseconds since 1970, UTC; `NEVER` where there is none."""
_DAY = 86_400e6


@dataclass(frozen=True)
class FactHistory:
    """Newest periods of a feed as each state could see them; column 0 is the newest.

    Many states see the same: what they see is laid out once per entry, and states point to entries.

    Attributes
    ----------
    facts : FeedFacts
        The feed.
    newest, first : ndarray of int of shape (entries, depth)
        Positions of the version in force and of the first version published of each period; -1 where there is none.
    values : dict of str to ndarray of shape (entries, depth)
        Columns of the feed, NaN where missing.
    entry : ndarray of int of shape (states,)
        Entry of each state.
    """

    facts: FeedFacts
    newest: NDArray[np.int64]
    first: NDArray[np.int64]
    values: dict[str, Panel]
    entry: NDArray[np.int64]

    @cached_property
    def period(self) -> Moments:
        """Natural period of each fact (fiscal period end, settlement date, trading day), shape (entries, depth)."""
        return np.asarray(gathered(self.facts.period, self.newest, NEVER))

    @cached_property
    def first_known(self) -> Moments:
        """Moment each period was first published: a restatement does not make it younger; shape (entries, depth)."""
        return np.asarray(gathered(self.facts.known, self.first, NEVER))

    @cached_property
    def known(self) -> Moments:
        """Moment each version in force was published, shape (entries, depth)."""
        return np.asarray(gathered(self.facts.known, self.newest, NEVER))

    @cached_property
    def example(self) -> NDArray[np.int64]:
        """One state of each entry; they share the instrument that is looked up and what is known of it, shape (entries,)."""
        states = np.zeros(len(self.newest), dtype=np.int64)
        states[self.entry] = np.arange(len(self.entry))
        return states

    @cached_property
    def newest_first_known(self) -> Moments:
        """Moment the newest period was first published, of each entry."""
        return np.asarray(gathered(self.facts.known, self.first[:, 0].copy(), NEVER))

    def take(self, positions: NDArray[np.int64]) -> FactHistory:
        """Histories of some states, without the entries none of them points to."""
        if len(positions) == len(self.entry) and (np.diff(positions) == 1).all():
            return self
        entry = self.entry[positions]
        used = np.zeros(len(self.newest), dtype=np.bool_)
        used[entry] = True
        if used.all():
            return replace(self, entry=entry)
        return FactHistory(
            self.facts,
            self.newest[used],
            self.first[used],
            {name: values[used] for name, values in self.values.items()},
            (np.cumsum(used) - 1)[entry],
        )

    def gap_days(self) -> Panel:
        """Days from each period to the newest one; NaN where there is none."""
        return self.gaps_at(range(self.newest.shape[1]))

    def gaps_at(self, lags: Sequence[int]) -> Panel:
        """Days from the periods at some places to the newest one, shape (entries, lags)."""
        period = self.period[:, list(lags)]
        gap = (self.period[:, :1] - period) / _DAY
        return np.where(period == NEVER, np.nan, gap)


def history_at(
    states: KnowledgeStates,
    name: str,
    facts: FeedFacts,
    *,
    columns: Sequence[str],
    depth: int,
    reach: timedelta,
    lags: Sequence[int] | None = None,
) -> FactHistory:
    """Lay out the newest periods of a feed, with the versions known at each state's moment.

    Parameters
    ----------
    states : KnowledgeStates
        From :func:`~aurora_pipeline.features.readers.knowledge_states`.
    name : str
        Feed.
    facts : FeedFacts
        Versions of its rows.
    columns : sequence of str
        Values wanted.
    depth : int
        Periods looked at.
    reach : timedelta
        Versions published longer before the state's moment are left out.
    lags : sequence of int, optional
        Which of the periods are laid out, 0 the newest; all of them if left out.
    """
    moments = states.moments[name]
    readers = np.where(moments == NEVER, -1, facts.codes(states.names)[states.reader(name)])
    entry, asked = shared_entries(readers, moments, len(facts.names))
    newest, first = known_periods(
        facts.period,
        facts.known,
        facts.starts,
        readers[asked],
        moments[asked],
        depth,
        reach // timedelta(microseconds=1),
    )
    if lags is not None:
        newest, first = newest[:, list(lags)], first[:, list(lags)]
    values = {column: gathered(facts.column(column), newest, np.nan) for column in columns}
    return FactHistory(facts, newest, first, values, entry)


def session_ages(
    calendar: SessionCalendar, days: NDArray[np.int64], moments: Moments, entry: NDArray[np.int64]
) -> Panel:
    """Sessions since a moment, of each state: 0 in the session whose decisions could first use it, NaN where there is none.

    Parameters
    ----------
    calendar : SessionCalendar
        Exchange calendar.
    days : ndarray of int of shape (states,)
        Session of each state, days since 1970.
    moments : ndarray of int of shape (entries,)
        Such as ``FactHistory.newest_first_known``.
    entry : ndarray of int of shape (states,)
        Which of the moments.
    """
    since = np.searchsorted(calendar.close_moments, moments, side="left").astype(np.float64)
    since[moments == NEVER] = np.nan
    return np.asarray(np.searchsorted(calendar.session_days, days) - since[entry])


def unexpired(values: Panel, ages: Panel, expiry_sessions: int) -> Panel:
    """Values whose fact is at most `expiry_sessions` sessions old; NaN for the others."""
    return np.where(ages <= expiry_sessions, values, np.nan)


def from_states(
    rows: pl.DataFrame, state_of_row: NDArray[np.int64], features: Mapping[str, NDArray[np.float64]]
) -> pl.DataFrame:
    """Spread features of states over the rows.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `decision_time` of the rows, in their order, and one Float32 column per feature; null where the
        value is not finite.
    """
    columns = [pl.Series(name, spread(values, state_of_row), nan_to_null=True) for name, values in features.items()]
    return rows.select("session", "symbol", "decision_time").with_columns(columns)
