"""`market.yaml`: what a market is, at which frequency decisions are taken, and what its data must not be used for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.columns import FEEDS

MANIFEST_FILE = "market.yaml"
FACT_FEEDS = ("earnings", "fundamentals", "short_interest", "etf_flows", "options")
HEEDED = {
    feed: tuple(name for name, dtype in FEEDS[feed].columns.items() if dtype == pl.Float64) for feed in FACT_FEEDS
}
HEEDED |= {"bars": ("vwap",), "earnings": (*HEEDED["earnings"], "known_at")}
"""Feed to the columns that can be kept out one by one: those features declare; of other files all or nothing is used."""


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
        The first two name columns of :data:`HEEDED`.
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

    @field_validator("not_point_in_time", "rebased_for_later_splits")
    @classmethod
    def _columns_of_facts(cls, entries: list[str]) -> list[str]:
        """Refuse what no feature could heed: a misspelt column would be used as if it were sound."""
        for entry in entries:
            feed, _, column = entry.partition(".")
            if column not in HEEDED.get(feed, ()):
                raise PydanticCustomError(
                    "not_heeded",
                    "{entry} is no column that can be kept out by itself; {known}",
                    {"entry": repr(entry), "known": _known_columns(feed)},
                )
        return entries


def _known_columns(feed: str) -> str:
    if feed in HEEDED:
        return f"of {feed} these are: {', '.join(HEEDED[feed])}"
    return f"expected feed.column with a feed of {', '.join(HEEDED)}; another file can only be left out as a whole"


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
