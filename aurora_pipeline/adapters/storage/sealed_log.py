"""An append-only log: one line of JSON each, every line sealed with the hash of the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.errors import LakeError

Line = dict[str, Any]


class SealedLog:
    """Lines of one file of a home.

    Parameters
    ----------
    home : Home
        The installation.
    name : str
        File name.
    """

    def __init__(self, home: Home, name: str) -> None:
        self.home = home
        self.name = name
        self.path: Path = home.path / name

    def lines(self) -> list[Line]:
        """Every line as written, oldest first.

        Raises
        ------
        LakeError
            A line was changed, removed or is not readable.
        """
        if not self.path.exists():
            return []
        seal, lines = "", []
        for number, text in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                line: Line = json.loads(text)
                found = line.pop("seal")
            except (ValueError, KeyError, AttributeError) as error:
                raise LakeError(f"{self.path}, line {number}: not a sealed line ({error}); restore it") from error
            seal = _seal(seal, line)
            if found != seal:
                raise LakeError(
                    f"{self.path}, line {number}: the seal does not match: this line or one before it was changed; the "
                    "history of what was decided is append-only, restore the file"
                )
            lines.append(line)
        return lines

    def append(self, more: Callable[[list[Line]], Sequence[Line]]) -> list[Line]:
        """Write what `more` makes of the lines there are behind them, under a lock; returns what was written."""
        with self.home.locked(self.name):
            before = self.lines()
            added = list(more(before))
            if not added:
                return []
            seal, text = "", ""
            for entry in [*before, *added]:
                seal = _seal(seal, entry)
                text += json.dumps(entry | {"seal": seal}, sort_keys=True) + "\n"
            atomic_text(self.path, text)
        return added


def _seal(before: str, line: Line) -> str:
    return hashlib.sha256((before + json.dumps(line, sort_keys=True)).encode()).hexdigest()
