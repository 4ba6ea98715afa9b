"""What was known at a moment: the one place that turns stored versions into the view of a decision time.

A row counts from its `known_at` on. A correction or restatement is a further row with the same natural key and a later
`known_at`; the newest one known wins. A row whose `quarantined_at` has come is gone from then on, and an older version of it
does not come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl


def as_known_at(frame: pl.DataFrame, moment: datetime, key: Sequence[str]) -> pl.DataFrame:
    """Newest version of each row known at a moment.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows with `known_at` and, optionally, `quarantined_at`.
    moment : datetime
        Decision time, timezone-aware.
    key : sequence of str
        Natural key without `known_at`.

    Returns
    -------
    polars.DataFrame
        One row per key, sorted by key.
    """
    known = frame.filter(pl.col("known_at") <= moment)
    newest = known.sort([*key, "known_at"]).unique(subset=list(key), keep="last", maintain_order=True)
    if "quarantined_at" in frame.columns:
        newest = newest.filter(pl.col("quarantined_at").is_null() | (pl.col("quarantined_at") > moment))
    return newest


def knowledge_epochs(frame: pl.DataFrame, on_time: str, start: datetime, end: datetime) -> list[datetime]:
    """Moments in (start, end] at which something about an earlier row became known late.

    Between two epochs the view of the past only grows by rows that arrive on time, so everything computed once per epoch
    equals what would be computed anew at each decision time.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows with `known_at`, the column `on_time`, and optionally `quarantined_at`.
    on_time : str
        Column with the moment a row is expected to be known, such as ``bar_end``.
    start, end : datetime
        Span of decision times.

    Returns
    -------
    list of datetime
        Sorted, without repeats; does not contain `start`.
    """
    late = frame.filter(pl.col("known_at") > pl.col(on_time)).get_column("known_at")
    moments = set(late.to_list())
    if "quarantined_at" in frame.columns:
        moments |= set(frame.get_column("quarantined_at").drop_nulls().to_list())
    return sorted(moment for moment in moments if start < moment <= end)
