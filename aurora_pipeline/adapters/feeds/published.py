"""Feeds of rows that a vendor publishes now and then: filings, short interest, corporate actions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl

from aurora_pipeline.adapters.feeds import Delivery
from aurora_pipeline.market.columns import FEEDS


class PublishedRows:
    """Asks a vendor at times and tells each row once it is known.

    Parameters
    ----------
    name : str
        Of the feed, in messages.
    kind : str
        Feed of the market-folder contract.
    ask : callable
        Rows, contract columns, that the vendor shows at a moment; rows that are known later than that may be among them.
    every : timedelta
        How often the vendor is asked.
    """

    def __init__(self, name: str, kind: str, ask: Callable[[datetime], pl.DataFrame], every: timedelta) -> None:
        self.name = name
        self._kind, self._ask, self._every = kind, ask, every
        self._due: datetime | None = None
        self._polled: datetime | None = None
        self._waiting = self._told = pl.DataFrame(schema=FEEDS[kind].columns)

    def poll(self, now: datetime) -> Delivery:
        """Return rows that became known; see :class:`~aurora_pipeline.adapters.feeds.Feed`.

        Raises
        ------
        VendorError
            The vendor could not be asked; the next poll asks again.
        """
        if self._polled is not None and now <= self._polled:
            return Delivery()
        if self._due is None or now >= self._due:
            content = list(FEEDS[self._kind].columns)
            rows = self._ask(now).select(content).unique(maintain_order=True)
            self._waiting = rows.join(self._told, on=content, how="anti", nulls_equal=True, maintain_order="left")
            self._due = now + self._every
        self._polled = now
        ready = self._waiting.filter(pl.col("known_at") <= now)
        if ready.is_empty():
            return Delivery()
        self._waiting = self._waiting.filter(pl.col("known_at") > now)
        self._told = pl.concat([self._told, ready])
        return Delivery({self._kind: ready})
