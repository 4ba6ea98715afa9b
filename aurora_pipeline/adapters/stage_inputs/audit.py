"""Reads what the feature audit needs beside the rows of its fold."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.contracts import table
from aurora_pipeline.features.feature_spec import FeatureSpec
from aurora_pipeline.features.registry import REGISTRY, unavailable_features


def absent_features(home: Home, until: datetime) -> dict[str, str]:
    """Features this home's market cannot give up to a decision time, with the reason.

    Not point-in-time, the wrong frequency, or a column without a value, be it that its feed began only later.
    """
    reasons = unavailable_features(home.folder().manifest)
    for spec in REGISTRY:
        if home.frequency not in spec.frequencies:
            reasons.setdefault(spec.name, f"not computed at frequency `{home.frequency}`")
    empty = {
        column for column in {column for spec in REGISTRY for column in spec.columns} if _is_empty(home, column, until)
    }
    for spec in REGISTRY:
        if missing := sorted(empty & set(spec.columns)):
            reasons.setdefault(spec.name, f"the market has no {' and no '.join(missing)} by {until:%Y-%m-%d}")
    return reasons


def _is_empty(home: Home, column: str, until: datetime) -> bool:
    """Whether nothing of a feed's column was known by a moment; of bars, which are many, in the first partition of the lake."""
    feed, _, name = column.partition(".")
    if table(feed).partitioning == "none":
        values = home.lake.read(feed, columns=[name, "known_at"]).filter(pl.col("known_at") <= until)
    else:
        first = home.sessions_of(home.lake.partitions(feed)[:1], home.settings())
        values = home.lake.read(feed, end=first[-1], columns=[name]) if first else pl.DataFrame({name: []})
    return values.get_column(name).null_count() == values.height


def decoy_columns(home: Home, features: pl.DataFrame) -> tuple[pl.DataFrame, list[FeatureSpec]]:
    """Columns of a planted market that carry nothing, as known at each decision time, beside the features.

    Parameters
    ----------
    home : Home
        Of a planted market.
    features : polars.DataFrame
        Rows to add them to.

    Returns
    -------
    features : polars.DataFrame
        With a column ``decoy feed.column`` each; a fund's goes to every stock of its sector.
    specs : list of FeatureSpec
        Declarations of the new columns.
    """
    folder = home.folder()
    universe = home.lake.read("universe", columns=["session", "symbol", "instrument_id", "sector"])
    funds = pl.col("sector").replace_strict(dict(folder.manifest.sector_etfs), default=None, return_dtype=pl.String)
    rows = features.join(universe, on=["session", "symbol"], how="left", maintain_order="left").with_columns(
        funds.alias("fund")
    )
    specs = []
    for column in folder.manifest.decoys:
        feed, _, name = column.partition(".")
        told = pl.read_parquet(
            folder.path / f"{feed}.parquet", glob=False, columns=["symbol", "known_at", name]
        ).drop_nulls(name)
        reader = "fund" if feed == "etf_flows" else "symbol"
        told = told.rename({name: f"decoy {column}"}).sort("known_at")
        rows = (
            rows.with_row_index("row")
            .sort("decision_time")
            .join_asof(
                told,
                left_on="decision_time",
                right_on="known_at",
                by_left=reader,
                by_right="symbol",
                check_sortedness=False,
            )
            .sort("row")
            .drop("row", "known_at")
        )
        specs.append(FeatureSpec(f"decoy {column}", "alternative", column, "as published", "1 row", "known_at"))
    return rows.select(*features.columns, *(spec.name for spec in specs)), specs
