"""What assets are handed: the home with its lake, and the model registry."""

from pathlib import Path

import dagster as dg

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.model_registry import ModelRegistry


class HomeResource(dg.ConfigurableResource):
    """The directory that holds all state of this installation, or this machine's copy of what a cluster shares."""

    path: str

    def open(self) -> Home:
        """Return the home, with what other machines have put since."""
        home = Home(Path(self.path))
        home.refresh()
        return home

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Share the records and pages the run has written."""
        Home(Path(self.path)).share()


class RegistryResource(dg.ConfigurableResource):
    """MLflow tracking and registry of a home."""

    home: str

    def open(self) -> ModelRegistry:
        """Return the registry; its database is made at the first use."""
        return Home(Path(self.home)).registry()
