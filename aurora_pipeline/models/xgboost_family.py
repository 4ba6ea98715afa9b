"""Gradient-boosted trees by XGBoost: shallow trees grown level by level, rounds chosen on the purged tail.

Chen and Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016. Where LightGBM grows the best leaf next,
these trees are balanced and see other columns at every level, so the two families err differently.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from aurora_pipeline.errors import ModelError
from aurora_pipeline.models.tail_choice import mean_rank_correlation, require_columns, require_variation
from aurora_pipeline.models.train_block import Float32, TrainBlock
from aurora_pipeline.settings import Settings

FILE = "xgboost.ubj"


class XGBoostModel:
    """XGBoost regression on the standardised target.

    Parameters
    ----------
    parameters : dict
        XGBoost's own parameters.
    rounds, patience : int
        Most rounds, and rounds without gain in validation IC before the search stops.
    """

    family: ClassVar[str] = "xgboost"

    def __init__(self, parameters: dict[str, Any], rounds: int, patience: int) -> None:
        self.parameters = parameters
        self.rounds = rounds
        self.patience = patience
        self.chosen_rounds: int | None = None
        self.validation_ic: float | None = None
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
            "min_child_weight": float(models.tree_leaf_rows),
            "subsample": models.tree_row_share,
            "colsample_bylevel": models.tree_feature_share,
            "lambda": models.tree_leaf_penalty,
            "max_bin": 64,
            "tree_method": "hist",
            "seed": settings.seed,
            "nthread": settings.threads,
            "verbosity": 0,
        }
        return cls(parameters, models.tree_rounds, models.early_stopping_rounds)

    @classmethod
    def load(cls, directory: Path, threads: int) -> Self:
        """Read a booster in XGBoost's binary JSON format."""
        import xgboost

        model = cls({"nthread": threads}, 0, 0)
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
        import xgboost

        self.unusable = block.unusable_features
        tail = block.validation
        groups, target = block.groups[tail], block.target[tail]

        def validation_ic(prediction: Any, _: Any) -> tuple[str, float]:
            return "ic", mean_rank_correlation(prediction, target, groups)

        search = self._matrix(block, block.fit)
        stopping = xgboost.callback.EarlyStopping(rounds=self.patience, metric_name="ic", maximize=True)
        searched = xgboost.train(
            {**self.parameters, "disable_default_eval_metric": True},
            search,
            num_boost_round=self.rounds,
            evals=[(xgboost.DMatrix(block.X[tail], target, feature_names=list(block.feature_names)), "tail")],
            custom_metric=validation_ic,
            callbacks=[stopping],
            verbose_eval=False,
        )
        self.chosen_rounds = searched.best_iteration + 1
        self.validation_ic = float(searched.best_score)
        everything = np.arange(len(block.X), dtype=np.int64)
        self.booster = xgboost.train(
            self.parameters, self._matrix(block, everything), num_boost_round=self.chosen_rounds
        )
        require_variation(self.predict(block.X), self.family, block)

    def _matrix(self, block: TrainBlock, rows: Any) -> Any:
        import xgboost

        return xgboost.QuantileDMatrix(
            block.X[rows],
            block.target[rows],
            weight=block.weights[rows],
            feature_names=list(block.feature_names),
            max_bin=self.parameters["max_bin"],
            nthread=self.parameters["nthread"],
        )

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
            "validation_ic": self.validation_ic,
            "unusable_features": self.unusable,
            "gain": {name: float(value) for name, value in sorted(gain.items())},
        }
