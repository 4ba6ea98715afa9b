"""Versions of corporate actions: what of them is in force at a moment.

A row counts from its `known_at` until the same action is told again: with the same ex-date, which corrects its terms, or with the
same terms and another ex-date nearby, which moves it. Book, features, level checks and the names of instruments all read actions
through here: an action that was moved counts once, and on its old date as long as nothing else was known.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

REDATED_DAYS = 10
"""Ex-dates of one instrument this near to each other, with the same terms, are one action told again."""
TERMS = ("kind", "ratio", "amount", "new_symbol")
"""What an action does, apart from when and to whom."""


def with_superseded(actions: pl.DataFrame, name: str = "instrument_id") -> pl.DataFrame:
    """Add the moment from which each row no longer counts.

    Parameters
    ----------
    actions : polars.DataFrame
        `ex_date`, `known_at`, :data:`TERMS` and `name`: every version of every action.
    name : str
        Column that says whose action it is; `symbol` where instruments are not known yet.

    Returns
    -------
    polars.DataFrame
        The rows in their order with `superseded_at`: when the same action was told again, null where it was not.
    """
    rows = actions.with_row_index("_row")
    corrected = pl.col("known_at").shift(-1).over([name, "ex_date", "kind"], order_by="known_at")
    told = [name, *TERMS]
    moved = (
        rows.select("_row", "ex_date", "known_at", *told)
        .join(rows.select("ex_date", "known_at", *told), on=told, nulls_equal=True, suffix="_again")
        .filter(
            pl.col("known_at_again") > pl.col("known_at"),
            (pl.col("ex_date_again") - pl.col("ex_date")).dt.total_days().abs().is_between(1, REDATED_DAYS),
        )
        .group_by("_row")
        .agg(pl.col("known_at_again").min().alias("_moved"))
    )
    return (
        rows.with_columns(corrected.alias("_corrected"))
        .join(moved, on="_row", how="left", maintain_order="left")
        .with_columns(pl.min_horizontal("_corrected", "_moved").alias("superseded_at"))
        .select(*actions.columns, "superseded_at")
    )


def in_force(actions: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    """Rows of :func:`with_superseded` that count at a moment: at most one per instrument, ex-date and kind."""
    return actions.filter(
        pl.col("known_at") <= moment, pl.col("superseded_at").is_null() | (pl.col("superseded_at") > moment)
    )
