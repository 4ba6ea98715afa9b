"""A small neural network: one hidden layer, several networks averaged, epochs chosen on the purged tail.

Each network maps a row through rectified units to a score and is trained on the rank target by AdamW (Loshchilov and
Hutter, "Decoupled Weight Decay Regularization", ICLR 2019) on squared error. Networks differ in their first weights only and
are trained side by side, as blocks of one matrix; averaging them takes out most of what the first weights decide
(Lakshminarayanan, Pritzel and Blundell, "Simple and Scalable Predictive Uncertainty Estimation Using Deep Ensembles",
NeurIPS 2017). A missing value counts as 0, the centre of a rank or z-score. Features are scaled by their root mean square.

Matrix products use one thread, so that the settings' number of threads cannot change the order of a sum; the forward pass adds
feature by feature, so that one row alone and a history at once agree to the last bit.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit

from aurora_pipeline.models.search_space import Range, SearchSpace
from aurora_pipeline.models.tail_choice import Scores, TailChosenModel, round_choices, unreadable
from aurora_pipeline.models.train_block import Float32, Int64, TrainBlock
from aurora_pipeline.one_thread import one_thread
from aurora_pipeline.settings import Settings

_FIRST_MOMENT, _SECOND_MOMENT, _EPSILON = 0.9, 0.999, 1e-8
"""Adam's decay rates and its guard against division by 0, as its authors set them."""


@dataclass
class Networks:
    """Weights of all networks side by side.

    Attributes
    ----------
    hidden : ndarray of shape (n_features, n_networks * n_hidden), float32
        From features to hidden units.
    bias : ndarray of shape (n_networks * n_hidden,), float32
        Of the hidden units.
    output : ndarray of shape (n_networks * n_hidden,), float32
        From hidden units to the network's score.
    """

    hidden: Float32
    bias: Float32
    output: Float32

    def arrays(self) -> tuple[Float32, Float32, Float32]:
        """All weights, in a fixed order."""
        return self.hidden, self.bias, self.output


class NeuralNetworkModel(TailChosenModel):
    """Average of small networks on ranked features.

    Parameters
    ----------
    parameters : dict
        `networks`, `hidden`, `epochs` (most), `learning_rate`, `weight_decay`, `batch_rows`, `seed`.
    """

    family: ClassVar[str] = "neural_network"
    file_name: ClassVar[str] = "neural_network.npz"
    choice_name: ClassVar[str] = "epochs"
    search_space: ClassVar[SearchSpace] = {
        "network_hidden": Range(4, 32, logarithmic=True),
        "network_learning_rate": Range(0.0003, 0.005, logarithmic=True),
        "network_weight_decay": Range(1.0, 100.0, logarithmic=True),
    }

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Return an unfitted model with the `models.network_...` settings."""
        models = settings.models
        return cls(
            {
                "networks": models.network_count,
                "hidden": models.network_hidden,
                "epochs": models.network_epochs,
                "learning_rate": models.network_learning_rate,
                "weight_decay": models.network_weight_decay,
                "batch_rows": models.network_batch_rows,
                "seed": settings.seed,
            }
        )

    @classmethod
    def load(cls, directory: Path, threads: int) -> Self:
        """Read weights written by :meth:`save`; nothing in the file can run code."""
        file = directory / cls.file_name
        try:
            with np.load(file, allow_pickle=False) as stored:
                model = cls(json.loads(str(stored["parameters"])))
                model.choice = int(stored["epochs"])
                model.fitted = Networks(stored["hidden"], stored["bias"], stored["output"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise unreadable(file, "neural network", error) from error
        return model

    def candidates(self, block: TrainBlock, rows: Int64) -> Iterable[tuple[int, Scores]]:
        """Train once, and stop to score after each of :func:`~aurora_pipeline.models.tail_choice.round_choices`."""
        wanted = round_choices(self.parameters["epochs"])
        for epoch, networks in self._epochs(block, rows, wanted[-1]):
            if epoch in wanted:
                yield epoch, partial(self._forward, networks=networks)

    def refit(self, block: TrainBlock, rows: Int64, choice: int) -> Networks:
        """Train for so many epochs."""
        for _, networks in self._epochs(block, rows, choice):
            trained = networks
        return trained

    def _epochs(self, block: TrainBlock, rows: Int64, epochs: int) -> Iterator[tuple[int, Networks]]:
        """Train epoch by epoch; each with the weights after it, for features as they are."""
        settings = self.parameters
        generator = np.random.default_rng(settings["seed"])
        X = np.nan_to_num(block.X[rows], nan=0.0)
        scale = np.sqrt(np.mean(X.astype(np.float64) ** 2, axis=0))
        inverse = np.where(scale > 1e-9, 1.0 / np.where(scale > 1e-9, scale, 1.0), 0.0).astype(np.float32)
        X *= inverse
        target, weights = block.target[rows], block.weights[rows]
        networks = _first_weights(X.shape[1], settings["networks"], settings["hidden"], generator)
        optimiser = _AdamW(networks, settings["learning_rate"], settings["weight_decay"])
        for epoch in range(1, epochs + 1):
            order = generator.permutation(len(X))
            with one_thread():
                for start in range(0, len(X), settings["batch_rows"]):
                    batch = order[start : start + settings["batch_rows"]]
                    gradient = _gradient(networks, settings["networks"], X[batch], target[batch], weights[batch])
                    optimiser.step(networks, gradient)
            yield epoch, Networks(networks.hidden * inverse[:, None], networks.bias.copy(), networks.output.copy())

    def _forward(self, X: Float32, networks: Networks) -> Float32:
        scores: Float32 = _forward(np.ascontiguousarray(X), *networks.arrays(), self.parameters["networks"])
        return scores

    def score(self, X: Float32) -> Float32:
        """Mean of the networks' scores for each row."""
        return self._forward(X, self.fitted)

    def columns(self) -> int:
        """Return the number of features of the first layer."""
        return len(self.fitted.hidden)

    def write(self, file: Path) -> None:
        """Write the arrays into one uncompressed archive, as plain numbers."""
        hidden, bias, output = self.fitted.arrays()
        parameters = np.array(json.dumps(self.parameters, sort_keys=True))
        with file.open("wb") as handle:
            np.savez(
                handle, parameters=parameters, epochs=np.int64(self.choice), hidden=hidden, bias=bias, output=output
            )


def _first_weights(features: int, networks: int, hidden: int, generator: np.random.Generator) -> Networks:
    """Random hidden weights that keep unit variance, and outputs so small that training starts from a score near 0."""
    units = networks * hidden
    first = generator.standard_normal((features, units)) / np.sqrt(features)
    output = 0.1 * generator.standard_normal(units) / np.sqrt(hidden)
    return Networks(first.astype(np.float32), np.zeros(units, np.float32), output.astype(np.float32))


def _gradient(
    networks: Networks, count: int, X: Float32, target: Float32, weights: Float32
) -> tuple[Float32, Float32, Float32]:
    """Gradient of each network's weighted mean squared error over a batch, halved."""
    active = X @ networks.hidden
    active += networks.bias
    np.maximum(active, 0.0, out=active)
    scores = (active * networks.output).reshape(len(X), count, -1).sum(axis=2)
    error = (scores - target[:, None]) * (weights / weights.sum())[:, None]
    spread = np.repeat(error, active.shape[1] // count, axis=1)
    output = (active * spread).sum(axis=0)
    spread *= networks.output
    spread *= active > 0.0
    return X.T @ spread, spread.sum(axis=0), output


class _AdamW:
    """Adam with weight decay apart from the gradient; biases do not decay."""

    def __init__(self, networks: Networks, learning_rate: float, weight_decay: float) -> None:
        self.rate = learning_rate
        self.decay = learning_rate * weight_decay
        self.steps = 0
        self.first = [np.zeros_like(array) for array in networks.arrays()]
        self.second = [np.zeros_like(array) for array in networks.arrays()]

    def step(self, networks: Networks, gradient: tuple[Float32, Float32, Float32]) -> None:
        """Move all weights once, in place."""
        self.steps += 1
        rate = self.rate / (1.0 - _FIRST_MOMENT**self.steps)
        unbiased = 1.0 / (1.0 - _SECOND_MOMENT**self.steps)
        networks.hidden *= np.float32(1.0 - self.decay)
        networks.output *= np.float32(1.0 - self.decay)
        for k, (weights, slope) in enumerate(zip(networks.arrays(), gradient, strict=True)):
            self.first[k] += (1.0 - _FIRST_MOMENT) * (slope - self.first[k])
            self.second[k] += (1.0 - _SECOND_MOMENT) * (slope * slope - self.second[k])
            np.subtract(weights, rate * self.first[k] / (np.sqrt(unbiased * self.second[k]) + _EPSILON), out=weights)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _forward(X: Any, hidden: Any, bias: Any, output: Any, networks: int) -> Any:
    """Mean over networks of ``sum(output * max(0, X hidden + bias))`` for each row."""
    units = len(bias)
    scores = np.empty(len(X), np.float32)
    active = np.empty(units, np.float32)
    for i in range(len(X)):
        for unit in range(units):
            active[unit] = bias[unit]
        for j in range(X.shape[1]):
            value = X[i, j]
            if not np.isnan(value):
                for unit in range(units):
                    active[unit] += value * hidden[j, unit]
        total = 0.0
        for unit in range(units):
            if active[unit] > 0.0:
                total += active[unit] * output[unit]
        scores[i] = total / networks
    return scores
