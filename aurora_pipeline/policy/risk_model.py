"""Factor covariance of session returns: market, sectors and styles, plus specific risk.

``Sigma = B F B' + diag(d)`` with loadings `B` from the newest known betas and the style z-scores (:mod:`.style_factors`),
factor covariance `F` and specific variances `d` exponentially weighted (half-life 30 sessions) over the newest 60 sessions before
the decision, taken about zero: a mean of so few sessions is noise. A factor's return in a session is the median of its names',
0 without any. The off-diagonal of `F` is shrunk by a fifth towards zero; variances of names, specific and total, towards the
median of their sector (of all names for a name without one), of which n sessions leave 20 / (n + 20): little history says little.
Variances are per session.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.lookback import RISK_LOOKBACK
from aurora_pipeline.policy.style_factors import STYLES, estimate_styles

Floats = NDArray[np.float64]
HALF_LIFE_SESSIONS = 30.0
PRIOR_SESSIONS = 20.0
CORRELATION_SHRINKAGE = 0.2
MARKET_FACTOR = "market"


@dataclass(frozen=True)
class RiskModel:
    """Factor covariance of one session.

    Attributes
    ----------
    factors : tuple of str
        ``market``, one per sector, then the styles where there are names enough.
    loadings : ndarray of shape (n_names, n_factors)
        Betas to the factors.
    factor_covariance : ndarray of shape (n_factors, n_factors)
        Per session, positive semi-definite.
    specific_variance : ndarray of shape (n_names,)
        Per session; NaN for every name where there is no history at all.
    total_volatility : ndarray of shape (n_names,)
        Volatility of the total return per session, shrunk as the specific variance, the sigma of the impact law; NaN as above.
    """

    factors: tuple[str, ...]
    loadings: Floats
    factor_covariance: Floats
    specific_variance: Floats
    total_volatility: Floats

    @cached_property
    def factor_root(self) -> Floats:
        """Matrix R of shape (n_factors, n_factors) with ``R R' = F``; a singular F is fine."""
        values, vectors = np.linalg.eigh(self.factor_covariance)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))

    def variance(self, weights: Floats) -> float:
        """Variance per session of a book with these weights, fraction of NAV squared."""
        held = weights != 0.0
        exposure = weights[held] @ self.loadings[held]
        return float(exposure @ self.factor_covariance @ exposure + weights[held] ** 2 @ self.specific_variance[held])

    def exposures(self, weights: Floats) -> Floats:
        """Exposure of a book to each factor, fraction of NAV, shape (n_factors,)."""
        held = weights != 0.0
        return np.asarray(weights[held] @ self.loadings[held])

    def contributions(self, weights: Floats) -> Floats:
        """Share of each name in the variance of a book, shape (n_names,); sums to 1, zeros for a flat book."""
        held = weights != 0.0
        shares = np.zeros(weights.size)
        total = self.variance(weights)
        if total > 0.0:
            row = self.loadings[held] @ (self.factor_covariance @ self.exposures(weights))
            shares[held] = weights[held] * (row + self.specific_variance[held] * weights[held]) / total
        return shares

    def factor_shares(self, weights: Floats) -> Floats:
        """Share of each factor in the variance of a book, shape (n_factors,); the rest is specific."""
        exposure, total = self.exposures(weights), self.variance(weights)
        if total <= 0.0:
            return np.zeros(len(self.factors))
        return np.asarray(exposure * (self.factor_covariance @ exposure) / total)


def estimate_risk_model(
    history: pl.DataFrame,
    instruments: list[str],
    sectors: list[str | None],
    average_value: Floats | None = None,
) -> RiskModel:
    """Estimate the covariance that holds for a session from the sessions before it.

    Parameters
    ----------
    history : polars.DataFrame
        One row per session and instrument as known at the session's open, see
        :func:`aurora_pipeline.policy.session_returns.session_returns`. Only the newest 60 sessions are used.
    instruments : list of str
        Names in the order of the result.
    sectors : list of str or None
        Their sectors; None loads on the market only.
    average_value : ndarray of shape (n_names,), optional
        Traded value per session, USD, for the size factor; without it everybody is of average size.

    Returns
    -------
    RiskModel
        A name without history has market beta 1, sector beta 1 and the median specific variance of its sector.
    """
    sessions = history.get_column("session").unique().sort().tail(RISK_LOOKBACK)
    weights = _weights(sessions.len())
    panel = _panels(history, sessions, instruments)
    names = tuple(sorted({sector for sector in sectors if sector is not None}))
    members = np.array([-1 if sector is None else names.index(sector) for sector in sectors], dtype=np.int64)
    factors = np.column_stack(
        [
            _median_by_session(panel["market_return"]),
            *(_median_by_session(panel["sector_return"][:, members == index]) for index in range(len(names))),
        ]
    )
    loadings = np.zeros((len(instruments), 1 + len(names)))
    loadings[:, 0] = _last_known(panel["beta_market"], default=1.0)
    known = np.flatnonzero(members >= 0)
    loadings[known, 1 + members[known]] = _last_known(panel["beta_sector"], default=1.0)[known]
    total_volatility = np.sqrt(_shrunk_variance(panel["bar_return"], weights, members))
    value = np.full(len(instruments), np.nan) if average_value is None else average_value
    styles = estimate_styles(panel["bar_return"], panel["residual_return"], value, total_volatility)
    residual = panel["residual_return"]
    if styles is not None:
        names, residual = (*names, *STYLES), styles.residual
        loadings, factors = np.hstack([loadings, styles.loadings]), np.hstack([factors, styles.returns])
    return RiskModel(
        factors=(MARKET_FACTOR, *names),
        loadings=loadings,
        factor_covariance=_factor_covariance(factors, weights),
        specific_variance=_shrunk_variance(residual, weights, members),
        total_volatility=total_volatility,
    )


_COLUMNS = ("bar_return", "market_return", "sector_return", "residual_return", "beta_market", "beta_sector")


def _weights(count: int) -> Floats:
    """Exponential weights of sessions in time order, newest heaviest, sum 1."""
    ages = np.arange(count - 1, -1, -1, dtype=np.float64)
    raw = np.exp2(-ages / HALF_LIFE_SESSIONS)
    return np.asarray(raw / raw.sum()) if count else raw


def _panels(history: pl.DataFrame, sessions: pl.Series, instruments: list[str]) -> dict[str, Floats]:
    """Each column as an array of shape (n_sessions, n_names), NaN where there is no row."""
    row = pl.DataFrame({"session": sessions}).with_row_index("row")
    name = pl.DataFrame({"instrument_id": instruments}, schema={"instrument_id": pl.String}).with_row_index("name")
    rows = history.join(row, on="session").join(name, on="instrument_id")
    at = rows.get_column("row").to_numpy(), rows.get_column("name").to_numpy()
    panels = {}
    for column in _COLUMNS:
        panels[column] = np.full((sessions.len(), len(instruments)), np.nan)
        panels[column][at] = rows.get_column(column).to_numpy()
    return panels


def _median_by_session(values: Floats) -> Floats:
    """Median over names, 0 in a session without any: the spans of late or halted names differ, the median does not."""
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.isfinite(values).sum(axis=1)
    if values.shape[1] == 0:
        return np.zeros(values.shape[0])
    row = np.arange(values.shape[0])
    median = 0.5 * (
        ordered[row, np.maximum(count - 1, 0) // 2] + ordered[row, np.minimum(count // 2, values.shape[1] - 1)]
    )
    return np.where(count > 0, median, 0.0)


def _last_known(values: Floats, default: float) -> Floats:
    result = np.full(values.shape[1], default)
    for row in values:
        result = np.where(np.isfinite(row), row, result)
    return result


def _factor_covariance(factors: Floats, weights: Floats) -> Floats:
    raw = (factors * weights[:, None]).T @ factors
    symmetric = 0.5 * (raw + raw.T)
    diagonal = np.diag(np.diag(symmetric))
    return np.asarray((1.0 - CORRELATION_SHRINKAGE) * symmetric + CORRELATION_SHRINKAGE * diagonal)


def _shrunk_variance(returns: Floats, weights: Floats, members: NDArray[np.int64]) -> Floats:
    """Exponentially weighted mean square, pulled towards the sector's median with the strength of 20 sessions."""
    known = np.isfinite(returns)
    count = known.sum(axis=0)
    mass = np.where(known, weights[:, None], 0.0).sum(axis=0)
    square = np.where(known, returns, 0.0) ** 2
    own = np.where(count > 0, (square * weights[:, None]).sum(axis=0) / np.where(mass > 0.0, mass, 1.0), np.nan)
    overall = np.median(own[count > 0]) if (count > 0).any() else np.nan
    prior = np.full(own.shape, overall)
    for sector in np.unique(members[members >= 0]):
        peers = own[(members == sector) & (count > 0)]
        if peers.size:
            prior[members == sector] = np.median(peers)
    pulled = (count * np.where(count > 0, own, 0.0) + PRIOR_SESSIONS * prior) / (count + PRIOR_SESSIONS)
    return np.asarray(pulled)
