"""Stretches of a session's decision times between which nothing about an earlier row becomes known late.

Within a stretch the view of the past only grows by rows that arrive on time, and the kernels look backwards only: one pass over
what is known at the stretch's last decision time gives every one of its decision times.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from aurora_pipeline.features.bar_panel import BarBlock
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.versioned_arrays import microseconds


@dataclass(frozen=True)
class DecisionEpoch:
    """Decision times `first` .. `stop - 1` of a session (0-based bars), seen at `moment`, the last of them."""

    first: int
    stop: int
    moment: datetime


def decision_epochs(
    inputs: FeatureInputs, session: date, blocks: Sequence[BarBlock], since: date | None = None
) -> list[DecisionEpoch]:
    """Cut the wanted decision times of a session where a row of `blocks` becomes known late.

    Parameters
    ----------
    inputs : FeatureInputs
        Calendar, frequency and `until`.
    session : date
        Session of the decision times.
    blocks : sequence of BarBlock
        Rows that are looked at.
    since : date, optional
        First session whose rows are looked at; the session itself by default.

    Returns
    -------
    list of DecisionEpoch
        In time order; empty if no decision time is wanted.
    """
    ends = wanted_decision_times(inputs, session)
    if not ends:
        return []
    moments = [microseconds(end) for end in ends]
    opened = microseconds(inputs.calendar.open(session))
    late = np.concatenate([block.rows.late_moments(*block.span(since or session, session)) for block in blocks])
    late = late[(late > opened) & (late <= moments[-1])]
    cuts = sorted({0, *(bisect.bisect_left(moments, moment) for moment in late.tolist())})
    stops = [*cuts[1:], len(ends)]
    return [DecisionEpoch(first, stop, ends[stop - 1]) for first, stop in zip(cuts, stops, strict=True)]


def wanted_decision_times(inputs: FeatureInputs, session: date) -> list[datetime]:
    """Decision times of a session, none later than `inputs.until`."""
    ends = inputs.calendar.bar_ends(session, inputs.frequency)
    return ends if inputs.until is None else ends[: bisect.bisect_right(ends, inputs.until)]
