"""Ratios from quarterly filings: value, profitability, margins, growth, accruals, leverage, issuance, turnover.

Flows are sums of the last four quarters unless named otherwise; the four must lie within a year of each other, else the sum is
missing. Definitions follow Fama and French (1992, book yield), Novy-Marx (2013, gross profitability), Cooper, Gulen and
Schill (2008, asset growth), Sloan (1996, accruals), Pontiff and Woodgate (2008, issuance).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.features.as_of import FactHistory
from aurora_pipeline.features.market_state import DAY, MarketState
from aurora_pipeline.features.windows import Panel
from aurora_pipeline.market.manifest import MarketManifest

DEPTH = 6
"""Quarters looked at: the year before and one that may be absent."""
REACH = timedelta(days=1100)
"""Six quarters, and the year and a half a late or restated one may take."""
COLUMNS = (
    "revenue",
    "gross_profit",
    "operating_income",
    "net_income",
    "total_assets",
    "total_debt",
    "stockholders_equity",
    "operating_cash_flow",
    "capital_expenditure",
    "shares_outstanding",
)
PRICED = (
    "earnings_yield",
    "book_yield",
    "free_cash_flow_yield",
    "turnover_20",
    "short_interest_ratio",
    "surprise_times_short_interest",
)
"""Features that need shares at the newest close: missing where share counts and prices are on different split bases."""


def filing_features(
    history: FactHistory, ages: NDArray[np.float64], market: MarketState, manifest: MarketManifest
) -> dict[str, NDArray[np.float64]]:
    """Compute the filing features of some states.

    Parameters
    ----------
    history : FactHistory
        Filings, of depth :data:`DEPTH`, with :data:`COLUMNS`.
    ages : ndarray of shape (states,)
        Sessions since the newest period was first filed; NaN where it has expired.
    market : MarketState
        Prices and splits of the same states.
    manifest : MarketManifest
        Says how prices and share counts are adjusted.

    Returns
    -------
    dict of str to ndarray of shape (states,)
    """
    fresh = ~np.isnan(ages)
    gap_days = history.gap_days()
    newest = {name: history.values[name][:, 0] for name in COLUMNS}
    year_ago = {name: _year_ago(history.values[name], gap_days) for name in COLUMNS}
    year = {name: _trailing_year(history.values[name], gap_days) for name in COLUMNS}
    assets = _positive(newest["total_assets"])
    equity = _positive(newest["stockholders_equity"])
    growth = newest["revenue"] / _positive(year_ago["revenue"]) - 1.0
    of_filing = {
        "gross_profitability": year["gross_profit"] / assets,
        "gross_profitability_quarter": newest["gross_profit"] / assets,
        "operating_profitability": year["operating_income"] / assets,
        "return_on_equity": year["net_income"] / equity,
        "return_on_assets": year["net_income"] / assets,
        "revenue_growth": growth,
        "revenue_growth_acceleration": growth - _growth_before(history.values["revenue"], gap_days),
        "gross_margin": year["gross_profit"] / _positive(year["revenue"]),
        "net_margin": year["net_income"] / _positive(year["revenue"]),
        "gross_margin_change": _margin_change("gross_profit", newest, year_ago),
        "operating_margin_change": _margin_change("operating_income", newest, year_ago),
        "asset_growth": assets / _positive(year_ago["total_assets"]) - 1.0,
        "accruals": (year["net_income"] - year["operating_cash_flow"]) / assets,
        "leverage": newest["total_debt"] / assets,
        "share_issuance": _share_issuance(history, gap_days, market.take(history.example), manifest),
    }
    value = _market_value(newest["shares_outstanding"], history, market, manifest)
    free_cash_flow = year["operating_cash_flow"] - year["capital_expenditure"]
    values = {name: own[history.entry] for name, own in of_filing.items()} | {
        "earnings_yield": year["net_income"][history.entry] / value,
        "book_yield": newest["stockholders_equity"][history.entry] / value,
        "free_cash_flow_yield": free_cash_flow[history.entry] / value,
        "turnover_20": market.newest(market.panel.mean_dollar_volume) / value,
    }
    missing = {"filing_missing": np.where(fresh, 0.0, 1.0)}
    return {name: np.where(fresh, value, np.nan) for name, value in values.items()} | missing


def shares_match_price(manifest: MarketManifest) -> bool:
    """Whether share counts and prices are on one share basis: both as reported, or both rebased for later splits."""
    rebased = "fundamentals.shares_outstanding" in manifest.rebased_for_later_splits
    return manifest.price_adjustment == ("split" if rebased else "none")


def shares_outstanding(
    reported: NDArray[np.float64], history: FactHistory, market: MarketState, manifest: MarketManifest
) -> NDArray[np.float64]:
    """Shares at each state's newest close: as filed, times the splits gone ex since; NaN where the bases cannot be matched.

    A filing counts shares on the basis of its own date: a split before it is already in it, retroactively (SAB Topic 4.C).
    `reported` has one value per entry of the history.
    """
    if not shares_match_price(manifest) or "fundamentals.shares_outstanding" in manifest.not_point_in_time:
        return np.full(history.entry.shape, np.nan)
    filed = _positive(reported)[history.entry]
    if manifest.price_adjustment == "split":
        return filed
    return filed * market.split_ratio((history.known[:, 0] // DAY)[history.entry], market.newest_day)


def _market_value(
    reported: NDArray[np.float64], history: FactHistory, market: MarketState, manifest: MarketManifest
) -> NDArray[np.float64]:
    return shares_outstanding(reported, history, market, manifest) * market.newest(market.panel.close)


def _margin_change(
    profit: str, newest: Mapping[str, NDArray[np.float64]], year_ago: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Margin of the newest quarter less that of the same quarter a year before."""
    return np.asarray(newest[profit] / _positive(newest["revenue"]) - year_ago[profit] / _positive(year_ago["revenue"]))


def _growth_before(values: Panel, gap_days: Panel) -> NDArray[np.float64]:
    """Growth over a year as of the quarter before the newest; NaN unless that is about a quarter older."""
    before, gap = values[:, 1:], gap_days[:, 1:]
    growth = before[:, 0] / _positive(_year_ago(before, gap - gap[:, :1])) - 1.0
    return np.where((gap[:, 0] >= 60.0) & (gap[:, 0] <= 125.0), growth, np.nan)


def _share_issuance(
    history: FactHistory, gap_days: Panel, market: MarketState, manifest: MarketManifest
) -> NDArray[np.float64]:
    """Log change of the share count over a year, splits taken out."""
    shares = _positive(history.values["shares_outstanding"])
    if "fundamentals.shares_outstanding" not in manifest.rebased_for_later_splits:
        day = history.known // DAY
        shares = shares * market.split_ratio(day, day[:, :1])
    change = np.log(shares[:, 0]) - np.log(_year_ago(shares, gap_days))
    # Counts are filed in thousands: less than 1 bp is rounding, and ranks would see it.
    return np.asarray(np.round(change, 4))


def _positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values > 0.0, values, np.nan)


def _year_ago(values: Panel, gap_days: Panel) -> NDArray[np.float64]:
    """Value of the quarter whose end lies closest to a year back, within 45 days; NaN if there is none."""
    distance = np.where(np.isnan(gap_days), np.inf, np.abs(gap_days - 365.0))
    lag = np.argmin(distance, axis=1)
    rows = np.arange(len(values))
    return np.where(distance[rows, lag] <= 45.0, values[rows, lag], np.nan)


def _trailing_year(values: Panel, gap_days: Panel) -> NDArray[np.float64]:
    """Sum of the last four quarters; NaN unless the oldest ends about nine months before the newest."""
    whole = (gap_days[:, 3] >= 230.0) & (gap_days[:, 3] <= 320.0)
    return np.where(whole, values[:, 0] + values[:, 1] + values[:, 2] + values[:, 3], np.nan)
