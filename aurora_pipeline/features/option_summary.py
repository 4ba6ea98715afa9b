"""Options: the price of downside against upside, of volatility against what was realised, and who trades puts.

Skew after Xing, Zhang and Zhao (2010), volatility spread after Goyal and Saretto (2009), put-call volume after Pan and
Poteshman (2006).
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.calendar import SESSIONS_PER_YEAR
from aurora_pipeline.features.as_of import FactHistory
from aurora_pipeline.features.market_state import MarketState
from aurora_pipeline.features.readers import NEVER
from aurora_pipeline.features.rolling_moments import rolling_std
from aurora_pipeline.features.windows import Panel

CHANGE_SESSIONS = 5
REALISED_SESSIONS = 20
DEPTH = CHANGE_SESSIONS + 1
LAGS = (0, CHANGE_SESSIONS)
"""Summaries that enter: the newest, and the one changes are measured from."""
REACH = timedelta(days=30)
COLUMNS = (
    "iv_30d",
    "iv_call_25d",
    "iv_put_25d",
    "put_volume",
    "call_volume",
    "put_open_interest",
    "call_open_interest",
)
AROUND_NEWS = timedelta(days=4)
"""How long after an announcement the first summaries that know of it appear, weekends included."""
NEWS_REACH = timedelta(days=10)
"""Summaries older than this say nothing about an announcement."""


def option_features(
    history: FactHistory, fresh: NDArray[np.bool_], market: MarketState
) -> dict[str, NDArray[np.float64]]:
    """Compute the option features of some states.

    Parameters
    ----------
    history : FactHistory
        Daily summaries at :data:`LAGS`, with :data:`COLUMNS`.
    fresh : ndarray of bool of shape (states,)
        The newest summary has not expired.
    market : MarketState
        Daily returns of the same states.

    Returns
    -------
    dict of str to ndarray of shape (states,)
    """
    implied = np.where(history.values["iv_30d"] > 0.0, history.values["iv_30d"], np.nan)
    skew = (history.values["iv_put_25d"] - history.values["iv_call_25d"]) / implied
    put_call = _put_call(history, "volume")
    interest = _put_call(history, "open_interest")
    realised = market.newest(
        rolling_std(market.panel.total_return, REALISED_SESSIONS, REALISED_SESSIONS // 2, market.first_row)
    )
    of_summary = {
        "option_skew": skew[:, 0],
        "option_skew_change": _change(skew, history),
        "put_call_volume": put_call[:, 0],
        "put_call_volume_change": _change(put_call, history),
        "put_call_open_interest": interest[:, 0],
        "put_call_open_interest_change": _change(interest, history),
        "implied_volatility": implied[:, 0],
        "implied_volatility_change": _change(np.log(implied), history),
    }
    values = {name: own[history.entry] for name, own in of_summary.items()}
    values["volatility_spread"] = values["implied_volatility"] - realised * np.sqrt(SESSIONS_PER_YEAR)
    missing = {"options_missing": np.where(fresh, 0.0, 1.0)}
    return {name: np.where(fresh, value, np.nan) for name, value in values.items()} | missing


def announcement_crush(before: FactHistory, after: FactHistory) -> NDArray[np.float64]:
    """Log change of implied volatility over an earnings announcement (Patell and Wolfson 1981).

    Parameters
    ----------
    before : FactHistory
        Summaries as known at the announcement.
    after : FactHistory
        Summaries as known :data:`AROUND_NEWS` later, or now if that is earlier.

    Returns
    -------
    ndarray of shape (states,)
        NaN where either is missing or no summary has followed the announcement yet.
    """
    implied, period = [], []
    for side in (before, after):
        quoted = side.values["iv_30d"][:, 0]
        implied.append(np.log(np.where(quoted > 0.0, quoted, np.nan))[side.entry])
        period.append(side.period[:, 0][side.entry])
    followed = (period[1] > period[0]) & (period[0] != NEVER)
    return np.where(followed, implied[1] - implied[0], np.nan)


def _put_call(history: FactHistory, what: str) -> Panel:
    """Log ratio of puts to calls; one contract is added to each, so that a day without puts stays finite."""
    return np.asarray(np.log1p(history.values[f"put_{what}"]) - np.log1p(history.values[f"call_{what}"]))


def _change(values: Panel, history: FactHistory) -> NDArray[np.float64]:
    """Difference to five summaries before; NaN where those lie more than two weeks back."""
    near = history.gap_days()[:, 1] <= 14.0
    return np.where(near, values[:, 0] - values[:, 1], np.nan)
