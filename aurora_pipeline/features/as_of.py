"""Facts of a feed as they stood at each decision time.

A feed's fact counts from its `known_at` on, and a restatement replaces the version before it from its own `known_at` on only.
What a decision time can see therefore changes at a few moments: :func:`knowledge_states` reduces rows to those distinct states,
:func:`history_at` lays out the newest periods each state could see, and :func:`from_states` spreads results back over the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.calendar import SessionCalendar
from aurora_pipeline.features.known_periods import known_periods
from aurora_pipeline.features.rolling import Panel

NEVER = np.iinfo(np.int64).min
"""Moment or period of an absent entry."""
Moments = NDArray[np.int64]
"""Moments in microseconds since 1970, UTC; `NEVER` where there is none."""


@dataclass(frozen=True)
class FactHistory:
    """Newest periods of a feed as each state could see them; column 0 is the newest.

    Attributes
    ----------
    period : ndarray of int of shape (states, depth)
        Natural period of the fact (fiscal period end, settlement date, trading day), microseconds.
    first_known : ndarray of int of shape (states, depth)
        Moment the period was first published: a restatement does not make it younger.
    known : ndarray of int of shape (states, depth)
        Moment the version in force was published.
    values : dict of str to ndarray of shape (states, depth)
        Columns of the feed, NaN where missing.
    """

    period: Moments
    first_known: Moments
    known: Moments
    values: dict[str, Panel]

    def take(self, positions: NDArray[np.int64]) -> FactHistory:
        """Histories of some states."""
        return FactHistory(
            self.period[positions],
            self.first_known[positions],
            self.known[positions],
            {name: values[positions] for name, values in self.values.items()},
        )

    def gap_days(self) -> Panel:
        """Days from each period to the newest one; NaN where there is none."""
        gap = (self.period[:, :1] - self.period) / 86_400e6
        return np.where(self.period == NEVER, np.nan, gap)


def knowledge_states(rows: pl.DataFrame, feeds: Mapping[str, pl.DataFrame]) -> tuple[pl.DataFrame, pl.Series]:
    """Reduce rows to the states of knowledge in them.

    Parameters
    ----------
    rows : polars.DataFrame
        `session`, `instrument_id`, `decision_time` and, per feed, the column the feed is looked up by: `instrument_id`, or
        ``<feed>_id`` where present.
    feeds : mapping of str to polars.DataFrame
        Feeds by name, with `instrument_id` and `known_at`.

    Returns
    -------
    states : polars.DataFrame
        Distinct `session`, `instrument_id` and, per feed, ``<feed>_moment``: the newest `known_at` at or before the decision.
    state_of_row : polars.Series
        Position of each row's state.
    """
    timed = rows.with_row_index("row").sort("decision_time")
    for name, feed in feeds.items():
        by = f"{name}_id" if f"{name}_id" in rows.columns else "instrument_id"
        moments = feed.select(pl.col("instrument_id").alias(by), pl.col("known_at").alias(f"{name}_moment")).unique()
        timed = timed.join_asof(
            moments.sort(f"{name}_moment"),
            left_on="decision_time",
            right_on=f"{name}_moment",
            by=by,
            check_sortedness=False,
        )
    key = ["session", "instrument_id", *(f"{name}_moment" for name in feeds)]
    passed_on = [f"{name}_id" for name in feeds if f"{name}_id" in rows.columns]
    states = timed.select(*key, *passed_on).unique(key).sort(key)
    index = states.select(*key, pl.int_range(pl.len()).alias("state"))
    spread = timed.select("row", *key).join(index, on=key, how="left", nulls_equal=True).sort("row")
    return states, spread.get_column("state")


def history_at(
    states: pl.DataFrame,
    name: str,
    feed: pl.DataFrame,
    *,
    period: str,
    columns: Sequence[str],
    depth: int,
    reach: timedelta,
) -> FactHistory:
    """Lay out the newest periods of a feed, with the versions known at each state's moment.

    Parameters
    ----------
    states : polars.DataFrame
        From :func:`knowledge_states`.
    name : str
        Feed; its moment is ``<name>_moment``.
    feed : polars.DataFrame
        Versions of the feed's rows.
    period : str
        Column that orders the facts and, with the instrument, identifies one; where it is null `known_at` does.
    columns : sequence of str
        Values wanted.
    depth : int
        Periods wanted.
    reach : timedelta
        Versions published longer before the state's moment are left out.
    """
    by = f"{name}_id" if f"{name}_id" in states.columns else "instrument_id"
    facts = feed.select(
        "instrument_id",
        pl.coalesce(pl.col(period).cast(pl.Datetime("us")), pl.col("known_at").dt.replace_time_zone(None)).alias(
            "period"
        ),
        "known_at",
        *(pl.col(column).cast(pl.Float64) for column in columns),
    ).sort("instrument_id", "period", "known_at")
    names = facts.get_column("instrument_id").unique().sort()
    codes = facts.get_column("instrument_id").cast(pl.Enum(names)).to_physical().to_numpy()
    told = states.get_column(f"{name}_moment").to_physical()
    readers = (
        states.get_column(by).cast(pl.Enum(names), strict=False).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
    )
    periods, known = (facts.get_column(column).to_physical().to_numpy() for column in ("period", "known_at"))
    newest, first = known_periods(
        periods,
        known,
        np.searchsorted(codes, np.arange(len(names) + 1)).astype(np.int64),
        np.where(told.is_null().to_numpy(), -1, readers),
        told.fill_null(NEVER).to_numpy(),
        depth,
        reach // timedelta(microseconds=1),
    )

    def times(moments: Moments, at: NDArray[np.int64]) -> Moments:
        return np.where(at >= 0, np.append(moments, NEVER)[at], NEVER)

    return FactHistory(
        times(periods, newest),
        times(known, first),
        times(known, newest),
        {
            column: np.append(facts.get_column(column).fill_null(np.nan).to_numpy(), np.nan)[newest]
            for column in columns
        },
    )


def session_ages(calendar: SessionCalendar, states: pl.DataFrame, moments: Moments) -> Panel:
    """Sessions since each moment: 0 in the session whose decisions could first use it, NaN where there is none.

    Parameters
    ----------
    calendar : SessionCalendar
        Exchange calendar.
    states : polars.DataFrame
        With `session`.
    moments : ndarray of int of shape (states,)
        Such as ``FactHistory.first_known[:, 0]``.
    """
    present = moments != NEVER
    if not present.any():
        return np.full(moments.shape, np.nan)
    sessions = states.get_column("session")
    earliest = pl.Series([int(moments[present].min())]).cast(pl.Datetime("us")).dt.date().item()
    newest = sessions.max()
    axis = pl.Series(calendar.sessions(earliest, newest), dtype=pl.Date)  # type: ignore[arg-type]
    closes = pl.Series([calendar.close(day) for day in axis]).to_physical().to_numpy()
    current = np.searchsorted(axis.to_physical().to_numpy(), sessions.to_physical().to_numpy())
    since = np.searchsorted(closes, moments, side="left")
    return np.where(present, current - since, np.nan).astype(np.float64)


def unexpired(values: Panel, ages: Panel, expiry_sessions: int) -> Panel:
    """Values whose fact is at most `expiry_sessions` sessions old; NaN for the others."""
    return np.where(ages <= expiry_sessions, values, np.nan)


def from_states(
    rows: pl.DataFrame, state_of_row: pl.Series, features: Mapping[str, NDArray[np.float64]]
) -> pl.DataFrame:
    """Spread features of states over the rows.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `decision_time` of the rows, in their order, and one Float32 column per feature; null where the
        value is not finite.
    """
    with np.errstate(over="ignore"):
        narrow = {name: values.astype(np.float32) for name, values in features.items()}
    table = pl.DataFrame(
        {
            name: pl.Series(np.where(np.isfinite(values), values, np.nan), nan_to_null=True)
            for name, values in narrow.items()
        }
    )
    return pl.concat([rows.select("session", "symbol", "decision_time"), table[state_of_row]], how="horizontal")
