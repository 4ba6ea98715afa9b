"""Ensemble of the families, weighted by the information coefficient their matured out-of-fold scores had.

1. :func:`session_information_coefficients`: rank IC of each family and session, split by the moment it matured;
2. :func:`ensemble_weights`: for a session, the mean of the ICs that had matured before its open, exponentially
   weighted over sessions, shrunk towards the families' common mean (hence the weights towards equality), floored at
   0, normalised, capped; in the correlation-aware variant of :mod:`aurora_pipeline.ensemble.score_correlation` families
   that say the same thing share their weight;
3. :func:`combine`: weighted mean of the families' z-scores within each decision time, and beside it the unweighted mean and
   the score of the one family that had the best matured IC.

Everything is computed from the history given and nothing is remembered, so one session alone and a range agree to the
last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import empty
from aurora_pipeline.ensemble.combination import combine_scores
from aurora_pipeline.ensemble.score_correlation import ScoreCorrelations, uncorrelated_shares
from aurora_pipeline.models.train_block import group_ends
from aurora_pipeline.monitoring.information_coefficient import decision_time_correlations, segment_means
from aurora_pipeline.settings import EnsembleSettings, Settings

Float64 = npt.NDArray[np.float64]


def session_information_coefficients(predictions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Rank IC of each family, by session and moment of maturity.

    The decision times of one session mature at different moments, some of them sessions later than others. Rows are
    therefore kept by moment: what had matured before an open does not depend on what matures after it.

    Parameters
    ----------
    predictions : polars.DataFrame
        Table `predictions`, out of fold.
    labels : polars.DataFrame
        Table `labels`.

    Returns
    -------
    polars.DataFrame
        `session`, `model`, `matured_at` (latest of the rows behind it), `ic` (mean over decision times),
        `decision_times`, `names` (pairs of score and label).
    """
    correlations = decision_time_correlations(predictions, labels, by=["model"]).drop_nulls("ic")
    keys = ["session", "model", "matured_at"]
    ordered = correlations.sort(["model", "session", "matured_at", "decision_time"])
    groups = ordered.group_by(keys, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("decision_times"), pl.col("names").sum()
    )
    ends = np.cumsum(groups.get_column("decision_times").to_numpy())
    ic = segment_means(ordered.get_column("ic").to_numpy(), ends)
    return groups.with_columns(pl.Series("ic", ic)).select(*keys, "ic", "decision_times", "names").sort(keys)


def ensemble_weights(
    sessions: Sequence[date],
    opens: Mapping[date, datetime],
    session_ics: pl.DataFrame,
    families: Sequence[str],
    settings: Settings,
    correlations: ScoreCorrelations | None = None,
) -> pl.DataFrame:
    """Weights in force during sessions.

    Parameters
    ----------
    sessions : sequence of date
        Sessions to weight.
    opens : mapping of date to datetime
        Opening moment of each of them.
    session_ics : polars.DataFrame
        Result of :func:`session_information_coefficients` over the whole history.
    families : sequence of str
        Families that trade.
    settings : Settings
        Section `ensemble`: half-life, shrinkage, cap, fewest sessions.
    correlations : ScoreCorrelations, optional
        How alike the families' scores were; given where `ensemble.correlation_aware` is set.

    Returns
    -------
    polars.DataFrame
        Table `ensemble_weights`: one row per session and family, weights of a session adding up to 1. A family with
        too little evidence is given the mean IC of the others and flagged `cold_start`; if that is all of them, or
        none is positive (`all_negative`), weights are equal. `best_single` marks the family with the highest matured IC
        among those with enough evidence, the first by name where several have it.
    """
    families = sorted(families)
    histories = [_History.of(session_ics.filter(pl.col("model") == family)) for family in families]
    moments = pl.Series([opens[session] for session in sessions], dtype=TIMESTAMP).to_physical().to_numpy()
    rows: list[tuple[Any, ...]] = []
    for session, moment in zip(sessions, moments, strict=True):
        evidence = [history.matured_before(moment, settings.ensemble.half_life_sessions) for history in histories]
        counts = np.array([count for _, count, _, _ in evidence])
        cold = counts < settings.ensemble.minimum_sessions
        means = np.array([ic for ic, *_ in evidence])
        alike = None if correlations is None else correlations.before(session, families, settings.ensemble)
        weights, all_negative = _weights(means, cold, settings.ensemble, alike)
        best = None if cold.all() else int(np.argmax(np.where(cold, -np.inf, means)))
        others = [None] * len(families) if alike is None else _mean_with_others(alike)
        for k, (family, (ic, count, pairs, through)) in enumerate(zip(families, evidence, strict=True)):
            flags = (bool(cold[k]), all_negative, k == best)
            rows.append((session, family, weights[k], ic if count else None, others[k], count, pairs, *flags, through))
    schema = empty("ensemble_weights").schema
    frame = pl.DataFrame(rows, schema={**schema, "evidence_through": pl.Int64}, orient="row")
    return frame.cast(schema)


@dataclass(frozen=True)
class _History:
    """ICs of one family as arrays, ordered by session and maturity; times in microseconds since the epoch."""

    session: npt.NDArray[np.int64]
    matured_at: npt.NDArray[np.int64]
    ic: Float64
    decision_times: Float64
    names: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> _History:
        rows = rows.sort("session", "matured_at")
        return cls(
            rows.get_column("session").to_physical().cast(pl.Int64).to_numpy(),
            rows.get_column("matured_at").to_physical().to_numpy(),
            rows.get_column("ic").to_numpy(),
            rows.get_column("decision_times").cast(pl.Float64).to_numpy(),
            rows.get_column("names").cast(pl.Int64).to_numpy(),
        )

    def matured_before(self, moment: int, half_life: float) -> tuple[float, int, int, int | None]:
        """Exponentially weighted mean IC, the sessions and pairs behind it, and the latest maturity among them."""
        matured = np.flatnonzero(self.matured_at < moment)
        if not matured.size:
            return 0.0, 0, 0, None
        ends = group_ends(self.session[matured])
        times = self.decision_times[matured]
        ic = segment_means(self.ic[matured] * times, ends) / segment_means(times, ends)
        weights = 0.5 ** (np.arange(len(ic))[::-1] / half_life)
        mean = float((weights * ic).sum() / weights.sum())
        return mean, len(ic), int(self.names[matured].sum()), int(self.matured_at[matured].max())


def _weights(
    ic: Float64, cold: npt.NDArray[np.bool_], settings: EnsembleSettings, correlation: Float64 | None
) -> tuple[list[float], bool]:
    """Shrink, floor, normalise and cap; the flag says that nothing was positive."""
    count = len(ic)
    equal = [1.0 / count] * count
    if cold.all():
        return equal, False
    common = float(ic[~cold].mean())
    shrunk = np.where(cold, common, settings.shrinkage * common + (1.0 - settings.shrinkage) * ic)
    if not (shrunk > 0.0).any():
        return equal, True
    positive = np.maximum(shrunk, 0.0) if correlation is None else uncorrelated_shares(shrunk, correlation)
    return capped(positive / positive.sum(), settings.cap).tolist(), False


def _mean_with_others(correlation: Float64) -> list[float | None]:
    count = len(correlation)
    return [None if count == 1 else float((row.sum() - 1.0) / (count - 1)) for row in correlation]


def capped(weights: Float64, cap: float) -> Float64:
    """Limit weights to max(cap, 1 / number of positive ones), the excess going to the others in proportion.

    Parameters
    ----------
    weights : ndarray of shape (n_families,)
        Not negative, adding up to 1.
    cap : float
        Largest weight.
    """
    limit = max(cap, 1.0 / np.count_nonzero(weights))
    out = weights.copy()
    held = np.zeros(len(out), dtype=bool)
    while (out > limit + 1e-12).any():
        held |= out > limit
        free = ~held & (out > 0.0)
        out[held] = limit
        if not free.any():
            break
        out[free] = out[free] / out[free].sum() * (1.0 - limit * held.sum())
    return out


def weight_violations(weights: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Rows of `ensemble_weights` that are negative, above the cap, or of a session that does not add up to 1."""
    positive = (pl.col("weight") > 0.0).sum().over("session")
    limit = pl.max_horizontal(pl.lit(settings.ensemble.cap), 1.0 / positive)
    total = pl.col("weight").sum().over("session")
    sound = (pl.col("weight") >= 0.0) & (pl.col("weight") <= limit + 1e-9) & ((total - 1.0).abs() <= 1e-9)
    return weights.filter(~sound)


def combine(predictions: pl.DataFrame, weights: pl.DataFrame) -> pl.DataFrame:
    """Combine the families' scores into one.

    Each family is standardised over the names it scored at a decision time; a constant family contributes 0. A family
    without a score for a name is left out there and the other weights are scaled up; where only families of weight 0
    are left they count equally.

    Parameters
    ----------
    predictions : polars.DataFrame
        Table `predictions`. Families without a weight in their session are left out.
    weights : polars.DataFrame
        Table `ensemble_weights` of these sessions: `session`, `model`, `weight` and, for the score of the best single
        family, `best_single`; without it that score is null.

    Returns
    -------
    polars.DataFrame
        Table `ensemble`, sorted by decision time and symbol.
    """
    families = weights.get_column("model").unique().sort()
    scores = predictions.filter(pl.col("score").is_not_null()).join(
        weights.select("session", "model", "weight"), on=["session", "model"], how="inner"
    )
    if scores.is_empty():
        return empty("ensemble")
    keys = ["session", "decision_time", "symbol"]
    wide = scores.pivot("model", index=keys, values=["score", "weight"], aggregate_function=None).sort(keys[1:])
    names = [name for name in families if f"score_{name}" in wide.columns]
    best = _best_single(wide.get_column("session"), weights, names)
    Z = wide.select(pl.col(f"score_{name}").cast(pl.Float64) for name in names).to_numpy()
    W = wide.select(f"weight_{name}" for name in names).to_numpy()
    ends = group_ends(wide.get_column("decision_time").to_physical().to_numpy())
    score, equal, single, disagreement = combine_scores(np.array(Z, order="C"), np.ascontiguousarray(W), best, ends)
    return wide.select(
        "session",
        "symbol",
        "decision_time",
        pl.Series("score", score),
        pl.Series("equal_weight_score", equal),
        pl.Series("best_single_score", single).fill_nan(None),
        pl.Series("disagreement", disagreement),
    )


def _best_single(sessions: pl.Series, weights: pl.DataFrame, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Position of the best single family of each row's session among `names`; -1 where there is none."""
    if "best_single" not in weights.columns:
        return np.full(len(sessions), -1, np.int64)
    position = pl.DataFrame({"model": names, "position": np.arange(len(names))}, schema_overrides={"model": pl.String})
    best = weights.filter("best_single").select("session", "model").join(position, on="model")
    beside = pl.DataFrame({"session": sessions}).join(best, on="session", how="left", maintain_order="left")
    return beside.get_column("position").fill_null(-1).cast(pl.Int64).to_numpy()
