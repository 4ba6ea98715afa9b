"""Whether a market is long enough for its first folds to train, told from eligibility and the calendar before a run."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import date

import numpy as np

from aurora_pipeline.calendar import Frequency, SessionCalendar
from aurora_pipeline.errors import TrainingError
from aurora_pipeline.models.walk_forward import make_folds
from aurora_pipeline.settings import Settings

EXAMPLES = 3


def training_notes(
    sessions: Sequence[date], eligible: Set[date], calendar: SessionCalendar, frequency: Frequency, settings: Settings
) -> list[str]:
    """Say which folds will not train for want of sessions, and which setting to change.

    Parameters
    ----------
    sessions : sequence of date
        Sessions of the market in time order.
    eligible : set of date
        Those on which at least one stock is eligible.
    calendar : SessionCalendar
    frequency : {"5min", "session"}
    settings : Settings
        Warm-up, label, and section `walk_forward`.

    Returns
    -------
    list of str
        Nothing where every fold has enough sessions.
    """
    warm_up, asked = settings.warm_up(frequency), settings.walk_forward.minimum_train_sessions
    if len(sessions) <= warm_up:
        return [
            f"too short to train: {len(sessions)} sessions, and the first fold needs more than warm_up_sessions = {warm_up}; "
            "use a longer span or lower warm_up_sessions"
        ]
    if not eligible:
        return [
            "no fold will train: no stock is eligible on any session; a stock needs a sector and "
            f"{settings.quality.eligibility_sessions} sound sessions (quality.eligibility_sessions)"
        ]
    try:
        folds = make_folds(sessions, frequency, settings)
    except TrainingError as error:
        return [f"no fold will train: {error}"]
    usable = _Usable(sessions, eligible, calendar, frequency, settings)
    counts = {fold.key: usable.count(sessions.index(fold.test[0])) for fold in folds}
    short = [key for key, count in counts.items() if count < asked]
    if not short:
        return []
    enough = next((k for k in range(warm_up + 1, len(sessions)) if usable.count(k) >= asked), None)
    first = counts[short[0]]
    changes = [f"raise warm_up_sessions to {enough}"] if enough is not None and short[0] == folds[0].key else []
    changes += [f"lower walk_forward.minimum_train_sessions to {first}"] if first else []
    changes = changes or ["use a longer span"]
    named = ", ".join(short[:EXAMPLES]) + (f" and {len(short) - EXAMPLES} more" if len(short) > EXAMPLES else "")
    return [
        f"will not train: fold {named}. Of the {warm_up} sessions before the first fold (warm_up_sessions) "
        f"{usable.waiting(warm_up)} have no eligible stock yet (quality.eligibility_sessions) and {usable.unmatured(warm_up)} "
        f"no matured label; fold {short[0]} has {first} session(s) to train on, and walk_forward.minimum_train_sessions "
        f"asks for {asked}: {' or '.join(changes)}"
    ]


class _Usable:
    """Sessions of a train block that have an eligible stock and a label that matured in time."""

    def __init__(
        self,
        sessions: Sequence[date],
        eligible: Set[date],
        calendar: SessionCalendar,
        frequency: Frequency,
        settings: Settings,
    ) -> None:
        walk_forward = settings.walk_forward
        bars = np.array([len(calendar.bar_ends(day, frequency)) for day in sessions])
        ends = np.cumsum(bars)
        first_sampled = np.minimum(walk_forward.sample_bars // 2, bars - 1)
        last_bar = ends - bars + first_sampled + settings.purge_bars(frequency)
        self._matured_in = np.searchsorted(ends, last_bar, side="right")
        self._eligible = np.array([day in eligible for day in sessions])
        self._embargo = walk_forward.embargo_sessions
        self._longest = walk_forward.train_sessions if walk_forward.scheme == "rolling" else len(sessions)

    def count(self, start: int) -> int:
        """Sessions to train on for a test block that begins at a position."""
        block = slice(max(0, start - self._longest), start)
        return int(np.sum(self._eligible[block] & (self._matured_in[block] < start - self._embargo)))

    def waiting(self, start: int) -> int:
        """Sessions before a position without an eligible stock."""
        return int(np.sum(~self._eligible[:start]))

    def unmatured(self, start: int) -> int:
        """Sessions before a position whose labels have all not matured by then."""
        return int(np.sum(self._matured_in[:start] >= start - self._embargo))
