"""Splits and dividends as factors on the prices before them, as known at a moment.

Across an ex-date an earlier close is scaled by (1 - dividend / close) / ratio, the usual price-relative adjustment (CRSP), when
two prices are compared; a stored price level is never rewritten.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import polars as pl
from numba import njit

from aurora_pipeline.features.inputs import ResidualInputs
from aurora_pipeline.features.windows import Panel

_KINDS = {"none": ("dividend", "split"), "split": ("dividend",), "split_dividend": ()}
"""Actions that prices still contain, by how they are adjusted."""


@dataclass(frozen=True)
class ActionVersion:
    """One version of an action: what was said, when it became known, and when it was told otherwise (None: never)."""

    known_at: datetime
    superseded_at: datetime | None
    ratio: float | None
    amount: float | None

    def counts_at(self, moment: datetime) -> bool:
        """Whether it is in force at a moment."""
        return self.known_at <= moment and (self.superseded_at is None or moment < self.superseded_at)


@dataclass(frozen=True)
class ActionHistory:
    """Corporate actions in order of their ex-date.

    Attributes
    ----------
    ex_dates : list of date
        One per action, in increasing order.
    actions : list of tuple
        Kind, instrument and versions (oldest first) of each.
    """

    ex_dates: list[date]
    actions: list[tuple[str, str, list[ActionVersion]]]

    def known(self, first: date, last: date, moment: datetime) -> list[tuple[str, str, date, ActionVersion]]:
        """Kind, instrument, ex-date and version in force at `moment` of the actions that go ex from `first` to `last`."""
        found = []
        for index in range(bisect.bisect_left(self.ex_dates, first), bisect.bisect_right(self.ex_dates, last)):
            kind, instrument, versions = self.actions[index]
            in_force = [version for version in versions if version.counts_at(moment)]
            if in_force:
                found.append((kind, instrument, self.ex_dates[index], in_force[-1]))
        return found


def action_history(inputs: ResidualInputs) -> ActionHistory:
    """Order the corporate actions of some inputs, once."""
    return inputs.once("actions", lambda: _ordered(inputs.action_versions()))


def _ordered(actions: pl.DataFrame) -> ActionHistory:
    versions: dict[tuple[date, str, str], list[ActionVersion]] = {}
    ordered = actions.sort("ex_date", "kind", "instrument_id", "known_at")
    rows = ordered.select("ex_date", "kind", "instrument_id", "known_at", "superseded_at", "ratio", "amount")
    for ex_date, kind, instrument, *version in rows.iter_rows():
        versions.setdefault((ex_date, kind, instrument), []).append(ActionVersion(*version))
    return ActionHistory([key[0] for key in versions], [(key[1], key[2], told) for key, told in versions.items()])


def adjustment_factors(
    inputs: ResidualInputs, sessions: Sequence[date], instruments: Sequence[str], close: Panel, moment: datetime
) -> Panel:
    """Factor by which closes before a session are scaled to compare with that session's prices.

    Parameters
    ----------
    inputs : ResidualInputs
        Corporate actions, and how the market's prices are adjusted already.
    sessions, instruments : sequence
        Axes; an action that goes ex between two sessions counts at the later one.
    close : ndarray of shape (sessions, instruments)
        As traded, USD per share; NaN where missing.
    moment : datetime
        Versions that became known later do not count.

    Returns
    -------
    ndarray of shape (sessions, instruments)
        1 where no split or dividend goes ex; NaN never.
    """
    factor = np.ones((len(sessions), len(instruments)))
    kinds = _KINDS[inputs.manifest.price_adjustment]
    if not sessions or not kinds:
        return factor
    known = [row for row in action_history(inputs).known(sessions[0], sessions[-1], moment) if row[0] in kinds]
    if not known:
        return factor
    columns = {name: index for index, name in enumerate(instruments)}
    last, split = carried(close), np.ones_like(factor)
    # Splits first: a dividend of the same day is per share after it, as the book pays it.
    for kind, instrument, day, version in sorted(known, key=lambda row: (row[2], row[0] != "split")):
        if instrument not in columns:
            continue
        row, column = bisect.bisect_left(sessions, day), columns[instrument]
        if kind == "split" and version.ratio:
            factor[row, column] /= version.ratio
            split[row, column] /= version.ratio
        before = last[row - 1, column] * split[row, column] if row else np.nan
        if kind == "dividend" and version.amount and version.amount < before:
            factor[row, column] *= 1.0 - version.amount / before
    return factor


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def carried(values: Panel) -> Panel:
    """Each value, or the last one before it in its column; NaN before the first."""
    out = values.copy()
    for row in range(1, values.shape[0]):
        for column in range(values.shape[1]):
            if out[row, column] != out[row, column]:
                out[row, column] = out[row - 1, column]
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def last_close_before(close: Panel, factor: Panel) -> Panel:
    """Last earlier close of each column, scaled across the ex-dates since; NaN before the first."""
    out = np.full_like(close, np.nan)
    last = np.full(close.shape[1], np.nan)
    for row in range(close.shape[0]):
        for column in range(close.shape[1]):
            last[column] *= factor[row, column]
            out[row, column] = last[column]
            if close[row, column] == close[row, column]:
                last[column] = close[row, column]
    return out
