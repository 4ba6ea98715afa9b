"""What was expected of each session and symbol, what came, and which sessions are too incomplete to go on with."""

from __future__ import annotations

import polars as pl

from aurora_pipeline.contracts import TABLES
from aurora_pipeline.settings import Settings

_KEY = ["session", "symbol"]
_MONTH = pl.col("session").dt.truncate("1mo")


def summarise_sessions(
    listed: pl.DataFrame, grid: pl.DataFrame, bars: pl.DataFrame, quarantine: pl.DataFrame
) -> pl.DataFrame:
    """Compare bars with the grid.

    Parameters
    ----------
    listed : polars.DataFrame
        `session`, `symbol`: who was listed.
    grid : polars.DataFrame
        `session`, `bar_start` of every bar expected.
    bars : polars.DataFrame
        Contract `bars` of the sessions; bars withdrawn later count as present.
    quarantine : polars.DataFrame
        `session`, `symbol`, `row_time`, `reason` of the rows refused or withdrawn.

    Returns
    -------
    polars.DataFrame
        Contract `data_quality`, one row per session and listed symbol.
    """
    expected = grid.group_by("session").agg(pl.len().alias("expected_bars"))
    versions = bars.group_by(*_KEY, "bar_start").agg(pl.len().alias("versions"), pl.col("flat").last())
    present = versions.group_by(_KEY).agg(
        pl.len().alias("present_bars"),
        pl.col("flat").sum().alias("flat_bars"),
        (pl.col("versions") > 1).sum().alias("corrected_bars"),
    )
    refused = quarantine.group_by(_KEY).agg(pl.col("row_time").n_unique().alias("quarantined_bars"))
    reasons = (
        quarantine.group_by(*_KEY, "reason")
        .agg(pl.len().alias("rows"))
        .sort(*_KEY, "reason")
        .group_by(_KEY, maintain_order=True)
        .agg(pl.format("{} {}", "reason", "rows").str.join(", ").alias("reasons"))
    )
    counts = ["expected_bars", "present_bars", "flat_bars", "corrected_bars", "quarantined_bars"]
    whole = (
        listed.select(_KEY)
        .join(expected, on="session", how="left")
        .join(present, on=_KEY, how="left")
        .join(refused, on=_KEY, how="left")
        .join(reasons, on=_KEY, how="left")
        .with_columns(pl.col(counts).fill_null(0).cast(pl.Int64))
        .with_columns((pl.col("expected_bars") - pl.col("present_bars")).alias("missing_bars"))
    )
    absent = (
        whole.filter(pl.col("missing_bars") > 0)
        .select(_KEY)
        .join(grid.select("session", "bar_start"), on="session")
        .join(versions, on=[*_KEY, "bar_start"], how="anti")
        .sort(*_KEY, "bar_start")
        .group_by(_KEY, maintain_order=True)
        .agg(pl.col("bar_start").dt.strftime("%H:%M").str.join(",").alias("missing"))
    )
    return (
        whole.join(absent, on=_KEY, how="left")
        .select(list(TABLES["data_quality"].schema.columns()))
        .sort("session", "symbol")
    )


def grid_violations(data_quality: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Find sessions that lack too many bars to be used.

    A bar is absent if it neither came nor lies in quarantine (a refused row is a fault with a reason of its own, not a gap).
    Symbols without any bar in a month, among the given sessions, are left out of it: a market may list symbols it has no bars of
    yet, or, such as sector ETFs, daily bars only; they stay listed in `data_quality`. A session in which no symbol has an
    accepted bar blocks.

    Parameters
    ----------
    data_quality : polars.DataFrame
        Contract `data_quality`, of one or more sessions.
    settings : Settings
        `quality.absent_share`.

    Returns
    -------
    polars.DataFrame
        `session`, `expected_bars`, `absent_bars`, `absent_share` of the sessions that block.
    """
    alive = (pl.col("present_bars") + pl.col("quarantined_bars")).sum().over("symbol", _MONTH) > 0
    absent = (pl.col("missing_bars") - pl.col("quarantined_bars")).clip(lower_bound=0)
    per_session = (
        data_quality.with_columns(alive.alias("_alive"), absent.alias("absent_bars"))
        .group_by("session")
        .agg(
            pl.col("expected_bars", "absent_bars").filter("_alive").sum(),
            pl.col("present_bars").sum(),
        )
        .with_columns((pl.col("absent_bars") / pl.col("expected_bars")).fill_nan(1.0).alias("absent_share"))
    )
    blocked = (pl.col("absent_share") > settings.quality.absent_share) | (pl.col("present_bars") == 0)
    return per_session.filter(blocked).select("session", "expected_bars", "absent_bars", "absent_share").sort("session")


def bar_time_violations(bars: pl.DataFrame) -> pl.DataFrame:
    """Find bars that claim to be known before their end; none unless the validation is broken."""
    return bars.filter(pl.col("known_at") < pl.col("bar_end")).select(
        "session", "symbol", "bar_start", "bar_end", "known_at"
    )
