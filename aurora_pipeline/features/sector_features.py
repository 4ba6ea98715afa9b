"""Sector view: momentum, reversal, volatility and exposures of residual returns, daily and intraday."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.bar_history import BarHistory, bar_histories
from aurora_pipeline.features.betas import Betas, estimate_betas
from aurora_pipeline.features.defined import ratio
from aurora_pipeline.features.feature_columns import FeatureColumns
from aurora_pipeline.features.feature_spec import FeatureSpec, Transform
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.reversal import HALF_LIFE_BARS, REVERSAL_BARS, reversal
from aurora_pipeline.features.rolling import Panel, rolling_std, rolling_sum
from aurora_pipeline.features.session_panel import session_panels

RETURN_BARS = (1, 6, 12, 39, 78)


def _daily(name: str, formula: str, unit: str, lookback: str, transform: Transform = "sector_rank") -> FeatureSpec:
    return FeatureSpec(name, "sector", formula, unit, lookback, "newest complete session", transform)


SECTOR_FEATURES: tuple[FeatureSpec, ...] = (
    *(
        FeatureSpec(
            f"residual_return_{bars}_bars",
            "sector",
            f"sum of residual returns of {bars} bars over residual_volatility_20",
            "sigmas",
            f"{bars} bars",
            "bar_end",
            "sector_rank",
        )
        for bars in RETURN_BARS
    ),
    FeatureSpec(
        "residual_reversal",
        "sector",
        "minus the exponentially weighted mean of residual returns in units of their usual size at that time of day; "
        "half-life 20 bars at 5min, 3 at session",
        "sigmas",
        f"{REVERSAL_BARS} bars",
        "bar_end",
        "sector_rank",
    ),
    _daily(
        "residual_reversal_5",
        "minus the sum of residual returns over 5 sessions, over residual_volatility_20",
        "sigmas",
        "5 sessions",
    ),
    _daily("residual_momentum_20", "sum of residual returns over residual_volatility_20", "sigmas", "20 sessions"),
    _daily(
        "residual_momentum_60",
        "sum of residual returns but the last 5, over their volatility (Blitz et al. 2011)",
        "sigmas",
        "60 sessions",
    ),
    _daily("residual_volatility_20", "standard deviation of daily residual returns", "fraction", "20 sessions", "rank"),
    _daily("residual_volatility_trend", "residual volatility over 5 sessions / over 60", "ratio", "60 sessions"),
    _daily("idiosyncratic_share_60", "variance of residual returns / of total returns", "fraction", "60 sessions"),
    _daily("beta_market", "market beta, see betas", "dimensionless", "252 sessions"),
    _daily("beta_sector", "beta to the orthogonalised sector return, see betas", "dimensionless", "252 sessions"),
)


def compute_sector_features(inputs: FeatureInputs, rows: pl.DataFrame) -> pl.DataFrame:
    """Compute the sector view; parameters and result as in :func:`~aurora_pipeline.features.price.compute_price_features`."""
    table = FeatureColumns(inputs, rows, [spec.name for spec in SECTOR_FEATURES])
    for sessions, panel in session_panels(inputs):
        first = panel.row(inputs.newest_session(sessions[0]))
        betas = estimate_betas(panel, inputs)
        daily = daily_sector_features(panel.total_return, betas, first)
        for session in sessions:
            row = panel.row(inputs.newest_session(session)) - first
            table.put_session(session, panel.instruments, {name: values[row] for name, values in daily.items()})
            for history in bar_histories(inputs, session, panel, betas.residual):
                volatility = history.aligned(daily["residual_volatility_20"][row], panel.instruments)
                values = bar_sector_features(history, volatility, HALF_LIFE_BARS[inputs.frequency])
                table.put_bars(session, history.first, history.instruments, values)
    return table.frame()


def daily_sector_features(returns: Panel, betas: Betas, first: int) -> dict[str, Panel]:
    """Session-level features of the rows `first` on; arrays of shape (rows, instruments)."""
    residual = betas.residual
    volatility = rolling_std(residual, 20, 10, first)
    long_volatility = rolling_std(residual, 60, 30, first)
    recent = rolling_sum(residual, 5, 4, first)
    explained_by_nothing = ratio(long_volatility, rolling_std(returns, 60, 30, first)) ** 2
    return {
        "residual_reversal_5": ratio(-recent, volatility),
        "residual_momentum_20": ratio(rolling_sum(residual, 20, 15, first), volatility),
        "residual_momentum_60": ratio(rolling_sum(residual, 60, 30, first) - recent, long_volatility),
        "residual_volatility_20": volatility,
        "residual_volatility_trend": ratio(rolling_std(residual, 5, 4, first), long_volatility),
        "idiosyncratic_share_60": explained_by_nothing,
        # Row k + 1 holds the betas estimated through row k.
        "beta_market": betas.market[first + 1 :],
        "beta_sector": np.where(betas.market_only, np.nan, betas.sector)[first + 1 :],
    }


def bar_sector_features(history: BarHistory, volatility: NDArray[np.float64], half_life: float) -> dict[str, Panel]:
    """Features of the bars; `volatility` of shape (instruments,), arrays of shape (decision times, instruments)."""
    features = {
        f"residual_return_{bars}_bars": ratio(
            rolling_sum(history.residual, bars, (bars + 1) // 2, history.first_row), volatility
        )
        for bars in RETURN_BARS
    }
    features["residual_reversal"] = reversal(history, volatility, half_life)
    return {name: history.wanted(values) for name, values in features.items()}
