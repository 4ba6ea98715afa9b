"""How far expected returns and intervals can be believed, on matured rows only.

- :func:`mincer_zarnowitz`: regression of the label on the expected return; slope 1 and intercept 0 mean it is right
  on average. Mincer and Zarnowitz, "The Evaluation of Economic Forecasts", NBER, 1969. Errors clustered by session
  (Liang and Zeger, 1986).
- :func:`coverage`: share of labels inside the 50, 80 and 90 % intervals, overall and by tercile of forecast volatility.
- :func:`calibration_error`: the largest absolute gap of any of those to its nominal value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.ensemble.conformal import LEVELS
from aurora_pipeline.monitoring.performance import MINIMUM_SESSIONS, stationary_bootstrap

TERCILES = ("low_volatility", "middle_volatility", "high_volatility")
MINIMUM_CLUSTERS = 5
ERROR_RESAMPLES = 500
MINIMUM_PART_ROWS = 100
"""Rows below which a volatility tercile is left out: its coverage of a 50 % interval would be uncertain by over 10 points."""


def matured_signals(signals: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Calibrated signals with the label they were meant for, ordered by decision time and symbol."""
    return (
        signals.filter("calibrated")
        .join(labels.select("symbol", "decision_time", "label"), on=["symbol", "decision_time"])
        .sort("decision_time", "symbol")
    )


def mincer_zarnowitz(signals: pl.DataFrame, labels: pl.DataFrame) -> dict[str, Any]:
    """Slope and intercept of label on expected return.

    Parameters
    ----------
    signals, labels : polars.DataFrame
        Tables of the same name.

    Returns
    -------
    dict
        `slope`, `slope_lower`, `slope_upper`, `intercept`, `intercept_lower`, `intercept_upper` (95 % intervals;
        fractions over the horizon), `rows`, `sessions`. Numbers are None where the expected return does not vary;
        intervals are None with fewer than :data:`MINIMUM_CLUSTERS` sessions, the slope's also where that few carry it:
        where forecasts are zero but on one day, every other session says nothing of the slope, and its error looks small.
    """
    return calibration_line(matured_signals(signals, labels))


def calibration_line(rows: pl.DataFrame) -> dict[str, Any]:
    """Regression of :func:`mincer_zarnowitz` on rows of :func:`matured_signals`."""
    sessions = rows.get_column("session").rank("dense").cast(pl.Int64).to_numpy() - 1
    clusters = int(sessions.max()) + 1 if len(rows) else 0
    names = ("slope", "slope_lower", "slope_upper", "intercept", "intercept_lower", "intercept_upper")
    result: dict[str, Any] = dict.fromkeys(names) | {"rows": len(rows), "sessions": clusters}
    x, y = rows.get_column("expected_return").to_numpy(), rows.get_column("label").to_numpy()
    if not len(rows) or np.ptp(x) == 0.0:
        return result
    spread = x - x.mean()
    slope = float((spread * y).sum() / (spread**2).sum())
    intercept = float(y.mean() - slope * x.mean())
    result |= {"slope": slope, "intercept": intercept}
    if clusters < MINIMUM_CLUSTERS:
        return result
    from scipy.special import stdtrit

    error = y - intercept - slope * x
    correction = clusters / (clusters - 1)
    critical = float(stdtrit(clusters - 1, 0.975))
    # Influence of each row on either estimate; summed by session, their squares give the clustered variance.
    influence_slope = spread / (spread**2).sum() * error
    influence_intercept = error / len(x) - x.mean() * influence_slope
    by_session = np.bincount(sessions, spread**2, minlength=clusters)
    carrying = by_session.sum() ** 2 / (by_session**2).sum()  # as many sessions of equal weight would tell as much
    for name, estimate, influence in (
        ("slope", slope, influence_slope),
        ("intercept", intercept, influence_intercept),
    ):
        if name == "slope" and carrying < MINIMUM_CLUSTERS:
            continue
        by_session = np.bincount(sessions, influence, minlength=clusters)
        half_width = critical * math.sqrt(correction * float((by_session**2).sum()))
        result |= {f"{name}_lower": estimate - half_width, f"{name}_upper": estimate + half_width}
    return result


def coverage(signals: pl.DataFrame, labels: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Share of matured labels inside their intervals.

    Returns
    -------
    dict
        ``{"overall": {"50": ..., "80": ..., "90": ...}, "low_volatility": {...}, ...}``; empty without rows, and a tercile
        with fewer than :data:`MINIMUM_PART_ROWS` is left out.
    """
    return coverage_of(matured_signals(signals, labels))


def coverage_of(rows: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Coverage as in :func:`coverage`, of rows of :func:`matured_signals`."""
    if rows.is_empty():
        return {}
    thirds = (pl.col("residual_volatility").rank("ordinal") - 1) * 3 // pl.len()
    inside = [
        pl.col("label").is_between(f"lower_{level}", f"upper_{level}").mean().alias(level) for level in _nominal()
    ]
    parts = {"overall": rows.select(inside).row(0, named=True)}
    enough = pl.len() >= MINIMUM_PART_ROWS
    by_tercile = (
        rows.group_by(thirds.alias("tercile"), maintain_order=True)
        .agg(*inside, enough.alias("enough"))
        .filter("enough")
    )
    by_tercile = by_tercile.drop("enough").sort("tercile")
    for row in by_tercile.iter_rows(named=True):
        parts[TERCILES[row.pop("tercile")]] = row
    return parts


def calibration_error(covered: dict[str, dict[str, float]]) -> float | None:
    """Largest absolute gap between coverage and nominal in the result of :func:`coverage`; None without rows."""
    gaps = [abs(part[level] - nominal) for part in covered.values() for level, nominal in _nominal().items()]
    return max(gaps, default=None)


def calibration_error_interval(rows: pl.DataFrame, seed: int) -> tuple[float, float] | None:
    """95 % interval of the calibration error, from the stationary bootstrap over sessions.

    Parameters
    ----------
    rows : polars.DataFrame
        From :func:`matured_signals`.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    tuple of float or None
        None with fewer than :data:`~aurora_pipeline.monitoring.performance.MINIMUM_SESSIONS` sessions. The error is the largest
        of several gaps, so a resample's tends to lie above the sample's: the interval errs towards a larger error.
    """
    sessions = rows.get_column("session").n_unique()
    if sessions < MINIMUM_SESSIONS:
        return None
    thirds = ((pl.col("residual_volatility").rank("ordinal") - 1) * 3 // pl.len()).alias("tercile")
    inside = [pl.col("label").is_between(f"lower_{level}", f"upper_{level}").alias(level) for level in _nominal()]
    counted = (
        rows.select("session", thirds, *inside)
        .group_by("session", "tercile", maintain_order=True)
        .agg(pl.len().alias("rows"), pl.col(list(_nominal())).sum())
    )
    grid = counted.select(pl.col("session").unique().sort()).join(pl.DataFrame({"tercile": [0, 1, 2]}), how="cross")
    cells = grid.join(counted.cast({"tercile": pl.Int64}), on=["session", "tercile"], how="left", maintain_order="left")
    counts = cells.select("rows", *_nominal()).fill_null(0).to_numpy().astype(np.float64).reshape(sessions, 3, -1)
    draws = stationary_bootstrap(sessions, ERROR_RESAMPLES, seed)
    weight = np.stack([np.bincount(draw, minlength=sessions) for draw in draws]).astype(np.float64)
    totals = np.tensordot(weight, counts, axes=1)
    parts = np.concatenate([totals.sum(axis=1, keepdims=True), totals], axis=1)
    covered = parts[:, :, 1:] / np.maximum(parts[:, :, :1], 1.0)
    errors = np.abs(covered - np.array(list(_nominal().values()))).max(axis=(1, 2))
    lower, upper = np.percentile(errors, [2.5, 97.5])
    return float(lower), float(upper)


def _nominal() -> dict[str, float]:
    return {str(round(100 * level)): level for level in LEVELS}
