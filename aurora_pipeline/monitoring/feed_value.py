"""What each feed adds to the information coefficient, and what a dollar of it buys.

The composite weighs every feature's rank by its IC of the first half of the sessions; a feed's gain is the IC of that
composite in the second half less that of the composite without the features that need the feed. Crude next to a fitted
model, but the same for every feed and out of sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from aurora_pipeline.features.feature_spec import FeatureSpec
from aurora_pipeline.monitoring.feature_statistics import (
    RankedPanel,
    ranked_panel,
    session_series,
    time_correlations,
)
from aurora_pipeline.monitoring.information_coefficient import mean_with_interval

PRICED_FEEDS = ("earnings", "fundamentals", "short_interest", "etf_flows", "options")


def feed_gains(
    features: pl.DataFrame, labels: pl.DataFrame, specs: Sequence[FeatureSpec], monthly_cost_usd: Mapping[str, float]
) -> pl.DataFrame:
    """Measure every feed's gain.

    Parameters
    ----------
    features, labels : polars.DataFrame
        As for :func:`~aurora_pipeline.monitoring.feature_audit.audit_features`.
    specs : sequence of FeatureSpec
        The registry.
    monthly_cost_usd : mapping of str to float
        Price of a feed, where it has one.

    Returns
    -------
    polars.DataFrame
        `feed`, `features`, `ic_with`, `ic_without`, `gain`, `gain_t`, `monthly_cost_usd`, `gain_per_1000_usd` (null without
        a price); IC of the second half.
    """
    signals = [spec for spec in specs if spec.role == "signal"]
    panel = ranked_panel(features, labels, [spec.name for spec in signals])
    sessions, ic = session_series(panel, time_correlations(panel, panel.ranks, panel.present))
    half = len(sessions) // 2
    known = ~np.isnan(ic[:half])
    weights = np.where(known, ic[:half], 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    whole = _second_half(panel, weights, half)
    rows = []
    for feed in PRICED_FEEDS:
        needs = np.array([any(column.startswith(f"{feed}.") for column in spec.columns) for spec in signals])
        without = _second_half(panel, np.where(needs, 0.0, weights), half)
        both = ~np.isnan(whole) & ~np.isnan(without)
        gain = mean_with_interval((whole - without)[both])
        cost = monthly_cost_usd.get(feed)
        value = gain.mean or 0.0
        rows.append(
            {
                "feed": feed,
                "features": int(needs.sum()),
                "ic_with": float(whole[both].mean()) if both.any() else None,
                "ic_without": float(without[both].mean()) if both.any() else None,
                "gain": gain.mean,
                "gain_t": gain.t,
                "monthly_cost_usd": cost,
                "gain_per_1000_usd": 1000.0 * value / cost if cost else None,
            }
        )
    numbers = ("ic_with", "ic_without", "gain", "gain_t", "monthly_cost_usd", "gain_per_1000_usd")
    return pl.DataFrame(rows, schema={"feed": pl.String, "features": pl.Int64, **dict.fromkeys(numbers, pl.Float64)})


def _second_half(panel: RankedPanel, weights: np.ndarray, half: int) -> np.ndarray:
    score = (panel.ranks @ weights.astype(np.float32))[:, None]
    series = session_series(panel, time_correlations(panel, score, np.ones(score.shape, dtype=np.bool_)))[1]
    return np.asarray(series[half:, 0])
