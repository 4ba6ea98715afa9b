"""Unit faults in filings: values a thousand times off what the same company reported before.

Sources mix USD, thousands and millions. A value is measured against the median size of the symbol's own earlier values; sizes
that cannot come near zero in a going concern (revenue, assets, shares) are checked from below too.
"""

from __future__ import annotations

import polars as pl

UNIT_FACTOR = 1000.0
MINIMUM_EARLIER = 4
_SIZES = ("revenue", "total_assets", "shares_outstanding")
_VALUES = (
    *_SIZES,
    "gross_profit",
    "operating_income",
    "net_income",
    "total_debt",
    "stockholders_equity",
    "operating_cash_flow",
    "capital_expenditure",
)


def with_unit_faults(rows: pl.DataFrame) -> pl.DataFrame:
    """Refuse filings with a value beyond a thousand times, or a size below a thousandth of, the symbol's earlier median.

    Parameters
    ----------
    rows : polars.DataFrame
        `fundamentals` columns, `_known`, `reason` and `detail`; rows refused already neither count nor change.

    Returns
    -------
    polars.DataFrame
        The rows with `reason` ``unit_error`` and a `detail` that names the column.
    """
    numbered = rows.with_row_index("_row")
    sound = numbered.filter(pl.col("reason").is_null())
    long = sound.select("_row", "symbol", "_known", *_VALUES).unpivot(
        on=list(_VALUES), index=["_row", "symbol", "_known"], variable_name="column"
    )
    sizes = long.drop_nulls("value").with_columns(pl.col("value").abs())
    earlier = sizes.select("symbol", "column", pl.col("_known").alias("_before"), pl.col("value").alias("_earlier"))
    medians = (
        sizes.join(earlier, on=["symbol", "column"])
        .filter(pl.col("_before") < pl.col("_known"))
        .group_by("_row", "column")
        .agg(pl.col("value").first(), pl.col("_earlier").median().alias("median"), pl.len().alias("count"))
        .filter((pl.col("count") >= MINIMUM_EARLIER) & (pl.col("median") > 0.0))
    )
    large = pl.col("value") > UNIT_FACTOR * pl.col("median")
    small = (pl.col("value") < pl.col("median") / UNIT_FACTOR) & pl.col("column").is_in(list(_SIZES))
    faults = (
        medians.filter(large | small)
        .sort("_row", "column")
        .group_by("_row", maintain_order=True)
        .agg(
            pl.format(
                "{} {}, expected within a factor {} of {}, the median of {} earlier filings",
                "column", "value", pl.lit(int(UNIT_FACTOR)), "median", "count",
            ).first().alias("_detail")
        )
    )  # fmt: skip
    found = pl.col("_detail").is_not_null()
    return (
        numbered.join(faults, on="_row", how="left", maintain_order="left")
        .with_columns(
            pl.when(found).then(pl.lit("unit_error")).otherwise("reason").alias("reason"),
            pl.coalesce("_detail", "detail").alias("detail"),
        )
        .drop("_row", "_detail")
    )
