"""Gradient-boosted trees by LightGBM: few and large leaves, random thresholds, small steps, rounds chosen on the tail.

Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017. Thresholds are drawn at
random (Geurts, Ernst and Wehenkel, "Extremely Randomized Trees", Machine Learning 63, 2006): where nearly all of the
target is noise the best of 63 thresholds is mostly the luckiest. Histograms are deterministic, so the number of
threads changes the time a fit takes and nothing else.
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

FILE = "lightgbm.txt"


class LightGBMModel:
    """LightGBM regression on the rank target.

    Parameters
    ----------
    parameters : dict
        LightGBM's own parameters.
    rounds : int
        Most rounds.
    leaf_share : float
        Fewest rows in a leaf, share of the rows fitted.
    """

    family: ClassVar[str] = "lightgbm"

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
            "objective": "regression",
            "learning_rate": models.tree_learning_rate,
            "num_leaves": models.tree_leaves,
            "bagging_fraction": models.tree_row_share,
            "bagging_freq": 1,
            "feature_fraction": models.tree_feature_share,
            "lambda_l2": models.tree_leaf_penalty,
            "extra_trees": True,
            "max_bin": 63,
            "seed": settings.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": settings.threads,
            "verbosity": -1,
        }
        return cls(parameters, models.tree_rounds, models.tree_leaf_share)

    @classmethod
    def load(cls, directory: Path, threads: int) -> Self:
        """Read a booster in LightGBM's text format."""
        import lightgbm

        model = cls({"num_threads": threads}, 0, 0.0)
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
        self.unusable = block.unusable_features
        tail = block.validation
        search = self._train(block, block.fit, self.rounds)
        for rounds in round_choices(self.rounds):
            prediction = search.predict(block.X[tail], num_iteration=rounds)
            self.tail_ic[rounds] = mean_rank_correlation(prediction, block.target[tail], block.groups[tail])
        self.chosen_rounds = best_of_tail(self.tail_ic)
        self.booster = self._train(block, np.arange(len(block.X), dtype=np.int64), self.chosen_rounds)
        require_variation(self.predict(block.X), self.family, block)

    def _train(self, block: TrainBlock, rows: Int64, rounds: int) -> Any:
        import lightgbm

        parameters = {**self.parameters, "min_data_in_leaf": max(1, round(self.leaf_share * len(rows)))}
        data = lightgbm.Dataset(
            block.X[rows],
            label=block.target[rows],
            weight=block.weights[rows],
            feature_name=list(block.feature_names),
            params=parameters,
        )
        return lightgbm.train(parameters, data, rounds)

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
            "tail_ic": {str(rounds): ic for rounds, ic in self.tail_ic.items()},
            "validation_ic": None if self.chosen_rounds is None else self.tail_ic.get(self.chosen_rounds),
            "unusable_features": self.unusable,
            "gain": gain,
        }
