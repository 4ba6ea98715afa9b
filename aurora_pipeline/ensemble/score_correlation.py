"""How alike the families' scores are, and weights that do not count the same opinion twice.

The information coefficient of a weighted mean of standardised scores is w'IC / sqrt(w'Rw), with R their correlation; it is
largest at weights proportional to inverse(R) IC (Qian, Hua and Sorensen, "Quantitative Equity Portfolio Management", 2007,
chapter 7; for forecasts, Bates and Granger, Operational Research Quarterly 20(4), 1969). Two families that say the same thing
then share one family's weight. Estimated R is pulled towards the matrix in which all families are equally alike, as far
as ICs are pulled towards their mean: shrunk all the way, weights are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from aurora_pipeline.models.train_block import group_ends
from aurora_pipeline.one_thread import one_thread
from aurora_pipeline.settings import EnsembleSettings

Float64 = npt.NDArray[np.float64]

RIDGE = 0.01
"""Added to the diagonal, so that families that are copies of each other share their weight instead of dividing by zero."""

EVERY = 13
"""Every k-th decision time of a session is looked at: sessions carry information, further decision times hardly do."""


@dataclass(frozen=True)
class ScoreCorrelations:
    """Sums of products of the families' z-scores by session.

    Attributes
    ----------
    sessions : list of date
        In time order.
    families : list of str
        Axis of the matrices.
    products, counts : ndarray of shape (n_sessions, n_families, n_families)
        Sum of products, and rows in which both families scored.
    """

    sessions: list[date]
    families: list[str]
    products: Float64
    counts: Float64

    @classmethod
    @one_thread()
    def of(cls, predictions: pl.DataFrame) -> ScoreCorrelations:
        """Measure table `predictions`; scores are standardised within each decision time, constants count as 0."""
        grid = predictions.select("session", "decision_time").unique().sort("session", "decision_time")
        chosen = grid.group_by("session", maintain_order=True).agg(pl.col("decision_time").gather_every(EVERY))
        moments = chosen.get_column("decision_time").explode()
        predictions = predictions.filter(pl.col("decision_time").is_in(moments.implode()))
        families = predictions.get_column("model").unique().sort().to_list()
        keys = ["session", "decision_time", "symbol"]
        score = pl.col("score").cast(pl.Float64)
        centred = score - score.mean().over("model", "decision_time")
        scale = score.std(ddof=0).over("model", "decision_time")
        z = (
            pl.when(scale > 1e-12 * score.abs().max().over("model", "decision_time"))
            .then(centred / scale)
            .otherwise(0.0)
        )
        scored = predictions.filter(pl.col("score").is_not_null()).sort("model", "decision_time", "symbol")
        wide = scored.select(*keys, "model", z.alias("z")).pivot("model", index=keys, values="z").sort(keys)
        Z = wide.select(pl.col(family) for family in families).to_numpy()
        present = (~np.isnan(Z)).astype(np.float64)
        Z = np.nan_to_num(Z)
        ends = group_ends(wide.get_column("session").to_physical().cast(pl.Int64).to_numpy())
        parts = list(zip([0, *ends[:-1]], ends, strict=True)) if len(ends) else []
        shape = (len(parts), len(families), len(families))
        products = np.array([Z[start:stop].T @ Z[start:stop] for start, stop in parts]).reshape(shape)
        counts = np.array([present[start:stop].T @ present[start:stop] for start, stop in parts]).reshape(shape)
        sessions = wide.get_column("session").unique(maintain_order=True).to_list()
        return cls(sessions, families, products, counts)

    def before(self, session: date, families: Sequence[str], settings: EnsembleSettings) -> Float64:
        """Correlation of the families' scores over the sessions before one, exponentially weighted and shrunk.

        Parameters
        ----------
        session : date
            Scores of this session and later ones do not count.
        families : sequence of str
            Axis of the result. A pair that never scored together is as alike as the others are on average.
        settings : EnsembleSettings
            Half-life and shrinkage.

        Returns
        -------
        ndarray of shape (n_families, n_families)
            Ones on the diagonal.
        """
        past = sum(day < session for day in self.sessions)
        count = len(families)
        age = np.arange(past)[::-1]
        weights = 0.5 ** (age / settings.half_life_sessions)
        estimate = np.full((count, count), np.nan)
        known = [k for k, family in enumerate(families) if family in self.families]
        axis = [self.families.index(families[k]) for k in known]
        products = (weights[:, None, None] * self.products[:past]).sum(axis=0)[np.ix_(axis, axis)]
        counts = (weights[:, None, None] * self.counts[:past]).sum(axis=0)[np.ix_(axis, axis)]
        scale = np.sqrt(np.diag(products) / np.maximum(np.diag(counts), 1e-300))
        norm = counts * scale[:, None] * scale[None, :]
        estimate[np.ix_(known, known)] = np.where(norm > 0.0, products / np.where(norm > 0.0, norm, 1.0), np.nan)
        apart = ~np.eye(count, dtype=bool)
        seen = estimate[apart & ~np.isnan(estimate)]
        common = float(seen.mean()) if seen.size else 0.0
        filled = np.where(np.isnan(estimate), common, estimate)
        shrunk = (1.0 - settings.shrinkage) * filled + settings.shrinkage * common
        return np.where(apart, np.clip(shrunk, -1.0, 1.0), 1.0)


def uncorrelated_shares(ic: Float64, correlation: Float64) -> Float64:
    """Weights that maximise the ensemble's IC, none below 0, not yet adding up to 1.

    Parameters
    ----------
    ic : ndarray of shape (n_families,)
        At least one positive.
    correlation : ndarray of shape (n_families, n_families)
        Of the families' scores, ones on the diagonal.

    Returns
    -------
    ndarray of shape (n_families,)
        argmin w'Rw / 2 - w'IC over w >= 0; some weight is positive. A family with an IC of 0 or less gets nothing: a
        loser is not held to hedge a winner.
    """
    from scipy.optimize import nnls

    kept = np.flatnonzero(ic > 0.0)
    within = correlation[np.ix_(kept, kept)] + RIDGE * np.eye(len(kept))
    values, vectors = np.linalg.eigh(within)
    root = vectors * np.sqrt(np.maximum(values, RIDGE))
    # With R = A A', the problem is the least squares one |A'w - inverse(A) IC|.
    shares, _ = nnls(root.T, np.linalg.solve(root, ic[kept]))
    out = np.zeros(len(ic))
    out[kept] = shares
    return out
