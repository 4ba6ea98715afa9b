"""Sector view: momentum, reversal, volatility and exposures of residual returns, daily and intraday."""

from __future__ import annotations

import numpy as np

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.features.bar_history import BarHistory
from aurora_pipeline.features.daily_history import DailyHistory
from aurora_pipeline.features.defined import ratio
from aurora_pipeline.features.feature_spec import INTRADAY, FeatureSpec, Transform
from aurora_pipeline.features.reversal import REVERSAL_BARS, reversal
from aurora_pipeline.features.rolling import earlier, rolling_sum
from aurora_pipeline.features.rolling_extremes import rolling_max
from aurora_pipeline.features.rolling_moments import rolling_skewness, rolling_std
from aurora_pipeline.features.windows import Panel

RETURN_BARS = (1, 6, 12, 39, 78)


def _daily(
    name: str,
    formula: str,
    unit: str,
    lookback: str,
    transform: Transform = "sector_rank",
    reference: str = "",
    missing: str = "fewer sessions than the look-back needs",
    frequencies: tuple[Frequency, ...] = ("5min", "session"),
) -> FeatureSpec:
    return FeatureSpec(
        name,
        "sector",
        formula,
        unit,
        lookback,
        "newest complete session",
        transform,
        reference=reference,
        expected_missing=missing,
        frequencies=frequencies,
    )


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
        reference="Da, Liu and Schaumburg 2014",
    ),
    _daily(
        "residual_reversal_1",
        "minus the residual return of the newest session, over residual_volatility_20",
        "sigmas",
        "1 session",
        reference="Lehmann 1990",
        missing="frequency `session`, where residual_return_1_bars says the same",
        frequencies=INTRADAY,
    ),
    _daily(
        "residual_reversal_5",
        "minus the sum of residual returns over 5 sessions, over residual_volatility_20; with the other sign momentum over 5",
        "sigmas",
        "5 sessions",
        reference="Da, Liu and Schaumburg 2014",
    ),
    _daily("residual_momentum_20", "sum of residual returns over residual_volatility_20", "sigmas", "20 sessions"),
    _daily(
        "residual_momentum_60",
        "sum of residual returns but the last 5, over the volatility of all 60",
        "sigmas",
        "60 sessions",
        reference="Blitz, Huij and Martens 2011",
    ),
    _daily(
        "residual_momentum_12_1",
        "sum of residual returns of sessions t-251 .. t-21, over their volatility",
        "sigmas",
        "252 sessions",
        reference="Blitz, Huij and Martens 2011",
    ),
    _daily(
        "residual_volatility_20",
        "standard deviation of daily residual returns",
        "fraction",
        "20 sessions",
        "rank",
        "Ang et al. 2006",
    ),
    _daily("residual_volatility_trend", "residual volatility over 5 sessions / over 60", "ratio", "60 sessions"),
    _daily(
        "residual_skewness_60",
        "skewness of daily residual returns",
        "dimensionless",
        "60 sessions",
        reference="Boyer et al. 2010",
    ),
    _daily("residual_max_20", "largest daily residual return over residual_volatility_20", "sigmas", "20 sessions"),
    _daily("idiosyncratic_share_60", "variance of residual returns / of total returns", "fraction", "60 sessions"),
    _daily("beta_market", "market beta, see betas", "dimensionless", "252 sessions"),
    _daily("beta_sector", "beta to the orthogonalised sector return, see betas", "dimensionless", "252 sessions"),
)


def daily_sector_features(daily: DailyHistory) -> dict[str, Panel]:
    """Session-level features; arrays of shape (sessions of the group, instruments)."""
    betas, first, volatility = daily.betas, daily.first, daily.residual_volatility
    residual, returns = betas.residual, daily.panel.total_return
    long_volatility = rolling_std(residual, 60, 30, first)
    recent = rolling_sum(residual, 5, 4, first)
    explained_by_nothing = ratio(long_volatility, rolling_std(returns, 60, 30, first)) ** 2
    skipped = max(first - 21, 0)
    year, year_volatility = (
        kernel(earlier(residual, 21), 231, 120, skipped)[-len(daily.sessions) :]
        for kernel in (rolling_sum, rolling_std)
    )
    # Where a bar is a session, yesterday's reversal is residual_return_1_bars with its sign turned.
    newest = {} if daily.frequency == "session" else {"residual_reversal_1": ratio(-residual[first:], volatility)}
    return newest | {
        "residual_reversal_5": ratio(-recent, volatility),
        "residual_momentum_20": ratio(rolling_sum(residual, 20, 15, first), volatility),
        "residual_momentum_60": ratio(rolling_sum(residual, 60, 30, first) - recent, long_volatility),
        "residual_momentum_12_1": ratio(year, year_volatility),
        "residual_volatility_20": volatility,
        "residual_volatility_trend": ratio(rolling_std(residual, 5, 4, first), long_volatility),
        "residual_skewness_60": rolling_skewness(residual, 60, 30, first),
        "residual_max_20": ratio(rolling_max(residual, 20, 10, first), volatility),
        "idiosyncratic_share_60": explained_by_nothing,
        # Row k + 1 holds the betas estimated through row k.
        "beta_market": betas.market[first + 1 :],
        "beta_sector": np.where(betas.market_only, np.nan, betas.sector)[first + 1 :],
    }


def bar_sector_features(history: BarHistory) -> dict[str, Panel]:
    """Features of the bars; arrays of shape (decision times, instruments)."""
    features = {}
    for bars in RETURN_BARS:
        total = rolling_sum(history.residual, bars, (bars + 1) // 2, history.first_row)
        features[f"residual_return_{bars}_bars"] = ratio(history.wanted(total), history.residual_volatility)
    features["residual_reversal"] = reversal(history)
    return features
