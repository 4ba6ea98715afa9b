"""Versions of corporate actions: what of them is in force at a moment.

A row counts from its `known_at` until the same action is told again: with the same ex-date, which corrects its terms, or with the
same terms and another ex-date nearby, which moves it. Book, features, level checks and the names of instruments all read actions
through here: an action that was moved counts once, and on its old date as long as nothing else was known.

Dividends of one amount may also be several, such as a weekly payer's; :func:`redated` says how they are told from one moved.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

REDATED_DAYS = 10
"""Ex-dates of one instrument this near to each other, with the same terms, are one action told again."""
REPEATED_DAYS = 5
"""Dividends of one amount this far apart or farther may be two: a week is as short as this around holidays."""
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
    moved = redated(actions, name).group_by("row").agg(pl.col("known_at_again").min().alias("_moved"))
    return (
        rows.with_columns(corrected.alias("_corrected"))
        .join(moved, left_on="_row", right_on="row", how="left", maintain_order="left")
        .with_columns(pl.min_horizontal("_corrected", "_moved").alias("superseded_at"))
        .select(*actions.columns, "superseded_at")
    )


def redated(actions: pl.DataFrame, name: str = "instrument_id") -> pl.DataFrame:
    """Find the rows that tell an action once more with another ex-date.

    The terms are the same and the ex-dates at most :data:`REDATED_DAYS` apart. Two dividends at least :data:`REPEATED_DAYS` apart
    are one moved only if the second was told before the day of the first, and none of the amount went before both at such a
    distance: else they are two. Of a weekly payer who tells each more than a week ahead, the first on file is therefore lost.

    Parameters
    ----------
    actions, name
        As for :func:`with_superseded`.

    Returns
    -------
    polars.DataFrame
        `row` and `again`, positions of the one told first and of the other, and `known_at_again`, when that was told.
    """
    told = [name, *TERMS]
    rows = actions.select("ex_date", "known_at", *told)
    pairs = (
        rows.with_row_index("row")
        .join(rows.with_row_index("again"), on=told, nulls_equal=True, suffix="_again")
        .with_columns(
            pl.min_horizontal("ex_date", "ex_date_again").alias("first"),
            (pl.col("ex_date_again") - pl.col("ex_date")).dt.total_days().abs().alias("apart"),
        )
        .filter(pl.col("known_at_again") > pl.col("known_at"), pl.col("apart").is_between(1, REDATED_DAYS))
    )
    repeatable = (pl.col("kind") == "dividend") & (pl.col("apart") >= REPEATED_DAYS)
    before = (
        pairs.filter(repeatable)
        .join(rows, on=told, nulls_equal=True, suffix="_before")
        .filter(
            pl.col("known_at_before") <= pl.col("known_at_again"),
            (pl.col("first") - pl.col("ex_date_before")).dt.total_days().is_between(REPEATED_DAYS, REDATED_DAYS),
        )
    )
    return (
        pairs.join(before.select("row", "again", in_series=True).unique(), on=["row", "again"], how="left")
        .filter(
            ~repeatable | ((pl.col("known_at_again").dt.date() < pl.col("ex_date")) & pl.col("in_series").is_null())
        )
        .select("row", "again", "known_at_again")
    )


def in_force(actions: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    """Rows of :func:`with_superseded` that count at a moment: at most one per instrument, ex-date and kind."""
    return actions.filter(
        pl.col("known_at") <= moment, pl.col("superseded_at").is_null() | (pl.col("superseded_at") > moment)
    )
