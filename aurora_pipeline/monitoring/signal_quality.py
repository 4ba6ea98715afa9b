"""Quality of the calibrated signal by session, by month and over everything, on matured rows only.

For each period: rank IC with its interval, calibration slope and intercept with session-clustered intervals, coverage and
calibration error, sharpness (mean width of the 80 % interval; Gneiting, Balabdaoui and Raftery, JRSS B 69(2), 2007), and how long
the signal lives: rank correlation of scores with those of the same time of day a session before, and the age at which half of
it is left. Over a month and over everything also the stability of the IC.

IC stability is sqrt(max(0, sd^2 - floor^2)) with sd the standard deviation of the 21-session mean IC and floor what
sampling alone gives it where the true IC never changes: 1 / sqrt(21 (names - 1)), about 0.02 at 130 names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aurora_pipeline.contracts import empty
from aurora_pipeline.ensemble.conformal import LEVELS
from aurora_pipeline.monitoring.calibration_quality import (
    calibration_error,
    calibration_line,
    coverage_of,
    matured_signals,
)
from aurora_pipeline.monitoring.information_coefficient import (
    decision_time_correlations,
    mean_with_interval,
    session_means,
)

Float64 = npt.NDArray[np.float64]

STABILITY_SESSIONS = 21
RELIABILITY_BINS = 10
AGES = (1, 2, 3, 5, 10, 20)
"""Sessions over which the signal is held against itself."""
EVERY = 13
"""Every k-th decision time is held against itself: sessions carry information, further decision times hardly do."""
WHOLE = "all"


def signal_quality(signals: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Measure every period.

    Parameters
    ----------
    signals, labels : polars.DataFrame
        Tables of the same name.

    Returns
    -------
    polars.DataFrame
        Table `signal_quality`: one row per session, month (``2024-11``) and ``all`` with anything scored. What a period is
        too short for is null.
    """
    if signals.is_empty():
        return empty("signal_quality")
    correlations = decision_time_correlations(signals, labels)
    ics = session_means(correlations)
    names = correlations.drop_nulls("ic").group_by("session", maintain_order=True).agg(pl.col("names").mean())
    ages = signal_ages(signals)
    matured = matured_signals(signals, labels)
    rows = []
    for kind, key in (("session", "%Y-%m-%d"), ("month", "%Y-%m"), (WHOLE, None)):
        periods = signals.get_column("session").unique().sort()
        label = periods.dt.strftime(key) if key else pl.Series([WHOLE] * periods.len())
        for period in label.unique().sort():
            days = periods.filter(label == period).to_list()
            rows.append({"period": period, "kind": kind, **_period(days, matured, ics, names, ages)})
    return pl.DataFrame(rows, schema=empty("signal_quality").schema)


def _period(
    days: Sequence[date],
    matured: pl.DataFrame,
    ics: pl.DataFrame,
    names: pl.DataFrame,
    ages: pl.DataFrame,
) -> dict[str, Any]:
    inside = pl.col("session").is_between(days[0], days[-1])
    of_row = matured.get_column("session")
    first, last = of_row.search_sorted(days[0], side="left"), of_row.search_sorted(days[-1], side="right")
    rows = matured.slice(first, last - first)
    series = ics.filter(inside).get_column("ic").to_numpy()
    estimate = mean_with_interval(series)
    fit, covered = calibration_line(rows), coverage_of(rows)
    stability = ic_stability(series, names.filter(inside).get_column("names").to_numpy())
    by_age = ages.filter(inside).select(pl.col(f"age_{age}").mean() for age in AGES).row(0)
    width = (rows.get_column("upper_80") - rows.get_column("lower_80")).mean()
    spread = rows.get_column("expected_return").std()
    return {
        "sessions": len(days),
        "matured_sessions": len(series),
        "matured_rows": rows.height,
        "ic": estimate.mean,
        "ic_t": estimate.t,
        "ic_lower": estimate.lower,
        "ic_upper": estimate.upper,
        "slope": fit["slope"],
        "slope_lower": fit["slope_lower"],
        "slope_upper": fit["slope_upper"],
        **{f"{name}_bps": _bps(fit[name]) for name in ("intercept", "intercept_lower", "intercept_upper")},
        **{
            f"coverage_{round(100 * level)}": covered.get("overall", {}).get(str(round(100 * level)))
            for level in LEVELS
        },
        "calibration_error": calibration_error(covered),
        "sharpness_bps": _bps(width),
        "expected_return_bps": _bps(spread),
        **stability,
        "autocorrelation": by_age[0],
        "half_life_sessions": half_life(by_age),
    }


def ic_stability(series: Float64, names: Float64) -> dict[str, float | None]:
    """Stability of a series of session ICs of shape (n_sessions,), its sampling floor and 95 % interval.

    Parameters
    ----------
    series : ndarray of shape (n_sessions,)
        Mean IC of each session, in time order.
    names : ndarray of shape (n_sessions,)
        Mean number of names behind it.

    Returns
    -------
    dict
        `ic_stability`, `ic_stability_lower`, `ic_stability_upper` (chi-square with as many degrees of freedom as there are
        separate stretches of 21 sessions, less one) and `ic_floor`. All but the floor are None with fewer than two separate
        stretches.
    """
    result: dict[str, float | None] = dict.fromkeys(
        ("ic_stability", "ic_stability_lower", "ic_stability_upper", "ic_floor")
    )
    if not len(series):
        return result
    floor = math.sqrt(float(np.mean(1.0 / np.maximum(names - 1.0, 1.0))) / STABILITY_SESSIONS)
    result["ic_floor"] = floor
    stretches = len(series) // STABILITY_SESSIONS
    if stretches < 2:
        return result
    from scipy.special import chdtri

    cumulative = np.concatenate([[0.0], np.cumsum(series)])
    means = (cumulative[STABILITY_SESSIONS:] - cumulative[:-STABILITY_SESSIONS]) / STABILITY_SESSIONS
    variance, freedom = float(np.var(means, ddof=1)), stretches - 1
    # chdtri gives the point that chi-square exceeds with the given probability.
    bounds = [variance * freedom / float(chdtri(freedom, tail)) for tail in (0.025, 0.975)]
    values = [math.sqrt(max(0.0, level - floor**2)) for level in (variance, *bounds)]
    return result | dict(zip(("ic_stability", "ic_stability_lower", "ic_stability_upper"), values, strict=True))


def signal_ages(signals: pl.DataFrame) -> pl.DataFrame:
    """How alike a session's scores are to those :data:`AGES` sessions before, at the same time of day.

    Returns
    -------
    polars.DataFrame
        `session`, `age_1` ...: mean over its decision times of the rank correlation over names scored both times; null where
        there is no such session or no such time of day in it.
    """
    scores = signals.select("session", "symbol", "decision_time", "score")
    sessions = scores.get_column("session").unique().sort()
    clock = pl.col("decision_time").rank("dense").over("session").alias("clock")
    timed = scores.with_columns(clock).filter((pl.col("clock") - 1) % EVERY == 0)
    scores = timed.drop("clock")
    result = pl.DataFrame({"session": sessions})
    for age in AGES:
        shifted = pl.DataFrame({"session": sessions[age:], "before": sessions[: max(0, sessions.len() - age)]})
        past = timed.select(
            pl.col("session").alias("before"), "symbol", "clock", pl.col("score").alias("past_score")
        ).join(shifted, on="before")
        paired = timed.join(past, on=["session", "symbol", "clock"]).select("symbol", "decision_time", "past_score")
        alike = session_means(decision_time_correlations(scores, paired, "score", "past_score"))
        result = result.join(alike.select("session", pl.col("ic").alias(f"age_{age}")), on="session", how="left")
    return result.sort("session")


def half_life(by_age: Sequence[float | None]) -> float | None:
    """Age in sessions at which the correlation of :data:`AGES` has fallen to a half, interpolated; None if it has not."""
    known = [(0, 1.0), *((age, value) for age, value in zip(AGES, by_age, strict=True) if value is not None)]
    for (young, high), (old, low) in pairwise(known):
        if low <= 0.5 < high:
            return young + (old - young) * (high - 0.5) / (high - low)
    return None


def reliability(signals: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Realised against expected return in bins of the latter.

    Returns
    -------
    polars.DataFrame
        Table `reliability`: per month and over everything, rows in bins of expected return from lowest to highest, equal in size
        but for ties, which stay together; the mean expected and realised return in bps, and the realised mean's standard error
        clustered by session (null with one session).
    """
    rows = matured_signals(signals, labels).select(
        "session", "expected_return", "label", pl.col("session").dt.strftime("%Y-%m").alias("period")
    )
    both = pl.concat([rows, rows.with_columns(pl.lit(WHOLE).alias("period"))])
    place = (pl.col("expected_return").rank("average").over("period") - 1) * RELIABILITY_BINS
    binned = both.with_columns((place // pl.len().over("period")).cast(pl.Int64).alias("bin"))
    by_session = binned.group_by("period", "bin", "session", maintain_order=True).agg(
        pl.len().alias("rows"), pl.col("label").sum(), pl.col("expected_return").sum()
    )
    keys = ["period", "bin"]
    mean = (pl.col("label").sum() / pl.col("rows").sum()).over(keys)
    residual = by_session.with_columns((pl.col("label") - pl.col("rows") * mean).alias("residual"))
    clusters, total = pl.len(), pl.col("rows").sum()
    correction = clusters / (clusters - 1)
    error = ((pl.col("residual") ** 2).sum() * correction).sqrt() / total
    return (
        residual.group_by(keys, maintain_order=True)
        .agg(
            total.cast(pl.Int64).alias("rows"),
            (1e4 * pl.col("expected_return").sum() / total).alias("expected_bps"),
            (1e4 * pl.col("label").sum() / total).alias("realised_bps"),
            pl.when(clusters > 1).then(1e4 * error).alias("realised_error_bps"),
        )
        .sort(keys)
        .select(empty("reliability").columns)
        .cast(empty("reliability").schema)
    )


def quality_headline(quality: pl.DataFrame) -> dict[str, float]:
    """Numbers over everything, for the asset's plots."""
    whole = quality.filter(pl.col("kind") == WHOLE)
    if whole.is_empty():
        return {}
    row = whole.row(0, named=True)
    return {name: value for name, value in row.items() if isinstance(value, int | float)}


def _bps(value: Any) -> float | None:
    return None if value is None else 1e4 * float(value)
