"""What assets are handed: the home with its lake, and the model registry."""

from pathlib import Path

import dagster as dg

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.model_registry import ModelRegistry
from aurora_pipeline.defs.dead_runs import note_process


class HomeResource(dg.ConfigurableResource):
    """The directory that holds all state of this installation, or this machine's copy of what a cluster shares."""

    path: str

    def open(self) -> Home:
        """Return the home, with what other machines have put since."""
        home = Home(Path(self.path))
        home.refresh()
        return home

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Enter which process runs the run, where all processes are this machine's."""
        run, instance = context.run, context.instance
        if run is not None and instance is not None and Home(Path(self.path)).shared is None:
            note_process(instance, run)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Share the records and pages the run has written."""
        Home(Path(self.path)).share()


class RegistryResource(dg.ConfigurableResource):
    """MLflow tracking and registry of a home."""

    home: str

    def open(self) -> ModelRegistry:
        """Return the registry; its database is made at the first use."""
        return Home(Path(self.home)).registry()
