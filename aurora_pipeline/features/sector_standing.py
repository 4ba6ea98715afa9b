"""Where a stock stands among the stocks of its sector, as known when the session's decisions begin.

Products of two features say something of their own only when each is measured from its middle. The middle is taken over
all stocks of the sector at the session's cutoff, so that it does not depend on which rows are computed together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.inputs import ResidualInputs
from aurora_pipeline.features.membership import membership

STANDING_LIMIT = 3.0
"""Standings are clipped here, in standard deviations."""
MINIMUM_MEMBERS = 3


def peer_rows(inputs: ResidualInputs) -> pl.DataFrame:
    """One row per stock with a sector and session, decided at the session's cutoff.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `instrument_id`, `sector`, `decision_time`, sorted by session and instrument.
    """
    cutoffs = pl.DataFrame(
        {"session": list(inputs.sessions), "decision_time": [inputs.session_cutoff(day) for day in inputs.sessions]},
        schema={"session": pl.Date, "decision_time": pl.Datetime("us", "UTC")},
    )
    return (
        inputs.universe.filter(pl.col("kind") == "stock", pl.col("sector").is_not_null())
        .join(cutoffs, on="session", how="inner")
        .select("session", "symbol", "instrument_id", "sector", "decision_time")
        .sort("session", "instrument_id")
    )


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


def sector_groups(inputs: ResidualInputs, states: pl.DataFrame, peer_states: pl.Series) -> SectorGroups:
    """Number the sectors of each session.

    Parameters
    ----------
    inputs : ResidualInputs
        Universe.
    states : polars.DataFrame
        `session`, `instrument_id`.
    peer_states : polars.Series
        State of each row of :func:`peer_rows`.
    """
    members = membership(inputs)
    days = pl.Series(list(members.sessions), dtype=pl.Date).to_physical().to_numpy()
    names = pl.Enum(members.instruments)
    column = states.get_column("instrument_id").cast(names, strict=False).to_physical().cast(pl.Int64).fill_null(-1)
    session = states.get_column("session").to_physical().to_numpy()
    row = np.searchsorted(days, session, side="right") - 1
    known = (column >= 0).to_numpy() & (row >= 0) & (days[row] == session)
    at = (row[known], column.to_numpy()[known])
    sector = np.where(members.stock[at], members.sector[at], -1)
    group = np.full(states.height, -1, dtype=np.int64)
    group[known] = np.where(sector >= 0, at[0] * len(members.sectors) + sector, -1)
    return SectorGroups(group, peer_states.to_numpy().astype(np.int64))
