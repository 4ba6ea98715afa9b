"""What the families on LightGBM share: training, scoring and storing a booster.

Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017. Histograms are deterministic, so
the number of threads changes the time a fit takes and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from aurora_pipeline.models.tail_choice import Scores, TailChosenModel, round_choices, unreadable
from aurora_pipeline.models.train_block import Float32, Int64, TrainBlock
from aurora_pipeline.settings import Settings


class LightGBMBooster(TailChosenModel):
    """A family that is one LightGBM booster, its rounds chosen on the tail.

    Parameters
    ----------
    parameters : dict
        LightGBM's own parameters, without those :meth:`common` gives.
    rounds : int
        Most rounds.
    leaf_share : float
        Fewest rows in a leaf, share of the rows fitted.
    threads : int
        Threads of fits and predictions.
    """

    choice_name: ClassVar[str] = "rounds"
    library: ClassVar[str | None] = "lightgbm"

    def __init__(self, parameters: dict[str, Any], rounds: int, leaf_share: float, threads: int) -> None:
        super().__init__(parameters)
        self.rounds = rounds
        self.leaf_share = leaf_share
        self.threads = threads

    @classmethod
    def load(cls, directory: Path, threads: int) -> Self:
        """Read a booster in LightGBM's text format."""
        import lightgbm

        model = cls({}, 0, 0.0, threads)
        try:
            model.fitted = lightgbm.Booster(model_file=directory / cls.file_name)
        except lightgbm.basic.LightGBMError as error:
            raise unreadable(directory / cls.file_name, "LightGBM", error) from error
        model.choice = model.fitted.num_trees()
        return model

    def train_data(self, block: TrainBlock, rows: Int64) -> dict[str, Any]:
        """Label and, for ranking, groups, as keywords of a LightGBM data set."""
        return {"label": block.target[rows]}

    def candidates(self, block: TrainBlock, rows: Int64) -> Iterable[tuple[int, Scores]]:
        """Fit once, and cut at each of :func:`~aurora_pipeline.models.tail_choice.round_choices`."""
        booster = self.refit(block, rows, self.rounds)
        for rounds in round_choices(self.rounds):
            yield rounds, partial(self._raw, booster, rounds=rounds)

    def refit(self, block: TrainBlock, rows: Int64, choice: int) -> Any:
        """Train a booster of so many rounds."""
        import lightgbm

        parameters = {
            "num_threads": self.threads,
            **self.parameters,
            "min_data_in_leaf": max(1, round(self.leaf_share * len(rows))),
        }
        data = lightgbm.Dataset(
            block.X[rows],
            weight=block.weights[rows],
            feature_name=list(block.feature_names),
            params=parameters,
            **self.train_data(block, rows),
        )
        return lightgbm.train(parameters, data, choice)

    def score(self, X: Float32) -> Float32:
        """Sum or mean of the trees' leaves for each row."""
        return self._raw(self.fitted, X, None).astype(np.float32)

    def _raw(self, booster: Any, X: Float32, rounds: int | None) -> npt.NDArray[np.float64]:
        scores: npt.NDArray[np.float64] = booster.predict(X, num_iteration=rounds, num_threads=self.threads)
        return scores

    def columns(self) -> int:
        """Return the number of features of the booster."""
        return int(self.fitted.num_feature())

    def write(self, file: Path) -> None:
        """Write LightGBM's text format."""
        self.fitted.save_model(file)

    def importance(self) -> dict[str, Any]:
        """Gain by feature."""
        if self.fitted is None:
            return {"gain": {}}
        names, gains = self.fitted.feature_name(), self.fitted.feature_importance("gain")
        return {"gain": {name: float(value) for name, value in zip(names, gains, strict=True)}}


def common_parameters(settings: Settings) -> dict[str, Any]:
    """Parameters every LightGBM family sets alike: seed, determinism, few bins, silence."""
    return {
        "max_bin": 63,
        "seed": settings.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
