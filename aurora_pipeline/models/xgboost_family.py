"""Gradient-boosted trees by XGBoost: shallow trees grown level by level, rounds chosen on the purged tail.

Chen and Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016. Where LightGBM grows the best leaf next, these
trees are balanced and see other columns at every split, so the two families err differently. Bins are few for the
reason LightGBM's thresholds are random here.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from aurora_pipeline.models.search_space import TREE_SHAPE, TREE_STEPS, Range, SearchSpace
from aurora_pipeline.models.tail_choice import Scores, TailChosenModel, round_choices, unreadable
from aurora_pipeline.models.train_block import Float32, Int64, TrainBlock
from aurora_pipeline.settings import Settings


class XGBoostModel(TailChosenModel):
    """XGBoost regression on the rank target.

    Parameters
    ----------
    parameters : dict
        XGBoost's own parameters.
    rounds : int
        Most rounds.
    leaf_share : float
        Fewest rows in a leaf, share of the rows fitted.
    threads : int
        Threads of a fit.
    """

    family: ClassVar[str] = "xgboost"
    file_name: ClassVar[str] = "xgboost.ubj"
    choice_name: ClassVar[str] = "rounds"
    library: ClassVar[str | None] = "xgboost"
    search_space: ClassVar[SearchSpace] = {**TREE_SHAPE, **TREE_STEPS, "tree_depth": Range(2, 5)}

    def __init__(self, parameters: dict[str, Any], rounds: int, leaf_share: float, threads: int) -> None:
        super().__init__(parameters)
        self.rounds = rounds
        self.leaf_share = leaf_share
        self.threads = threads

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Return an unfitted model with the `models.tree_...` settings."""
        models = settings.models
        parameters = {
            "objective": "reg:squarederror",
            "base_score": 0.0,
            "eta": models.tree_learning_rate,
            "max_depth": models.tree_depth,
            "subsample": models.tree_row_share,
            "colsample_bynode": models.tree_feature_share,
            "lambda": models.tree_leaf_penalty,
            "max_bin": 16,
            "tree_method": "hist",
            "seed": settings.seed,
            "verbosity": 0,
        }
        return cls(parameters, models.tree_rounds, models.tree_leaf_share, settings.threads)

    @classmethod
    def load(cls, directory: Path, threads: int) -> Self:
        """Read a booster in XGBoost's binary JSON format."""
        import xgboost

        model = cls({}, 0, 0.0, threads)
        try:
            model.fitted = xgboost.Booster({"nthread": threads}, model_file=directory / cls.file_name)
        except xgboost.core.XGBoostError as error:
            raise unreadable(directory / cls.file_name, "XGBoost", error) from error
        model.choice = model.fitted.num_boosted_rounds()
        return model

    def candidates(self, block: TrainBlock, rows: Int64) -> Iterable[tuple[int, Scores]]:
        """Fit once, and cut at each of :func:`~aurora_pipeline.models.tail_choice.round_choices`."""
        booster = self.refit(block, rows, self.rounds)
        for rounds in round_choices(self.rounds):
            yield rounds, partial(_raw, booster, rounds=rounds)

    def refit(self, block: TrainBlock, rows: Int64, choice: int) -> Any:
        """Train a booster of so many rounds."""
        import xgboost

        parameters = {
            **self.parameters,
            "nthread": self.threads,
            "min_child_weight": self.leaf_share * len(rows),
        }
        data = xgboost.QuantileDMatrix(
            block.X[rows],
            block.target[rows],
            weight=block.weights[rows],
            feature_names=list(block.feature_names),
            max_bin=parameters["max_bin"],
            nthread=parameters["nthread"],
        )
        return xgboost.train(parameters, data, num_boost_round=choice)

    def score(self, X: Float32) -> Float32:
        """Sum of the trees' leaves for each row."""
        return _raw(self.fitted, X, 0).astype(np.float32)

    def columns(self) -> int:
        """Return the number of features of the booster."""
        return int(self.fitted.num_features())

    def write(self, file: Path) -> None:
        """Write XGBoost's binary JSON format."""
        self.fitted.save_model(file)

    def importance(self) -> dict[str, Any]:
        """Gain by feature."""
        gain = {} if self.fitted is None else self.fitted.get_score(importance_type="total_gain")
        return {"gain": {name: float(value) for name, value in sorted(gain.items())}}


def _raw(booster: Any, X: Float32, rounds: int) -> Float32:
    """Scores by the first so many rounds, by all of them for 0."""
    scores: Float32 = booster.inplace_predict(X, iteration_range=(0, rounds), validate_features=False)
    return scores
