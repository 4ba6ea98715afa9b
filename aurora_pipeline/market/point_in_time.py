"""What was known at a moment: the one place that turns stored versions into the view of a decision time.

A row counts from its `known_at` on. A correction or restatement is a further row with the same natural key and a later
`known_at`; the newest one known wins. A row whose `quarantined_at` has come is gone from then on, and an older version of it
does not come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl


def told_by(frame: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    """All versions known at a moment, without the verdicts on them that fell later; parameters as of :func:`as_known_at`."""
    known = frame.filter(pl.col("known_at") <= moment)
    if "quarantined_at" not in frame.columns:
        return known
    verdict = pl.when(pl.col("quarantined_at") <= moment).then(pl.col("quarantined_at"))
    return known.with_columns(verdict.alias("quarantined_at"))


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
