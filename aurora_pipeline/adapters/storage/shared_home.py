"""What the machines of a cluster share of a home beside the lake: its records and its trained models.

Each machine has a home of its own as scratch. :meth:`SharedHome.pull` brings it what others have put since; a record is changed
only under a lock (PostgreSQL), read anew once it is held and put back only over the version that was read, so a lock lost on
the way costs an error and never a line. A trained model is one object, so that a reader finds all of a version or none.

::

    <prefix>/home/<file>                   settings.yaml, market.json, champions.json, sealed logs, scorecard.json, reports/
    <prefix>/models/<family>/<fold>.tar    one trained model
    <prefix>/books/<book>/<partition>.json state of a book, see adapters/book/book_store.py
    <prefix>/lake/...                      tables
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aurora_pipeline.adapters.models.model_registry import RegistryServer
from aurora_pipeline.adapters.storage.object_storage import ObjectStorage
from aurora_pipeline.adapters.storage.postgres import (
    MLFLOW_VARIABLE,
    advisory_lock,
    database_address,
    engine_address,
    wait_for_connections,
)
from aurora_pipeline.atomic import atomic_bytes, atomic_text
from aurora_pipeline.settings import ClusterSettings

RECORDS = ("settings.yaml", "*.json", "*.jsonl", "reports/*", "runs/*.json")
"""Files of a home that every machine sees."""
_INDEX = ".shared"
_ARCHIVE = ".tar"
Index = dict[str, tuple[str, str]]


class SharedHome:
    """Shared part of one home.

    Parameters
    ----------
    path : Path
        This machine's copy.
    settings : ClusterSettings
        Where the shared part lies.
    """

    def __init__(self, path: Path, settings: ClusterSettings) -> None:
        self.path = path
        self.name = settings.store or ""
        self.records = ObjectStorage(settings, "home")
        self.models = ObjectStorage(settings, "models")

    def pull(self) -> None:
        """Bring this machine's copy up to date; two listings where nothing has changed."""
        with self._indexed() as index:
            self._pull_records(index)
            for key, version in self.models.versions("").items():
                if index.get(f"models/{key}", ("", ""))[0] != version:
                    self._unpack(key)
                    index[f"models/{key}"] = (version, "")

    def push(self) -> None:
        """Put the records this machine has changed, each over the version it has read."""
        with self._indexed() as index:
            self._push_records(index)

    def push_model(self, place: str) -> None:
        """Put a trained model, `<family>/<fold>` below the home's `models/`, as one object."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(self.path / "models" / place, arcname=".")
        key = f"{place}{_ARCHIVE}"
        with self._indexed() as index:
            index[f"models/{key}"] = (self.models.put(key, buffer.getvalue()), "")

    def registry_server(self) -> RegistryServer:
        """Where MLflow lies."""
        store = self.records
        prefix = store.prefix.removesuffix("home")
        return RegistryServer(
            lambda: engine_address(database_address(MLFLOW_VARIABLE)),
            f"s3://{store.bucket}/{prefix}mlflow",
            lambda what: _held(f"{self.name} {what}"),
            self._prepare_mlflow,
        )

    def _prepare_mlflow(self) -> None:
        """Let MLflow find the store, and wait for store and database as everything else does."""
        settings = self.records.settings
        wait_for_connections(settings.patience_seconds)
        wanted = {
            "AWS_DEFAULT_REGION": settings.region,
            "AWS_RETRY_MODE": "standard",
            # Pauses double up to 20 s: the first five together take half a minute.
            "AWS_MAX_ATTEMPTS": str(6 + int(settings.patience_seconds // 20)),
            "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
        }
        if settings.endpoint:
            wanted["MLFLOW_S3_ENDPOINT_URL"] = settings.endpoint
        for name, value in wanted.items():
            os.environ.setdefault(name, value)

    @contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Hold a lock against all machines while records are read, changed and written."""
        with advisory_lock(f"{self.name} {what}") as check_held:
            with self._indexed() as index:
                self._pull_records(index)
            yield
            check_held()
            with self._indexed() as index:
                self._push_records(index)

    def _pull_records(self, index: Index) -> None:
        for key, version in self.records.versions("").items():
            if index.get(key, ("", ""))[0] == version:
                continue
            content = self.records.content(key)
            atomic_bytes(self.path / key, content)
            index[key] = (version, _digest(content))

    def _push_records(self, index: Index) -> None:
        for pattern in RECORDS:
            for file in sorted(self.path.glob(pattern)):
                key, content = file.relative_to(self.path).as_posix(), file.read_bytes()
                version, digest = index.get(key, ("", ""))
                if file.name.startswith(".") or digest == _digest(content):
                    continue
                index[key] = (self.records.put(key, content, replacing=version), _digest(content))

    def _unpack(self, key: str) -> None:
        directory = self.path / "models" / key.removesuffix(_ARCHIVE)
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            with tarfile.open(fileobj=io.BytesIO(self.models.content(key))) as archive:
                archive.extractall(staging / "new", filter="data")
            if directory.exists():
                directory.replace(staging / "old")
            (staging / "new").replace(directory)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    @contextmanager
    def _indexed(self) -> Iterator[Index]:
        """Which versions this machine holds, under a lock against its other processes; kept as far as it came."""
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / f"{_INDEX}.index"
        with (self.path / f"{_INDEX}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            index: Index = {}
            if file.exists():
                index = {key: (held[0], held[1]) for key, held in json.loads(file.read_text(encoding="utf-8")).items()}
            before = dict(index)
            try:
                yield index
            finally:
                if index != before:
                    atomic_text(file, json.dumps(index, indent=1) + "\n")
                fcntl.flock(handle, fcntl.LOCK_UN)


@contextmanager
def _held(what: str) -> Iterator[None]:
    with advisory_lock(what):
        yield


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
