"""Choosing on the purged validation tail: one place for what every family does around its own fit.

1. :meth:`TailChosenModel.choose` fits candidates (penalties, boosting rounds, epochs) on the earlier rows of the train
   block and scores each on the tail, which none of them has seen; a family whose fits are cheap may have every stretch
   of the block judged in turn instead, see :meth:`TailChosenModel.splits`;
2. :meth:`TailChosenModel.fit` then fits all rows with the candidate that ranked the judged rows best.

A family says how its candidates are fitted, scored and written; see :class:`TailChosenModel`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from aurora_pipeline.errors import ModelError, TrainingError
from aurora_pipeline.models.search_space import SearchSpace
from aurora_pipeline.models.train_block import Float32, Int64, TrainBlock, group_ends
from aurora_pipeline.monitoring.information_coefficient import rank_correlations

Scores = Callable[[Float32], npt.NDArray[np.floating[Any]]]
"""What a candidate gives for a feature matrix: one score per row."""


class TailChosenModel(ABC):
    """A family whose one remaining number is chosen on the tail.

    Attributes
    ----------
    family : str
        Name of the family.
    file_name : str
        The one file a fitted model is stored in.
    choice_name : str
        What is chosen on the tail, such as `penalty` or `rounds`.
    library : str or None
        Package that fits and loads import; None for a family of our own.
    search_space : mapping
        Settings a hyper-parameter search may vary; empty where the tail's choice is all there is to choose.
    parameters : dict
        What was set beforehand; JSON-able.
    choice : int, float or None
        The candidate chosen; None before a fit.
    tail_ic : dict
        Validation IC of every candidate, the most regularised one first.
    unusable : list of str
        Features without any value in the train block.
    fitted : object or None
        What predicts: coefficients, a booster, networks.
    """

    family: ClassVar[str]
    file_name: ClassVar[str]
    choice_name: ClassVar[str]
    library: ClassVar[str | None] = None
    search_space: ClassVar[SearchSpace] = {}

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters
        self.choice: Any = None
        self.tail_ic: dict[Any, float] = {}
        self.unusable: list[str] = []
        self.fitted: Any = None

    @abstractmethod
    def candidates(self, block: TrainBlock, rows: Int64) -> Iterable[tuple[Any, Scores]]:
        """Fit all candidates on some rows of a block; each as its choice and what scores a matrix, most regularised first."""

    @abstractmethod
    def refit(self, block: TrainBlock, rows: Int64, choice: Any) -> Any:
        """Fit one candidate on some rows of a block."""

    @abstractmethod
    def score(self, X: Float32) -> Float32:
        """Score rows with what is fitted."""

    @abstractmethod
    def columns(self) -> int:
        """Return the number of features that is fitted."""

    @abstractmethod
    def write(self, file: Path) -> None:
        """Store what is fitted."""

    def importance(self) -> dict[str, Any]:
        """Further entries of the description, such as gain by feature."""
        return {}

    def splits(self, block: TrainBlock) -> Sequence[tuple[Int64, Int64]]:
        """Rows to fit candidates on and rows to judge them by; the tail and what came before it unless a family says else."""
        return ((block.fit, block.validation),)

    def choose(self, block: TrainBlock) -> float:
        """Score all candidates on rows they have not seen, keep the best as the choice, and return its validation IC."""
        self.unusable = block.unusable_features
        splits = self.splits(block)
        found: dict[Any, list[float]] = {}
        for rows, judged in splits:
            X, target, groups = block.X[judged], block.target[judged], block.groups[judged]
            for choice, scores in self.candidates(block, rows):
                found.setdefault(choice, []).append(mean_rank_correlation(scores(X), target, groups))
        self.tail_ic = {choice: sum(ics) / len(splits) for choice, ics in found.items()}
        self.choice = within_one_standard_error(found) if len(splits) > 1 else best_of_tail(self.tail_ic)
        return self.tail_ic[self.choice]

    def fit(self, block: TrainBlock) -> None:
        """Choose on the tail, then fit all rows with the choice."""
        self.choose(block)
        self.fitted = self.refit(block, np.arange(len(block.X), dtype=np.int64), self.choice)
        require_variation(self.predict(block.X), self.family, block)

    def predict(self, X: Float32) -> Float32:
        """Score of each row."""
        if self.fitted is None:
            raise ModelError(f"{self.family}: predict was called before fit")
        require_columns(X, self.columns(), self.family)
        return self.score(X)

    def save(self, directory: Path) -> None:
        """Write the fitted model into its one file."""
        if self.fitted is None:
            raise ModelError(f"{self.family}: save was called before fit")
        self.write(directory / self.file_name)

    def describe(self) -> dict[str, Any]:
        """Parameters, the choice, the validation IC of all that was tried, how many that was, features that are ignored."""
        return {
            "family": self.family,
            "parameters": self.parameters,
            self.choice_name: self.choice,
            "tail_ic": {str(choice): ic for choice, ic in self.tail_ic.items()},
            "validation_ic": self.tail_ic.get(self.choice),
            "trials": len(self.tail_ic),
            "unusable_features": self.unusable,
            **self.importance(),
        }


def mean_rank_correlation(
    prediction: npt.NDArray[np.floating[Any]], target: Float32, groups: npt.NDArray[np.int64]
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


def best_of_tail(tail_ic: Mapping[Any, float]) -> Any:
    """Candidate with the best validation IC; of equals the first, which is the more regularised one."""
    return max(tail_ic, key=lambda choice: tail_ic[choice])


def within_one_standard_error(judged: Mapping[Any, Sequence[float]]) -> Any:
    """Most regularised candidate whose mean IC is within one standard error of the best mean.

    Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees", 1984, section 3.4.3: of candidates the evidence
    cannot tell apart, the simplest. Where nearly all of the target is noise the best mean itself is mostly luck.

    Parameters
    ----------
    judged : mapping of candidate to sequence of float
        Validation IC of each stretch, the most regularised candidate first; at least two stretches.
    """
    means = {choice: float(np.mean(ics)) for choice, ics in judged.items()}
    best = best_of_tail(means)
    error = float(np.std(judged[best], ddof=1)) / len(judged[best]) ** 0.5
    return next(choice for choice, mean in means.items() if mean >= means[best] - error)


def unreadable(file: Path, what: str, error: Exception) -> ModelError:
    """Return the error for a model file that is missing or damaged."""
    return ModelError(f"{file}: not a stored {what} model: {error}; train the fold again")


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
