"""Short interest: how much is sold short, how long it would take to cover, and how it changed (Asquith, Pathak, Ritter 2005).

None sold short is a level like any other, and changes from or to it, being logarithms, are null.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.features.as_of import FactHistory
from aurora_pipeline.features.market_state import DAY, MarketState
from aurora_pipeline.features.readers import NEVER
from aurora_pipeline.market.manifest import MarketManifest

SURPRISE_PUBLICATIONS = 6
"""Publications before the newest that say what was to be expected, three months."""
DEPTH = SURPRISE_PUBLICATIONS + 1
REACH = timedelta(days=150)
COLUMNS = ("shares_short", "avg_daily_volume")


def short_interest_features(
    history: FactHistory,
    fresh: NDArray[np.bool_],
    outstanding: NDArray[np.float64],
    market: MarketState,
    manifest: MarketManifest,
) -> dict[str, NDArray[np.float64]]:
    """Compute the short-interest features of some states.

    Parameters
    ----------
    history : FactHistory
        Publications, of depth :data:`DEPTH`, with :data:`COLUMNS`.
    fresh : ndarray of bool of shape (states,)
        The newest publication has not expired.
    outstanding : ndarray of shape (states,)
        Shares outstanding at the newest close; NaN where not known.
    market : MarketState
        Prices, volumes and splits of the same states.
    manifest : MarketManifest
        Says how prices are adjusted.

    Returns
    -------
    dict of str to ndarray of shape (states,)
    """
    short = history.values["shares_short"]
    settled = history.period // DAY
    told = market.take(history.example)
    now = short[:, 0][history.entry] * market.split_ratio(settled[:, 0][history.entry], market.newest_day)
    positive = np.where(short > 0.0, short, np.nan)
    level = np.log(positive * told.split_ratio(np.where(history.period == NEVER, 0, settled), settled[:, :1]))
    gap_days = history.gap_days()
    change = np.where(gap_days[:, 1] <= 24.0, level[:, 0] - level[:, 1], np.nan)
    surprise = np.where(gap_days[:, SURPRISE_PUBLICATIONS] <= 125.0, level[:, 0] - level[:, 1:].mean(axis=1), np.nan)
    values = {
        "short_interest_ratio": now / outstanding,
        "days_to_cover": _days_to_cover(history, now, market, manifest),
        "short_interest_change": change[history.entry],
        "short_interest_surprise": surprise[history.entry],
    }
    missing = {"short_interest_missing": np.where(fresh, 0.0, 1.0)}
    return {name: np.where(fresh, value, np.nan) for name, value in values.items()} | missing


def _days_to_cover(
    history: FactHistory, now: NDArray[np.float64], market: MarketState, manifest: MarketManifest
) -> NDArray[np.float64]:
    """Shares short over a day's volume.

    The volume is the bars' own of the last 20 sessions. Where bars are rebased for later splits and short interest is not,
    the two do not compare (their ratio would tell of splits to come): there it is the volume published beside it.
    """
    if manifest.price_adjustment != "none":
        volume = history.values["avg_daily_volume"][:, 0]
        days = history.values["shares_short"][:, 0] / np.where(volume > 0.0, volume, np.nan)
        return np.asarray(days[history.entry])
    dollars = market.newest(market.panel.mean_dollar_volume)
    return now * market.newest(market.panel.close) / np.where(dollars > 0.0, dollars, np.nan)
