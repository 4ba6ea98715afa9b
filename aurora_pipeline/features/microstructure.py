"""Microstructure view: order-flow pressure, abnormal volume, spreads and realised moments from bars."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.features.bar_history import BarHistory, bar_histories
from aurora_pipeline.features.betas import estimate_betas
from aurora_pipeline.features.cross_section import less_group_mean, time_of_day_mean
from aurora_pipeline.features.defined import logarithm, ratio
from aurora_pipeline.features.feature_columns import FeatureColumns
from aurora_pipeline.features.feature_spec import FeatureSpec, Transform
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.realised import realised_features
from aurora_pipeline.features.reversal import HALF_LIFE_BARS, reversal
from aurora_pipeline.features.rolling import (
    Panel,
    half_life_weights,
    rolling_mean,
    rolling_std,
    rolling_sum,
    rolling_weighted_mean,
)
from aurora_pipeline.features.session_panel import SessionPanel, session_panels

FLOW_BARS = (6, 12, 39, 78)
WINDOW_BARS = 156
FAST_HALF_LIFE = 3.0
SLOW_HALF_LIFE: dict[Frequency, float] = {"5min": 20.0, "session": 8.0}


def _spec(name: str, formula: str, unit: str, lookback: str, transform: Transform = "sector_rank") -> FeatureSpec:
    return FeatureSpec(name, "microstructure", formula, unit, lookback, "bar_end", transform)


_EWM = f"{WINDOW_BARS} bars"
MICROSTRUCTURE_FEATURES: tuple[FeatureSpec, ...] = (
    *(
        _spec(
            f"signed_volume_{bars}_bars",
            "bulk-classified net volume / volume (Easley et al. 2012)",
            "fraction",
            f"{bars} bars",
        )
        for bars in FLOW_BARS
    ),
    _spec("vwap_pressure_fast", "(vwap - mean of open, high, low, close) / range, half-life 3 bars", "ranges", _EWM),
    _spec("vwap_pressure_slow", "the same, half-life 20 bars at 5min, 8 at session", "ranges", _EWM),
    _spec("wick_pressure_fast", "(lower shadow - upper shadow) / range, half-life 3 bars", "ranges", _EWM),
    _spec("wick_pressure_slow", "the same, half-life 20 bars at 5min, 8 at session", "ranges", _EWM),
    _spec("close_location", "(2 close - high - low) / range, half-life 20 bars at 5min, 8 at session", "ranges", _EWM),
    _spec(
        "volume_surprise_fast",
        "log dollar volume less its 20-session level and time of day, half-life 3 bars",
        "log",
        _EWM,
    ),
    _spec("volume_surprise_slow", "the same, half-life 20 bars at 5min, 8 at session", "log", _EWM),
    _spec(
        "reversal_times_volume",
        "residual_reversal * volume_surprise_fast, both less their sector's mean",
        "sigmas",
        _EWM,
    ),
    _spec("vwap_deviation", "close / vwap of the session - 1, over daily volatility", "sigmas", "the session"),
    _spec(
        "realised_volatility", "root of summed squared returns of the session / usual by then", "ratio", "the session"
    ),
    _spec(
        "jump_share", "1 - bipower / realised variance (Barndorff-Nielsen and Shephard 2004)", "fraction", "the session"
    ),
    _spec("half_spread_20", "Abdi and Ranaldo 2017 from daily close, high, low", "fraction", "20 sessions", "rank"),
)


def compute_microstructure_features(inputs: FeatureInputs, rows: pl.DataFrame) -> pl.DataFrame:
    """Compute the view; parameters and result as in :func:`~aurora_pipeline.features.price.compute_price_features`."""
    table = FeatureColumns(inputs, rows, [spec.name for spec in MICROSTRUCTURE_FEATURES])
    for sessions, panel in session_panels(inputs):
        first = panel.row(inputs.newest_session(sessions[0]))
        residual = estimate_betas(panel, inputs).residual
        volatility = rolling_std(residual, 20, 10, first)
        level = volume_level(panel, first, inputs.frequency)
        spread = half_spread(panel, first)
        for session in sessions:
            row = panel.row(inputs.newest_session(session)) - first
            table.put_session(session, panel.instruments, {"half_spread_20": spread[row]})
            for history in bar_histories(inputs, session, panel, residual):
                own_volatility = history.aligned(volatility[row], panel.instruments)
                values = pressure_features(history, inputs.frequency)
                values |= volume_features(
                    history,
                    own_volatility,
                    history.aligned(level[row], panel.instruments),
                    sector_codes(history, panel),
                    inputs.frequency,
                )
                if inputs.frequency == "5min":
                    values |= realised_features(history, own_volatility)
                table.put_bars(session, history.first, history.instruments, values)
    return table.frame()


def volume_level(panel: SessionPanel, first: int, frequency: Frequency) -> Panel:
    """Mean log dollar volume that a session's bars are compared with; shape (rows from `first` on, instruments).

    At 5min it is the feed's over 20 sessions plus what the market's bars usually hold of it, since bars may cover only some
    venues. At `session` a bar is the feed's and the level ends a session before it.
    """
    volume = logarithm(panel.dollar_volume)
    if frequency == "session":
        level: Panel = rolling_mean(volume, 20, 10, first - 1)[:-1]
        return level
    coverage = rolling_mean(logarithm(panel.bar_dollar_volume) - volume, 20, 1, first)
    level = rolling_mean(volume, 20, 10, first)
    return np.where(np.isnan(coverage), level, level + coverage)


def half_spread(panel: SessionPanel, first: int) -> Panel:
    """Half-spread of Abdi and Ranaldo (2017), fraction of price; shape (rows from `first` on, instruments).

    The spread squared is 4 times the mean of (c - m)(c - m_next), with c the log close and m the middle of the log range; a
    negative mean counts as no spread. Log prices are taken relative to the same close, so adjustments enter through returns.
    """
    close_to_middle = -0.5 * (logarithm(panel.high / panel.close) + logarithm(panel.low / panel.close))
    growth = logarithm(1.0 + panel.total_return)
    pairs = np.full_like(growth, np.nan)
    # c[t-1] - m[t] = (c[t] - m[t]) - (c[t] - c[t-1])
    pairs[1:] = close_to_middle[:-1] * (close_to_middle[1:] - growth[1:])
    return np.asarray(np.sqrt(np.maximum(rolling_mean(pairs, 20, 10, first), 0.0)))


def pressure_features(history: BarHistory, frequency: Frequency) -> dict[str, Panel]:
    """Order-flow pressure read from the shape of bars; arrays of shape (decision times, instruments)."""
    first, slow = history.first_row, half_life_weights(SLOW_HALF_LIFE[frequency], WINDOW_BARS)
    fast = half_life_weights(FAST_HALF_LIFE, WINDOW_BARS)
    span = history.high - history.low
    typical = 0.25 * (history.open + history.high + history.low + history.close)
    vwap = ratio(history.vwap - typical, span)
    lower = np.minimum(history.open, history.close) - history.low
    upper = history.high - np.maximum(history.open, history.close)
    wick = ratio(lower - upper, span)
    location = ratio(2.0 * history.close - history.high - history.low, span)
    sigma = rolling_std(history.bar_return, 78, 10, 0)
    signed = history.dollar_volume * (2.0 * ndtr(ratio(history.bar_return, sigma)) - 1.0)
    traded = np.where(np.isnan(signed), np.nan, history.dollar_volume)
    features = {
        f"signed_volume_{bars}_bars": ratio(
            rolling_sum(signed, bars, bars // 2, first), rolling_sum(traded, bars, bars // 2, first)
        )
        for bars in FLOW_BARS
    }
    features |= {
        "vwap_pressure_fast": rolling_weighted_mean(vwap, fast, 3, first),
        "vwap_pressure_slow": rolling_weighted_mean(vwap, slow, 10, first),
        "wick_pressure_fast": rolling_weighted_mean(wick, fast, 3, first),
        "wick_pressure_slow": rolling_weighted_mean(wick, slow, 10, first),
        "close_location": rolling_weighted_mean(location, slow, 10, first),
    }
    return {name: history.wanted(values) for name, values in features.items()}


def volume_features(
    history: BarHistory,
    volatility: NDArray[np.float64],
    level: NDArray[np.float64],
    sector: NDArray[np.int64],
    frequency: Frequency,
) -> dict[str, Panel]:
    """Abnormal volume, and reversal where volume is abnormal.

    Parameters
    ----------
    volatility, level : ndarray of shape (instruments,)
        Daily residual volatility, fraction; mean log dollar volume of the sessions before.
    sector : ndarray of shape (instruments,)
        Code of each instrument's sector, negative if unknown.
    """
    first, slow = history.first_row, half_life_weights(SLOW_HALF_LIFE[frequency], WINDOW_BARS)
    relative = logarithm(history.dollar_volume) - level
    usual = time_of_day_mean(relative, history.bar_index, history.session_row)
    surprise = relative - usual[history.bar_index][:, None]
    fast = rolling_weighted_mean(surprise, half_life_weights(FAST_HALF_LIFE, WINDOW_BARS), 3, first)
    reverting = reversal(history, volatility, HALF_LIFE_BARS[frequency])
    groups = int(sector.max(initial=-1)) + 1
    features = {
        "volume_surprise_fast": fast,
        "volume_surprise_slow": rolling_weighted_mean(surprise, slow, 10, first),
        "reversal_times_volume": less_group_mean(reverting, sector, groups) * less_group_mean(fast, sector, groups),
    }
    return {name: history.wanted(values) for name, values in features.items()}


def sector_codes(history: BarHistory, panel: SessionPanel) -> NDArray[np.int64]:
    """Code of each instrument's sector in alphabetical order; -1 if unknown."""
    names = sorted(set(panel.sectors.values()))
    return np.array(
        [names.index(panel.sectors[name]) if name in panel.sectors else -1 for name in history.instruments],
        dtype=np.int64,
    )
