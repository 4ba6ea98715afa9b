"""Price view: momentum, reversal, volatility, ranges and liquidity from total returns of daily and intraday bars."""

from __future__ import annotations

import numpy as np

from aurora_pipeline.features.adjustment import carried
from aurora_pipeline.features.bar_history import BarHistory
from aurora_pipeline.features.daily_history import DailyHistory
from aurora_pipeline.features.defined import logarithm, ratio
from aurora_pipeline.features.feature_spec import INTRADAY, FeatureSpec, Transform
from aurora_pipeline.features.rolling import earlier, rolling_compound, rolling_mean, rolling_sum
from aurora_pipeline.features.rolling_extremes import rolling_max, rolling_range
from aurora_pipeline.features.rolling_moments import rolling_correlation, rolling_skewness, rolling_std
from aurora_pipeline.features.windows import Panel

OPENING_BARS = 6
REALISED_BARS = 312
"""Four full sessions of 5-minute bars."""


def _daily(
    name: str, formula: str, unit: str, lookback: str, transform: Transform = "sector_rank", reference: str = ""
) -> FeatureSpec:
    return FeatureSpec(
        name, "price", formula, unit, lookback, "newest complete session", transform, reference=reference
    )


def _intraday(name: str, formula: str, unit: str, lookback: str, reference: str = "") -> FeatureSpec:
    missing = "no bar in the session yet, or frequency `session`"
    return FeatureSpec(
        name,
        "price",
        formula,
        unit,
        lookback,
        "bar_end",
        reference=reference,
        expected_missing=missing,
        transform="sector_rank",
        frequencies=INTRADAY,
    )


PRICE_FEATURES: tuple[FeatureSpec, ...] = (
    # Ranked over all stocks, sector moves included: what is left of them within sectors is the sector view's.
    _daily("return_5", "total return over 5 sessions", "fraction", "5 sessions", "rank", "Lehmann 1990"),
    _daily("return_20", "total return over 20 sessions", "fraction", "20 sessions", "rank", "Jegadeesh 1990"),
    _daily("return_60", "total return over 60 sessions", "fraction", "60 sessions", "rank"),
    _daily(
        "momentum_12_1",
        "total return over sessions t-251 .. t-21",
        "fraction",
        "252 sessions",
        "rank",
        "Jegadeesh and Titman 1993",
    ),
    _daily("volatility_20", "standard deviation of daily total returns", "fraction", "20 sessions", "rank"),
    _daily("volatility_trend", "volatility over 20 sessions / over 120", "ratio", "120 sessions"),
    _daily(
        "parkinson_to_close_20",
        "root of mean squared log(high / low) / (4 log 2), over volatility_20",
        "ratio",
        "20 sessions",
        reference="Parkinson 1980",
    ),
    _daily(
        "garman_klass_to_parkinson_20",
        "root of mean of 0.5 log(high / low)^2 - (2 log 2 - 1) log(close / open)^2, over Parkinson's",
        "ratio",
        "20 sessions",
        reference="Garman and Klass 1980",
    ),
    _daily(
        "skewness_60",
        "skewness of daily total returns",
        "dimensionless",
        "60 sessions",
        reference="Harvey and Siddique 2000",
    ),
    _daily(
        "max_return_20", "largest daily return", "fraction", "20 sessions", reference="Bali, Cakici and Whitelaw 2011"
    ),
    _daily("range_position_20", "(close - lowest low) / (highest high - lowest low)", "fraction", "20 sessions"),
    _daily("high_52_week", "close / highest high - 1", "fraction", "252 sessions", reference="George and Hwang 2004"),
    _daily(
        "overnight_return_20",
        "sum of close-to-open returns",
        "fraction",
        "20 sessions",
        reference="Lou, Polk and Skouras 2019",
    ),
    _daily(
        "intraday_return_20",
        "sum of open-to-close returns",
        "fraction",
        "20 sessions",
        reference="Lou, Polk and Skouras 2019",
    ),
    _daily(
        "amihud_20", "log of mean |return| / dollar volume", "log 1/USD", "20 sessions", "rank", reference="Amihud 2002"
    ),
    _daily("dollar_volume_20", "log of mean dollar volume", "log USD", "20 sessions", "sector_rank"),
    _daily("volume_trend", "log of mean dollar volume over 5 sessions / over 60", "log ratio", "60 sessions"),
    _daily(
        "price_volume_correlation_20",
        "correlation of daily return and log dollar volume",
        "dimensionless",
        "20 sessions",
        reference="Llorente et al. 2002",
    ),
    _intraday(
        "realised_to_close_volatility",
        "root of the mean daily sum of squared bar returns, over volatility_20",
        "ratio",
        f"{REALISED_BARS} bars",
        "Andersen et al. 2003",
    ),
    _intraday("return_since_open", "close / open of the session - 1, over volatility_20", "sigmas", "the session"),
    _intraday(
        "overnight_gap", "return from the last close to the session's open, over volatility_20", "sigmas", "the session"
    ),
    _intraday(
        "session_range_position", "(close - low) / (high - low) of the session so far", "fraction", "the session"
    ),
    _intraday(
        "opening_range_position",
        f"(close - low) / (high - low) of its first {OPENING_BARS} bars",
        "fraction",
        "the session",
        "Crabel 1990",
    ),
)


def daily_price_features(daily: DailyHistory) -> dict[str, Panel]:
    """Session-level features; arrays of shape (sessions of the group, instruments)."""
    panel, first, volatility = daily.panel, daily.first, daily.volatility
    returns, volume = panel.total_return, panel.dollar_volume
    overnight = panel.overnight_return
    intraday = (1.0 + returns) / (1.0 + overnight) - 1.0
    high, low = panel.high / panel.close, panel.low / panel.close
    highest, lowest = rolling_range(returns, high, low, 20, 10, first)
    year_high, _ = rolling_range(returns, high, low, 252, 120, first)
    # A session without trading has no price impact, not an infinite one.
    illiquidity = ratio(np.abs(returns), volume)
    skipped = max(first - 21, 0)
    momentum = rolling_compound(earlier(returns, 21), 231, 120, skipped)
    lead = np.full((returns.shape[0] - first - momentum.shape[0], returns.shape[1]), np.nan)
    spans = logarithm(panel.high / panel.low) ** 2
    moves = logarithm(panel.close / panel.open) ** 2
    parkinson = rolling_mean(spans, 20, 10, first) / (4.0 * np.log(2.0))
    garman_klass = rolling_mean(0.5 * spans - (2.0 * np.log(2.0) - 1.0) * moves, 20, 10, first)
    return {
        "return_5": rolling_compound(returns, 5, 4, first),
        "return_20": rolling_compound(returns, 20, 15, first),
        "return_60": rolling_compound(returns, 60, 40, first),
        "momentum_12_1": np.concatenate([lead, momentum]),
        "volatility_20": volatility,
        "volatility_trend": ratio(volatility, rolling_std(returns, 120, 60, first)),
        "parkinson_to_close_20": ratio(np.sqrt(parkinson), volatility),
        "garman_klass_to_parkinson_20": np.sqrt(ratio(np.maximum(garman_klass, 0.0), parkinson)),
        "skewness_60": rolling_skewness(returns, 60, 30, first),
        "max_return_20": rolling_max(returns, 20, 10, first),
        "range_position_20": ratio(1.0 - lowest, highest - lowest),
        "high_52_week": 1.0 / year_high - 1.0,
        "overnight_return_20": rolling_sum(overnight, 20, 10, first),
        "intraday_return_20": rolling_sum(intraday, 20, 10, first),
        "amihud_20": logarithm(rolling_mean(illiquidity, 20, 10, first)),
        "dollar_volume_20": logarithm(panel.mean_dollar_volume[first:]),
        "volume_trend": logarithm(ratio(rolling_mean(volume, 5, 4, first), rolling_mean(volume, 60, 30, first))),
        "price_volume_correlation_20": rolling_correlation(returns, logarithm(volume), 20, 10, first),
    }


def session_price_features(history: BarHistory) -> dict[str, Panel]:
    """Features of the session so far; arrays of shape (decision times, instruments), none at frequency `session`."""
    if history.frequency == "session":
        return {}
    rows = slice(history.session_row, history.session_row + history.stop)
    wanted = slice(history.first, history.stop)
    close, high, low = history.close[rows], history.high[rows], history.low[rows]
    opening = history.open[rows][:1]
    first_return = history.bar_return[rows][:1]
    top, bottom = np.fmax.accumulate(high, axis=0), np.fmin.accumulate(low, axis=0)
    last = carried(close)
    opened = np.arange(last.shape[0])[:, None] >= OPENING_BARS - 1
    at = min(OPENING_BARS, last.shape[0]) - 1
    opening_range = np.where(opened, ratio(last - bottom[at], top[at] - bottom[at]), np.nan)
    gap = (1.0 + first_return) * opening / close[:1] - 1.0
    features = {
        "return_since_open": ratio(last / opening - 1.0, history.volatility),
        "overnight_gap": np.repeat(ratio(gap, history.volatility), last.shape[0], axis=0),
        "session_range_position": ratio(last - bottom, top - bottom),
        "opening_range_position": opening_range,
    }
    squares = rolling_mean(history.bar_return**2, REALISED_BARS, REALISED_BARS // 4, history.first_row)
    realised = np.sqrt(history.wanted(squares) * (REALISED_BARS / 4.0))
    return {name: values[wanted] for name, values in features.items()} | {
        "realised_to_close_volatility": ratio(realised, history.volatility)
    }
