"""The broker's positions against the book's: the broker is the truth, and a difference halts trading.

A difference is taken over at the last known price and booked as gross result, so the NAV identity still holds and the
amount is on record. Nobody knows what else is wrong, so nothing is traded until a person says `aurora resume`, or
`aurora flatten` to close what the broker holds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aurora_pipeline.execution.events import BookEvent
from aurora_pipeline.execution.ledger import Ledger

SHARE_TOLERANCE = 1e-6


def reconcile(ledger: Ledger, broker_positions: Mapping[str, float]) -> list[BookEvent]:
    """Take over what the broker holds; returns one event per name that differed.

    Parameters
    ----------
    ledger : Ledger
        Of the book; changed where it differs.
    broker_positions : mapping of str to float
        Shares by instrument.
    """
    events = []
    held = {name: float(ledger.shares[index]) for name, index in ledger.column.items() if ledger.shares[index] != 0.0}
    for name in sorted({*held, *broker_positions}):
        ours, theirs = held.get(name, 0.0), broker_positions.get(name, 0.0)
        if abs(ours - theirs) <= SHARE_TOLERANCE:
            continue
        detail = f"the book has {ours:g} shares, the broker {theirs:g}"
        index = ledger.column.get(name)
        if index is None:
            detail += "; the name is not in the session, so it could not be taken over"
        elif not np.isfinite(ledger.price[index]):
            detail += "; without a price it could not be taken over"
        else:
            ledger.adopt(index, theirs)
        events.append(BookEvent("position_drift", name, detail))
    return events
