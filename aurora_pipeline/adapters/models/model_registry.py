"""MLflow tracking and registry: one experiment and one registered model per family, one run and version per fold.

A home has them on SQLite beside its files; in the profile `cluster` they are on PostgreSQL, artefacts in the object store.

MLflow is imported when it is first needed (1.4 s); nothing that trades imports it. What is recorded twice is recorded once: a
run is found again by its model version, and one that was cut off is gone on with.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import RegisteredModel

OUT_OF_FOLD_IC = "out_of_fold_ic"
FINISHED, FAILED = "FINISHED", "FAILED"
_ARTIFACT_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow keeps URIs of artefacts, by table."""
PUBLISHED = "published_states.json"
"""States that were told to a registry, in its directory; a database that is made anew has been told nothing."""


@dataclass(frozen=True)
class FoldRecord:
    """What is recorded of one trained fold.

    Attributes
    ----------
    family, fold, version : str
        Model family, fold key and model version.
    directory : Path
        Files of the trained model, its manifest, card and importances; logged as artefacts below `model`.
    parameters, metrics, tags : mapping
        What to record; the tags go to the registered version too.
    description : str
        Shown with the registered version.
    """

    family: str
    fold: str
    version: str
    directory: Path
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    tags: Mapping[str, str]
    description: str


@dataclass(frozen=True)
class RegistryServer:
    """Where a registry lies that several machines use.

    Attributes
    ----------
    uri : callable
        Address of the tracking database, from the environment: it holds a password and is kept nowhere.
    artifacts : str
        URI artefacts are put below.
    locked : callable
        Lock between machines by name.
    prepare : callable
        Run once before MLflow is used in a process.
    """

    uri: Callable[[], str]
    artifacts: str
    locked: Callable[[str], AbstractContextManager[None]]
    prepare: Callable[[], None]


def make_registry(directory: Path) -> None:
    """Make the database of a registry, if there is none."""
    ModelRegistry(directory).client  # noqa: B018  (the first use makes it)


class ModelRegistry:
    """Experiments, runs and versions of one home.

    Parameters
    ----------
    directory : Path
        Holds `mlflow.db` and `artifacts/`.
    server : RegistryServer, optional
        Holds them instead.
    """

    def __init__(self, directory: Path, server: RegistryServer | None = None) -> None:
        self.directory = directory.absolute()
        self.server = server
        self._client: MlflowClient | None = None
        self._experiments: dict[str, str] = {}

    @property
    def database(self) -> Path:
        """SQLite file of tracking and registry."""
        return self.directory / "mlflow.db"

    @property
    def uri(self) -> str:
        """Tracking URI."""
        if self.server is not None:
            return self.server.uri()
        return f"sqlite:///{self.database}"

    @property
    def client(self) -> MlflowClient:
        """Client of the registry; makes the database at first use."""
        if self._client is None:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            self.directory.mkdir(parents=True, exist_ok=True)
            if self.server is not None:
                self.server.prepare()
            from mlflow import MlflowClient

            logging.getLogger("mlflow").setLevel(logging.WARNING)
            with self._locked():
                if self.server is None:
                    self._make_database()
                self._client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
                if self.server is not None:
                    self._client.search_experiments(max_results=1)  # the first use makes the tables
        return self._client

    def _make_database(self) -> None:
        """Let MLflow's migrations fill a temporary file that then takes the name: cut off, they could not be gone on with."""
        from mlflow import MlflowClient

        if self.database.exists():
            self._take_artifacts_along()
            return
        fresh = self.directory / ".mlflow.db.new"
        for left in self.directory.glob(f"{fresh.name}*"):
            left.unlink()  # SQLite would roll a journal that was left back into the new file
        uri = f"sqlite:///{fresh}"
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
        (self.directory / PUBLISHED).unlink(missing_ok=True)
        fresh.replace(self.database)

    def _take_artifacts_along(self) -> None:
        """Point the database of a registry that was moved or copied at the artefacts beside it.

        MLflow keeps whole paths and offers no way to change them: a copy would write into the original.
        """
        here = (self.directory / "artifacts").as_uri()
        with closing(sqlite3.connect(self.database, timeout=60.0)) as connection, connection:
            moved = "select distinct artifact_location from experiments where name like 'aurora/%' and artifact_location != ?"
            for (there,) in connection.execute(moved, (here,)).fetchall():
                for table, column in _ARTIFACT_COLUMNS:
                    connection.execute(
                        f"update {table} set {column} = ? || substr({column}, ?) where substr({column} || '/', 1, ?) = ?",
                        (here, len(there) + 1, len(there) + 1, f"{there}/"),
                    )

    def record_fold(self, record: FoldRecord) -> str:
        """Log one trained fold and register its model; training the same version again adds nothing.

        Returns
        -------
        str
            MLflow run id.
        """
        known = self._runs(record.family, record.version)
        finished = [run for run in known if run.info.status == FINISHED]
        if finished:
            self._register(record, finished[0])
            return str(finished[0].info.run_id)
        run = known[0] if known else self._new_run(record)
        run_id = str(run.info.run_id)
        self._log(run_id, record.parameters, record.metrics)
        self.client.log_artifacts(run_id, str(record.directory), "model")
        self._register(record, run)
        self.client.set_terminated(run_id)
        return run_id

    def record_failure(self, family: str, fold: str, message: str) -> str:
        """Log that a family could not be trained for a fold, as a failed run that says why; returns its id."""
        run = self.client.create_run(
            self._experiment(family),
            run_name=f"{family} {fold}",
            tags={"fold": fold, "error": message[:5000]},
        )
        run_id = str(run.info.run_id)
        self.client.set_terminated(run_id, FAILED)
        return run_id

    def find_run(self, family: str, version: str) -> str | None:
        """Id of the finished run of a model version; None where there is none."""
        finished = [run for run in self._runs(family, version) if run.info.status == FINISHED]
        return str(finished[0].info.run_id) if finished else None

    def record_out_of_fold(self, family: str, version: str, ic: float, sessions: int) -> bool:
        """Log the IC of a version's matured predictions to its run, at step `sessions`, and tag its registered version.

        Returns
        -------
        bool
            Whether there was anything new: the run exists and did not already hold this number.
        """
        run_id = self.find_run(family, version)
        if run_id is None:
            return False
        known = self.client.get_run(run_id).data.metrics
        if known.get(OUT_OF_FOLD_IC) == ic and known.get("out_of_fold_sessions") == sessions:
            return False
        self._log(run_id, {}, {OUT_OF_FOLD_IC: ic, "out_of_fold_sessions": float(sessions)}, step=sessions)
        for held in self.client.search_model_versions(f"run_id = '{run_id}'"):
            self.client.set_model_version_tag(held.name, held.version, OUT_OF_FOLD_IC, f"{ic:.5f}")
        return True

    def _runs(self, family: str, version: str) -> list[Run]:
        return list(self.client.search_runs([self._experiment(family)], f"tags.model_version = '{version}'"))

    def _new_run(self, record: FoldRecord) -> Run:
        return self.client.create_run(
            self._experiment(record.family),
            run_name=f"{record.family} {record.fold}",
            tags={"model_version": record.version, "fold": record.fold, **record.tags},
        )

    def _log(
        self, run_id: str, parameters: Mapping[str, Any], metrics: Mapping[str, float | None], step: int = 0
    ) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, float(value), now, step) for name, value in metrics.items() if value is not None],
            params=[Param(name, str(value)) for name, value in parameters.items()],
        )

    def _experiment(self, family: str) -> str:
        if family not in self._experiments:
            name, client = f"aurora/{family}", self.client
            with self._locked():
                known = client.get_experiment_by_name(name)
                location = self.server.artifacts if self.server else (self.directory / "artifacts").as_uri()
                found = known.experiment_id if known else client.create_experiment(name, artifact_location=location)
            self._experiments[family] = str(found)
        return self._experiments[family]

    def _register(self, record: FoldRecord, run: Run) -> None:
        """Make a version of the registered model, alias `fold-<key>`; who is champion the lifecycle says."""
        name, run_id = f"aurora-{record.family}", str(run.info.run_id)
        with self._locked():
            self._registered_model(name)
            held = self.client.search_model_versions(f"run_id = '{run_id}'")
            created = (
                held[0]
                if held
                else self.client.create_model_version(
                    name,
                    source=f"{run.info.artifact_uri}/model",
                    run_id=run_id,
                    tags={"fold": record.fold, "model_version": record.version, **record.tags},
                    description=record.description,
                )
            )
            self.client.set_registered_model_alias(name, f"fold-{record.fold}", created.version)

    def _registered_model(self, name: str) -> RegisteredModel:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return self.client.create_registered_model(name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl

        if self.server is not None:
            with self.server.locked("mlflow"):
                yield
            return
        with (self.directory / ".lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)
