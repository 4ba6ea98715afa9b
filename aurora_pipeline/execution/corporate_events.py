"""Corporate actions as a book meets them: once, at the open of the first session with them in force and known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.calendar import SessionCalendar
from aurora_pipeline.market.action_versions import REDATED_DAYS, in_force, redated, with_superseded

LATE_DAYS = 30
SMALLEST_TOLD = math.log(2.0) - 1e-9
"""Log of the smallest split that a price can contradict: overnight moves of a third happen."""
KINDS_BY_ADJUSTMENT = {
    "none": ("split", "dividend", "delist"),
    "split": ("dividend", "delist"),
    "split_dividend": ("delist",),
}
"""Which actions change holdings: what is already in the prices must not be booked again. A rename changes a label
only."""


@dataclass(frozen=True)
class CorporateEvent:
    """One action on one instrument.

    Attributes
    ----------
    instrument : str
        Permanent name.
    kind : str
        ``split``, ``dividend`` or ``delist``.
    value : float
        New shares per old share, or cash per share in USD; 0 for a delisting.
    pays : float or None
        Of a delisting, cash per share, USD; None for the last price.
    overnight : bool
        Whether it went ex since the session before: prices of that session do not contain it, those of this one do.
    """

    instrument: str
    kind: str
    value: float
    pays: float | None = None
    overnight: bool = True


@dataclass(frozen=True)
class RefusedSplit:
    """A split that the price of its day contradicted: it may have been told for too early a day.

    Attributes
    ----------
    instrument : str
        Permanent name.
    ratio : float
        New shares per old share.
    session : str
        Session it was refused in, ISO date.
    """

    instrument: str
    ratio: float
    session: str


def contradicts(ratio: float, before: float, after: float) -> bool:
    """Whether two prices on either side of a split say that it did not take place: the level is where it was.

    Only ratios of two and more, or a half and less, are told from a move: after one that took place, the price would have had to
    move by three quarters of it, to +68 % for 2:1, between the two.

    Parameters
    ----------
    ratio : float
        New shares per old share.
    before, after : float
        USD per share; NaN where unknown, which contradicts nothing.
    """
    return _told_from_a_move(ratio) and abs(math.log(after / before)) < abs(math.log(ratio)) / 4.0


def confirms(ratio: float, before: float, after: float) -> bool:
    """Whether two prices say that a split took place between them; parameters as of :func:`contradicts`."""
    return _told_from_a_move(ratio) and abs(math.log(after * ratio / before)) < abs(math.log(ratio)) / 4.0


def _told_from_a_move(ratio: float) -> bool:
    return abs(math.log(ratio)) >= SMALLEST_TOLD


def shares_after(shares: float, event: CorporateEvent) -> float:
    """Whole shares after an action; what a split leaves of a share is paid out in cash."""
    if event.kind == "split":
        return float(np.trunc(np.round(shares * event.value, 9)))
    return 0.0 if event.kind == "delist" else shares


def events_at_open(
    actions: pl.DataFrame, session: date, calendar: SessionCalendar, price_adjustment: str
) -> tuple[CorporateEvent, ...]:
    """Actions that reach holdings at the open of a session.

    An action takes effect at the open of its ex-date, or of the first session that opens with it known, if that is up
    to 30 days later. Values are those known at that open; a later correction is not booked. The same action told again with
    another ex-date, up to 10 days away, replaces the first, or comes too late for it: it is never booked twice.

    Parameters
    ----------
    actions : polars.DataFrame
        Rows of the table `corporate_actions`, versions included.
    session : date
        The session that opens.
    calendar : SessionCalendar
        Opens of this session and the one before.
    price_adjustment : {"none", "split", "split_dividend"}
        How the market's prices are adjusted.

    Returns
    -------
    tuple of CorporateEvent
        By instrument, splits before dividends before delistings: a dividend is paid on the shares after a split.
    """
    key = ["instrument_id", "ex_date", "kind"]
    kinds = KINDS_BY_ADJUSTMENT[price_adjustment]
    opening, previous = calendar.open(session), calendar.shift(session, -1)
    days_late = (pl.lit(session) - pl.col("ex_date")).dt.total_days()
    near = days_late <= LATE_DAYS + 2 * REDATED_DAYS
    versions = with_superseded(actions.filter(pl.col("kind").is_in(kinds), near)).with_row_index("row")
    recent = versions.filter(pl.col("ex_date") <= session, days_late <= LATE_DAYS)
    first_known = recent.group_by(key).agg(pl.col("known_at").min().alias("first_known"))
    due = (
        in_force(recent, opening)
        .join(first_known, on=key)
        .filter((pl.col("ex_date") > previous) | (pl.col("first_known") > calendar.open(previous)))
        .with_columns(
            pl.col("kind").replace_strict({"split": 0, "dividend": 1, "delist": 2}, default=3).alias("order"),
            pl.coalesce(
                pl.when(pl.col("kind") == "split").then("ratio"),
                pl.when(pl.col("kind") == "dividend").then("amount"),
                0.0,
            ).alias("value"),
            pl.when(pl.col("kind") == "delist").then("amount").alias("pays"),
            (pl.col("ex_date") > previous).alias("overnight"),
        )
        .filter((pl.col("kind") != "split") | (pl.col("value") > 0.0))
        .sort("instrument_id", "order", "ex_date")
    )
    if not due.is_empty():
        told_before = redated(versions).join(versions, on="row")
        due = due.filter(~pl.Series([_booked_with_another_date(row, told_before, calendar) for row in due.to_dicts()]))
    return tuple(
        CorporateEvent(*row) for row in due.select("instrument_id", "kind", "value", "pays", "overnight").iter_rows()
    )


def _booked_with_another_date(row: dict[str, Any], told_before: pl.DataFrame, calendar: SessionCalendar) -> bool:
    """Whether an action that is due was booked before it was told with this ex-date."""
    others = told_before.filter(pl.col("again") == row["row"])
    for ex_date, known, superseded in others.select("ex_date", "known_at", "superseded_at").iter_rows():
        days = calendar.sessions(ex_date, max(ex_date, known.date()) + timedelta(days=REDATED_DAYS))
        booked = next(calendar.open(day) for day in days if calendar.open(day) >= known)
        if booked < row["known_at"] and (superseded is None or booked < superseded):
            return True
    return False
