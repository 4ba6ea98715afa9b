"""On a planted market, whether each planted signal's feature earns the information coefficient that was planted.

A component with share s of the alpha's variance was planted with an IC of sqrt(s) times the oracle's. Alone a feature may show
more or less (persistent alpha leaves momentum behind, which hides reversal), so ranks of labels are regressed on the ranks of
all planted features at once, decision time by decision time (Fama and MacBeth 1973); the mean coefficient over sessions is the
IC the feature earns beside the others.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from aurora_pipeline.market.simulation.components import COMPONENTS
from aurora_pipeline.monitoring.feature_statistics import RankedPanel, ranked_panel, session_series, time_correlations
from aurora_pipeline.monitoring.information_coefficient import mean_with_interval

PLANTED_FEATURES: dict[str, tuple[str, float]] = {
    "reversal": ("residual_reversal", 1.0),
    "imbalance": ("wick_pressure_fast", 1.0),
    "volume_surprise": ("volume_surprise_slow", 1.0),
    "reversal_x_volume": ("reversal_times_volume", 1.0),
    "earnings_surprise": ("surprise_to_price_decayed", 1.0),
    "short_interest": ("short_interest_ratio", -1.0),
    "skew": ("option_skew", -1.0),
    "sector_flow": ("flow_pressure", 1.0),
    "surprise_x_short": ("surprise_times_short_interest", -1.0),
    "skew_x_flow": ("skew_times_flow_pressure", -1.0),
    "gross_profitability": ("gross_profitability_quarter", 1.0),
    "call_put_volume": ("put_call_volume", -1.0),
}
"""Planted component to the feature that measures it, and the sign of its effect."""
_RIDGE = 1e-6


def planted_recovery(features: pl.DataFrame, labels: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Compare what was planted with what the features earn.

    Parameters
    ----------
    features : polars.DataFrame
        Table `features` at some decision times.
    labels : polars.DataFrame
        Their labels.
    truth : polars.DataFrame
        `symbol`, `decision_time`, `expected_residual_return`.

    Returns
    -------
    polars.DataFrame
        `component`, `view`, `feature`, `planted_ic`, `measured_ic`, `lower`, `upper` (95 %), `inside`; one row per component.
    """
    expected = truth.rename({"expected_residual_return": "label"})
    # The oracle is scored where there are labels.
    graded = expected.join(labels.select("symbol", "decision_time"), on=["symbol", "decision_time"])
    oracle = ranked_panel(
        features.select("session", "symbol", "decision_time").join(
            graded.select("symbol", "decision_time", pl.col("label").alias("oracle")),
            on=["symbol", "decision_time"],
            how="left",
        ),
        labels,
        ["oracle"],
    )
    oracle_ic = float(np.nanmean(session_series(oracle, time_correlations(oracle, oracle.ranks, oracle.present))[1]))
    panel = ranked_panel(features, labels, [feature for feature, _ in PLANTED_FEATURES.values()])
    series = session_series(panel, _coefficients(panel))[1]
    rows = []
    for place, component in enumerate(COMPONENTS):
        feature, sign = PLANTED_FEATURES[component.name]
        own = sign * series[:, place]
        found = mean_with_interval(own[~np.isnan(own)])
        planted = float(np.sqrt(component.share)) * oracle_ic
        known = found.lower is not None and found.upper is not None
        rows.append(
            {
                "component": component.name,
                "view": " x ".join(component.views),
                "feature": feature,
                "planted_ic": planted,
                "measured_ic": found.mean,
                "lower": found.lower,
                "upper": found.upper,
                "inside": bool(found.lower <= planted <= found.upper) if known else None,  # type: ignore[operator]
            }
        )
    numbers = dict.fromkeys(("planted_ic", "measured_ic", "lower", "upper"), pl.Float64)
    texts = dict.fromkeys(("component", "view", "feature"), pl.String)
    return pl.DataFrame(rows, schema={**texts, **numbers, "inside": pl.Boolean})


def _coefficients(panel: RankedPanel) -> np.ndarray:
    """Slopes of the label's ranks on all features' ranks at each decision time, shape (decision times, features)."""
    count = len(panel.features)
    out = np.full((panel.starts.size - 1, count), np.nan)
    for time in range(panel.starts.size - 1):
        rows = slice(panel.starts[time], panel.starts[time + 1])
        known = panel.labelled[rows]
        if known.sum() < 3 * count:
            continue
        design = panel.ranks[rows][known].astype(np.float64)
        target = panel.label[rows][known].astype(np.float64)
        out[time] = np.linalg.solve(design.T @ design + _RIDGE * np.eye(count), design.T @ target)
    return out
