"""What a fitted model leans on: gain where the family counts it, and permutation on the purged tail.

Permutation importance of a feature is the IC a model loses on the validation tail when the feature's values change hands
among the names of each decision time (Breiman, "Random Forests", Machine Learning 45, 2001; shuffling within a decision time
keeps what all names share). The model was fitted on the tail too once its penalty or rounds were chosen, so the number says
what the model uses, not what will pay; the feature audit and the out-of-fold IC say the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.models.model_factory import Model
from aurora_pipeline.models.tail_choice import mean_rank_correlation
from aurora_pipeline.models.train_block import Float32, Int64, TrainBlock, group_ends

PERMUTED_DECISION_TIMES = 5
"""Decision times of the tail that are shuffled, spread evenly: enough to rank features, cheap beside a fit."""
_BATCH_VALUES = 4_000_000
"""Matrix values predicted at once (16 MB)."""


def feature_importance(model: Model, block: TrainBlock, gain: dict[str, float], seed: int) -> pl.DataFrame:
    """Importance of each feature of a fitted model.

    Parameters
    ----------
    model : Model
        Fitted on `block`.
    block : TrainBlock
        Its train block.
    gain : dict of str to float
        Loss a family's splits on a feature took away; empty where the family has no such number.
    seed : int
        Seed of the shuffles.

    Returns
    -------
    polars.DataFrame
        `feature`, `permutation` (IC lost on the tail, 0.01 = one point of IC), `gain` (share of all gain; null where the
        family has none), largest permutation importance first.
    """
    total = sum(gain.values())
    shares = [gain.get(name, 0.0) / total if total > 0.0 else None for name in block.feature_names]
    used = [not gain or gain.get(name, 0.0) > 0.0 for name in block.feature_names]
    frame = pl.DataFrame(
        {
            "feature": block.feature_names,
            "permutation": permutation_importance(model, block, seed, used),
            "gain": shares,
        },
        schema={"feature": pl.String, "permutation": pl.Float64, "gain": pl.Float64},
    )
    return frame.sort(["permutation", "feature"], descending=[True, False])


def permutation_importance(
    model: Model, block: TrainBlock, seed: int, used: Sequence[bool] | None = None
) -> list[float]:
    """IC on part of the tail, less the IC after each feature was shuffled within its decision times; in feature order.

    Features that the model does not use (`used`, all if not given) lose nothing and are not shuffled.
    """
    rows = block.validation[spread_rows(block.groups[block.validation], PERMUTED_DECISION_TIMES)]
    X, target, groups = block.X[rows], block.target[rows], block.groups[rows]
    order = _within_groups(groups, np.random.default_rng(seed))
    base = mean_rank_correlation(model.predict(X), target, groups)
    shuffled = np.flatnonzero(np.ones(X.shape[1], bool) if used is None else np.asarray(used))
    lost = np.zeros(X.shape[1])
    size = max(1, _BATCH_VALUES // X.size)
    for first in range(0, len(shuffled), size):
        columns = shuffled[first : first + size]
        scores = model.predict(_shuffled(X, order, columns)).reshape(len(columns), len(X))
        lost[columns] = [base - mean_rank_correlation(score, target, groups) for score in scores]
    return lost.tolist()


def spread_rows(groups: Int64, count: int) -> Int64:
    """Places of the rows of at most `count` decision times, spread evenly over those of `groups`."""
    times = np.unique(groups)
    chosen = times[np.unique(np.linspace(0, len(times) - 1, count).round().astype(np.int64))]
    rows: Int64 = np.flatnonzero(np.isin(groups, chosen))
    return rows


def _within_groups(groups: Int64, generator: np.random.Generator) -> Int64:
    """Rows in an order that shuffles each group among itself."""
    order = np.arange(len(groups), dtype=np.int64)
    start = 0
    for stop in group_ends(groups).tolist():
        generator.shuffle(order[start:stop])
        start = stop
    return order


def _shuffled(X: Float32, order: Int64, columns: Int64) -> Float32:
    """One copy of X below the other, in each another column shuffled."""
    copies: Any = np.repeat(X[None], len(columns), axis=0)
    for copy, column in enumerate(columns):
        copies[copy, :, column] = X[order, column]
    stacked: Float32 = copies.reshape(-1, X.shape[1])
    return stacked
