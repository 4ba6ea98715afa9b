"""Price view: momentum, reversal, volatility, ranges and liquidity from total returns of daily and intraday bars."""

from __future__ import annotations

import numpy as np
import polars as pl

from aurora_pipeline.features.bar_history import BarHistory, bar_histories
from aurora_pipeline.features.defined import logarithm, ratio
from aurora_pipeline.features.feature_columns import FeatureColumns
from aurora_pipeline.features.feature_spec import FeatureSpec, Transform
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.rolling import (
    Panel,
    earlier,
    rolling_compound,
    rolling_max,
    rolling_mean,
    rolling_range,
    rolling_std,
    rolling_sum,
)
from aurora_pipeline.features.session_panel import SessionPanel, session_panels


def _daily(name: str, formula: str, unit: str, lookback: str, transform: Transform = "sector_rank") -> FeatureSpec:
    return FeatureSpec(name, "price", formula, unit, lookback, "newest complete session", transform)


def _intraday(name: str, formula: str, unit: str, lookback: str) -> FeatureSpec:
    return FeatureSpec(name, "price", formula, unit, lookback, "bar_end", "sector_rank")


PRICE_FEATURES: tuple[FeatureSpec, ...] = (
    _daily("return_5", "total return over 5 sessions", "fraction", "5 sessions"),
    _daily("return_20", "total return over 20 sessions", "fraction", "20 sessions"),
    _daily(
        "momentum_12_1",
        "total return over sessions t-251 .. t-21 (Jegadeesh and Titman 1993)",
        "fraction",
        "252 sessions",
    ),
    _daily("volatility_20", "standard deviation of daily total returns", "fraction", "20 sessions", "rank"),
    _daily("max_return_20", "largest daily return (Bali, Cakici and Whitelaw 2011)", "fraction", "20 sessions"),
    _daily("range_position_20", "(close - lowest low) / (highest high - lowest low)", "fraction", "20 sessions"),
    _daily("high_52_week", "close / highest high - 1 (George and Hwang 2004)", "fraction", "252 sessions"),
    _daily("overnight_return_20", "sum of close-to-open returns", "fraction", "20 sessions"),
    _daily("intraday_return_20", "sum of open-to-close returns", "fraction", "20 sessions"),
    _daily("amihud_20", "log of mean |return| / dollar volume (Amihud 2002)", "log 1/USD", "20 sessions", "rank"),
    _daily("dollar_volume_20", "log of mean dollar volume", "log USD", "20 sessions", "sector_rank"),
    _daily("volume_trend", "log of mean dollar volume over 5 sessions / over 60", "log ratio", "60 sessions"),
    _intraday("return_since_open", "close / open of the session - 1, over volatility_20", "sigmas", "the session"),
    _intraday(
        "overnight_gap", "return from the last close to the session's open, over volatility_20", "sigmas", "the session"
    ),
    _intraday(
        "session_range_position", "(close - low) / (high - low) of the session so far", "fraction", "the session"
    ),
    _intraday("opening_range_position", "(close - low) / (high - low) of its first 6 bars", "fraction", "the session"),
)
OPENING_BARS = 6


def compute_price_features(inputs: FeatureInputs, rows: pl.DataFrame) -> pl.DataFrame:
    """Compute the price view.

    Parameters
    ----------
    inputs : FeatureInputs
        Sessions and the frames that cover them.
    rows : polars.DataFrame
        From :func:`~aurora_pipeline.features.decision_rows.decision_rows`.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `decision_time` in the order of `rows`, and a Float32 column per feature, null where missing.
    """
    table = FeatureColumns(inputs, rows, [spec.name for spec in PRICE_FEATURES])
    for sessions, panel in session_panels(inputs):
        first = panel.row(inputs.newest_session(sessions[0]))
        daily = daily_price_features(panel, first)
        for session in sessions:
            row = panel.row(inputs.newest_session(session)) - first
            table.put_session(session, panel.instruments, {name: values[row] for name, values in daily.items()})
            if inputs.frequency == "session":
                continue
            for history in bar_histories(inputs, session, panel):
                volatility = history.aligned(daily["volatility_20"][row], panel.instruments)
                table.put_bars(session, history.first, history.instruments, session_price_features(history, volatility))
    return table.frame()


def daily_price_features(panel: SessionPanel, first: int) -> dict[str, Panel]:
    """Session-level features of the rows `first` on; arrays of shape (rows, instruments)."""
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
    return {
        "return_5": rolling_compound(returns, 5, 4, first),
        "return_20": rolling_compound(returns, 20, 15, first),
        "momentum_12_1": np.concatenate([lead, momentum]),
        "volatility_20": rolling_std(returns, 20, 10, first),
        "max_return_20": rolling_max(returns, 20, 10, first),
        "range_position_20": ratio(1.0 - lowest, highest - lowest),
        "high_52_week": 1.0 / year_high - 1.0,
        "overnight_return_20": rolling_sum(overnight, 20, 10, first),
        "intraday_return_20": rolling_sum(intraday, 20, 10, first),
        "amihud_20": logarithm(rolling_mean(illiquidity, 20, 10, first)),
        "dollar_volume_20": logarithm(rolling_mean(volume, 20, 10, first)),
        "volume_trend": logarithm(ratio(rolling_mean(volume, 5, 4, first), rolling_mean(volume, 60, 30, first))),
    }


def session_price_features(history: BarHistory, volatility: Panel) -> dict[str, Panel]:
    """Features of the session so far; `volatility` of shape (instruments,), arrays of shape (decision times, instruments)."""
    rows = slice(history.session_row, history.session_row + history.stop)
    wanted = slice(history.first, history.stop)
    close, high, low = history.close[rows], history.high[rows], history.low[rows]
    opening = history.open[rows][:1]
    first_return = history.bar_return[rows][:1]
    top, bottom = np.fmax.accumulate(high, axis=0), np.fmin.accumulate(low, axis=0)
    last = _carried(close)
    opened = np.arange(last.shape[0])[:, None] >= OPENING_BARS - 1
    at = min(OPENING_BARS, last.shape[0]) - 1
    opening_range = np.where(opened, ratio(last - bottom[at], top[at] - bottom[at]), np.nan)
    gap = (1.0 + first_return) * opening / close[:1] - 1.0
    features = {
        "return_since_open": ratio(last / opening - 1.0, volatility),
        "overnight_gap": np.repeat(ratio(gap, volatility), last.shape[0], axis=0),
        "session_range_position": ratio(last - bottom, top - bottom),
        "opening_range_position": opening_range,
    }
    return {name: values[wanted] for name, values in features.items()}


def _carried(values: Panel) -> Panel:
    """Each value, or the last one before it in the session."""
    out = values.copy()
    for row in range(1, out.shape[0]):
        out[row] = np.where(np.isnan(out[row]), out[row - 1], out[row])
    return out
