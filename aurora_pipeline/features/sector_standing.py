"""Where a stock stands among the stocks of its sector, as known when the session's decisions begin.

Products of two features say something of their own only when each is measured from its middle. The middle is taken over
all stocks of the sector at the session's cutoff, so that it does not depend on which rows are computed together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.codes import axis_codes, days_of
from aurora_pipeline.features.inputs import ResidualInputs
from aurora_pipeline.features.membership import membership
from aurora_pipeline.features.readers import KnowledgeStates, Readers

STANDING_LIMIT = 3.0
"""Standings are clipped here, in standard deviations."""
MINIMUM_MEMBERS = 3


def peer_readers(inputs: ResidualInputs, names: list[str]) -> tuple[Readers, pl.Series]:
    """One row per stock with a sector and session, decided at the session's cutoff; sorted by session and instrument.

    Parameters
    ----------
    inputs : ResidualInputs
        Sessions and universe.
    names : list of str
        Axis of the codes, sorted; all instruments of the universe are on it.

    Returns
    -------
    readers : Readers
    sector : polars.Series
        Sector of each.
    """
    members = membership(inputs)
    covered = [day for day in inputs.sessions if day in members.sessions]
    rows = np.array([members.sessions[day] for day in covered], dtype=np.int64)
    place, column = np.nonzero(members.stock[rows] & (members.sector[rows] >= 0))
    on_axis = axis_codes(members.instruments, names)
    days = days_of(pl.Series(covered, dtype=pl.Date))
    sector = pl.Series(members.sectors, dtype=pl.String).gather(members.sector[rows][place, column])
    return Readers(names, days[place], on_axis[column], inputs.session_cutoffs(covered)[place]), sector


@dataclass(frozen=True)
class SectorGroups:
    """Which states belong to which sector of which session, and which of them are its peers.

    Attributes
    ----------
    group : ndarray of int of shape (states,)
        Number of the session and sector; -1 without a sector.
    peers : ndarray of int of shape (peers,)
        State of each peer at its session's cutoff.
    """

    group: NDArray[np.int64]
    peers: NDArray[np.int64]

    def standing(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standardise values by the mean and standard deviation of the sector's peers.

        Parameters
        ----------
        values : ndarray of shape (states,)
            NaN where missing.

        Returns
        -------
        ndarray of shape (states,)
            Standard deviations from the sector's mean, clipped; NaN where fewer than 3 peers have a value.
        """
        present = self.peers[~np.isnan(values[self.peers]) & (self.group[self.peers] >= 0)]
        groups = self.group[present]
        size = int(self.group.max(initial=-1)) + 1
        if size == 0:
            return np.full(values.shape, np.nan)
        count = np.bincount(groups, minlength=size)
        mean = np.bincount(groups, values[present], size) / np.maximum(count, 1)
        square = np.bincount(groups, (values[present] - mean[groups]) ** 2, size)
        deviation = np.sqrt(square / np.maximum(count - 1, 1))
        usable = (count >= MINIMUM_MEMBERS) & (deviation > 0.0)
        own = np.maximum(self.group, 0)
        known = (self.group >= 0) & usable[own]
        standing = (values - mean[own]) / np.where(known, deviation[own], 1.0)
        return np.where(known, np.clip(standing, -STANDING_LIMIT, STANDING_LIMIT), np.nan)


def sector_groups(inputs: ResidualInputs, states: KnowledgeStates, peer_states: NDArray[np.int64]) -> SectorGroups:
    """Number the sectors of each session.

    Parameters
    ----------
    inputs : ResidualInputs
        Universe.
    states : KnowledgeStates
        Sessions and instruments.
    peer_states : ndarray of int of shape (peers,)
        State of each row of :func:`peer_readers`.
    """
    members = membership(inputs)
    days = days_of(pl.Series(list(members.sessions), dtype=pl.Date))
    column = axis_codes(states.names, members.instruments)[states.instrument]
    row = np.searchsorted(days, states.day, side="right") - 1
    known = (column >= 0) & (row >= 0) & (days[row] == states.day)
    at = (row[known], column[known])
    sector = np.where(members.stock[at], members.sector[at], -1)
    group = np.full(len(states.day), -1, dtype=np.int64)
    group[known] = np.where(sector >= 0, at[0] * len(members.sectors) + sector, -1)
    return SectorGroups(group, peer_states)
