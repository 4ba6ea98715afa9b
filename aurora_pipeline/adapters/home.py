"""The home: the directory that holds all state of one installation.

::

    <home>/settings.yaml   what differs from the defaults
           market.json     which market, frequency and span the home holds
           lake/           tables                        aurora.duckdb   views over them
           models/         trained models by family and fold
           champions.json  which model version serves which fold
           mlflow/         tracking database and artefacts
           dagster/        Dagster's databases           dagster.yaml    the instance that points at them
           books/          state of each book by session kill_switch.json  trade, halt or flatten
           runs/           run manifests                 scorecard.json  the newest result

In the profile `cluster` tables lie in an object store, databases in PostgreSQL, and the directory is one machine's copy of the
records and models all machines share (:mod:`aurora_pipeline.adapters.storage.shared_home`).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from aurora_pipeline.adapters.models.model_registry import ModelRegistry
from aurora_pipeline.adapters.storage.lake import Lake, partition_of
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.calendar import Frequency, SessionCalendar, session_calendar
from aurora_pipeline.contracts import table as contract
from aurora_pipeline.errors import LakeError, SettingsError
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.manifest import MarketManifest, read_manifest
from aurora_pipeline.settings import Settings, load_settings, save_settings

if TYPE_CHECKING:
    from aurora_pipeline.adapters.storage.shared_home import SharedHome

REPOSITORY = Path(__file__).resolve().parents[2]
HOME_VARIABLE = "AURORA_HOME"
SERVED_VARIABLE = "AURORA_SERVED"
"""Set by the service for the code server it starts: schedule and sensor are on from the start."""


class MarketRecord(BaseModel):
    """What a home remembers of its market: enough to lay out partitions without opening the market folder.

    A market that is not `live` ends with its last session, and so do the partitions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "reference-seed1"
    directory: Path | None = None
    calendar: str = "XNYS"
    frequency: Frequency = "5min"
    first_session: date = date(2024, 5, 14)
    last_session: date = date(2024, 12, 31)
    live: bool = False


def default_home_path() -> Path:
    """`AURORA_HOME`, else `data/` of the repository, else `data/` of the working directory."""
    named = os.environ.get(HOME_VARIABLE)
    if named:
        return Path(named)
    return REPOSITORY / "data" if (REPOSITORY / "workspace.yaml").exists() else Path.cwd() / "data"


@dataclass(frozen=True)
class Home:
    """Paths and records of one installation.

    Parameters
    ----------
    path : Path or str
        Directory; made when something is first written.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    @classmethod
    def default(cls) -> Home:
        """Return the home named by the environment, or the repository's `data/`."""
        return cls(default_home_path().absolute())

    @property
    def settings_file(self) -> Path:
        """Settings that differ from the defaults."""
        return self.path / "settings.yaml"

    @property
    def market_file(self) -> Path:
        """Record of the market."""
        return self.path / "market.json"

    @property
    def models(self) -> Path:
        """Trained models, `<family>/<fold>/`."""
        return self.path / "models"

    @property
    def champions_file(self) -> Path:
        """Champion manifest: which stored model serves which fold."""
        return self.path / "champions.json"

    @property
    def database(self) -> Path:
        """DuckDB file of views."""
        return self.path / "aurora.duckdb"

    @property
    def kill_switch_file(self) -> Path:
        """Position of the kill switch."""
        return self.path / "kill_switch.json"

    @property
    def runs(self) -> Path:
        """Run manifests."""
        return self.path / "runs"

    @property
    def scorecard_file(self) -> Path:
        """Newest scorecard."""
        return self.path / "scorecard.json"

    @property
    def reports(self) -> Path:
        """Pages and plots."""
        return self.path / "reports"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and artefacts."""
        return self.path / "mlflow"

    def settings(self, overrides: Sequence[str] = ()) -> Settings:
        """Defaults, the home's file, environment and overrides, merged and validated."""
        return load_settings(self.settings_file, overrides)

    def save_settings(self, settings: Settings) -> None:
        """Keep settings for later runs and for the UI."""
        save_settings(settings, self.settings_file)

    def market(self) -> MarketRecord:
        """Return the recorded market, or the reference preset's where nothing is recorded yet."""
        if not self.market_file.exists():
            return MarketRecord()
        try:
            record = MarketRecord.model_validate_json(self.market_file.read_text(encoding="utf-8"))
        except ValidationError as error:
            raise LakeError(f"{self.market_file}: not a market record: {error}") from error
        return record.model_copy(update={"directory": record.directory and self.path / record.directory})

    def record_market(self, record: MarketRecord) -> None:
        """Remember the market this home holds; a folder inside the home goes with it when it is moved or copied.

        Raises
        ------
        LakeError
            The home already holds another market or another frequency.
        """
        if self.market_file.exists():
            held = self.market()
            if (held.name, held.frequency, held.calendar) != (record.name, record.frequency, record.calendar):
                raise LakeError(
                    f"home {self.path} holds market {held.name} at frequency {held.frequency}, not {record.name} at "
                    f"{record.frequency}; choose another --home, or empty this one with --fresh"
                )
        if record.directory is not None and record.directory.is_relative_to(self.path):
            record = record.model_copy(update={"directory": record.directory.relative_to(self.path)})
        text = record.model_dump_json(indent=1) + "\n"
        atomic_text(self.market_file, text)

    def folder(self) -> MarketFolder:
        """Open the market folder this home reads from."""
        return MarketFolder.open(self._directory())

    def manifest(self) -> MarketManifest:
        """Manifest of the market folder this home reads from."""
        return read_manifest(self._directory())

    def _directory(self) -> Path:
        record = self.market()
        if record.directory is None:
            raise self.without_market()
        return Path(record.directory)

    def without_market(self) -> LakeError:
        """Return the error of a home that holds no market, or is not there at all."""
        return LakeError(f"home {self.path} has no market yet; start with `aurora run --home {self.path}`")

    @cached_property
    def frequency(self) -> Frequency:
        """Decision frequency of the home."""
        return self.market().frequency

    @cached_property
    def calendar(self) -> SessionCalendar:
        """Calendar of the home's market."""
        return session_calendar(self.market().calendar)

    @cached_property
    def lake(self) -> Lake:
        """Tables of the home."""
        if self.shared is None:
            return Lake(self.path / "lake", self.frequency)
        return Lake(self.path / "lake", self.frequency, self.shared.records.sibling("lake"))

    @cached_property
    def shared(self) -> SharedHome | None:
        """What this home shares with other machines; None in the profile `local`, which every home that trades has."""
        try:
            settings = self.settings()
        except SettingsError:
            if self.market().live:  # its loop, locks and alerts must outlive a file somebody has just damaged
                return None
            raise
        if settings.profile == "local":
            return None
        from aurora_pipeline.adapters.storage.shared_home import SharedHome

        return SharedHome(self.path, settings.cluster)

    def registry(self) -> ModelRegistry:
        """MLflow of the home; its database is made at the first use."""
        return ModelRegistry(self.mlflow, None if self.shared is None else self.shared.registry_server())

    def refresh(self) -> None:
        """Bring what other machines have put since to this one; nothing to do in the profile `local`."""
        if self.shared is not None:
            self.shared.pull()

    def share(self) -> None:
        """Put what this machine has written of the home's records; nothing to do in the profile `local`."""
        if self.shared is not None:
            self.shared.push()

    def share_model(self, place: str) -> None:
        """Put a trained model, `<family>/<fold>`; nothing to do in the profile `local`."""
        if self.shared is not None:
            self.shared.push_model(place)

    def require_local(self, what: str) -> None:
        """Refuse what stays on one machine.

        Raises
        ------
        SettingsError
            The home's profile is `cluster`.
        """
        if self.shared is not None:
            raise SettingsError(
                f"{what} stays on one machine: home {self.path} has profile cluster; give it a home of its own in profile "
                "local, see docs/scaling.md"
            )

    def sessions(self, settings: Settings) -> list[date]:
        """Sessions of the market inside the configured span."""
        return sessions_within(self.market(), self.calendar, settings)

    def sessions_of(self, partitions: Sequence[str], settings: Settings) -> list[date]:
        """Sessions that the given partitions hold, in time order."""
        wanted = set(partitions)
        return [day for day in self.sessions(settings) if partition_of(day, self.frequency) in wanted]

    def champions(self) -> dict[str, dict[str, str]]:
        """Champion manifest: family to fold key to model directory, relative to `models/`.

        Raises
        ------
        LakeError
            The file is damaged.
        """
        if not self.champions_file.exists():
            return {}
        try:
            content: dict[str, dict[str, str]] = json.loads(self.champions_file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise LakeError(
                f"{self.champions_file}: not readable ({error}); restore it, or remove it, and `aurora run` trains all folds anew"
            ) from error
        return content

    def read(
        self,
        table: str,
        start: date | str | None = None,
        end: date | str | None = None,
        columns: Sequence[str] | None = None,
        **branches: str,
    ) -> pl.DataFrame:
        """Rows of a lake table, for notebooks.

        Parameters
        ----------
        table : str
            Name, as in :mod:`aurora_pipeline.contracts`.
        start, end : date or str, optional
            First and last session, both included; dates may be ISO text.
        columns : sequence of str, optional
            Those wanted; all if left out.
        **branches : str
            Such as ``model="ridge"`` or ``book="live"``.

        Raises
        ------
        ContractError
            There is no such table.
        LakeError
            A date is none, the table is not kept by a branch, or the lake has nothing of it; the message names those it has.
        """
        for branch, value in branches.items():
            kept_by = contract(table).branches
            if branch not in kept_by:
                raise LakeError(
                    f"{table} is not kept by {branch}; "
                    + (f"by {', '.join(kept_by)}" if kept_by else "filter its rows")
                )
            known = self.lake.branch_values(table, branch)
            if value not in known:
                raise LakeError(f"{table} has no {branch} {value!r}; it has {', '.join(known) or 'none yet'}")
        return self.lake.read(table, _day(start), _day(end), columns, **branches)

    def sql(self, query: str) -> pl.DataFrame:
        """Answer a SELECT over the lake's tables; anything that would write is refused.

        Raises
        ------
        LakeError
            The statement is not a query, or DuckDB does not accept it.
        """
        import duckdb

        try:
            with self.lake.connect(query) as connection:
                statements = connection.extract_statements(query)
                if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                    raise LakeError("aurora sql answers one SELECT; it does not change anything")
                frame: pl.DataFrame = connection.sql(statements[0]).pl()
        except duckdb.Error as error:
            raise LakeError(f"sql: {error}") from error
        return frame

    @contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Hold a lock of this home against other processes while a small record is read, changed and written.

        In the profile `cluster` against those of other machines, too, and the record is read anew and put back.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if self.shared is not None:
            with self.shared.locked(what):
                yield
            return
        with (self.path / f".{what}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)


def sessions_within(record: MarketRecord, calendar: SessionCalendar, settings: Settings) -> list[date]:
    """Sessions of a market inside the configured span.

    Raises
    ------
    LakeError
        There is none.
    """
    first = max(record.first_session, settings.market.start or record.first_session)
    last = min(record.last_session, settings.market.end or record.last_session)
    sessions = calendar.sessions(first, last)
    if not sessions:
        raise LakeError(
            f"market {record.name} has sessions from {record.first_session} to {record.last_session}, none of them from "
            f"{settings.market.start or 'its first'} to {settings.market.end or 'its last'}: change market.start or market.end"
        )
    return sessions


def _day(text: date | str | None) -> date | None:
    try:
        return date.fromisoformat(text) if isinstance(text, str) else text
    except ValueError as error:
        raise LakeError(f"{text!r} is no date; expected one such as 2024-11-29") from error
