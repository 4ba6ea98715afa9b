"""Session ICs of every series there is: the ensemble, equal weights, the best single family, and each family."""

from __future__ import annotations

import polars as pl

from aurora_pipeline.monitoring.information_coefficient import decision_time_correlations, session_means

ENSEMBLE, EQUAL_WEIGHT, BEST_SINGLE = "ensemble", "equal_weight", "best_single"
SCORES = {ENSEMBLE: "score", EQUAL_WEIGHT: "equal_weight_score", BEST_SINGLE: "best_single_score"}
"""Series and the column of table `ensemble` that holds it."""


def session_ics(predictions: pl.DataFrame, ensemble: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Mean rank IC of each session and series.

    Parameters
    ----------
    predictions, ensemble, labels : polars.DataFrame
        Tables of the same name.

    Returns
    -------
    polars.DataFrame
        `series` (a family's name or one of :data:`SCORES`), `session`, `ic`; sorted by series and session. Sessions without a
        defined IC are left out.
    """
    by_family = session_means(decision_time_correlations(predictions, labels, by=["model"]), by=["model"])
    parts = [by_family.select(pl.col("model").alias("series"), "session", "ic")]
    for series, score in SCORES.items():
        means = session_means(decision_time_correlations(ensemble, labels, score))
        parts.append(means.select(pl.lit(series).alias("series"), "session", "ic"))
    return pl.concat(parts).sort("series", "session")
