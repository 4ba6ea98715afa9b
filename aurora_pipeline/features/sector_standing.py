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
    sectors = inputs.universe.filter(pl.col("kind") == "stock").select("session", "instrument_id", "sector")
    placed = states.select("session", "instrument_id").join(
        sectors.unique(["session", "instrument_id"]),
        on=["session", "instrument_id"],
        how="left",
        maintain_order="left",
    )
    number = placed.select(
        pl.when(pl.col("sector").is_not_null()).then(pl.struct("session", "sector").rank("dense").cast(pl.Int64) - 1)
    ).to_series()
    return SectorGroups(number.fill_null(-1).to_numpy(), peer_states.to_numpy().astype(np.int64))
