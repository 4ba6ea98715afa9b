"""Gradient-boosted trees by XGBoost: shallow trees grown level by level, rounds chosen on the purged tail.

Chen and Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016. Where LightGBM grows the best leaf next, these
trees are balanced and see other columns at every split, so the two families err differently. Bins are few for the
reason LightGBM's thresholds are random here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from aurora_pipeline.errors import ModelError
from aurora_pipeline.models.tail_choice import (
    best_of_tail,
    mean_rank_correlation,
    require_columns,
    require_variation,
    round_choices,
)
from aurora_pipeline.models.train_block import Float32, Int64, TrainBlock
from aurora_pipeline.settings import Settings

FILE = "xgboost.ubj"


class XGBoostModel:
    """XGBoost regression on the rank target.

    Parameters
    ----------
    parameters : dict
        XGBoost's own parameters.
    rounds : int
        Most rounds.
    leaf_share : float
        Fewest rows in a leaf, share of the rows fitted.
    """

    family: ClassVar[str] = "xgboost"

    def __init__(self, parameters: dict[str, Any], rounds: int, leaf_share: float) -> None:
        self.parameters = parameters
        self.rounds = rounds
        self.leaf_share = leaf_share
        self.chosen_rounds: int | None = None
        self.tail_ic: dict[int, float] = {}
        self.unusable: list[str] = []
        self.booster: Any = None

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
            "nthread": settings.threads,
            "verbosity": 0,
        }
        return cls(parameters, models.tree_rounds, models.tree_leaf_share)

    @classmethod
    def load(cls, directory: Path, threads: int) -> Self:
        """Read a booster in XGBoost's binary JSON format."""
        import xgboost

        model = cls({"nthread": threads}, 0, 0.0)
        try:
            model.booster = xgboost.Booster({"nthread": threads}, model_file=directory / FILE)
        except xgboost.core.XGBoostError as error:
            raise ModelError(
                f"{directory / FILE}: not a stored XGBoost model: {error}; train the fold again"
            ) from error
        model.chosen_rounds = model.booster.num_boosted_rounds()
        return model

    def fit(self, block: TrainBlock) -> None:
        """Find the rounds with the best validation IC, then fit all rows with as many."""
        self.unusable = block.unusable_features
        tail = block.validation
        search = self._train(block, block.fit, self.rounds)
        for rounds in round_choices(self.rounds):
            prediction = search.inplace_predict(block.X[tail], iteration_range=(0, rounds), validate_features=False)
            self.tail_ic[rounds] = mean_rank_correlation(prediction, block.target[tail], block.groups[tail])
        self.chosen_rounds = best_of_tail(self.tail_ic)
        self.booster = self._train(block, np.arange(len(block.X), dtype=np.int64), self.chosen_rounds)
        require_variation(self.predict(block.X), self.family, block)

    def _train(self, block: TrainBlock, rows: Int64, rounds: int) -> Any:
        import xgboost

        parameters = {**self.parameters, "min_child_weight": self.leaf_share * len(rows)}
        data = xgboost.QuantileDMatrix(
            block.X[rows],
            block.target[rows],
            weight=block.weights[rows],
            feature_names=list(block.feature_names),
            max_bin=parameters["max_bin"],
            nthread=parameters["nthread"],
        )
        return xgboost.train(parameters, data, num_boost_round=rounds)

    def predict(self, X: Float32) -> Float32:
        """Sum of the trees' leaves for each row."""
        if self.booster is None:
            raise ModelError("xgboost: predict was called before fit")
        require_columns(X, self.booster.num_features(), self.family)
        scores: Float32 = self.booster.inplace_predict(X, validate_features=False).astype(np.float32)
        return scores

    def save(self, directory: Path) -> None:
        """Write the booster in XGBoost's binary JSON format."""
        if self.booster is None:
            raise ModelError("xgboost: save was called before fit")
        self.booster.save_model(directory / FILE)

    def describe(self) -> dict[str, Any]:
        """Parameters but the number of threads, rounds chosen, their validation IC, and gain by feature."""
        gain = {} if self.booster is None else self.booster.get_score(importance_type="total_gain")
        return {
            "family": self.family,
            "parameters": {key: value for key, value in self.parameters.items() if key != "nthread"},
            "rounds": self.chosen_rounds,
            "tail_ic": {str(rounds): ic for rounds, ic in self.tail_ic.items()},
            "validation_ic": None if self.chosen_rounds is None else self.tail_ic.get(self.chosen_rounds),
            "unusable_features": self.unusable,
            "gain": {name: float(value) for name, value in sorted(gain.items())},
        }
