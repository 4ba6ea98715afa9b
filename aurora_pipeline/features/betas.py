"""Market and sector betas through the session before, and the residual returns of the daily history.

Market beta first, then the beta of what is left to the sector's return orthogonalised to the market; both exponentially
weighted (span 126 sessions, window 252), shrunk towards 1 (Vasicek 1973), estimated through t-1 and applied at t. What is left of
a past session, of stock and sector, is measured with the market betas that were in force on it. A sector's return is its ETF's,
or, where the ETF has no price that session, the leave-one-out mean of its stocks: a stock's own return never moves the peer mean
it is measured against. A session's sectors hold for all of the history its betas look back over: after a change of sector the
past is measured against the new one.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aurora_pipeline.features.inputs import ResidualInputs
from aurora_pipeline.features.rolling import span_decay
from aurora_pipeline.features.rolling_moments import rolling_beta
from aurora_pipeline.features.session_panel import SessionPanel
from aurora_pipeline.features.windows import Panel

MINIMUM_PAIRS = 40
"""Sessions a beta needs; with fewer it is the prior, 1."""
RESIDUAL_SESSIONS = 252
"""Sessions of daily residual returns that features look back over, the newest included."""


@dataclass(frozen=True)
class Betas:
    """Exposures of each instrument at each session, known before it.

    Attributes
    ----------
    market, sector : ndarray of shape (sessions + 1, instruments)
        Betas to the market and to the orthogonalised sector return. The last row is the session after the panel's newest.
    sector_to_market : ndarray of shape (sessions + 1, instruments)
        Beta of the stock's sector series to the market, which orthogonalises it.
    residual : ndarray of shape (sessions, instruments)
        Residual return of each session, fraction; NaN for instruments without a sector.
    market_only : ndarray of bool of shape (sessions + 1, instruments)
        Neither ETF nor enough peers on the session before: only the market is taken out.
    """

    market: Panel
    sector: Panel
    sector_to_market: Panel
    residual: Panel
    market_only: NDArray[np.bool_]


def estimate_betas(panel: SessionPanel, inputs: ResidualInputs, first: int = 0) -> Betas:
    """Estimate betas over a panel.

    Parameters
    ----------
    panel : SessionPanel
        Daily history.
    inputs : ResidualInputs
        Settings and manifest.
    first : int
        First row that will be asked for: residuals are computed from :data:`RESIDUAL_SESSIONS` rows before it on, betas as far
        back as those need; everything before is NaN.

    Returns
    -------
    Betas
        The rows that are computed do not depend on `first`.
    """
    settings = inputs.settings.features
    returns = panel.total_return
    decay, window = span_decay(settings.beta_span_sessions), settings.beta_window_sessions
    market = market_returns(returns, panel.column(inputs.manifest.benchmark), stock_columns(panel))
    sector, market_only = sector_returns(returns, panel, inputs.manifest.sector_etfs, settings.minimum_peers)
    residual_from = max(first - RESIDUAL_SESSIONS + 1, 0)
    market_from = max(residual_from - window, 0)

    def lagged(dependent: Panel, regressor: Panel, start: int) -> Panel:
        slope = _slopes(dependent, regressor, decay, window, max(start - 1, 0), inputs.settings.threads)
        shrunk = (1.0 - settings.beta_shrinkage) * slope + settings.beta_shrinkage
        before = np.full((returns.shape[0] + 1 - slope.shape[0], slope.shape[1]), np.nan)
        before[0] = 1.0
        return np.concatenate([before, np.where(np.isnan(shrunk), 1.0, shrunk)])

    beta_market = lagged(returns, market, market_from)
    distinct, place = _distinct_series(panel, inputs.manifest.sector_etfs)
    sector_to_market = lagged(sector[:, distinct], market[:, distinct], market_from)[:, place]
    orthogonal = sector - sector_to_market[:-1] * market
    after_market = returns - beta_market[:-1] * market
    beta_sector = lagged(after_market, orthogonal, residual_from)
    beta_sector[market_only] = 0.0
    explained = np.where(market_only[:-1], 0.0, beta_sector[:-1] * orthogonal)
    residual = after_market - explained
    residual[:residual_from] = np.nan
    return Betas(beta_market, beta_sector, sector_to_market, residual, market_only)


def _slopes(
    dependent: Panel, regressor: Panel, decay: float, window: int, start: int, threads: int
) -> NDArray[np.float64]:
    """Rolling slopes, the columns shared out among threads; a column's slopes do not depend on the others."""
    parts = np.array_split(np.arange(dependent.shape[1]), threads)

    def slopes(part: NDArray[np.int64]) -> Panel:
        left, right = (np.ascontiguousarray(series[:, part]) for series in (dependent, regressor))
        values: Panel = rolling_beta(left, right, decay, window, MINIMUM_PAIRS, start)
        return values

    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(slopes, parts)), axis=1)


def _distinct_series(panel: SessionPanel, etfs: dict[str, str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns whose sector returns differ, and for every column its place among them: members of a fund's sector share them."""
    shared: dict[str, int] = {}
    own = []
    for column, name in enumerate(panel.instruments):
        group = panel.sectors.get(name)
        fund = panel.column(etfs.get(group)) if group is not None else None
        whole = fund is not None and not np.isnan(panel.total_return[:, fund]).any()
        own.append(shared.setdefault(group, column) if group is not None and whole else column)
    distinct, place = np.unique(np.array(own, dtype=np.int64), return_inverse=True)
    return distinct, place


def stock_columns(panel: SessionPanel) -> NDArray[np.int64]:
    """Columns of the instruments that have a sector."""
    return np.array([panel.column(name) for name in sorted(panel.sectors)], dtype=np.int64)


def market_returns(returns: Panel, benchmark: int | None, stocks: NDArray[np.int64]) -> Panel:
    """Market return each column is measured against: the benchmark's, or without one the other stocks' mean."""
    if benchmark is not None:
        return np.repeat(returns[:, [benchmark]], returns.shape[1], axis=1)
    others: Panel = leave_one_out_mean(returns, stocks, np.arange(returns.shape[1]))
    return others


def sector_returns(
    returns: Panel, panel: SessionPanel, etfs: dict[str, str], minimum_peers: int
) -> tuple[Panel, NDArray[np.bool_]]:
    """Sector return each column is measured against, row by row: the ETF's where it has one, else the peers' mean.

    Returns
    -------
    sector : ndarray of shape (rows, columns)
        NaN for columns without a sector.
    market_only : ndarray of bool of shape (rows + 1, columns)
        Neither an ETF on the row before nor enough peers; the first row has none before it and counts as sound.
    """
    sector = np.full_like(returns, np.nan)
    market_only = np.zeros((returns.shape[0] + 1, returns.shape[1]), dtype=np.bool_)
    for name in sorted(set(panel.sectors.values())):
        members = np.array(
            [panel.column(stock) for stock, own in sorted(panel.sectors.items()) if own == name],
            dtype=np.int64,
        )
        peers = leave_one_out_mean(returns, members, members)
        etf = panel.column(etfs.get(name))
        own = np.repeat(returns[:, [etf]], members.size, axis=1) if etf is not None else np.full_like(peers, np.nan)
        sector[:, members] = np.where(np.isnan(own), peers, own)
        if members.size - 1 < minimum_peers:
            market_only[1:, members] = np.isnan(own)
    return sector, market_only


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def leave_one_out_mean(returns: Panel, members: NDArray[np.int64], columns: NDArray[np.int64]) -> Panel:
    """Mean return of `members` without the column itself, for each of `columns`; NaN where nobody else has one.

    Each mean is summed over the other members, not by taking one's own return out of a total: a stock's own return must not
    move it by even a rounding error.
    """
    out = np.full((returns.shape[0], columns.size), np.nan)
    for row in range(returns.shape[0]):
        for position in range(columns.size):
            total = 0.0
            count = 0
            for member in members:
                value = returns[row, member]
                if member != columns[position] and value == value:
                    total += value
                    count += 1
            if count > 0:
                out[row, position] = total / count
    return out
