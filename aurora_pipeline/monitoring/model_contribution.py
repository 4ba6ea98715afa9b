"""What each model that trades adds to the ensemble and to the book's result, session by session.

1. To the ensemble: the rank IC of the combined score less that of the others without it, their weights scaled up (leave one out).
2. To the result: holdings are projected on the combined score, ``x = beta s + rest``, and the score is the sum of the models'
   parts, ``s = sum_m v_m``. What the model's part earned is ``beta sum_i v_mi r_i`` with r the residual return of the session;
   the parts add up to what the book earned by following its score, and the rest comes from timing, risk and limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.bootstrap_interval import bootstrap_interval
from aurora_pipeline.monitoring.information_coefficient import decision_time_correlations, mean_with_interval

BPS = 1e4
_ROW = ["session", "decision_time", "symbol"]


def session_contributions(
    predictions: pl.DataFrame, weights: pl.DataFrame, labels: pl.DataFrame, held: pl.DataFrame, returns: pl.DataFrame
) -> pl.DataFrame:
    """Contributions of the models that served some sessions.

    Parameters
    ----------
    predictions : polars.DataFrame
        `session`, `symbol`, `decision_time`, `model`, `score` of the models that traded.
    weights : polars.DataFrame
        `session`, `model`, `weight` of the same names.
    labels : polars.DataFrame
        Table `labels`.
    held : polars.DataFrame
        `session`, `symbol`, `weight`: mean weight held in a session, fraction of NAV; none where no book is stored.
    returns : polars.DataFrame
        `session`, `symbol`, `return`: residual return of the session.

    Returns
    -------
    polars.DataFrame
        `session`, `model`, `weight`, `ensemble_gain` (null until its labels have matured, and where an IC is undefined), `result`
        (fraction of NAV; null in a session without holdings).
    """
    parts = _parts(predictions, weights)
    gains = _ensemble_gains(parts, labels)
    results = _results(parts, held, returns)
    return (
        weights.select("session", "model", "weight")
        .join(gains, on=["session", "model"], how="left")
        .join(results, on=["session", "model"], how="left")
        .sort("session", "model")
    )


def contribution_summary(contributions: pl.DataFrame, seed: int) -> list[dict[str, Any]]:
    """Each model's mean contributions with 95 % intervals, JSON-able; `result_bps` is bps of NAV a session."""
    rows = []
    for (model,), own in contributions.sort("session").partition_by("model", as_dict=True).items():
        gain = mean_with_interval(own.drop_nulls("ensemble_gain").get_column("ensemble_gain").to_numpy())
        earned = BPS * own.drop_nulls("result").get_column("result").to_numpy()
        interval = bootstrap_interval(earned, seed)
        rows.append(
            {
                "model": model,
                "family": own.get_column("family")[-1],
                "model_version": own.get_column("model_version")[-1],
                "sessions": own.height,
                "weight": own.get_column("weight").mean(),
                "ensemble_gain": gain.mean,
                "ensemble_gain_lower": gain.lower,
                "ensemble_gain_upper": gain.upper,
                "result_bps": float(np.mean(earned)) if earned.size else None,
                "result_bps_lower": interval.lower if interval else None,
                "result_bps_upper": interval.upper if interval else None,
            }
        )
    return sorted(rows, key=lambda row: str(row["model"]))


def named(contributions: pl.DataFrame, members: Mapping[str, str], versions: pl.DataFrame) -> pl.DataFrame:
    """Rows of table `model_contributions`: families become the models that served them, with their versions.

    Parameters
    ----------
    contributions : polars.DataFrame
        Result of :func:`session_contributions`, keyed by family.
    members : mapping of str to str
        Family to the model that traded it.
    versions : polars.DataFrame
        `session`, `model` (the family), `model_version`.
    """
    return (
        contributions.join(versions, on=["session", "model"], how="left")
        .rename({"model": "family"})
        .with_columns(pl.col("family").replace_strict(dict(members), return_dtype=pl.String).alias("model"))
        .select(empty("model_contributions").columns)
    )


def _parts(predictions: pl.DataFrame, weights: pl.DataFrame) -> pl.DataFrame:
    """Weighted z-score of each model and row (`part`), with the combined score, and the combined one without the model."""
    over = ["model", "decision_time"]
    score = pl.col("score").cast(pl.Float64)
    z = (score - score.mean().over(over)) / score.std(ddof=0).over(over)
    share = pl.col("weight") / pl.col("weight").sum().over(_ROW)
    return (
        predictions.select(*_ROW, "model", "score")
        .drop_nulls("score")
        .join(weights.select("session", "model", "weight"), on=["session", "model"])
        .with_columns((share * pl.when(z.is_finite()).then(z).otherwise(0.0)).fill_nan(0.0).alias("part"))
        .with_columns(pl.col("part").sum().over(_ROW).alias("whole"))
        .with_columns((pl.col("whole") - pl.col("part")).alias("without"))
        .sort("model", *_ROW)
    )


def _ensemble_gains(parts: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    known = labels.select("symbol", "decision_time", "label")
    whole = decision_time_correlations(parts, known, "whole", by=["model"])
    without = decision_time_correlations(parts, known, "without", by=["model"])
    both = whole.join(
        without.select("model", "decision_time", pl.col("ic").alias("rest")), on=["model", "decision_time"]
    )
    # A model that is alone leaves a constant, which ranks nothing: what is there is all its own.
    gain = pl.col("ic") - pl.col("rest").fill_null(0.0)
    return (
        both.drop_nulls("ic").group_by("session", "model", maintain_order=True).agg(gain.mean().alias("ensemble_gain"))
    )


def _results(parts: pl.DataFrame, held: pl.DataFrame, returns: pl.DataFrame) -> pl.DataFrame:
    of_session = parts.group_by("session", "symbol", "model", maintain_order=True).agg(
        pl.col("part").mean(), pl.col("whole").mean()
    )
    rows = of_session.join(held, on=["session", "symbol"], how="left").join(returns, on=["session", "symbol"])
    rows = rows.with_columns(pl.col("weight").fill_null(0.0))
    beta = (pl.col("weight") * pl.col("whole")).sum() / (pl.col("whole") ** 2).sum()
    earned = beta * (pl.col("part") * pl.col("return")).sum()
    found = rows.group_by("session", "model", maintain_order=True).agg(
        earned.alias("result"), (pl.col("weight") != 0.0).any().alias("_held")
    )
    return found.select("session", "model", pl.when("_held").then(pl.col("result").fill_nan(None)).alias("result"))
