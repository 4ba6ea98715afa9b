"""Gradient-boosted trees by LightGBM: few leaves, large leaves, small steps, rounds chosen on the purged tail.

Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017. Deterministic histograms, so
the number of threads changes the time a fit takes and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from aurora_pipeline.errors import ModelError
from aurora_pipeline.models.tail_choice import mean_rank_correlation, require_columns, require_variation
from aurora_pipeline.models.train_block import Float32, TrainBlock
from aurora_pipeline.settings import Settings

FILE = "lightgbm.txt"


class LightGBMModel:
    """LightGBM regression on the standardised target.

    Parameters
    ----------
    parameters : dict
        LightGBM's own parameters.
    rounds, patience : int
        Most rounds, and rounds without gain in validation IC before the search stops.
    """

    family: ClassVar[str] = "lightgbm"

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
            "objective": "regression",
            "learning_rate": models.tree_learning_rate,
            "num_leaves": models.tree_leaves,
            "min_data_in_leaf": models.tree_leaf_rows,
            "bagging_fraction": models.tree_row_share,
            "bagging_freq": 1,
            "feature_fraction": models.tree_feature_share,
            "lambda_l2": models.tree_leaf_penalty,
            "max_bin": 63,
            "seed": settings.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": settings.threads,
            "verbosity": -1,
        }
        return cls(parameters, models.tree_rounds, models.early_stopping_rounds)

    @classmethod
    def load(cls, directory: Path, threads: int) -> Self:
        """Read a booster in LightGBM's text format."""
        import lightgbm

        model = cls({"num_threads": threads}, 0, 0)
        try:
            model.booster = lightgbm.Booster(model_file=directory / FILE)
        except lightgbm.basic.LightGBMError as error:
            raise ModelError(
                f"{directory / FILE}: not a stored LightGBM model: {error}; train the fold again"
            ) from error
        model.chosen_rounds = model.booster.num_trees()
        return model

    def fit(self, block: TrainBlock) -> None:
        """Find the rounds with the best validation IC, then fit all rows with as many."""
        import lightgbm

        self.unusable = block.unusable_features
        tail = block.validation
        groups, target = block.groups[tail], block.target[tail]

        def validation_ic(prediction: Any, _: Any) -> tuple[str, float, bool]:
            return "ic", mean_rank_correlation(prediction, target, groups), True

        search = self._dataset(block, block.fit)
        stopping = lightgbm.early_stopping(self.patience, first_metric_only=True, verbose=False)
        searched = lightgbm.train(
            {**self.parameters, "metric": "None"},
            search,
            num_boost_round=self.rounds,
            valid_sets=[search.create_valid(block.X[tail], label=target)],
            feval=validation_ic,
            callbacks=[stopping],
        )
        self.chosen_rounds = max(1, searched.best_iteration)
        self.validation_ic = float(searched.best_score["valid_0"]["ic"])
        everything = np.arange(len(block.X), dtype=np.int64)
        self.booster = lightgbm.train(self.parameters, self._dataset(block, everything), self.chosen_rounds)
        require_variation(self.predict(block.X), self.family, block)

    def _dataset(self, block: TrainBlock, rows: Any) -> Any:
        import lightgbm

        return lightgbm.Dataset(
            block.X[rows],
            label=block.target[rows],
            weight=block.weights[rows],
            feature_name=list(block.feature_names),
            params={**self.parameters},
            free_raw_data=True,
        )

    def predict(self, X: Float32) -> Float32:
        """Sum of the trees' leaves for each row."""
        if self.booster is None:
            raise ModelError("lightgbm: predict was called before fit")
        require_columns(X, self.booster.num_feature(), self.family)
        scores: Float32 = self.booster.predict(X, num_threads=self.parameters["num_threads"]).astype(np.float32)
        return scores

    def save(self, directory: Path) -> None:
        """Write the booster in LightGBM's text format."""
        if self.booster is None:
            raise ModelError("lightgbm: save was called before fit")
        self.booster.save_model(directory / FILE)

    def describe(self) -> dict[str, Any]:
        """Parameters but the number of threads, rounds chosen, their validation IC, and gain by feature."""
        gain = {}
        if self.booster is not None:
            names, gains = self.booster.feature_name(), self.booster.feature_importance("gain")
            gain = {name: float(value) for name, value in zip(names, gains, strict=True)}
        return {
            "family": self.family,
            "parameters": {key: value for key, value in self.parameters.items() if key != "num_threads"},
            "rounds": self.chosen_rounds,
            "validation_ic": self.validation_ic,
            "unusable_features": self.unusable,
            "gain": gain,
        }
