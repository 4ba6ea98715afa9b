"""Choosing on the purged validation tail: the score of a set of predictions, and the best of a path of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from aurora_pipeline.errors import ModelError, TrainingError
from aurora_pipeline.models.train_block import Float32, TrainBlock, group_ends
from aurora_pipeline.monitoring.information_coefficient import rank_correlations


def mean_rank_correlation(
    prediction: npt.NDArray[np.floating], target: Float32, groups: npt.NDArray[np.int64]
) -> float:
    """Mean over decision times of the Spearman correlation of prediction and target; 0 where none is defined."""
    correlations = rank_correlations(prediction.astype(np.float64), target.astype(np.float64), group_ends(groups))
    defined = correlations[~np.isnan(correlations)]
    return float(defined.mean()) if defined.size else 0.0


def round_choices(rounds: int) -> list[int]:
    """Numbers of boosting rounds tried: a quarter, half, three quarters and all of the most.

    Neighbouring rounds hardly differ, and the tail's IC is noisy: stopping at its first peak would stop almost
    anywhere.
    """
    return sorted({max(1, rounds * quarter // 4) for quarter in (1, 2, 3, 4)})


def best_of_tail(tail_ic: Mapping[int, float]) -> int:
    """Number of rounds with the best validation IC; the smaller of equals."""
    return max(tail_ic, key=lambda rounds: (tail_ic[rounds], -rounds))


def require_columns(X: Float32, count: int, family: str) -> None:
    """Raise a ModelError unless the matrix has the number of columns the model was trained on."""
    if X.ndim != 2 or X.shape[1] != count:
        raise ModelError(
            f"{family}: got a matrix of shape {X.shape}, trained on {count} feature(s); "
            "predict with the feature list in the model's manifest"
        )


def require_variation(prediction: Float32, family: str, block: TrainBlock) -> None:
    """Raise a TrainingError if a fitted model scores every row of its train block alike or not at all."""
    if not np.isfinite(prediction).all() or np.ptp(prediction) == 0.0:
        raise TrainingError(
            f"{family}: the fitted model gives a constant or non-finite prediction on its {len(block.target)} "
            "train rows; the features hold nothing it can use under the present penalties and leaf sizes"
        )
