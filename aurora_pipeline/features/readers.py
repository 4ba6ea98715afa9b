"""Who looks at which feed when, and the few states of knowledge that makes.

Names are codes here: numbers on one axis of sorted instruments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from aurora_pipeline.features.codes import codes_of, days_of, moments_of, names_in
from aurora_pipeline.features.feed_facts import FeedFacts

NEVER = np.iinfo(np.int64).min
"""Moment or period of an absent entry."""
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Readers:
    """Rows that look at feeds.

    Attributes
    ----------
    names : list of str
        Axis of the codes, sorted.
    day : ndarray of int of shape (rows,)
        Session, days since 1970.
    instrument : ndarray of int of shape (rows,)
        Code.
    moment : ndarray of int of shape (rows,)
        Decision, microseconds since 1970.
    others : dict of str to ndarray of int of shape (rows,)
        Feeds that are looked up by another instrument than the row's own, such as its sector's fund; -1 for none.
    """

    names: list[str]
    day: Ints
    instrument: Ints
    moment: Ints
    others: dict[str, Ints] = field(default_factory=dict)


def readers_of(rows: pl.DataFrame, names: list[str] | None = None) -> Readers:
    """Readers of some rows.

    Parameters
    ----------
    rows : polars.DataFrame
        `session`, `instrument_id`, `decision_time`.
    names : list of str, optional
        Axis of the codes, sorted; the instruments of the rows by default.
    """
    instruments = rows.get_column("instrument_id")
    names = names_in(instruments) if names is None else names
    return Readers(
        names,
        days_of(rows.get_column("session")),
        codes_of(instruments, names),
        moments_of(rows.get_column("decision_time")),
    )


def joined_readers(parts: Sequence[Readers]) -> Readers:
    """Rows of several readers on one axis, in the order of the parts."""
    return Readers(
        parts[0].names,
        np.concatenate([part.day for part in parts]),
        np.concatenate([part.instrument for part in parts]),
        np.concatenate([part.moment for part in parts]),
        {name: np.concatenate([part.others[name] for part in parts]) for name in parts[0].others},
    )


@dataclass(frozen=True)
class KnowledgeStates:
    """Distinct states of knowledge.

    Attributes
    ----------
    names : list of str
        Axis of the codes.
    day, instrument : ndarray of int of shape (states,)
        Session (days since 1970) and code.
    moments : dict of str to ndarray of int of shape (states,)
        Per feed the newest `known_at` at or before the decision, microseconds since 1970; `NEVER` where there is none.
    others : dict of str to ndarray of int of shape (states,)
        As in :class:`Readers`.
    """

    names: list[str]
    day: Ints
    instrument: Ints
    moments: dict[str, Ints]
    others: dict[str, Ints]

    def reader(self, feed: str) -> Ints:
        """Code under which each state looks a feed up."""
        return self.others.get(feed, self.instrument)


def knowledge_states(readers: Readers, feeds: Mapping[str, FeedFacts]) -> tuple[KnowledgeStates, Ints]:
    """Reduce rows to the states of knowledge in them: a row whose instrument saw the same earlier in its session adds none.

    Parameters
    ----------
    readers : Readers
        Rows; those of a session and instrument in order of time make the fewest states.
    feeds : mapping of str to FeedFacts
        Feeds by name.

    Returns
    -------
    states : KnowledgeStates
    state_of_row : ndarray of int of shape (rows,)
        Position of each row's state.
    """
    size = len(readers.names)
    tables = list(feeds.values())
    # A further code, of nobody, for rows that look nothing up.
    lookup = np.full((len(tables), size + 1), -1, dtype=np.int64)
    by = np.stack([readers.others.get(name, readers.instrument) for name in feeds])
    begins = np.zeros((len(tables), size + 1), dtype=np.int64)
    stops = np.zeros((len(tables), size + 1), dtype=np.int64)
    offset = 0
    for index, facts in enumerate(tables):
        lookup[index, :size] = facts.codes(readers.names)
        found = lookup[index] >= 0
        begins[index, found] = facts.starts[:-1][lookup[index, found]] + offset
        stops[index, found] = facts.starts[1:][lookup[index, found]] + offset
        offset += len(facts.published)
    published = np.concatenate([facts.published for facts in tables])
    since = readers.day - readers.day.min(initial=np.iinfo(np.int64).max)
    number = np.cumsum(np.bincount(since) > 0)  # of the sessions there are, from 1
    first, moments, state = _states(
        number[since] - 1, readers.instrument, readers.moment, number.max(initial=0), size, by, begins, stops, published
    )
    told = {name: np.ascontiguousarray(moments[:, index]) for index, name in enumerate(feeds)}
    others = {name: codes[first] for name, codes in readers.others.items()}
    return KnowledgeStates(readers.names, readers.day[first], readers.instrument[first], told, others), state


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _states(
    day: Ints,
    instrument: Ints,
    moment: Ints,
    days: int,
    names: int,
    by: Ints,
    begins: Ints,
    stops: Ints,
    published: Ints,
) -> tuple[Ints, Ints, Ints]:
    """First row and newest publications of each state, and the state of each row.

    Parameters
    ----------
    day, instrument, moment : ndarray of int of shape (rows,)
        Number of the session, code, decision.
    days, names : int
        Sessions and codes.
    by : ndarray of int of shape (feeds, rows)
        Code each feed is looked up by.
    begins, stops : ndarray of int of shape (feeds, names + 1)
        Stretch of `published` that holds the publications of each code, sorted; the last one, of nobody, is empty.
    published : ndarray of int of shape (facts,)
        Publications of all feeds.
    """
    rows, feeds = day.size, begins.shape[0]
    state, first = np.empty(rows, dtype=np.int64), np.empty(rows, dtype=np.int64)
    seen = np.empty((rows, feeds), dtype=np.int64)
    last = np.full(days * names, -1, dtype=np.int64)  # newest state of each session and instrument
    latest = np.zeros(days * names, dtype=np.int64)  # and the decision that saw it last
    now = np.empty(feeds, dtype=np.int64)
    count = 0
    for row in range(rows):
        own = day[row] * names + instrument[row]
        before = last[own]
        if before >= 0 and latest[own] == moment[row]:
            state[row] = before
            continue
        same = before >= 0
        for feed in range(feeds):
            begin, stop = begins[feed, by[feed, row]], stops[feed, by[feed, row]]
            place = begin + np.searchsorted(published[begin:stop], moment[row], side="right") - 1
            now[feed] = published[place] if place >= begin else NEVER
            same = same and now[feed] == seen[before, feed]
        if not same:
            first[count] = row
            seen[count] = now
            last[own] = count
            count += 1
        state[row] = last[own]
        latest[own] = moment[row]
    return first[:count].copy(), seen[:count].copy(), state
