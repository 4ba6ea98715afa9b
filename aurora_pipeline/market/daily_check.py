"""Intraday bars against the daily bar of the same session.

The daily bar comes when the session is over, so its verdict does too: rows stay in `bars` with `quarantined_at` = the daily bar's
`known_at` and are listed in `quarantine` as of then.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from aurora_pipeline.calendar import BAR_MINUTES
from aurora_pipeline.settings import QualitySettings

OUTSIDE_SHARE = 0.10
"""Share of a session's bars outside the daily range beyond which all of them are taken for another day's."""
LAST_BARS = 3
"""The last close is compared only if the last bar is one of the session's final ones."""


def contradicted_sessions(bars: pl.DataFrame, daily: pl.DataFrame, settings: QualitySettings) -> pl.DataFrame:
    """Find symbol-sessions whose bars cannot belong to their daily bar.

    Parameters
    ----------
    bars : polars.DataFrame
        `instrument_id`, `session`, `bar_end`, `known_at`, `high`, `low`, `close`, `session_close`.
    daily : polars.DataFrame
        Accepted daily bars, all versions; the first known of a session is the witness.
    settings : QualitySettings
        `daily_tolerance`: relative distance that is still the same price.

    Returns
    -------
    polars.DataFrame
        `instrument_id`, `session`, `verdict_at`, `reason`, `detail`.
    """
    tolerance = settings.daily_tolerance
    held = with_daily(bars, daily).filter(pl.col("known_at") <= pl.col("verdict_at"))
    newest = held.sort("known_at").unique(["instrument_id", "bar_end"], keep="last", maintain_order=True)
    finals = pl.col("bar_end") > pl.col("session_close") - timedelta(minutes=BAR_MINUTES * LAST_BARS)
    compared = (
        newest.sort("bar_end")
        .with_columns(outside_daily(tolerance).alias("_outside"))
        .group_by("instrument_id", "session")
        .agg(
            pl.col("_outside").mean().alias("share"),
            pl.col("close").filter(finals).last().alias("last"),
            pl.col("daily_close", "daily_low", "daily_high", "verdict_at").first(),
        )
    )
    off = (pl.col("last") / pl.col("daily_close") - 1.0).abs()
    late = (off > tolerance).fill_null(value=False)
    wide = pl.col("share") > OUTSIDE_SHARE
    return (
        compared.filter(late | wide)
        .with_columns(
            pl.when(late).then(pl.lit("close_off_daily")).otherwise(pl.lit("outside_daily_range")).alias("reason"),
            pl.when(late)
            .then(pl.format("last close {}, expected the daily bar's {} within {}", "last", "daily_close", pl.lit(tolerance)))
            .otherwise(
                pl.format("{} of the session's bars lie outside the daily range, expected {} to {}",
                          pl.col("share").round(3), "daily_low", "daily_high")
            )
            .alias("detail"),
        )
        .select("instrument_id", "session", "verdict_at", "reason", "detail")
    )  # fmt: skip


def with_daily(bars: pl.DataFrame, daily: pl.DataFrame) -> pl.DataFrame:
    """Join each bar with the first known daily bar of its session; bars without one are dropped."""
    witness = (
        daily.sort("known_at")
        .unique(["instrument_id", "session"], keep="first", maintain_order=True)
        .select(
            "instrument_id",
            "session",
            pl.col("low").alias("daily_low"),
            pl.col("high").alias("daily_high"),
            pl.col("close").alias("daily_close"),
            pl.col("known_at").alias("verdict_at"),
        )
    )
    return bars.join(witness, on=["instrument_id", "session"], how="inner")


def outside_daily(tolerance: float) -> pl.Expr:
    """Whether a bar reaches beyond the daily range by more than a relative tolerance."""
    return (pl.col("low") < pl.col("daily_low") * (1.0 - tolerance)) | (
        pl.col("high") > pl.col("daily_high") * (1.0 + tolerance)
    )


def contradicted_spikes(
    bars: pl.DataFrame, daily: pl.DataFrame, scales: pl.DataFrame, settings: QualitySettings
) -> pl.DataFrame:
    """Find single bars that jump beyond `jump_sigmas` to prices the daily bar never saw.

    Parameters
    ----------
    bars : polars.DataFrame
        As for :func:`contradicted_sessions`, with `row`, `previous_close` (null for an instrument's first bar) and
        `first_of_session`.
    scales : polars.DataFrame
        `instrument_id`, `session`, `bar_sigma`, `night_sigma` from earlier sessions.

    Returns
    -------
    polars.DataFrame
        `row`, `verdict_at`, `detail`.
    """
    reach = pl.max_horizontal(
        (pl.col("high") / pl.col("previous_close")).log().abs(), (pl.col("low") / pl.col("previous_close")).log().abs()
    )
    sigma = pl.when(pl.col("first_of_session")).then(pl.col("night_sigma")).otherwise(pl.col("bar_sigma"))
    return (
        with_daily(bars, daily)
        .filter(outside_daily(settings.daily_tolerance) & (pl.col("known_at") <= pl.col("verdict_at")))
        .join(scales, on=["instrument_id", "session"], how="left")
        .filter(reach > settings.jump_sigmas * sigma)
        .select(
            "row",
            "verdict_at",
            pl.format("bar from {} to {}, expected inside the daily range {} to {}", "low", "high", "daily_low", "daily_high")
            .alias("detail"),
        )
    )  # fmt: skip
