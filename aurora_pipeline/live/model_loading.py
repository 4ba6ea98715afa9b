"""Loads the models a session is traded with, and no library that a prediction does not need.

LightGBM and XGBoost import scikit-learn if they find it, for estimators that nobody uses here; that takes as long as the whole
decision. While models are loaded by a process that has not imported it before, it is not found.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from aurora_pipeline.models.model_factory import library_of
from aurora_pipeline.models.training_pipeline import TrainedModel, load_trained

_NOT_NEEDED = "sklearn"


def import_libraries(families: Sequence[str]) -> None:
    """Import what the models of some families will need, and nothing else."""
    with hidden(_NOT_NEEDED):
        for library in sorted({library for family in families if (library := library_of(family)) is not None}):
            importlib.import_module(library)


def load_champions(
    models: Path, directories: Mapping[str, str], threads: int
) -> tuple[dict[str, TrainedModel], dict[str, str]]:
    """Load what serves; a family whose files are missing or changed is left out.

    Parameters
    ----------
    models : Path
        The home's `models/`.
    directories : mapping of str to str
        Family to its directory below.
    threads : int
        Threads a prediction may use.

    Returns
    -------
    loaded : dict of str to TrainedModel
    broken : dict of str to str
        Family to what is wrong with its files.
    """
    loaded, broken = {}, {}
    with hidden(_NOT_NEEDED):
        for family, directory in directories.items():
            try:
                loaded[family] = load_trained(models / directory, threads)
            except Exception as error:  # whatever a model library raises must not stop the other families
                broken[family] = f"{type(error).__name__}: {error}"
    return loaded, broken


@contextmanager
def hidden(module: str) -> Iterator[None]:
    """Let a module that has not been imported yet not be found, for a while."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # what the import system takes for "not there"
    try:
        yield
    finally:
        del sys.modules[module]
