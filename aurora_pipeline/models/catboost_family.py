"""Gradient-boosted trees by CatBoost: oblivious trees, one split for a whole level, rounds chosen on the purged tail.

Prokhorenkova et al., "CatBoost: unbiased boosting with categorical features", NeurIPS 2018. A tree that asks the same question
of all rows of a level is the weakest learner of the three boosters, and errs differently. A second
thread gains CatBoost nothing at this size and may add in another order: fits use one, whatever the settings say.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from aurora_pipeline.errors import TrainingError
from aurora_pipeline.models.search_space import Range, SearchSpace
from aurora_pipeline.models.tail_choice import Scores, TailChosenModel, round_choices, unreadable
from aurora_pipeline.models.train_block import Float32, Int64, TrainBlock
from aurora_pipeline.settings import Settings


class CatBoostModel(TailChosenModel):
    """CatBoost regression on the rank target.

    Parameters
    ----------
    parameters : dict
        CatBoost's own parameters.
    rounds : int
        Most rounds.
    """

    family: ClassVar[str] = "catboost"
    file_name: ClassVar[str] = "catboost.cbm"
    choice_name: ClassVar[str] = "rounds"
    library: ClassVar[str | None] = "catboost"
    search_space: ClassVar[SearchSpace] = {
        "catboost_learning_rate": Range(0.02, 0.2, logarithmic=True),
        "catboost_depth": Range(2, 6),
        "tree_leaf_penalty": Range(100.0, 10_000.0, logarithmic=True),
        "tree_row_share": Range(0.2, 0.8),
        "tree_feature_share": Range(0.1, 0.6),
    }

    def __init__(self, parameters: dict[str, Any], rounds: int) -> None:
        super().__init__(parameters)
        self.rounds = rounds

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Return an unfitted model with the `models.catboost_...` settings and shares and penalty from `models.tree_...`."""
        models = settings.models
        parameters = {
            "loss_function": "RMSE",
            "boosting_type": "Plain",
            "bootstrap_type": "Bernoulli",
            "learning_rate": models.catboost_learning_rate,
            "depth": models.catboost_depth,
            "subsample": models.tree_row_share,
            "rsm": models.tree_feature_share,
            "l2_leaf_reg": models.tree_leaf_penalty,
            "border_count": 16,
            "random_seed": settings.seed,
        }
        return cls(parameters, models.catboost_rounds)

    @classmethod
    def load(cls, directory: Path, threads: int) -> Self:
        """Read a model in CatBoost's own format."""
        import catboost

        model = cls({}, 0)
        try:
            model.fitted = catboost.CatBoost().load_model(str(directory / cls.file_name))
        except catboost.CatBoostError as error:
            raise unreadable(directory / cls.file_name, "CatBoost", error) from error
        model.choice = model.fitted.tree_count_
        return model

    def candidates(self, block: TrainBlock, rows: Int64) -> Iterable[tuple[int, Scores]]:
        """Fit once, and cut at each of :func:`~aurora_pipeline.models.tail_choice.round_choices`."""
        booster = self.refit(block, rows, self.rounds)
        for rounds in round_choices(self.rounds):
            yield rounds, partial(_raw, booster, rounds=rounds)

    def refit(self, block: TrainBlock, rows: Int64, choice: int) -> Any:
        """Train a model of so many rounds."""
        import catboost

        booster = catboost.CatBoost(
            {
                **self.parameters,
                "iterations": choice,
                "thread_count": 1,
                "allow_writing_files": False,
                "logging_level": "Silent",
            }
        )
        data = catboost.Pool(
            block.X[rows],
            block.target[rows],
            weight=block.weights[rows],
            feature_names=list(block.feature_names),
            thread_count=1,
        )
        try:
            booster.fit(data)
        except catboost.CatBoostError as error:  # raised before the first tree where no feature varies
            raise TrainingError(
                f"catboost: nothing to fit on {len(rows)} rows, every feature is constant: {error}"
            ) from error
        return booster

    def score(self, X: Float32) -> Float32:
        """Sum of the trees' leaves for each row."""
        return _raw(self.fitted, X, 0).astype(np.float32)

    def columns(self) -> int:
        """Return the number of features of the model."""
        return len(self.fitted.feature_names_)

    def write(self, file: Path) -> None:
        """Write CatBoost's own format, without the moment and the random identifier that would make equal fits differ."""
        notes = self.fitted.get_metadata()
        for key in list(notes.keys()):
            del notes[key]
        self.fitted.save_model(str(file), format="cbm")

    def importance(self) -> dict[str, Any]:
        """Change of the prediction by feature, percent, under `gain` as for the other boosters."""
        if self.fitted is None:
            return {"gain": {}}
        names, values = self.fitted.feature_names_, self.fitted.get_feature_importance()
        return {"gain": {name: float(value) for name, value in zip(names, values, strict=True)}}


def _raw(booster: Any, X: Float32, rounds: int) -> npt.NDArray[np.float64]:
    """Scores by the first so many rounds, by all of them for 0."""
    scores: npt.NDArray[np.float64] = booster.predict(
        np.ascontiguousarray(X), prediction_type="RawFormulaVal", ntree_end=rounds, thread_count=1
    )
    return scores
