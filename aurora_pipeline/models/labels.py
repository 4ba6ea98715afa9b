"""Labels: the residual return from the close of the next bar to the close `horizon_bars` later.

For an eligible stock and a decision time at bar t, with execution lag l and horizon h counted in bars of the session
grid (half-days count as many bars as they have):

1. the entry is the close of bar t + l, the bar an order decided at t fills in (of the next session after the last bar);
2. the label is the sum of the residual returns of bars t + l + 1 to t + l + h, added in time order;
3. it matures when bar t + l + h is known, and uses the newest version of each bar known at that moment.

What is not there:

- **No entry bar, no label.** The first return after a missing entry bar began at a price from the decision time or
  earlier, which nobody could have traded at, and the order would have expired unfilled. So with one withdrawn by maturity.
- **A bar withdrawn by maturity** is missing: the next bar's return spans it.
- **A missing bar inside** costs nothing: the next bar's return spans it.
- **A missing last bar**: the label ends at the last known close. It matures :data:`LATE_LIMIT` after the bar's end,
  when it is certain that the bar is absent; a bar that comes later than that does not count. Any reader therefore
  finds the same labels whether it computed them then or years later.
- **A delisting**: returns stop, so the label ends at the last price and holds cash.
- **The future**: a label whose last bar lies beyond the data is absent. So is one where nobody had that bar or a later one by
  :data:`LATE_LIMIT` after its end, because the whole market stood still or its data did not come: at that moment the two are
  not told apart, and what is heard of the market later decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
from numba import njit

from aurora_pipeline.calendar import TIMESTAMP, Frequency, SessionCalendar
from aurora_pipeline.contracts import empty
from aurora_pipeline.models.versioned_panel import NEVER, version_known_at, versioned_panel

LATE_LIMIT = timedelta(hours=1)
"""How late a bar may come and still count; shorter than any night, so that by each open it is settled."""


def compute_labels(
    sessions: Sequence[date],
    residual_returns: pl.DataFrame,
    universe: pl.DataFrame,
    calendar: SessionCalendar,
    frequency: Frequency,
    horizon_bars: int,
    execution_lag_bars: int,
) -> pl.DataFrame:
    """Labels of all decision times of some sessions that have matured within the data.

    Parameters
    ----------
    sessions : sequence of date
        Sessions whose decision times are labelled.
    residual_returns : polars.DataFrame
        Rows of these sessions and of every session their labels reach, all versions.
    universe : polars.DataFrame
        Says which stocks are eligible on each session, and under which symbol.
    calendar : SessionCalendar
        Gives the bar grid.
    frequency : {"5min", "session"}
        Bar length.
    horizon_bars : int
        Length of the label.
    execution_lag_bars : int
        Bars between the decision and the entry.

    Returns
    -------
    polars.DataFrame
        Table `labels`: `label` is a fraction over the horizon. Sorted by symbol and decision time.

    Raises
    ------
    MarketDataError
        A residual return lies outside the bar grid.
    """
    eligible = (
        universe.filter(pl.col("session").is_in(list(sessions)), pl.col("kind") == "stock", pl.col("eligible"))
        .select("session", "symbol", "instrument_id")
        .sort("symbol", "session")
    )
    if eligible.is_empty() or residual_returns.is_empty():
        return empty("labels")
    first = min(sessions)
    last = max(first, residual_returns.get_column("session").max())  # type: ignore[type-var]
    grid = calendar.grid(calendar.sessions(first, last), frequency)  # type: ignore[arg-type]
    panel = versioned_panel(residual_returns, "residual_return", grid.get_column("bar_end"))
    spans = (
        grid.with_row_index("bar").group_by("session").agg(pl.col("bar").min().alias("start"), pl.len().alias("bars"))
    )
    eligible = eligible.join(spans, on="session", how="inner", maintain_order="left")
    eligible = eligible.with_columns(pl.Series("code", panel.codes(eligible.get_column("instrument_id"))))
    eligible = eligible.filter(pl.col("code") >= 0).with_row_index("pair")
    pair, bar, label, matured = _label_kernel(
        panel.offsets,
        panel.values,
        panel.known,
        panel.withdrawn,
        panel.bar_ends,
        *(eligible.get_column(name).cast(pl.Int64).to_numpy() for name in ("code", "start", "bars")),
        horizon_bars,
        execution_lag_bars,
        LATE_LIMIT // timedelta(microseconds=1),
    )
    labels: pl.DataFrame = (
        eligible.select("session", "symbol")[pair]
        .with_columns(
            pl.Series("decision_time", panel.bar_ends[bar]).cast(TIMESTAMP),
            pl.Series("label", label),
            pl.lit(horizon_bars, pl.Int32).alias("horizon_bars"),
            pl.Series("matured_at", matured).cast(TIMESTAMP),
        )
        .select(empty("labels").columns)
    )
    return labels


def maturity_violations(
    labels: pl.DataFrame, calendar: SessionCalendar, frequency: Frequency, execution_lag_bars: int
) -> pl.DataFrame:
    """Return labels that mature before execution lag and horizon have passed on the bar grid; empty when all is well.

    Parameters
    ----------
    labels : polars.DataFrame
        Table `labels`.
    calendar : SessionCalendar
        Gives the bar grid.
    frequency : {"5min", "session"}
        Bar length.
    execution_lag_bars : int
        Bars between the decision and the entry.
    """
    if labels.is_empty():
        return labels
    first, last = labels.get_column("session").min(), labels.get_column("matured_at").max()
    ends = calendar.grid(calendar.sessions(first, last.date()), frequency).get_column("bar_end")  # type: ignore[arg-type,union-attr]
    decided = ends.search_sorted(labels.get_column("decision_time"), side="left").cast(pl.Int64)
    reached = ends.search_sorted(labels.get_column("matured_at"), side="right").cast(pl.Int64) - 1
    return labels.filter(reached < decided + execution_lag_bars + labels.get_column("horizon_bars"))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _label_kernel(
    offsets: Any,
    values: Any,
    known: Any,
    withdrawn: Any,
    bar_ends: Any,
    codes: Any,
    starts: Any,
    counts: Any,
    horizon: int,
    lag: int,
    late: int,
) -> Any:
    bars = len(bar_ends)
    heard = np.full(bars, NEVER)  # when anybody's bar of this place or a later one was first known
    for cell in range(len(offsets) - 1):
        if offsets[cell + 1] > offsets[cell]:
            heard[cell % bars] = min(heard[cell % bars], known[offsets[cell]])
    for bar in range(bars - 2, -1, -1):
        heard[bar] = min(heard[bar], heard[bar + 1])
    size = counts.sum()
    pair_of = np.empty(size, np.int64)
    bar_of = np.empty(size, np.int64)
    label = np.empty(size, np.float64)
    matured = np.empty(size, np.int64)
    found = 0
    for pair in range(len(codes)):
        base = codes[pair] * bars
        for bar in range(starts[pair], starts[pair] + counts[pair]):
            entry = bar + lag
            last = entry + horizon
            if last >= bars:
                break
            settled = bar_ends[last] + late
            if heard[last] > settled or offsets[base + entry + 1] == offsets[base + entry]:
                continue
            entry_known = known[offsets[base + entry]]
            moment = settled
            if offsets[base + last + 1] > offsets[base + last] and known[offsets[base + last]] <= settled:
                moment = max(bar_ends[last], known[offsets[base + last]])
            entered = version_known_at(known, withdrawn, offsets[base + entry], offsets[base + entry + 1], moment)
            total, fair, following = 0.0, entered >= 0, True
            for step in range(entry + 1, last + 1):
                row = version_known_at(known, withdrawn, offsets[base + step], offsets[base + step + 1], moment)
                if row >= 0:
                    # A return known before the entry bar was taken from an earlier close than the entry's.
                    if following and known[row] < entry_known:
                        fair = False
                    following = False
                    total += values[row]
            if fair:
                pair_of[found], bar_of[found], label[found], matured[found] = pair, bar, total, moment
                found += 1
    return pair_of[:found], bar_of[:found], label[:found], matured[:found]
