from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aurora_pipeline.errors import ModelError
from aurora_pipeline.models.neural_network import Networks, NeuralNetworkModel, _forward, _gradient
from aurora_pipeline_tests.models.test_model_families import BLOCK, settings_with


def two_networks(hidden: list[list[float]], bias: list[float], output: list[float]) -> Networks:
    return Networks(*(np.array(part, np.float32) for part in (hidden, bias, output)))


def test_forward_by_hand() -> None:
    """Two networks of one unit: max(0, x - 1) * 2 and max(0, -x + y) * 4, averaged."""
    networks = two_networks([[1, -1], [0, 1]], [-1, 0], [2, 4])
    rows = np.array([[3, 1], [0, 0.5], [1, 1], [np.nan, 0.5]], np.float32)
    assert _forward(rows, *networks.arrays(), 2).tolist() == [2.0, 1.0, 0.0, 1.0]


def test_gradient_equals_differences() -> None:
    generator = np.random.default_rng(1)
    X, target = generator.standard_normal((40, 3)), generator.standard_normal(40)
    weights = generator.random(40)
    parts = [generator.standard_normal((3, 4)), generator.standard_normal(4), generator.standard_normal(4)]

    def loss() -> float:
        scores = (np.maximum(X @ parts[0] + parts[1], 0.0) * parts[2]).reshape(40, 2, 2).sum(axis=2)
        return float((weights[:, None] * (scores - target[:, None]) ** 2).sum() / weights.sum() / 2.0)

    found = _gradient(Networks(*parts), 2, X, target, weights)  # type: ignore[arg-type]
    for part, gradient in zip(parts, found, strict=True):
        for index in np.ndindex(part.shape):
            before = part[index]
            part[index] = before + 1e-6
            above = loss()
            part[index] = before - 1e-6
            slope = (above - loss()) / 2e-6
            part[index] = before
            assert gradient[index] == pytest.approx(slope, abs=1e-6)


def test_networks_do_not_teach_each_other() -> None:
    generator = np.random.default_rng(2)
    parts = [generator.standard_normal(shape).astype(np.float32) for shape in ((3, 4), (4,), (4,))]
    X, target = generator.standard_normal((20, 3)).astype(np.float32), np.ones(20, np.float32)
    both = _gradient(Networks(*parts), 2, X, target, target)
    alone = _gradient(Networks(parts[0][:, :2], parts[1][:2], parts[2][:2]), 1, X, target, target)
    for together, single in zip(both, alone, strict=True):
        np.testing.assert_allclose(together[..., :2], single, rtol=1e-5, atol=1e-7)


def test_a_missing_value_counts_as_the_centre() -> None:
    model = NeuralNetworkModel.create(settings_with())
    model.fit(BLOCK)
    X = BLOCK.X[:50].copy()
    X[:, 0] = 0.0
    at_centre = model.predict(X)
    X[:, 0] = np.nan
    assert np.array_equal(model.predict(X), at_centre)


def test_units_of_a_feature_do_not_matter() -> None:
    """Multiplied by a power of two a feature gives the same scores to the last bit."""
    scaled = BLOCK.X.copy()
    scaled[:, 1] *= 1024.0
    block = type(BLOCK)(**(vars(BLOCK) | {"X": scaled}))
    models = [NeuralNetworkModel.create(settings_with()) for _ in range(2)]
    models[0].fit(BLOCK)
    models[1].fit(block)
    assert np.array_equal(models[0].predict(BLOCK.X), models[1].predict(scaled))


def test_epochs_end_where_the_tail_says() -> None:
    model = NeuralNetworkModel.create(settings_with())
    model.fit(BLOCK)
    assert model.choice in {4, 8, 12, 16}
    for _, networks in model._epochs(BLOCK, np.arange(len(BLOCK.X)), model.choice):
        last = networks
    assert np.array_equal(last.hidden, model.fitted.hidden)


def test_a_file_that_could_run_code_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "neural_network.npz", parameters=np.array({"networks": 1}, dtype=object))
    with pytest.raises(ModelError, match="not a stored neural network"):
        NeuralNetworkModel.load(tmp_path, 1)
