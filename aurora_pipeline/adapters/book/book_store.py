"""Where a book's sessions are kept: its tables in the lake, its state beside them, committed partition by partition.

The state is written before the tables and carries their fingerprint, so after a crash at any moment either the partition is
complete and its state fits, or the partition counts as missing and is made again from the state before it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date

import polars as pl

from aurora_pipeline.adapters.storage.lake import Lake, partition_of
from aurora_pipeline.contracts import BOOK_TABLES
from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.execution.session_result import SessionResult


class BookStore:
    """One book.

    Parameters
    ----------
    lake : Lake
        Holds the tables.
    book : str
        `live` or `backtest-<settings hash>`.
    """

    def __init__(self, lake: Lake, book: str) -> None:
        self.lake = lake
        self.book = book
        self._states = lake.storage.sibling("books")

    def _state_key(self, partition: str) -> str:
        return f"{self.book}/{partition}.json"

    def state_before(self, session: date, sessions: Sequence[date], first: date) -> BookState | None:
        """State the book had when a session opens; None where the session is the book's first.

        Raises
        ------
        BookError
            The session before was not stored: a book is never continued over a gap.
        """
        if session <= first:
            return None
        previous = sessions[sessions.index(session) - 1]
        held = self._fitting_state(previous)
        if held is None:
            raise BookError(
                f"book {self.book} holds nothing for {previous}, so it cannot go on with {session}; run it from {first} on"
            )
        return BookState.from_json(held)

    def ends(self, session: date) -> bool:
        """Whether the partition of a session was committed to the end and the book has reached the session's last bar."""
        held = self._fitting_state(session)
        return held is not None and BookState.from_json(held).complete

    def _fitting_state(self, session: date) -> str | None:
        partition = partition_of(session, self.lake.frequency)
        stored = self.lake.fingerprint("portfolio", partition, book=self.book)
        held: dict[str, str] = json.loads(self._states.read_text(self._state_key(partition)) or "{}")
        return held["state"] if stored is not None and held.get("fingerprint") == stored else None

    def commit(self, partition: str, results: Sequence[SessionResult], fingerprint: str) -> dict[str, int]:
        """Write the sessions of one partition; returns the rows of each table."""
        content = json.dumps({"fingerprint": fingerprint, "state": results[-1].state.to_json()}) + "\n"
        self._states.write_text(self._state_key(partition), content)
        rows: dict[str, int] = {}
        for name in BOOK_TABLES:
            frame = pl.concat([getattr(result, name) for result in results])
            self.lake.write(name, frame, partition, fingerprint=fingerprint, book=self.book)
            rows[name] = frame.height
        return rows
