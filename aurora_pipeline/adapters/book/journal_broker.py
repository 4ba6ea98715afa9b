"""A paper broker that remembers every order id across processes, so that a restart sends nothing twice.

The journal is a text file with one accepted order per line, appended and flushed to disk before the order counts as
accepted. A tick that is done again after a crash sends the same ids (they depend only on the decision): the broker has them,
so they are open again in this process and nothing new is accepted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.execution.broker import Acknowledgement
from aurora_pipeline.execution.simulated_broker import SimulatedBroker


class JournalBroker(SimulatedBroker):
    """Simulated broker with a durable journal of order ids.

    Parameters
    ----------
    path : Path
        Journal; made when the first order is accepted. A last line that a crash cut off is ignored and overwritten.
    positions, participation, no_short
        As in :class:`~aurora_pipeline.execution.simulated_broker.SimulatedBroker`.
    """

    def __init__(
        self, path: Path, positions: Mapping[str, float], participation: float, no_short: Iterable[str] = ()
    ) -> None:
        super().__init__(positions, participation, no_short)
        self.path = path
        self._journal = _read(path)

    def submit(self, order: PendingOrder) -> Acknowledgement:
        """Take an order once over the life of the journal."""
        before = order.order_id in self._journal
        answer = super().submit(order)
        if answer.status != "accepted":
            return answer
        if before:
            return Acknowledgement("duplicate")
        self._append(order)
        return answer

    @property
    def journal(self) -> frozenset[str]:
        """Order ids that were ever accepted."""
        return frozenset(self._journal)

    def knows(self, order_id: str) -> bool:
        """Whether an order id was ever accepted, by this process or one before it."""
        return order_id in self._journal or super().knows(order_id)

    def _append(self, order: PendingOrder) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"order_id": order.order_id, "decision_time": order.decision_time.isoformat()})
        with self.path.open("ab") as handle:
            handle.write(line.encode() + b"\n")
            handle.flush()
            os.fsync(handle.fileno())
        self._journal.add(order.order_id)


def _read(path: Path) -> set[str]:
    """Order ids of the complete lines; a line cut off by a crash is taken off the file."""
    if not path.exists():
        return set()
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) != len(content):
        with path.open("r+b") as handle:
            handle.truncate(len(whole))
            handle.flush()
            os.fsync(handle.fileno())
    return {json.loads(line)["order_id"] for line in whole.splitlines()}
