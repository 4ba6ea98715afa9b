"""Making and extending a market folder on disk: manifest, universe, and files that are replaced whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from uuid import uuid4

import polars as pl
import yaml

from aurora_pipeline.market.columns import UNIVERSE
from aurora_pipeline.market.manifest import MANIFEST_FILE, MarketManifest, read_manifest


def started_folder(
    target: Path,
    *,
    frequency: str,
    calendar: str,
    benchmark: str | None,
    sector_etfs: Mapping[str, str],
    price_adjustment: str,
    notes: str,
    redistribution: str = "unknown",
) -> MarketManifest:
    """Make a folder with a manifest where there is none; an existing one keeps its own. Parameters: keys of `market.yaml`."""
    file = target / MANIFEST_FILE
    if not file.exists():
        content = {
            "name": target.absolute().name,
            "calendar": calendar,
            "frequency": frequency,
            "benchmark": benchmark,
            "sector_etfs": dict(sector_etfs),
            "price_adjustment": price_adjustment,
            "survivorship": "unknown: say here how the symbols were chosen",
            "redistribution": redistribution,
            "notes": notes,
        }
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        replace_file(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return read_manifest(target)


def extend_universe(
    target: Path, symbols: Iterable[str], manifest: MarketManifest, listed: pl.DataFrame | None = None
) -> None:
    """Add symbols, the benchmark and the sector ETFs to a folder's universe, those listed as they are listed.

    Parameters
    ----------
    target : Path
    symbols : iterable of str
        Become stocks of unknown sector unless they are known already.
    manifest : MarketManifest
        Says which symbols are funds.
    listed : polars.DataFrame, optional
        Columns of `universe.parquet`; takes the place of what the folder has.
    """
    file = target / "universe.parquet"
    funds = {*manifest.sector_etfs.values(), *([manifest.benchmark] if manifest.benchmark else [])}
    held = pl.read_parquet(file) if file.exists() else pl.DataFrame(schema=UNIVERSE.columns)
    held = held if listed is None else listed
    sectors = {fund: sector for sector, fund in manifest.sector_etfs.items()}
    new = sorted({*symbols, *funds} - set(held.get_column("symbol").to_list()))
    if listed is None and not new and file.exists():
        return
    added = pl.DataFrame(
        {
            "symbol": new,
            "kind": ["etf" if name in funds else "stock" for name in new],
            "sector": [sectors.get(name) for name in new],
            "valid_from": [None] * len(new),
            "valid_to": [None] * len(new),
        },
        schema=UNIVERSE.columns,
    )
    rows = pl.concat([held.select(list(UNIVERSE.columns)), added]).sort("symbol", "valid_from")
    replace_file(file, rows.write_parquet)


def extend_file(file: Path, rows: pl.DataFrame) -> None:
    """Add rows to a file; a row that is already there, every value the same, is not added twice."""
    if file.exists():
        rows = pl.concat([pl.read_parquet(file).select(rows.columns), rows]).unique(maintain_order=True)
    replace_file(file, rows.write_parquet)


def replace_file(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary sibling and rename it: the old file or the new one is there, never a part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{uuid4().hex}.tmp")
    try:
        write(temporary)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
