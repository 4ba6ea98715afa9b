"""Feeds: whatever brings bars and feed rows into the inbox, behind one Protocol.

A feed is asked again and again what has become known; :func:`pump` leaves the answer in the inbox. Any other process may drop
files there just as well: a feed is a convenience, the inbox is the interface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import polars as pl

from aurora_pipeline.adapters.inbox import Inbox


@dataclass(frozen=True)
class Delivery:
    """What a feed has to tell at a moment.

    Attributes
    ----------
    rows : dict of str to polars.DataFrame
        Rows by kind (`bars` or the name of a feed), in the columns of the market folder.
    closed : tuple of datetime
        Ends of bars of which nothing more will come on time.
    """

    rows: dict[str, pl.DataFrame] = field(default_factory=dict)
    closed: tuple[datetime, ...] = ()


class Feed(Protocol):
    """A source of rows.

    Every row is handed out once, none before it was known, and whoever asks in larger steps gets the same rows.
    """

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def poll(self, now: datetime) -> Delivery:
        """Return what has become known since the last call, up to and with `now`."""


def pump(feeds: Sequence[Feed], inbox: Inbox, now: datetime) -> int:
    """Leave everything the feeds know at a moment in the inbox; returns the number of rows.

    Feed rows are dropped before bars and marks last: whoever sees a bar closed finds all that was known with it.
    """
    deliveries = [feed.poll(now) for feed in feeds]
    count = 0
    for wanted in (False, True):
        for delivery in deliveries:
            for kind, rows in delivery.rows.items():
                if (kind == "bars") is wanted and not rows.is_empty():
                    inbox.drop(kind, rows)
                    count += rows.height
    for delivery in deliveries:
        for moment in delivery.closed:
            inbox.close_bar(moment)
    return count
