"""What assets are handed: the home with its lake, and the model registry."""

from pathlib import Path

import dagster as dg

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.model_registry import ModelRegistry


class HomeResource(dg.ConfigurableResource):
    """The directory that holds all state of this installation."""

    path: str

    def open(self) -> Home:
        """Return the home."""
        return Home(Path(self.path))


class RegistryResource(dg.ConfigurableResource):
    """MLflow tracking and registry, in the home's SQLite database."""

    directory: str

    def open(self) -> ModelRegistry:
        """Return the registry; its database is made at the first use."""
        return ModelRegistry(Path(self.directory))
