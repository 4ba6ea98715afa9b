"""Microstructure view: order-flow pressure, abnormal volume, spreads, price impact and realised moments from bars."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.features.bar_history import BarHistory
from aurora_pipeline.features.cross_section import less_group_mean
from aurora_pipeline.features.daily_history import DailyHistory
from aurora_pipeline.features.defined import logarithm, ratio
from aurora_pipeline.features.feature_spec import INTRADAY, FeatureSpec, Role, Transform
from aurora_pipeline.features.price_impact import impact_features
from aurora_pipeline.features.realised import realised_features
from aurora_pipeline.features.reversal import reversal
from aurora_pipeline.features.rolling import half_life_decay, rolling_sum, rolling_weighted_mean
from aurora_pipeline.features.rolling_moments import rolling_std
from aurora_pipeline.features.spreads import abdi_ranaldo, corwin_schultz
from aurora_pipeline.features.windows import Panel

FLOW_BARS = (6, 12, 39, 78)
SIGMA_BARS = 78
"""Bars behind the standard deviation that classifies volume in bulk."""
WINDOW_BARS = 156
FAST_HALF_LIFE = 3.0
SLOW_HALF_LIFE: dict[Frequency, float] = {"5min": 20.0, "session": 8.0}


def _spec(
    name: str,
    formula: str,
    unit: str,
    lookback: str,
    reference: str = "",
    *,
    transform: Transform = "sector_rank",
    missing: str = "fewer bars than the look-back needs",
    role: Role = "signal",
    columns: tuple[str, ...] = (),
    frequencies: tuple[Frequency, ...] = ("5min", "session"),
) -> FeatureSpec:
    known = "newest complete session" if lookback == "20 sessions" else "bar_end"
    return FeatureSpec(
        name,
        "microstructure",
        formula,
        unit,
        lookback,
        known,
        transform,
        columns,
        reference=reference,
        expected_missing=missing,
        role=role,
        frequencies=frequencies,
    )


_EWM = f"{WINDOW_BARS} bars"
_FEW_OR_DAILY = "fewer bars than the look-back needs, or frequency `session`"
MICROSTRUCTURE_FEATURES: tuple[FeatureSpec, ...] = (
    *(
        _spec(
            f"signed_volume_{bars}_bars",
            "bulk-classified net volume / volume",
            "fraction",
            f"{bars} bars",
            "Easley, Lopez de Prado and O'Hara 2012",
        )
        for bars in FLOW_BARS
    ),
    _spec(
        "vwap_pressure_fast",
        "(vwap - mean of open, high, low, close) / range, half-life 3 bars",
        "ranges",
        _EWM,
        missing="bars without vwap, or frequency `session`",
        frequencies=INTRADAY,
        columns=("bars.vwap",),
    ),
    _spec(
        "vwap_pressure_slow",
        "the same, half-life 20 bars at 5min, 8 at session",
        "ranges",
        _EWM,
        missing="bars without vwap, or frequency `session`",
        frequencies=INTRADAY,
        columns=("bars.vwap",),
    ),
    _spec("wick_pressure_fast", "(lower shadow - upper shadow) / range, half-life 3 bars", "ranges", _EWM),
    _spec("wick_pressure_slow", "the same, half-life 20 bars at 5min, 8 at session", "ranges", _EWM),
    _spec("close_location", "(2 close - high - low) / range, half-life 20 bars at 5min, 8 at session", "ranges", _EWM),
    _spec(
        "volume_surprise_fast",
        "log dollar volume less its mean of 20 sessions and what is usual at the time of day, half-life 3 bars",
        "log",
        _EWM,
    ),
    _spec("volume_surprise_slow", "the same, half-life 20 bars at 5min, 8 at session", "log", _EWM),
    _spec(
        "reversal_times_volume",
        "residual_reversal * volume_surprise_fast, both and their product less their sector's mean",
        "sigmas",
        _EWM,
        "Campbell, Grossman and Wang 1993",
    ),
    _spec(
        "volume_clock",
        "log of the session's dollar volume so far / mean of the 4 sessions before by the same bar, where they had traded",
        "log ratio",
        "5 sessions",
        "Clark 1973",
        missing=_FEW_OR_DAILY,
        frequencies=INTRADAY,
    ),
    _spec(
        "vwap_deviation",
        "close / vwap of the session - 1, over daily volatility",
        "sigmas",
        "the session",
        missing=_FEW_OR_DAILY,
        frequencies=INTRADAY,
        columns=("bars.vwap",),
    ),
    _spec(
        "realised_volatility",
        "root of summed squared returns of the session / usual by then",
        "ratio",
        "the session",
        "Andersen and Bollerslev 1998",
        missing=_FEW_OR_DAILY,
        frequencies=INTRADAY,
    ),
    _spec(
        "jump_share",
        "1 - bipower / realised variance",
        "fraction",
        "the session",
        "Barndorff-Nielsen and Shephard 2004",
        missing=_FEW_OR_DAILY,
        frequencies=INTRADAY,
    ),
    _spec(
        "realised_skewness",
        "root n * sum of cubed returns / (sum of squares) ** 1.5",
        "dimensionless",
        "78 bars",
        "Amaya et al. 2015",
        missing=_FEW_OR_DAILY,
        frequencies=INTRADAY,
    ),
    _spec(
        "variance_ratio",
        "mean squared return of 6 bars / 6 times that of one",
        "ratio",
        "84 bars",
        "Lo and MacKinlay 1988",
    ),
    _spec(
        "roll_spread",
        "minus the autocovariance c of bar returns, as sign(-c) * 2 * root |c|",
        "fraction",
        "78 bars",
        "Roll 1984",
    ),
    _spec(
        "kyle_lambda",
        "slope of the residual return in daily volatilities on the signed root of volume in usual volumes",
        "sigmas a root usual bar",
        _EWM,
        "Kyle 1985; Hasbrouck 2009",
    ),
    _spec(
        "same_time_return",
        "mean residual return of the 6 bars from the next one on, in the 4 sessions before, in daily volatilities",
        "sigmas",
        "4 sessions",
        "Heston, Korajczyk and Sadka 2010",
        missing=_FEW_OR_DAILY,
        frequencies=INTRADAY,
    ),
    _spec(
        "session_progress",
        "bars so far / 78",
        "fraction",
        "the session",
        transform="none",
        missing="frequency `session`",
        frequencies=INTRADAY,
        role="context",
    ),
    _spec(
        "half_spread_20",
        "root of the mean of (c - m)(c - m next), 0 if negative; c log close, m middle of the log range",
        "fraction",
        "20 sessions",
        "Abdi and Ranaldo 2017",
        transform="rank",
    ),
    _spec(
        "high_low_spread_20",
        "mean spread from the ranges of two sessions, night taken out",
        "fraction",
        "20 sessions",
        "Corwin and Schultz 2012",
        transform="rank",
    ),
)


def daily_microstructure_features(daily: DailyHistory) -> dict[str, Panel]:
    """Session-level features; arrays of shape (sessions of the group, instruments)."""
    return {
        "half_spread_20": abdi_ranaldo(daily.panel, daily.first),
        "high_low_spread_20": corwin_schultz(daily.panel, daily.first),
    }


def bar_microstructure_features(history: BarHistory) -> dict[str, Panel]:
    """Features of the bars; arrays of shape (decision times, instruments)."""
    features = pressure_features(history) | volume_features(history) | impact_features(history)
    return features | realised_features(history) if history.frequency == "5min" else features


def pressure_features(history: BarHistory) -> dict[str, Panel]:
    """Order-flow pressure read from the shape of bars; arrays of shape (decision times, instruments)."""
    first, slow = history.first_row, half_life_decay(SLOW_HALF_LIFE[history.frequency])
    fast = half_life_decay(FAST_HALF_LIFE)
    span = history.high - history.low
    typical = 0.25 * (history.open + history.high + history.low + history.close)
    vwap = ratio(history.vwap - typical, span)
    lower = np.minimum(history.open, history.close) - history.low
    upper = history.high - np.maximum(history.open, history.close)
    wick = ratio(lower - upper, span)
    location = ratio(2.0 * history.close - history.high - history.low, span)
    # Rows before the longest sum need no classification.
    start = max(first - max(FLOW_BARS) + 1, 0)
    sigma = rolling_std(history.bar_return, SIGMA_BARS, 10, start)
    dollars = history.dollar_volume[start:]
    signed = dollars * (2.0 * ndtr(ratio(history.bar_return[start:], sigma)) - 1.0)
    traded = np.where(np.isnan(signed), np.nan, dollars)
    features = {
        f"signed_volume_{bars}_bars": ratio(
            rolling_sum(signed, bars, bars // 2, first - start), rolling_sum(traded, bars, bars // 2, first - start)
        )
        for bars in FLOW_BARS
    }
    features |= {
        "vwap_pressure_fast": rolling_weighted_mean(vwap, fast, WINDOW_BARS, 3, first),
        "vwap_pressure_slow": rolling_weighted_mean(vwap, slow, WINDOW_BARS, 10, first),
        "wick_pressure_fast": rolling_weighted_mean(wick, fast, WINDOW_BARS, 3, first),
        "wick_pressure_slow": rolling_weighted_mean(wick, slow, WINDOW_BARS, 10, first),
        "close_location": rolling_weighted_mean(location, slow, WINDOW_BARS, 10, first),
    }
    return {name: history.wanted(values) for name, values in features.items()}


def volume_features(history: BarHistory) -> dict[str, Panel]:
    """Abnormal volume, and reversal where volume is abnormal; arrays of shape (decision times, instruments)."""
    first, slow = history.first_row, half_life_decay(SLOW_HALF_LIFE[history.frequency])
    volume = logarithm(history.dollar_volume)
    timed = volume
    if history.frequency == "5min":
        timed = volume - history.usual_by_time(volume - history.volume_level, 0.0)

    def surprise(decay: float, minimum: int) -> Panel:
        mean: Panel = history.wanted(rolling_weighted_mean(timed, decay, WINDOW_BARS, minimum, first))
        return mean - history.volume_level

    fast = surprise(half_life_decay(FAST_HALF_LIFE), 3)
    groups = int(history.sector.max(initial=-1)) + 1
    product = less_group_mean(reversal(history), history.sector, groups) * less_group_mean(fast, history.sector, groups)
    return {
        "volume_surprise_fast": fast,
        "volume_surprise_slow": surprise(slow, 10),
        "reversal_times_volume": less_group_mean(product, history.sector, groups),
    }
