"""Earnings surprises: how far announced earnings per share lay from what was expected, and how fresh the news is.

Against the analysts' estimate scaled by price (Livnat and Mendenhall 2006) and by the stock's own earlier surprises, and
against the same quarter a year before (seasonal random walk with drift, Bernard and Thomas 1989). The drift after an announcement
fades over a quarter, so each halves every 20 sessions. Beside them how the market took the news (Chan, Jegadeesh and
Lakonishok 1996) and how long surprises have kept their sign (Loh and Warachka 2012).
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.features.as_of import FactHistory
from aurora_pipeline.features.market_state import DAY, MarketState
from aurora_pipeline.features.readers import NEVER
from aurora_pipeline.features.windows import Panel
from aurora_pipeline.market.manifest import MarketManifest

DRIFT_HALF_LIFE = 20.0
"""Sessions in which an announcement loses half of its weight."""
OWN_HISTORY = 8
"""Earlier announcements a surprise is measured against, two years."""
MINIMUM_HISTORY = 4
REACTION_SESSIONS = 2
"""Sessions an announcement is given to reach the price."""
DEPTH = OWN_HISTORY + 5
REACH = timedelta(days=1500)
"""Thirteen quarters, and the year a late or restated one may take."""
COLUMNS = ("eps_estimate", "eps_actual")
PRICED = ("surprise_to_price_decayed",)
"""Features that set earnings per share against a price: missing where the two are on different split bases."""


def earnings_features(
    history: FactHistory, ages: NDArray[np.float64], market: MarketState, manifest: MarketManifest
) -> dict[str, NDArray[np.float64]]:
    """Compute the earnings features of some states.

    Parameters
    ----------
    history : FactHistory
        Announcements, of depth :data:`DEPTH`, with :data:`COLUMNS`.
    ages : ndarray of shape (states,)
        Sessions since the newest announcement; NaN where it has expired.
    market : MarketState
        Prices and splits of the same states.
    manifest : MarketManifest
        Says how prices and earnings per share are adjusted.

    Returns
    -------
    dict of str to ndarray of shape (states,)
    """
    fresh = ~np.isnan(ages)
    told = market.take(history.example)
    to_newest = _per_share_scale(history, told, manifest)
    actual = history.values["eps_actual"] * to_newest
    surprise = actual - history.values["eps_estimate"] * to_newest
    to_price = surprise[:, 0] / _price_before(history, told, manifest)
    standardised = surprise[:, 0] / trailing_deviation(surprise[:, 1 : OWN_HISTORY + 1])
    seasonal = _seasonal_surprise(actual, history.gap_days())
    fade = np.power(0.5, np.where(fresh, ages, 0.0) / DRIFT_HALF_LIFE)
    values = {
        "surprise_to_price_decayed": to_price[history.entry] * fade,
        "standardised_surprise_decayed": standardised[history.entry] * fade,
        "seasonal_surprise_decayed": seasonal[history.entry] * fade,
        "surprise_streak": surprise_streak(surprise[:, :OWN_HISTORY])[history.entry],
        "announcement_return": _announcement_return(ages, market),
        "sessions_since_announcement": ages,
    }
    missing = {"announcement_missing": np.where(fresh, 0.0, 1.0)}
    return {name: np.where(fresh, value, np.nan) for name, value in values.items()} | missing


def per_share_matches_price(manifest: MarketManifest) -> bool:
    """Whether earnings per share and prices are on one share basis: both as reported, or both rebased for later splits."""
    rebased = any(f"earnings.{column}" in manifest.rebased_for_later_splits for column in COLUMNS)
    return manifest.price_adjustment == ("split" if rebased else "none")


def trailing_deviation(values: Panel) -> NDArray[np.float64]:
    """Sample standard deviation along a row, at least :data:`MINIMUM_HISTORY` values; NaN where fewer or constant."""
    count, total = np.zeros(len(values)), np.zeros(len(values))
    for column in values.T:
        present = ~np.isnan(column)
        count += present
        total += np.where(present, column, 0.0)
    enough = count >= MINIMUM_HISTORY
    mean = total / np.maximum(count, 1.0)
    square = np.zeros(len(values))
    for column in values.T:
        square += np.where(np.isnan(column), 0.0, (column - mean) ** 2)
    deviation = np.sqrt(square / np.maximum(count - 1.0, 1.0))
    return np.where(enough & (deviation > 0.0), deviation, np.nan)


def _per_share_scale(history: FactHistory, market: MarketState, manifest: MarketManifest) -> Panel:
    """Factor that puts each announcement on the share basis of the newest one."""
    if any(f"earnings.{column}" in manifest.rebased_for_later_splits for column in COLUMNS):
        return np.ones(history.known.shape)
    day = np.where(history.known == NEVER, 0, history.known // DAY)
    return 1.0 / market.split_ratio(day, day[:, :1])


def _price_before(history: FactHistory, market: MarketState, manifest: MarketManifest) -> NDArray[np.float64]:
    """Last close before the newest announcement on the announcement's share basis; NaN where the bases cannot be matched."""
    announced = history.first_known[:, 0]
    if not per_share_matches_price(manifest):
        return np.full(announced.shape, np.nan)
    close = market.close_before(announced)
    if manifest.price_adjustment == "split":
        return close
    return close / market.split_ratio(market.day_before(announced), history.known[:, 0] // DAY)


def _seasonal_surprise(actual: Panel, gap_days: Panel) -> NDArray[np.float64]:
    """Change over the year before, less its own mean, in standard deviations of the earlier changes."""
    change = np.full((len(actual), OWN_HISTORY + 1), np.nan)
    for lag in range(OWN_HISTORY + 1):
        year = gap_days[:, lag + 4] - gap_days[:, lag]
        change[:, lag] = np.where(np.abs(year - 365.0) <= 45.0, actual[:, lag] - actual[:, lag + 4], np.nan)
    earlier = change[:, 1:]
    count = np.maximum((~np.isnan(earlier)).sum(axis=1), 1)
    drift = np.zeros(len(actual))
    for column in earlier.T:
        drift += np.where(np.isnan(column), 0.0, column)
    return np.asarray((change[:, 0] - drift / count) / trailing_deviation(earlier))


def surprise_streak(surprise: Panel) -> NDArray[np.float64]:
    """Announcements in a row, the newest first, that surprised to the side the newest did; negative to the downside.

    Parameters
    ----------
    surprise : ndarray of shape (states, announcements)
        Newest in column 0. A missing surprise, or none, ends the streak; NaN where the newest is missing.
    """
    side = np.sign(surprise)
    going = side[:, 0] != 0.0
    length = np.zeros(len(surprise))
    for column in side.T:
        going = going & (column == side[:, 0])
        length += going
    return np.where(np.isnan(surprise[:, 0]), np.nan, length * side[:, 0])


def _announcement_return(ages: NDArray[np.float64], market: MarketState) -> NDArray[np.float64]:
    """Return of the first sessions that could react, less the mean of all names; NaN until they are over."""
    reaction = market.session_row - np.where(np.isnan(ages), 0.0, ages).astype(np.int64)
    last = reaction + REACTION_SESSIONS - 1
    known = ~np.isnan(ages) & (reaction >= 0) & (last <= market.row) & (market.column >= 0)
    total = np.zeros(len(ages))
    abnormal = market.abnormal_return
    for lag in range(REACTION_SESSIONS):
        total += abnormal[np.where(known, reaction + lag, 0), market.column]
    return np.where(known, total, np.nan)
