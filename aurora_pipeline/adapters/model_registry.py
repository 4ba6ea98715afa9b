"""MLflow tracking and registry on SQLite: one experiment and one registered model per family, one version per fold.

MLflow is imported when it is first needed (1.4 s); nothing that trades imports it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"


class ModelRegistry:
    """Experiments, runs and versions of one home.

    Parameters
    ----------
    directory : Path
        Holds `mlflow.db` and `artifacts/`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self._client: MlflowClient | None = None

    @property
    def uri(self) -> str:
        """Tracking URI."""
        return f"sqlite:///{self.directory / 'mlflow.db'}"

    @property
    def client(self) -> MlflowClient:
        """Client of the registry; makes the database at first use, under a lock, before processes can race for it."""
        if self._client is None:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            self.directory.mkdir(parents=True, exist_ok=True)
            from mlflow import MlflowClient

            logging.getLogger("mlflow").setLevel(logging.WARNING)
            with _locked(self.directory / ".lock"):
                client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
                client.search_experiments(max_results=1)
            self._client = client
        return self._client

    def record_fold(
        self,
        family: str,
        fold: str,
        version: str,
        directory: Path,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> str:
        """Log one trained fold and register its model; training the same version again adds nothing.

        Parameters
        ----------
        family, fold, version : str
            Model family, fold key and model version.
        directory : Path
            Files of the trained model, logged as artefacts.
        parameters, metrics, tags : mapping
            What to record.

        Returns
        -------
        str
            MLflow run id.
        """
        client = self.client
        experiment = self._experiment(family)
        found = client.search_runs([experiment], f"tags.model_version = '{version}' and attributes.status = 'FINISHED'")
        if found:
            return str(found[0].info.run_id)
        run = client.create_run(
            experiment, run_name=f"{family} {fold}", tags={"model_version": version, "fold": fold, **dict(tags)}
        )
        run_id = str(run.info.run_id)
        for key, value in parameters.items():
            client.log_param(run_id, key, value)
        for key, number in metrics.items():
            client.log_metric(run_id, key, number)
        client.log_artifacts(run_id, str(directory), "model")
        self._register(family, fold, version, run_id)
        client.set_terminated(run_id)
        return run_id

    def _experiment(self, family: str) -> str:
        name = f"aurora/{family}"
        with _locked(self.directory / ".lock"):
            known = self.client.get_experiment_by_name(name)
            if known is not None:
                return str(known.experiment_id)
            location = (self.directory / "artifacts").as_uri()
            return str(self.client.create_experiment(name, artifact_location=location))

    def _register(self, family: str, fold: str, version: str, run_id: str) -> None:
        from mlflow.exceptions import MlflowException

        name = f"aurora-{family}"
        with _locked(self.directory / ".lock"):
            try:
                self.client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            created = self.client.create_model_version(
                name,
                source=f"{self.client.get_run(run_id).info.artifact_uri}/model",
                run_id=run_id,
                tags={"fold": fold, "model_version": version},
            )
            self.client.set_registered_model_alias(name, CHAMPION, created.version)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl

    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)
