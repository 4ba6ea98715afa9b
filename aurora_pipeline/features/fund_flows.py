"""Flows into sector funds, and the pressure they put on each stock.

A fund buys its sector whatever the prices; what reaches a stock depends on how large it is there. Its exposure is its standing
in log dollar volume among the sector's stocks, so that pressure has no sector mean (Ben-David, Franzoni and Moussawi 2018).
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.features.as_of import FactHistory
from aurora_pipeline.features.market_state import MarketState
from aurora_pipeline.features.rolling import rolling_compound
from aurora_pipeline.features.rolling_moments import rolling_std
from aurora_pipeline.features.windows import Panel

SHORT_SESSIONS, LONG_SESSIONS, MOMENTUM_SESSIONS = 5, 20, 60
RETURN_SESSIONS = 60
DEPTH = MOMENTUM_SESSIONS
REACH = timedelta(days=120)
COLUMNS = ("net_flow_usd", "shares_outstanding", "nav")


def fund_flow_measures(
    history: FactHistory, fresh: NDArray[np.bool_], market: MarketState
) -> dict[str, NDArray[np.float64]]:
    """Measure the flows of the fund behind each state.

    Parameters
    ----------
    history : FactHistory
        Daily flows of the fund, of depth :data:`DEPTH`, with :data:`COLUMNS`.
    fresh : ndarray of bool of shape (states,)
        The newest flow has not expired.
    market : MarketState
        Prices and volumes of the fund.

    Returns
    -------
    dict of str to ndarray of shape (states,)
        `flow_to_assets` (5 sessions, fraction), `flow_to_volume` (newest session, days of trading), `flow_momentum` (60
        sessions, fraction), `flow_acceleration` (mean of 5 less mean of 20 sessions, fraction of assets a session),
        `flow_price_divergence` (5-session flow less 5-session return, each in its own standard deviations),
        `etf_flows_missing`.
    """
    flows = history.values["net_flow_usd"]
    reach = history.gaps_at([sessions - 1 for sessions in (SHORT_SESSIONS, LONG_SESSIONS, MOMENTUM_SESSIONS)])
    assets = history.values["shares_outstanding"][:, 0] * history.values["nav"][:, 0]
    assets = np.where(assets > 0.0, assets, np.nan)
    dollars = market.newest(market.panel.mean_dollar_volume)
    recent = _sum(flows, SHORT_SESSIONS, reach[:, 0])
    longer = _sum(flows, LONG_SESSIONS, reach[:, 1])
    scale = _root_mean_square(flows[:, :LONG_SESSIONS]) * np.sqrt(SHORT_SESSIONS)
    of_flows = {
        "flow_to_assets": recent / assets,
        "flow_momentum": _sum(flows, MOMENTUM_SESSIONS, reach[:, 2]) / assets,
        "flow_acceleration": (recent / SHORT_SESSIONS - longer / LONG_SESSIONS) / assets,
    }
    values = {name: own[history.entry] for name, own in of_flows.items()} | {
        "flow_to_volume": flows[:, 0][history.entry] / np.where(dollars > 0.0, dollars, np.nan),
        "flow_price_divergence": (recent / scale)[history.entry] - _scaled_return(market),
    }
    missing = {"etf_flows_missing": np.where(fresh, 0.0, 1.0)}
    return {name: np.where(fresh, value, np.nan) for name, value in values.items()} | missing


def _sum(flows: Panel, sessions: int, days: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the newest flows; NaN where one is missing or they stretch over more than their sessions and a few holidays."""
    total = np.zeros(len(flows))
    for lag in range(sessions):
        total = total + flows[:, lag]
    return np.where(days <= 1.5 * sessions + 4.0, total, np.nan)


def _root_mean_square(flows: Panel) -> NDArray[np.float64]:
    """Size of a session's flow over the 20 newest; NaN where one is missing or all are zero."""
    total = np.zeros(len(flows))
    for column in flows.T:
        total = total + column**2
    return np.where(total > 0.0, np.sqrt(total / flows.shape[1]), np.nan)


def _scaled_return(market: MarketState) -> NDArray[np.float64]:
    """Return of the last 5 sessions in standard deviations of such a return over the last 60."""
    returns = market.panel.total_return
    move = market.newest(rolling_compound(returns, SHORT_SESSIONS, SHORT_SESSIONS, market.first_row))
    deviation = market.newest(rolling_std(returns, RETURN_SESSIONS, RETURN_SESSIONS // 2, market.first_row))
    return np.asarray(move / (np.where(deviation > 0.0, deviation, np.nan) * np.sqrt(SHORT_SESSIONS)))
