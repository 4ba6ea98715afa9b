"""What each model version's predictions came to, once their labels had matured."""

from __future__ import annotations

import polars as pl

from aurora_pipeline.monitoring.information_coefficient import decision_time_correlations, session_means


def version_information_coefficients(predictions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Out-of-fold IC of each model version.

    Parameters
    ----------
    predictions : polars.DataFrame
        Table `predictions`.
    labels : polars.DataFrame
        Table `labels`: matured rows only, so a prediction that has not matured does not count.

    Returns
    -------
    polars.DataFrame
        `model_version`, `ic` (mean over decision times within sessions, then over sessions), `sessions`; versions without a
        matured prediction are absent. Sorted by version.
    """
    correlations = decision_time_correlations(predictions, labels, by=["model_version"])
    sessions = session_means(correlations, by=["model_version"])
    return (
        sessions.group_by("model_version", maintain_order=True)
        .agg(pl.col("ic").mean(), pl.len().cast(pl.Int64).alias("sessions"))
        .sort("model_version")
    )
