"""`market.yaml`: what a market is, at which frequency decisions are taken, and what its data must not be used for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.columns import FEEDS

MANIFEST_FILE = "market.yaml"
FACT_FEEDS = ("earnings", "fundamentals", "short_interest", "etf_flows", "options")
HEEDED = {
    feed: tuple(name for name, dtype in FEEDS[feed].columns.items() if dtype == pl.Float64) for feed in FACT_FEEDS
}
HEEDED |= {"bars": ("vwap", "trade_count"), "earnings": (*HEEDED["earnings"], "known_at")}
"""Feed to the columns that can be kept out one by one: those features declare; of other files all or nothing is used."""
SCALE_FREE = ("earnings.eps_estimate", "earnings.eps_actual", "fundamentals.shares_outstanding")
"""Columns of which there is a use that a later split does not change."""


class MarketManifest(BaseModel):
    """Content of `market.yaml`.

    Attributes
    ----------
    name : str
    calendar : str
        `exchange_calendars` code.
    frequency : {"5min", "session"}
        Decision frequency.
    benchmark : str or None
        Symbol of the market return.
    sector_etfs : dict of str to str
        Sector to ETF symbol; sectors without one use leave-one-out peers.
    price_adjustment : {"none", "split", "split_dividend"}
        What intraday and daily bars are already adjusted for.
    not_point_in_time, rebased_for_later_splits, decoys : list of str
        `feed.column` entries no feature may use; that only scale-free features may use; that carry nothing (planted markets).
        The first two name columns of :data:`HEEDED` or some that the contract does not know.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    calendar: str
    frequency: Frequency
    benchmark: str | None
    sector_etfs: dict[str, str]
    price_adjustment: Literal["none", "split", "split_dividend"]
    survivorship: str
    redistribution: str
    notes: str
    not_point_in_time: list[str] = Field(default_factory=list)
    rebased_for_later_splits: list[str] = Field(default_factory=list)
    decoys: list[str] = Field(default_factory=list)


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader; compiled where PyYAML was built with its C library, which reads ten times as fast."""


def read_manifest(directory: Path) -> MarketManifest:
    """Read and validate a folder's `market.yaml`.

    Raises
    ------
    MarketDataError
        Naming the file and the key that is missing, unknown or of a wrong value.
    """
    file = directory / MANIFEST_FILE
    try:
        content: Any = yaml.load(file.read_text(encoding="utf-8"), _LOADER)
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise MarketDataError(f"{file}: not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise MarketDataError(f"{file}: expected a mapping of keys such as name and calendar, found {content!r}")
    try:
        return MarketManifest.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise MarketDataError(f"{file}: {problems}. The keys are {', '.join(MarketManifest.model_fields)}") from error


def require_known_columns(manifest: MarketManifest, schemas: Mapping[str, pl.Schema], file: str) -> None:
    """Refuse declarations that would keep no feature from anything, such as a misspelt column.

    Parameters
    ----------
    manifest : MarketManifest
    schemas : mapping of str to polars.Schema
        What the folder's feeds hold, by feed; a column beyond the contract may be declared too.
    file : str
        For the message.

    Raises
    ------
    MarketDataError
        Naming the entry and what to do.
    """
    declared = [("not_point_in_time", entry) for entry in manifest.not_point_in_time]
    declared += [("rebased_for_later_splits", entry) for entry in manifest.rebased_for_later_splits]
    for key, entry in declared:
        feed, _, column = entry.partition(".")
        if feed not in HEEDED:
            raise MarketDataError(
                f"{file}: {key}: {entry!r}: expected feed.column of {', '.join(HEEDED)}; another file can only be left out as a "
                "whole, and what bars are adjusted for is said by price_adjustment"
            )
        beyond_contract = column in schemas.get(feed, ()) and column not in FEEDS[feed].columns
        if column not in HEEDED[feed] and not beyond_contract:
            raise MarketDataError(
                f"{file}: {key}: {entry!r} is no column that can be kept out; of {feed} these are: {', '.join(HEEDED[feed])}"
            )
        if key == "rebased_for_later_splits" and not beyond_contract and entry not in SCALE_FREE:
            raise MarketDataError(
                f"{file}: {key}: {entry!r}: there is no scale-free use of it, only of {', '.join(SCALE_FREE)}; "
                "list it under not_point_in_time"
            )
