"""Residual returns measured from prices alone, the way the design settles it.

Market beta by exponentially weighted regression on daily returns, then beta to the sector fund's return
orthogonalised to the market, half-life 126 sessions, shrunk towards 1, estimated through the session before the
one they are applied to.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.market.simulation.components import decay
from aurora_pipeline.market.simulation.panel import Panel, forward_fill

Floats = NDArray[np.float64]
BETA_HALF_LIFE = 126.0
SHRINKAGE = 20.0  # sessions' worth of evidence for a beta of 1


def rolling_betas(panel: Panel) -> tuple[Floats, Floats, Floats]:
    """Betas in force in each session, from the sessions before it.

    Returns
    -------
    market_beta, sector_beta, fund_beta : ndarray of shape (n_days, n_symbols)
        `fund_beta` is the market beta of the stock's sector fund.
    """
    close = forward_fill(panel.daily["close"])
    returns = np.nan_to_num(np.diff(np.log(close), axis=0, prepend=np.log(close[:1])))
    market = returns[:, panel.benchmark]
    fund = np.maximum(panel.sector_fund, 0)
    market_beta = _running_beta(returns, market[:, None])
    fund_beta = market_beta[:, fund]
    sector = returns[:, fund] - fund_beta * market[:, None]
    sector_beta = _running_beta(returns - market_beta * market[:, None], sector)
    sector_beta[:, panel.sector_fund < 0] = 0.0
    return market_beta, sector_beta, fund_beta


def _running_beta(y: Floats, x: Floats) -> Floats:
    keep = decay(BETA_HALF_LIFE)
    product, square, weight = np.zeros(y.shape[1]), np.zeros(y.shape[1]), 0.0
    out = np.ones_like(y)
    for day in range(len(y)):
        if weight > 20.0:
            prior = SHRINKAGE / weight * square
            out[day] = (product + prior) / np.maximum(square + prior, 1e-18)
        product = keep * product + y[day] * x[day]
        square = keep * square + x[day] * x[day]
        weight = keep * weight + 1.0
    return out


def residual_returns(panel: Panel) -> Floats:
    """Residual return of every bar, close to close, shape (n_bars, n_symbols); 0 where a price is missing."""
    market_beta, sector_beta, fund_beta = (beta[panel.day_of_bar] for beta in rolling_betas(panel))
    close = forward_fill(panel.bars["close"])
    if panel.frequency == "5min":
        first = panel.daily["close"][panel.day_of_bar[0] - 1][None, :]
        close = np.concatenate([first, close])
    else:
        close = np.concatenate([close[:1], close])
    returns = np.nan_to_num(np.diff(np.log(close), axis=0))
    market = returns[:, panel.benchmark][:, None]
    sector = returns[:, np.maximum(panel.sector_fund, 0)] - fund_beta * market
    return np.asarray(returns - market_beta * market - sector_beta * sector)
