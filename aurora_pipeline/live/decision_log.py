"""What became of each bar of a session: decided, or skipped with a reason, once and for good.

One small file per bar end, made complete and then linked under its name: the link fails if the name exists, so that of any
number of processes exactly one settles a bar. The file of a decision holds its targets and the orders that were sent.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import polars as pl

from aurora_pipeline.errors import BookError

Status = Literal["decided", "skipped"]


class AlreadySettled(BookError):  # noqa: N818  (what is said of the bar)
    """The bar has been decided or skipped before."""


@dataclass(frozen=True)
class Settled:
    """One settled bar.

    Attributes
    ----------
    bar_end : datetime
    status : {"decided", "skipped"}
    reason : str
        Why it was skipped; empty for a decision.
    content : dict
        Whatever else was recorded: `targets` and `orders` (rows), `digest` of the targets, `failed` (families without a
        score, with the reason), `switch` (position of the kill switch), `timings_ms`.
    """

    bar_end: datetime
    status: Status
    reason: str
    content: Mapping[str, Any]

    @property
    def failed(self) -> dict[str, str]:
        """Families that gave no score, with the reason."""
        return dict(self.content.get("failed", {}))


class DecisionLog:
    """Settled bars of one session.

    Parameters
    ----------
    folder : Path
        `<home>/live/sessions/<session>`; made when the first bar is settled.

    Notes
    -----
    What was settled stays as it is, so each file is read once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "decisions"
        self._settled: dict[str, Settled] = {}

    def settle(self, bar_end: datetime, status: Status, reason: str = "", **content: Any) -> Settled:
        """Settle a bar.

        Raises
        ------
        AlreadySettled
            Somebody did so before; what they recorded stands.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        body = {"bar_end": bar_end.astimezone(UTC).isoformat(), "status": status, "reason": reason, **content}
        path = self._path(bar_end)
        temporary = self.folder / f".{uuid4().hex}.tmp"
        try:
            with temporary.open("w", encoding="utf-8") as handle:
                handle.write(json.dumps(body) + "\n")
                handle.flush()
                os.fsync(handle.fileno())
            os.link(temporary, path)
        except FileExistsError as error:
            raise AlreadySettled(f"the bar that ends {bar_end:%Y-%m-%d %H:%M} UTC has been settled before") from error
        finally:
            temporary.unlink(missing_ok=True)
        return _settled(body)

    def get(self, bar_end: datetime) -> Settled | None:
        """Return what became of a bar; None while it is open."""
        path = self._path(bar_end)
        return self._read(path) if path.exists() else None

    def __iter__(self) -> Iterator[Settled]:
        """Iterate over settled bars in time order."""
        if self.folder.is_dir():
            for path in sorted(self.folder.glob("*.json")):
                yield self._read(path)

    def newest(self) -> datetime | None:
        """Newest settled bar end."""
        names = sorted(path.stem for path in self.folder.glob("*.json")) if self.folder.is_dir() else []
        return datetime.strptime(names[-1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if names else None

    def _read(self, path: Path) -> Settled:
        if path.name not in self._settled:
            self._settled[path.name] = _settled(json.loads(path.read_text(encoding="utf-8")))
        return self._settled[path.name]

    def _path(self, bar_end: datetime) -> Path:
        return self.folder / f"{bar_end.astimezone(UTC):%Y%m%dT%H%M%S}.json"


def newest_settled(live: Path, session: date) -> datetime | None:
    """Newest bar end that was settled up to the end of a session, by any session whose decisions are kept."""
    days = sorted(path.name for path in (live / "sessions").glob("*") if path.name <= session.isoformat())
    found = (decision_log(live, date.fromisoformat(day)).newest() for day in reversed(days))
    return next((moment for moment in found if moment is not None), None)


def decision_log(live: Path, session: date) -> DecisionLog:
    """Log of a session of the home whose `live/` folder is given."""
    return DecisionLog(session_folder(live, session))


def session_folder(live: Path, session: date) -> Path:
    """Folder of everything the loop keeps of a session."""
    return live / "sessions" / session.isoformat()


def digest(rows: pl.DataFrame) -> str:
    """Hash of rows in their order, floats to the last bit."""
    return hashlib.sha256(rows.write_ndjson().encode()).hexdigest()[:32]


def _settled(body: dict[str, Any]) -> Settled:
    rest = {name: value for name, value in body.items() if name not in {"bar_end", "status", "reason"}}
    return Settled(datetime.fromisoformat(body["bar_end"]), body["status"], body["reason"], rest)
