"""Files of a home as objects of an S3-compatible store.

Atomic commit by the store's own rules, and no others are needed: a PUT of one object is all or nothing, a GET returns one
version whole, and a listing or GET that begins after a PUT was answered sees it (S3 since December 2020). There is no rename, so
nothing is written aside: the object is put under its name when it is complete. A PUT that is sent again after the answer was lost
puts the same bytes under the same name.

While the store is away every request is repeated, with pauses, for `cluster.patience_seconds`; after that it is a
:class:`~aurora_pipeline.errors.ServiceDownError`. Keys come from the environment (`AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, or what the machine's role gives) and are in no message.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from aurora_pipeline.errors import LakeError, ServiceDownError, SettingsError
from aurora_pipeline.settings import ClusterSettings

if TYPE_CHECKING:
    from obstore.store import S3Store

READERS = 8
"""Objects fetched at the same time."""
FOOTER_BYTES = 65536
"""Asked for of the end of an object to learn its metadata; more is asked for where the footer is longer."""
_MAGIC = b"PAR1"
_Result = TypeVar("_Result")


class ObjectStorage:
    """Objects below one prefix.

    Parameters
    ----------
    settings : ClusterSettings
        Bucket, prefix, server and patience.
    folder : str
        Below the prefix.
    """

    def __init__(self, settings: ClusterSettings, folder: str) -> None:
        self.settings = settings
        self.folder = folder
        self.bucket, _, prefix = (settings.store or "").removeprefix("s3://").partition("/")
        self.prefix = f"{prefix}/{folder}" if prefix else folder
        self.store = _open(settings, self.bucket, self.prefix)
        self._known: dict[tuple[str, str], dict[str, str]] = {}

    def write_frame(self, key: str, frame: pl.DataFrame, metadata: dict[str, str]) -> None:
        """As :class:`~aurora_pipeline.adapters.storage.files.Storage`."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", compression_level=1, metadata=metadata)
        self.put(key, buffer.getvalue())

    def write_text(self, key: str, text: str) -> None:
        """As :class:`~aurora_pipeline.adapters.storage.files.Storage`."""
        self.put(key, text.encode())

    def put(self, key: str, content: bytes, replacing: str | None = None) -> str:
        """Put one object; returns its ETag.

        Parameters
        ----------
        key : str
            Name below the root.
        content : bytes
            All of it.
        replacing : str, optional
            Put only if the object is still the version of this ETag; an empty text only if there is none.

        Raises
        ------
        LakeError
            It is another version: somebody else has written since.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode = "overwrite" if replacing is None else "create" if not replacing else {"e_tag": replacing}
        with self._named(key):
            try:
                # One request however large: parts would be put together by a second one.
                done = obstore.put(self.store, key, content, use_multipart=False, mode=mode)
            except (AlreadyExistsError, PreconditionError) as error:
                held = self.versions(key.rpartition("/")[0]).get(key)
                if held is not None and self.content(key) == content:
                    return held  # it was this very request, whose answer was lost
                raise LakeError(f"{self._url(key)}: somebody else has written it since it was read") from error
        return str(done["e_tag"])

    def read_text(self, key: str) -> str | None:
        """As :class:`~aurora_pipeline.adapters.storage.files.Storage`."""
        try:
            return self.content(key).decode()
        except FileNotFoundError:
            return None

    def content(self, key: str) -> bytes:
        """As :class:`~aurora_pipeline.adapters.storage.files.Storage`."""
        import obstore

        with self._named(key):
            return bytes(obstore.get(self.store, key).bytes())

    def read(self, keys: Sequence[str], columns: list[str] | None, wanted: pl.Expr | None = None) -> pl.DataFrame:
        """As :class:`~aurora_pipeline.adapters.storage.files.Storage`."""

        def fetch(key: str) -> pl.DataFrame:
            frame = pl.read_parquet(io.BytesIO(self.content(key)), columns=columns, hive_partitioning=False)
            return frame if wanted is None else frame.filter(wanted)

        return pl.concat(_side_by_side(fetch, keys))

    def metadata(self, keys: Sequence[str]) -> list[dict[str, str] | None]:
        """As :class:`~aurora_pipeline.adapters.storage.files.Storage`; what was learnt of a version is not asked again."""
        if not keys:
            return []
        versions = self.versions(_common_folder(keys))
        return _side_by_side(lambda key: self._metadata(key, versions[key]) if key in versions else None, keys)

    def _metadata(self, key: str, version: str) -> dict[str, str]:
        known = self._known.get((key, version))
        if known is None:
            known = self._known[key, version] = self._footer(key)
        return known

    def _footer(self, key: str) -> dict[str, str]:
        import obstore

        wanted = FOOTER_BYTES
        while True:
            with self._named(key):
                end = bytes(obstore.get(self.store, key, options={"range": {"suffix": wanted}}).bytes())
            length = int.from_bytes(end[-8:-4], "little") + 8
            if length <= len(end):
                # A footer between the two magic words is a file to whoever reads only the metadata.
                return pl.read_parquet_metadata(io.BytesIO(_MAGIC + end[-length:]))
            wanted = length

    def size(self, key: str) -> int:
        """As :class:`~aurora_pipeline.adapters.storage.files.Storage`."""
        import obstore

        with self._named(key):
            return int(obstore.head(self.store, key)["size"])

    def exists(self, key: str) -> bool:
        """As :class:`~aurora_pipeline.adapters.storage.files.Storage`."""
        try:
            self.size(key)
        except FileNotFoundError:
            return False
        return True

    def remove(self, key: str) -> None:
        """As :class:`~aurora_pipeline.adapters.storage.files.Storage`."""
        import obstore

        with self._named(key):
            obstore.delete(self.store, key)

    def find(self, folder: str, levels: Sequence[str], between: tuple[str, str] | None = None) -> list[str]:
        """As :class:`~aurora_pipeline.adapters.storage.files.Storage`; one listing."""
        patterns = tuple(levels)
        found = []
        for key in self.versions(folder):
            parts = key.removeprefix(f"{folder}/").split("/")
            if len(parts) != len(patterns) or not all(map(fnmatchcase, parts, patterns)):
                continue
            if between is None or between[0] <= parts[0].partition("=")[2] <= between[1]:
                found.append(key)
        return sorted(found)

    def values(self, folder: str, levels: Sequence[str]) -> list[str]:
        """As :class:`~aurora_pipeline.adapters.storage.files.Storage`; one listing."""
        depth = len(levels)
        found = set()
        for key in self.versions(folder):
            parts = key.removeprefix(f"{folder}/").split("/")
            if len(parts) > depth and all(map(fnmatchcase, parts[:depth], levels)):
                found.add(parts[depth - 1].partition("=")[2])
        return sorted(found)

    def versions(self, folder: str) -> dict[str, str]:
        """Key and ETag of every object below a folder; all of them where the folder is empty text."""
        import obstore

        with self._named(folder):
            found = [item for batch in obstore.list(self.store, folder or None) for item in batch]
        return {item["path"]: str(item["e_tag"]) for item in found}

    def sibling(self, name: str) -> ObjectStorage:
        """As :class:`~aurora_pipeline.adapters.storage.files.Storage`."""
        return ObjectStorage(self.settings, name)

    def _url(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}/{key}"

    @contextmanager
    def _named(self, key: str) -> Iterator[None]:
        """Give the store's errors a name; the text behind `Debug source` is left out."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except FileNotFoundError:
            raise
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise SettingsError(
                f"{self._url(key)}: the store refuses the keys of the environment (AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY); check them and what they allow"
            ) from error
        except BaseError as error:
            raise ServiceDownError(
                f"{self._url(key)}: the object store gave no answer in {self.settings.patience_seconds:g} s "
                f"(cluster.patience_seconds): {_first_line(error)}"
            ) from error


def _open(settings: ClusterSettings, bucket: str, prefix: str) -> S3Store:
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise SettingsError("profile cluster needs the extra: pip install 'aurora-pipeline[cluster]'") from error
    patience = timedelta(seconds=settings.patience_seconds)
    pause = {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2}
    own = {"endpoint": settings.endpoint, "virtual_hosted_style_request": False} if settings.endpoint else {}
    return S3Store(
        bucket,
        prefix=prefix,
        region=settings.region,
        client_options={
            "allow_http": (settings.endpoint or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=60),
        },
        retry_config={"max_retries": 10_000, "retry_timeout": patience, "backoff": pause},
        **own,
    )


def _side_by_side(fetch: Callable[[str], _Result], keys: Sequence[str]) -> list[_Result]:
    if len(keys) == 1:
        return [fetch(keys[0])]
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(fetch, keys))


def _common_folder(keys: Sequence[str]) -> str:
    if len(keys) == 1:
        return keys[0].rpartition("/")[0]
    return keys[0].partition("/")[0]


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
