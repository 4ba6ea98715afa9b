"""Which versions of which periods a reader could see at a moment: positions into a feed sorted by period and publication."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Moments = NDArray[np.int64]
Positions = NDArray[np.int64]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def known_periods(
    period: Moments,
    known: Moments,
    starts: Positions,
    instrument: Positions,
    moment: Moments,
    depth: int,
    reach: int,
) -> tuple[Positions, Positions]:
    """Newest periods of each reader's instrument, each in its newest version known at the reader's moment.

    Parameters
    ----------
    period, known : ndarray of int of shape (facts,)
        Period and publication of each version in microseconds, sorted by instrument, period, publication.
    starts : ndarray of int of shape (instruments + 1,)
        First fact of each instrument; the last entry is the number of facts.
    instrument : ndarray of int of shape (readers,)
        Instrument of each reader; negative for none.
    moment : ndarray of int of shape (readers,)
        Microseconds.
    depth : int
        Periods wanted.
    reach : int
        Versions published this many microseconds or more before the moment are left out.

    Returns
    -------
    newest, first : ndarray of int of shape (readers, depth)
        Position of the newest and of the first version seen of each period, newest period in column 0; -1 where there is none.
    """
    newest = np.full((moment.size, depth), -1, dtype=np.int64)
    first = np.full((moment.size, depth), -1, dtype=np.int64)
    oldest_after, youngest_before = _extremes(known, starts)
    for reader in range(moment.size):
        own = instrument[reader]
        if own < 0:
            continue
        begin, now = starts[own], moment[reader]
        # Everything behind `place` became known later than now.
        place = begin + np.searchsorted(oldest_after[begin : starts[own + 1]], now, side="right") - 1
        lag = -1
        while place >= begin and youngest_before[place] > now - reach:
            if now - reach < known[place] <= now:
                if lag < 0 or period[newest[reader, lag]] != period[place]:
                    lag += 1
                    if lag == depth:
                        break
                    newest[reader, lag] = place
                first[reader, lag] = place
            place -= 1
    return newest, first


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _extremes(known: Moments, starts: Positions) -> tuple[Moments, Moments]:
    """Earliest publication from each fact of its instrument on, and latest publication up to it."""
    oldest_after, youngest_before = known.copy(), known.copy()
    for own in range(starts.size - 1):
        for place in range(starts[own + 1] - 2, starts[own] - 1, -1):
            oldest_after[place] = min(oldest_after[place], oldest_after[place + 1])
        for place in range(starts[own] + 1, starts[own + 1]):
            youngest_before[place] = max(youngest_before[place], youngest_before[place - 1])
    return oldest_after, youngest_before


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def shared_entries(reader: Positions, moment: Moments, readers: int) -> tuple[Positions, Positions]:
    """Number what is asked: askers in a row that stand for the same reader at the same moment share an entry.

    Parameters
    ----------
    reader : ndarray of int of shape (askers,)
        Reader of each, negative for none; all of those share an entry.
    moment : ndarray of int of shape (askers,)
        Microseconds; askers of one reader are in time order, so that equal moments follow one another.
    readers : int
        Number of readers.

    Returns
    -------
    entry : ndarray of int of shape (askers,)
    asked : ndarray of int of shape (entries,)
        First asker of each entry.
    """
    entry, asked = np.empty(reader.size, dtype=np.int64), np.empty(reader.size, dtype=np.int64)
    newest = np.full(readers + 1, -1, dtype=np.int64)
    count = 0
    for asker in range(reader.size):
        own = max(reader[asker], -1)
        last = newest[own]
        if last < 0 or (own >= 0 and moment[asked[last]] != moment[asker]):
            newest[own] = count
            asked[count] = asker
            count += 1
        entry[asker] = newest[own]
    return entry, asked[:count].copy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def gathered(values: NDArray[Any], at: Positions, otherwise: float) -> NDArray[Any]:
    """Values at some positions, in the shape of the positions; `otherwise` where a position is negative."""
    places = at.ravel()
    out = np.empty(places.size, dtype=values.dtype)
    for index in range(places.size):
        out[index] = values[places[index]] if places[index] >= 0 else otherwise
    return out.reshape(at.shape)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def spread(values: NDArray[np.float64], at: Positions) -> NDArray[np.float32]:
    """Values at some positions, narrowed; NaN where that is not finite."""
    out = np.empty(at.size, dtype=np.float32)
    for index in range(at.size):
        value = np.float32(values[at[index]])
        out[index] = value if np.isfinite(value) else np.float32(np.nan)
    return out
