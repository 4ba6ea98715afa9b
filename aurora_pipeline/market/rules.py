"""Row rules: each names a fault and the rows that have it; a row is refused for the first rule it breaks.

A rule is a plain expression over one file's columns, so a file's rules read as a table. A single bad value refuses the whole row:
a row whose writer got one column wrong is not trusted in the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

PRICE_COLUMNS = ("open", "high", "low", "close")
RELATIVE_TOLERANCE = 1e-9
"""Prices that differ by less are equal: sources round open, high, low and close separately."""
LARGEST = 1e18
"""No price, count or amount is as large; sources write such numbers, the largest of their type above all, for a missing one."""


@dataclass(frozen=True)
class Rule:
    """One fault.

    Attributes
    ----------
    reason : str
        Short code kept in `quarantine.reason`.
    broken : polars.Expr
        True where a row has the fault; null counts as sound.
    expected : str
        What a sound row looks like, for `quarantine.detail`.
    shown : tuple of str
        Columns whose values the detail quotes.
    """

    reason: str
    broken: pl.Expr
    expected: str
    shown: tuple[str, ...] = ()


def judged(rows: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Add `reason` and `detail` of the first broken rule, both null where a row is sound."""
    flags = [rule.broken.fill_null(value=False).alias(f"_{index}") for index, rule in enumerate(rules)]
    marked = rows.with_columns(flags)
    reason, detail = pl.lit(None, pl.String), pl.lit(None, pl.String)
    for index in reversed(range(len(rules))):
        rule, hit = rules[index], pl.col(f"_{index}")
        reason = pl.when(hit).then(pl.lit(rule.reason)).otherwise(reason)
        detail = pl.when(hit).then(_sentence(rule)).otherwise(detail)
    return (
        marked.with_columns(reason.alias("reason"))
        .pipe(_with_detail, detail)
        .drop([f"_{index}" for index in range(len(rules))])
    )


def _with_detail(rows: pl.DataFrame, detail: pl.Expr) -> pl.DataFrame:
    """Write sentences for refused rows only: they are few, and text is costly.

    They are laid out anew first: `polars.format` (2.1) panics on a column whose first chunk is empty, which is what the filter
    leaves of a file with several row groups that is sound in the first.
    """
    numbered = rows.with_row_index("_row")
    wrong = numbered.filter(pl.col("reason").is_not_null()).rechunk().select("_row", detail.alias("detail"))
    return numbered.join(wrong, on="_row", how="left", maintain_order="left").drop("_row")


def _sentence(rule: Rule) -> pl.Expr:
    found = [pl.format(name + " {}", pl.col(name).cast(pl.String).fill_null("null")) for name in rule.shown]
    text = pl.lit(f"expected {rule.expected}")
    return pl.concat_str([*found, text], separator=", ") if found else text


def not_a_number(columns: pl.Expr) -> pl.Expr:
    """Whether values are NaN, infinite or of a size beyond :data:`LARGEST`; null where null."""
    return ~columns.is_between(-LARGEST, LARGEST, closed="none")


def price_rules() -> list[Rule]:
    """Return the rules every price bar obeys, intraday or daily."""
    columns = pl.col(*PRICE_COLUMNS)
    slack = pl.col("high").abs() * RELATIVE_TOLERANCE
    low_of, high_of = pl.min_horizontal("open", "close"), pl.max_horizontal("open", "close")
    still = pl.all_horizontal(pl.col(name) == pl.col("open") for name in PRICE_COLUMNS)
    return [
        Rule("null_price", pl.any_horizontal(columns.is_null()), "a price in every column", PRICE_COLUMNS),
        Rule("not_finite_price", pl.any_horizontal(not_a_number(columns)), "finite prices", PRICE_COLUMNS),
        Rule("not_positive_price", pl.any_horizontal(columns <= 0.0), "prices above 0", PRICE_COLUMNS),
        Rule(
            "wrong_volume",
            pl.col("volume").is_null() | not_a_number(pl.col("volume")) | (pl.col("volume") < 0.0),
            "a volume of at least 0",
            ("volume",),
        ),
        Rule("high_below_low", pl.col("high") < pl.col("low") - slack, "high at or above low", ("high", "low")),
        Rule("below_low", low_of < pl.col("low") - slack, "open and close at or above low", PRICE_COLUMNS),
        Rule("above_high", high_of > pl.col("high") + slack, "open and close at or below high", PRICE_COLUMNS),
        Rule(
            "moved_without_volume",
            (pl.col("volume") == 0.0) & ~still,
            "equal prices in a bar without volume",
            (*PRICE_COLUMNS, "volume"),
        ),
    ]


def with_duplicates(rows: pl.DataFrame, key: Sequence[str], content: Sequence[str]) -> pl.DataFrame:
    """Refuse duplicates among rows that are sound so far.

    Of rows with equal `key` (the version's `known_at` included) that are identical in `content`, one is kept; where they
    differ nobody can say which is right, and all are refused.

    Parameters
    ----------
    rows : polars.DataFrame
        With `reason` and `detail` from :func:`judged`.
    """
    sound = pl.col("reason").is_null()
    repeated = rows.filter(sound).select(key).is_duplicated()
    if not repeated.any():
        return rows
    suspects = rows.filter(sound).filter(repeated)
    variants = suspects.group_by(key).agg(pl.struct(content).n_unique().alias("_variants"))
    marked = suspects.join(variants, on=list(key), how="left", nulls_equal=True).with_columns(
        pl.int_range(pl.len()).over(key).alias("_copy")
    )
    conflict = pl.col("_variants") > 1
    verdict = marked.with_columns(
        pl.when(conflict)
        .then(pl.lit("conflicting_duplicate"))
        .when(pl.col("_copy") > 0)
        .then(pl.lit("duplicate"))
        .alias("reason"),
        pl.when(conflict)
        .then(pl.format("{} different rows for one key and known_at, expected one", "_variants"))
        .when(pl.col("_copy") > 0)
        .then(pl.lit("an identical row is already there, expected one"))
        .alias("detail"),
    ).select(rows.columns)
    return pl.concat([rows.filter(~sound), rows.filter(sound).filter(~repeated), verdict])
