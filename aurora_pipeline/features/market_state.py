"""Prices, trading and share bases that go with states of knowledge: through the newest session each state can look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.codes import axis_codes
from aurora_pipeline.features.feed_facts import Moments
from aurora_pipeline.features.inputs import ResidualInputs
from aurora_pipeline.features.readers import NEVER
from aurora_pipeline.features.session_panel import SessionPanel, session_panels
from aurora_pipeline.features.windows import Panel
from aurora_pipeline.market.action_versions import in_force

DAY = 86_400_000_000
"""Microseconds of a day."""


@dataclass(frozen=True)
class MarketState:
    """States that share one daily history.

    Attributes
    ----------
    positions : ndarray of int of shape (members,)
        Positions of the states in the frame they came from.
    panel : SessionPanel
        Daily history known to all of them.
    names : list of str
        What the codes of instruments stand for.
    row : ndarray of int of shape (members,)
        Panel row of the newest complete session of each state.
    column : ndarray of int of shape (members,)
        Panel column of each state's instrument; -1 without any history.
    splits : polars.DataFrame
        Known splits: `instrument_id`, `ex_date`, `ratio`.
    session_row : ndarray of int of shape (members,)
        Panel row of each state's own session, or the row it would have: one behind `row` while the session is open.
    """

    positions: NDArray[np.int64]
    panel: SessionPanel
    names: list[str]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    splits: pl.DataFrame
    session_row: NDArray[np.int64]

    @property
    def first_row(self) -> int:
        """Oldest newest-row: kernels need nothing before it."""
        return int(self.row.min())

    @cached_property
    def abnormal_return(self) -> Panel:
        """Total returns less the mean of all names of the session, shape (sessions, instruments)."""
        returns = self.panel.total_return
        present = ~np.isnan(returns)
        mean = np.where(present, returns, 0.0).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
        return np.asarray(returns - mean[:, None])

    @cached_property
    def newest_day(self) -> NDArray[np.int64]:
        """Newest complete session of each state, days since 1970."""
        return self._days[self.row]

    @cached_property
    def _days(self) -> NDArray[np.int64]:
        return np.array(self.panel.sessions, dtype="datetime64[D]").astype(np.int64)

    def of_instruments(self, codes: NDArray[np.int64]) -> MarketState:
        """The same states and sessions with other instruments, such as each stock's sector fund; -1 for none."""
        columns = axis_codes(self.names, self.panel.instruments)
        return replace(self, column=np.append(columns, -1)[codes])

    def take(self, members: NDArray[np.int64]) -> MarketState:
        """Some of the states, in the order asked for."""
        if len(members) == len(self.row) and (np.diff(members) == 1).all():
            return self
        return replace(
            self,
            positions=self.positions[members],
            row=self.row[members],
            column=self.column[members],
            session_row=self.session_row[members],
        )

    def newest(self, values: Panel) -> NDArray[np.float64]:
        """Pick each state's value out of a panel whose last row is the panel's last row."""
        offset = len(self.panel.sessions) - values.shape[0]
        found = values.ravel()[self._places - offset * values.shape[1]]
        return found if self._all_found else np.where(self.column >= 0, found, np.nan)

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Place of each state in the panel, row by row; that of the first column for an instrument without history."""
        return self.row * len(self.panel.instruments) + np.maximum(self.column, 0)

    @cached_property
    def _all_found(self) -> bool:
        return bool((self.column >= 0).all())

    def close_before(self, moments: Moments) -> NDArray[np.float64]:
        """Close of the session before the one in which a fact was published, USD per share as traded then.

        Of an announcement after the close this is the close of the session before that day, untouched by it.
        """
        row = np.searchsorted(self._days, moments // DAY, side="left") - 1
        usable = (moments != NEVER) & (row >= 0) & (self.column >= 0)
        return np.where(usable, self.panel.close[np.where(usable, row, 0), self.column], np.nan)

    def day_before(self, moments: Moments) -> NDArray[np.int64]:
        """Session whose price :meth:`close_before` gives, days since 1970."""
        row = np.searchsorted(self._days, moments // DAY, side="left") - 1
        return self._days[np.maximum(row, 0)]

    def split_ratio(self, after: NDArray[np.int64], through: NDArray[np.int64]) -> Panel:
        """Product of the split ratios with an ex-date in (after, through]: shares then per share before.

        Parameters
        ----------
        after, through : ndarray of int of shape (members,) or (members, depth)
            Days since 1970.
        """
        ratio = np.ones(np.broadcast_shapes(after.shape, through.shape))
        columns = {name: index for index, name in enumerate(self.panel.instruments)}
        for instrument, ex_date, value in self.splits.iter_rows():
            own = self.column == columns.get(instrument, -2)
            if not own.any():
                continue
            day = int(np.datetime64(ex_date, "D").astype(np.int64))
            inside = (after < day) & (day <= through)
            member = own if inside.ndim == 1 else own[:, None]
            ratio = np.where(member & inside, ratio * value, ratio)
        return ratio


def market_states(
    inputs: ResidualInputs, names: list[str], day: NDArray[np.int64], instrument: NDArray[np.int64]
) -> Iterator[MarketState]:
    """Attach daily histories to states.

    Parameters
    ----------
    inputs : ResidualInputs
        Sessions, calendar, daily bars, corporate actions.
    names : list of str
        Axis of the codes, sorted.
    day, instrument : ndarray of int of shape (states,)
        Session of each state, days since 1970, and code of its instrument.
    """
    splits = inputs.action_versions().filter(pl.col("kind") == "split", pl.col("ratio").is_not_null())
    for group, panel in session_panels(inputs):
        axis = np.array(group, dtype="datetime64[D]").astype(np.int64)
        # The sessions of a group follow one another.
        own = np.flatnonzero((day >= axis[0]) & (day <= axis[-1]))
        if not own.size:
            continue
        row = panel.row(inputs.newest_session(group[0])) + np.searchsorted(axis, day[own])
        market = MarketState(
            positions=own,
            panel=panel,
            names=names,
            row=row,
            session_row=row + int(inputs.frequency == "5min"),
            column=np.full(own.size, -1, dtype=np.int64),
            splits=in_force(splits, inputs.session_cutoff(group[-1])).select("instrument_id", "ex_date", "ratio"),
        )
        yield market.of_instruments(instrument[own])
