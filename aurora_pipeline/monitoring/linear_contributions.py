"""What each feature contributes to the scores of the linear families, exactly.

A feature's coefficient times its distance from the decision time's mean, over the standard deviation of the family's scores,
times the family's weight.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

CONSTANT = 1e-12
"""Deviation over largest score below which scores count as constant, as in the ensemble."""


def linear_contributions(
    features: pl.DataFrame, symbol: str, coefficients: Mapping[str, Mapping[str, float]], weights: Mapping[str, float]
) -> pl.DataFrame:
    """Share of each feature in a symbol's weighted z-scores of the linear families.

    Parameters
    ----------
    features : polars.DataFrame
        Table `features` of one decision time.
    symbol : str
        One of its symbols.
    coefficients : mapping of str to mapping
        Model to feature to coefficient.
    weights : mapping of str to float
        Weight of each model; 0 where it has none.

    Returns
    -------
    polars.DataFrame
        `feature`, `contribution` (z-score; sums to the weighted sum of the families' z-scores), sorted by absolute size.
    """
    row = features.get_column("symbol").to_list().index(symbol)
    totals: dict[str, float] = {}
    for model, by_feature in coefficients.items():
        names = list(by_feature)
        values = features.select(names).to_numpy().astype(np.float64)
        terms = np.nan_to_num(values, nan=0.0) * np.array(list(by_feature.values()))
        scores = terms.sum(axis=1)
        deviation = float(scores.std())
        if deviation <= CONSTANT * float(np.abs(scores).max()):
            continue
        centred = (terms[row] - terms.mean(axis=0)) / deviation * weights.get(model, 0.0)
        for name, value in zip(names, centred, strict=True):
            totals[name] = totals.get(name, 0.0) + float(value)
    frame = pl.DataFrame(
        {"feature": list(totals), "contribution": list(totals.values())},
        schema={"feature": pl.String, "contribution": pl.Float64},
    )
    return frame.sort(pl.col("contribution").abs(), descending=True)
