"""The families of models behind one protocol.

A family is one small file:

- linear, on :mod:`~aurora_pipeline.models.linear_model`: `ridge`, `lasso`, `elastic_net`;
- trees by LightGBM, on :mod:`~aurora_pipeline.models.lightgbm_booster`: `random_forest`, `lightgbm_family`, `ranker`;
- trees by other libraries: `xgboost_family`, `catboost_family`;
- `neural_network`.

What all of them do around their fit, choosing on the purged tail, is one class:
:class:`~aurora_pipeline.models.tail_choice.TailChosenModel`. Libraries are imported when a model is fitted or loaded, never
by importing this module. A new family is

1. a file here with a subclass of it, or of :class:`Model` alone, entered in `_MEMBERS` below;
2. its name in `Family` of `settings/section.py`, which is what `models.families` may hold; assets follow from that;
3. its settings in `settings/model_settings.py`, and which of them make up a configuration in `models/configuration.py`.

The tests hold the three against each other, and the behaviour suite of `test_model_families.py` runs over it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from aurora_pipeline.errors import ModelError, SettingsError
from aurora_pipeline.models.catboost_family import CatBoostModel
from aurora_pipeline.models.elastic_net import ElasticNetModel
from aurora_pipeline.models.lasso import LassoModel
from aurora_pipeline.models.lightgbm_family import LightGBMModel
from aurora_pipeline.models.linear_model import LinearModel
from aurora_pipeline.models.neural_network import NeuralNetworkModel
from aurora_pipeline.models.random_forest import RandomForestModel
from aurora_pipeline.models.ranker import RankerModel
from aurora_pipeline.models.ridge import RidgeModel
from aurora_pipeline.models.search_space import SearchSpace
from aurora_pipeline.models.train_block import Float32, TrainBlock
from aurora_pipeline.models.xgboost_family import XGBoostModel
from aurora_pipeline.settings import Settings


class Model(Protocol):
    """What every family does.

    Fitting is deterministic: the same block and settings give the same predictions to the last bit, whatever the
    number of threads. A prediction depends on its own row only, so one row alone and a history at once agree; a feature without
    any value in the train block does not enter it.
    """

    family: ClassVar[str]
    library: ClassVar[str | None]
    """Package that fits and loads import, None for a family of our own."""
    search_space: ClassVar[SearchSpace]
    tail_ic: dict[Any, float]

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Return an unfitted model with the family's settings."""

    @classmethod
    def load(cls, directory: Path, threads: int) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ModelError
            The file is missing or unreadable.
        """

    def choose(self, block: TrainBlock) -> float:
        """Fit candidates on the earlier rows, fill `tail_ic` with their validation IC and return the best one."""

    def fit(self, block: TrainBlock) -> None:
        """Choose penalty, rounds or epochs on the block's validation tail, then fit on all its rows.

        Raises
        ------
        TrainingError
            The family found nothing to fit: its prediction would be constant.
        """

    def predict(self, X: Float32) -> Float32:
        """Score of each row, float32 of shape (n_rows,); higher is better.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features), float32
            Columns as trained, NaN where a feature is missing.

        Raises
        ------
        ModelError
            The model is not fitted, or the number of columns is not the one it was trained on.
        """

    def save(self, directory: Path) -> None:
        """Write the fitted model into an existing directory in the family's native format or JSON."""

    def describe(self) -> dict[str, Any]:
        """Return what was set, what was chosen on the tail and its IC; JSON-able, the same for equal fits."""


_MEMBERS: tuple[type[Model], ...] = (
    RidgeModel,
    LassoModel,
    ElasticNetModel,
    RandomForestModel,
    LightGBMModel,
    XGBoostModel,
    CatBoostModel,
    RankerModel,
    NeuralNetworkModel,
)
_CLASSES = {model.family: model for model in _MEMBERS}
FAMILIES = tuple(_CLASSES)
LINEAR_FAMILIES = tuple(family for family, model in _CLASSES.items() if issubclass(model, LinearModel))
"""Families whose scores are sums of coefficient times feature."""


def create_model(family: str, settings: Settings) -> Model:
    """Return an unfitted model of a family; an unknown one is a SettingsError that lists the known ones."""
    return _class_of(family).create(settings)


def search_space(family: str) -> SearchSpace:
    """Return the settings a search may vary for a family, with their bounds; errors as :func:`create_model`."""
    return _class_of(family).search_space


def library_of(family: str) -> str | None:
    """Return the package that a family's fits and loads import, None if there is none; errors as :func:`create_model`."""
    return _class_of(family).library


def load_model(family: str, directory: Path, threads: int = 1) -> Model:
    """Return the model of a family stored in a directory; an unknown family is a ModelError."""
    if family not in _CLASSES:
        raise ModelError(f"{directory}: holds a model of family {family!r}; known are {', '.join(FAMILIES)}")
    return _CLASSES[family].load(directory, threads)


def _class_of(family: str) -> type[Model]:
    if family not in _CLASSES:
        raise SettingsError(f"models.families: no family {family!r}; there are {', '.join(FAMILIES)}")
    return _CLASSES[family]
