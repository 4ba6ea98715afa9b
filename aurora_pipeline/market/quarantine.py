"""Rows of the quarantine: what was refused, why, since when, and the row itself."""

from __future__ import annotations

import hashlib

import polars as pl

from aurora_pipeline.contracts import TABLES, empty


def quarantine_rows(refused: pl.DataFrame, source: str, raw_columns: list[str]) -> pl.DataFrame:
    """Put refused rows into the form of the `quarantine` table.

    Parameters
    ----------
    refused : polars.DataFrame
        `raw_columns` as read from the file, and `session`, `row_time`, `reason`, `detail`, `known_at_verdict`.
    source : str
        File the rows came from, without its ending.
    raw_columns : list of str
        Columns kept as JSON and hashed; equal rows refused for the same reason are told apart by their position.
    """
    if refused.is_empty():
        return empty("quarantine")
    written = refused.with_columns(
        pl.struct(raw_columns).struct.json_encode().alias("row"), pl.lit(source).alias("source")
    ).sort("row", "reason")
    position = pl.int_range(pl.len()).over("row", "reason").cast(pl.String)
    identity = written.select((pl.col("source") + "|" + pl.col("row") + "|" + position).alias("text"))["text"]
    digests = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in identity]
    return (
        written.with_columns(pl.Series("row_id", digests, dtype=pl.String))
        .drop("known_at")
        .rename({"known_at_verdict": "known_at"})
        .select(list(TABLES["quarantine"].schema.columns()))
        .sort("source", "row_id", "reason")
    )
