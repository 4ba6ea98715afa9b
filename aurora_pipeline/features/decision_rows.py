"""Who gets features when: the rows of every view and of the panel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.bar_panel import bar_block
from aurora_pipeline.features.decision_epochs import decision_epochs, wanted_decision_times
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.membership import membership
from aurora_pipeline.features.rolling import rolling_sum

Places = NDArray[np.int64]


def decision_rows(inputs: FeatureInputs) -> pl.DataFrame:
    """List eligible symbols at each decision time at which they have a recent bar.

    A symbol counts at a decision time if one of the last `settings.quality.stale_bars` bars of this session exists, was known
    by then and had not been withdrawn.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `instrument_id`, `sector` (null if unknown), `decision_time`; sorted by decision time and
        instrument, none later than `inputs.until`.
    """
    return inputs.once("decision_rows", lambda: _decision_rows(inputs))


def _decision_rows(inputs: FeatureInputs) -> pl.DataFrame:
    members, block = membership(inputs), bar_block(inputs)
    covered = [session for session in inputs.sessions if session in members.sessions]
    placed = _daily_rows if inputs.frequency == "session" else _intraday_rows
    row, bar, column = placed(inputs, covered)
    sessions = pl.Series(list(members.sessions), dtype=pl.Date)
    return pl.DataFrame(
        {
            "session": sessions.gather(row),
            "symbol": members.symbols.gather(members.symbol[row, column]),
            "instrument_id": pl.Series(members.instruments, dtype=pl.String).gather(column),
            "sector": _named(members.sectors, members.sector[row, column]),
            "decision_time": block.ends.gather(bar),
        }
    )


def _intraday_rows(inputs: FeatureInputs, sessions: Sequence[date]) -> tuple[Places, Places, Places]:
    """Universe row, bar and universe column of every symbol that counts at a decision time."""
    members, block = membership(inputs), bar_block(inputs)
    days, names, times, lengths = [], [], [], []
    for session in sessions:
        day = members.sessions[session]
        eligible = np.flatnonzero(members.eligible[day])
        time, name = np.nonzero(_recent(inputs, session, [members.instruments[column] for column in eligible]))
        times.append(block.span(session, session)[0] + time)
        names.append(eligible[name])
        days.append(day)
        lengths.append(len(time))
    nobody = [np.zeros(0, dtype=np.int64)]
    row = np.repeat(np.array(days, dtype=np.int64), lengths)
    return row, np.concatenate(times or nobody), np.concatenate(names or nobody)


def _daily_rows(inputs: FeatureInputs, sessions: Sequence[date]) -> tuple[Places, Places, Places]:
    """The same where a bar is a session: a symbol counts if it has that bar."""
    members, block = membership(inputs), bar_block(inputs)
    until = inputs.until
    wanted = [day for day in sessions if until is None or inputs.calendar.close(day) <= until]
    days = np.array([members.sessions[day] for day in wanted], dtype=np.int64)
    bars = np.array([block.span(day, day)[0] for day in wanted], dtype=np.int64)
    traded = ~np.isnan(block.rows.seen_when_due("close", members.instruments))
    place, column = np.nonzero(traded[bars] & members.eligible[days])
    return days[place], bars[place], column


def _named(names: list[str], codes: NDArray[np.int64]) -> pl.Series:
    """Names of codes, null where negative."""
    return pl.Series([*names, None], dtype=pl.String).gather(np.where(codes < 0, len(names), codes))


def _recent(inputs: FeatureInputs, session: date, instruments: list[str]) -> NDArray[np.bool_]:
    """Whether each instrument has a recent bar at each wanted decision time; shape (decision times, instruments)."""
    block = bar_block(inputs)
    span = block.span(session, session)
    recent = np.zeros((len(wanted_decision_times(inputs, session)), len(instruments)), dtype=np.bool_)
    for epoch in decision_epochs(inputs, session, [block]):
        close = block.rows.seen(epoch.moment, *span, instruments, ("close",))["close"]
        counted = rolling_sum(close, inputs.settings.quality.stale_bars, 1, 0)
        recent[epoch.first : epoch.stop] = ~np.isnan(counted[epoch.first : epoch.stop])
    return recent
