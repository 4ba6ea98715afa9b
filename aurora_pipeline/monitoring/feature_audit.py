"""What each feature is worth: coverage, stability, information coefficient, and what it adds to price and volume.

1. Rank features and labels within each decision time (:mod:`~aurora_pipeline.monitoring.feature_statistics`).
2. IC by session with its t; Benjamini and Hochberg's (1995) q over all features; decay with the age of the feature.
3. Regress each feature on the commodity view (all price features and abnormal volume): R2, and the IC of what is left.
4. Verdict: `alpha` if what is left predicts at q < 0.1, `commodity` if only the feature itself does, else `unproven`.
5. Faults by name: constant, infinite, all missing although its feeds are there, or the same as another feature.

Everything is measured on the fold's train block with labels that matured before its test block, so that an audit may be acted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.contracts import empty
from aurora_pipeline.features.feature_spec import FeatureSpec
from aurora_pipeline.monitoring.feature_statistics import (
    Floats,
    RankedPanel,
    mean_products,
    persistence,
    ranked_panel,
    session_series,
    time_correlations,
)
from aurora_pipeline.monitoring.information_coefficient import mean_with_interval
from aurora_pipeline.one_thread import one_thread

FALSE_DISCOVERY_RATE = 0.1
DUPLICATE = 0.95
"""Absolute rank correlation from which two features count as one."""
AGES = (1, 2, 5, 10)
"""Sessions a feature is held back to see how its IC decays."""
COMMODITY_VIEWS = ("price",)
COMMODITY_FEATURES = ("volume_surprise_fast", "volume_surprise_slow", "volume_clock")


def audit_features(
    fold: str,
    features: pl.DataFrame,
    labels: pl.DataFrame,
    specs: Sequence[FeatureSpec],
    unavailable: Mapping[str, str],
) -> pl.DataFrame:
    """Audit every feature of the registry on one train block.

    Parameters
    ----------
    fold : str
        Key of the fold.
    features : polars.DataFrame
        Table `features` at sampled decision times.
    labels : polars.DataFrame
        Table `labels`, purged against the fold's test block.
    specs : sequence of FeatureSpec
        The registry.
    unavailable : mapping of str to str
        Features this market's data cannot give, with the reason.

    Returns
    -------
    polars.DataFrame
        Table `feature_audit`, one row per feature in the order of the registry.
    """
    names = [spec.name for spec in specs]
    panel = ranked_panel(features, labels, names)
    correlations = mean_products(panel)
    ic = session_series(panel, time_correlations(panel, panel.ranks, panel.present))[1]
    explained, residual = _commodity_regression(panel, correlations, specs)
    added = session_series(panel, time_correlations(panel, residual, panel.present))[1]
    estimates = [_estimate(ic[:, place]) for place in range(len(names))]
    increments = [_estimate(added[:, place]) for place in range(len(names))]
    signal = np.array([spec.role == "signal" and spec.name not in unavailable for spec in specs])
    q_value, increment_q = (
        _false_discovery_rates([estimate["p"] for estimate in rows], signal) for rows in (estimates, increments)
    )
    closest, likeness = _nearest(correlations, signal)
    nearest = [names[other] if likeness[place] > 0.0 else None for place, other in enumerate(closest)]
    stability = persistence(panel)
    decay = _decay(panel, labels, features)
    coverage = panel.present.mean(axis=0) if len(panel.present) else np.zeros(len(names))
    rows = []
    for place, spec in enumerate(specs):
        months = _monthly(ic[:, place], panel)
        row = {
            "fold": fold,
            "feature": spec.name,
            "view": spec.view,
            "role": spec.role,
            "coverage": float(coverage[place]),
            "expected_missing": spec.expected_missing,
            "ic": estimates[place]["mean"],
            "ic_t": estimates[place]["t"],
            "ic_q": q_value[place],
            "ic_lower": estimates[place]["lower"],
            "ic_upper": estimates[place]["upper"],
            "months_agreeing": months,
            "turnover": _maybe(1.0 - stability[place]),
            **{f"ic_age_{age}": _maybe(decay[age][place]) for age in AGES},
            "nearest": nearest[place],
            "nearest_correlation": _maybe(likeness[place]),
            "commodity_r2": _maybe(explained[place]),
            "incremental_ic": increments[place]["mean"],
            "incremental_t": increments[place]["t"],
            "incremental_q": increment_q[place],
        }
        faults = _faults(spec, features.get_column(spec.name), panel.ranks[:, place], likeness[place], nearest[place])
        row["verdict"] = _verdict(spec, row) if signal[place] else "unproven"
        row["fault"] = None if spec.name in unavailable else faults
        row["unavailable"] = unavailable.get(spec.name)
        rows.append(row)
    return pl.DataFrame(rows, schema=empty("feature_audit").schema)


def is_commodity(spec: FeatureSpec) -> bool:
    """Whether a feature belongs to what everybody computes from prices and volumes."""
    return spec.view in COMMODITY_VIEWS or spec.name in COMMODITY_FEATURES


@one_thread()
def _commodity_regression(
    panel: RankedPanel, correlations: Floats, specs: Sequence[FeatureSpec]
) -> tuple[Floats, NDArray[np.float32]]:
    """R2 of each feature on the commodity view (on the rest of it, for its own members), and what is left of its ranks."""
    count = len(specs)
    usable = panel.present.any(axis=0) & (np.abs(panel.ranks).max(axis=0, initial=0.0) > 0.0)
    view = np.array([is_commodity(spec) and spec.role == "signal" for spec in specs]) & usable
    explained = np.full(count, np.nan)
    weights = np.zeros((count, count))
    for place in np.flatnonzero(usable):
        members = np.flatnonzero(view & (np.arange(count) != place))
        # A touch of ridge: members of the view may nearly be sums of one another.
        gram = correlations[np.ix_(members, members)] + 1e-3 * np.eye(members.size)
        own = correlations[members, place]
        slope = np.linalg.solve(gram, own) if members.size else own
        weights[members, place] = slope
        explained[place] = float(np.clip(own @ slope, 0.0, 1.0))
    residual = panel.ranks - panel.ranks @ weights.astype(np.float32)
    return explained, residual.astype(np.float32)


def _estimate(series: Floats) -> dict[str, float | None]:
    known = mean_with_interval(series[~np.isnan(series)])
    return {"mean": known.mean, "t": known.t, "p": known.p_value, "lower": known.lower, "upper": known.upper}


def _false_discovery_rates(p_values: Sequence[float | None], counted: NDArray[np.bool_]) -> list[float | None]:
    """Q-values of Benjamini and Hochberg (1995) over the features that are counted and have a p-value."""
    from scipy.stats import false_discovery_control

    known = [place for place, p in enumerate(p_values) if p is not None and counted[place]]
    out: list[float | None] = [None] * len(p_values)
    if known:
        adjusted = false_discovery_control([p_values[place] for place in known])
        for place, q in zip(known, adjusted, strict=True):
            out[place] = float(q)
    return out


def _nearest(correlations: Floats, signal: NDArray[np.bool_]) -> tuple[list[int], Floats]:
    """Place of the most similar other feature of each, and the absolute rank correlation."""
    likeness = np.abs(correlations) * signal[:, None] * signal[None, :]
    np.fill_diagonal(likeness, 0.0)
    nearest = likeness.argmax(axis=1)
    return nearest.tolist(), likeness[np.arange(len(nearest)), nearest]


def _decay(panel: RankedPanel, labels: pl.DataFrame, features: pl.DataFrame) -> dict[int, Floats]:
    """Mean IC of features held back by some sessions, against the labels of the same time of day that much later."""
    sessions = np.unique(panel.session)
    days = features.select("session", "decision_time").unique().sort("decision_time")
    days = days.with_columns(pl.int_range(pl.len()).over("session").alias("slot"))
    out = {}
    for age in AGES:
        later = pl.DataFrame({"session": sessions[: max(len(sessions) - age, 0)], "at": sessions[age:]})
        later = later.with_columns(pl.col("session", "at").cast(pl.Int32).cast(pl.Date))
        moved = (
            days.join(later, on="session")
            .join(days.rename({"session": "at", "decision_time": "then"}), on=["at", "slot"])
            .select("decision_time", "then")
        )
        aged = (
            labels.rename({"decision_time": "then"}).join(moved, on="then").select("symbol", "decision_time", "label")
        )
        shifted = ranked_panel(features.select("session", "symbol", "decision_time"), aged, [])
        own = replace(panel, label=shifted.label, labelled=shifted.labelled)
        series = session_series(own, time_correlations(own, own.ranks, own.present))[1]
        known = ~np.isnan(series)
        count = known.sum(axis=0)
        out[age] = np.where(count > 0, np.where(known, series, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return out


def _monthly(series: Floats, panel: RankedPanel) -> float | None:
    """Share of calendar months whose mean IC has the sign of the whole."""
    months = np.unique(panel.session).astype("datetime64[D]").astype("datetime64[M]")
    known = ~np.isnan(series)
    if not known.any():
        return None
    whole = np.sign(series[known].mean())
    signs = [np.sign(series[known & (months == month)].mean()) for month in np.unique(months[known])]
    return float(np.mean(np.array(signs) == whole))


def _faults(
    spec: FeatureSpec, raw: pl.Series, ranks: NDArray[np.float32], likeness: float, nearest: str | None
) -> str | None:
    """Why a feature is broken; None where it is sound. Flags and context may be constant."""
    if raw.is_infinite().any():
        return "infinite"
    if raw.null_count() == len(raw):
        return "all missing"
    if spec.role != "signal":
        return None
    if not ranks.any():
        return "constant"
    return f"duplicate of {nearest}" if likeness >= DUPLICATE else None


def _verdict(spec: FeatureSpec, row: Mapping[str, object]) -> str:
    increment, own = row["incremental_q"], row["ic_q"]
    if isinstance(increment, float) and increment < FALSE_DISCOVERY_RATE and not is_commodity(spec):
        return "alpha"
    return "commodity" if isinstance(own, float) and own < FALSE_DISCOVERY_RATE else "unproven"


def _maybe(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
