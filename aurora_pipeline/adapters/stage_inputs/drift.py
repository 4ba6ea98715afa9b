"""Reads raw features as drift sees them: the five views at the last decision time of each session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.storage.lake import partition_of
from aurora_pipeline.contracts import empty
from aurora_pipeline.stages import VIEWS

_KEY = ["session", "symbol", "decision_time"]


def read_last_raw_features(home: Home, axis: Sequence[date], first: date, last: date) -> pl.DataFrame:
    """Raw features of all views, one decision time a session; a partition is read at a time, so that memory stays small.

    Parameters
    ----------
    home : Home
        The installation.
    axis : sequence of date
        Its sessions.
    first, last : date
        Span wanted.
    """
    spans: dict[str, list[date]] = {}
    for day in axis:
        if first <= day <= last:
            spans.setdefault(partition_of(day, home.frequency), []).append(day)
    frames = []
    for days in spans.values():
        views = [home.lake.read(f"{view}_features", days[0], days[-1]) for view in VIEWS]
        ends = pl.col("decision_time") == pl.col("decision_time").max().over("session")
        rows = [view.filter(ends) for view in views]
        joined = rows[0]
        for view in rows[1:]:
            joined = joined.join(view, on=_KEY, how="left")
        if joined.height:
            frames.append(joined)
    return pl.concat(frames) if frames else empty("features")
