"""Values a thousand times off what the same symbol's own earlier rows said.

Sources mix USD, thousands and millions, and write shares for lots. A value is measured against the median size of the symbol's
values of the years before; what cannot come near zero in a going concern (revenue, assets, shares) is checked from below too.
Flows come in lumps, so they are measured against the fund instead (see :mod:`aurora_pipeline.market.validation`).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

FACTOR = 1000.0
MINIMUM_EARLIER = 4
_WINDOW = "3650d"


@dataclass(frozen=True)
class OwnHistory:
    """What of a feed is measured against its own history.

    Attributes
    ----------
    sizes : tuple of str
        Columns that may be neither a thousand times larger nor a thousandth.
    values : tuple of str
        Columns that may come near zero, but not be a thousand times larger.
    floor : float
        Medians below it count as this: a few contracts or cents say nothing about a usual size.
    reason : str
        Code of the refusal.
    """

    sizes: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    floor: float = 0.0
    reason: str = "off_own_history"


OWN_HISTORY: dict[str, OwnHistory] = {
    "fundamentals": OwnHistory(
        sizes=("revenue", "total_assets", "shares_outstanding"),
        values=(
            "gross_profit",
            "operating_income",
            "net_income",
            "total_debt",
            "stockholders_equity",
            "operating_cash_flow",
            "capital_expenditure",
        ),
        reason="unit_error",
    ),
    "earnings": OwnHistory(values=("eps_estimate", "eps_actual"), floor=0.05),
    "short_interest": OwnHistory(values=("shares_short", "avg_daily_volume")),
    "etf_flows": OwnHistory(sizes=("shares_outstanding", "nav")),
    "options": OwnHistory(values=("put_volume", "call_volume", "put_open_interest", "call_open_interest"), floor=100.0),
}


def with_own_history(feed: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Refuse rows with a value a thousand times off the median of the symbol's values known before.

    Parameters
    ----------
    feed : str
        Feed; those that are not in :data:`OWN_HISTORY` pass unchanged.
    rows : polars.DataFrame
        The feed's columns, `_known`, `reason` and `detail`; rows refused already neither count nor change.

    Returns
    -------
    polars.DataFrame
        The rows with the `reason` of the feed and a `detail` that names the column.
    """
    declared = OWN_HISTORY.get(feed)
    if declared is None or rows.is_empty():
        return rows
    sound = pl.col("reason").is_null()
    # Rows without a moment were refused before; they only need a place in the window.
    moment = pl.col("_known").fill_null(pl.datetime(1970, 1, 1, time_zone="UTC"))
    measured = rows.with_columns(moment.alias("_moment"))
    details = []
    for column in (*declared.sizes, *declared.values):
        size = pl.when(sound).then(pl.col(column).abs())
        usual = size.rolling_median_by("_moment", _WINDOW, closed="left", min_samples=MINIMUM_EARLIER).over("symbol")
        measured = measured.with_columns(size.alias("_size"), usual.alias("_usual")).with_columns(
            pl.when(pl.col("_usual") > 0.0).then(pl.max_horizontal("_usual", pl.lit(declared.floor))).alias("_usual")
        )
        wrong = pl.col("_size") > FACTOR * pl.col("_usual")
        if column in declared.sizes:
            wrong |= pl.col("_size") < pl.col("_usual") / FACTOR
        text = pl.format(
            "{} {}, expected within a factor {} of {}, its usual size in the rows before",
            pl.lit(column), pl.col(column), pl.lit(int(FACTOR)), "_usual",
        )  # fmt: skip
        measured = measured.with_columns(pl.when(wrong).then(text).alias(f"_detail_{column}"))
        details.append(f"_detail_{column}")
    found = pl.coalesce(details)
    return measured.with_columns(
        pl.when(found.is_not_null()).then(pl.lit(declared.reason)).otherwise("reason").alias("reason"),
        pl.coalesce(found, "detail").alias("detail"),
    ).drop("_moment", "_size", "_usual", *details)
