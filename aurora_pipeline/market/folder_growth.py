"""Making and extending a market folder on disk: manifest, universe, and files that are replaced whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import yaml

from aurora_pipeline.atomic import atomic_text, atomic_write
from aurora_pipeline.errors import MarketDataError
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
    name: str | None = None,
) -> MarketManifest:
    """Make a folder with a manifest where there is none; an existing one keeps its own. Parameters: keys of `market.yaml`."""
    file = target / MANIFEST_FILE
    if not file.exists():
        content = {
            "name": name or target.absolute().name,
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
        atomic_text(file, text)
    return read_manifest(target)


def require_same_options(
    manifest: MarketManifest,
    target: Path,
    *,
    benchmark: str | None,
    sector_etfs: Mapping[str, str],
    frequency: str | None = None,
    calendar: str | None = None,
    price_adjustment: str | None = None,
) -> None:
    """Compare the options that were given, those that are not None, with what the folder was made with.

    Raises
    ------
    MarketDataError
        Naming the option that differs and the folder's value.
    """
    options = {
        "frequency": (frequency, manifest.frequency),
        "calendar": (calendar, manifest.calendar),
        "benchmark": (benchmark, manifest.benchmark),
        "price_adjustment": (price_adjustment, manifest.price_adjustment),
    }
    given = [(f"--{key.replace('_', '-')} {asked}", key, asked, held) for key, (asked, held) in options.items()]
    given += [
        (f"--sector {sector}={fund}", f"sector_etfs.{sector}", fund, manifest.sector_etfs.get(sector))
        for sector, fund in sector_etfs.items()
    ]
    for option, key, asked, held in given:
        if asked is not None and asked != held:
            raise MarketDataError(
                f"{option}: {target / MANIFEST_FILE} has {key}: {'null' if held is None else held}; "
                "leave the option out, or change the file if it is wrong"
            )


def extend_universe(
    target: Path, symbols: Iterable[str], manifest: MarketManifest, listed: pl.DataFrame | None = None
) -> None:
    """Add symbols, the benchmark and the sector ETFs to a folder's universe, those listed as they are listed.

    Parameters
    ----------
    target : Path
    symbols : iterable of str
        Become stocks of unknown sector unless they are known already; a blank one is nobody's and not listed.
    manifest : MarketManifest
        Says which symbols are funds.
    listed : polars.DataFrame, optional
        Columns of `universe.parquet`; takes the place of what the folder has.
    """
    file = target / "universe.parquet"
    funds = {*manifest.sector_etfs.values(), *([manifest.benchmark] if manifest.benchmark else [])}
    held = pl.read_parquet(file, glob=False) if file.exists() else pl.DataFrame(schema=UNIVERSE.columns)
    held = held if listed is None else listed
    sectors = {fund: sector for sector, fund in manifest.sector_etfs.items()}
    named = {symbol for symbol in (*symbols, *funds) if symbol.strip()}
    new = sorted(named - set(held.get_column("symbol").to_list()))
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
    atomic_write(file, rows.write_parquet)


def extend_file(file: Path, rows: pl.DataFrame) -> None:
    """Add rows to a file; a row that is already there, every value the same, is not added twice."""
    if file.exists():
        rows = pl.concat([pl.read_parquet(file, glob=False).select(rows.columns), rows]).unique(maintain_order=True)
    atomic_write(file, rows.write_parquet)


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Give a copy of a folder to change: what changes takes its place in the folder when the block ends well, else nothing does.

    Raises
    ------
    MarketDataError
        There is something else than a folder; errors of the block name the folder, not the copy.
    """
    if target.exists() and not target.is_dir():
        raise MarketDataError(f"{target}: not a folder; expected a market folder to make or extend")
    home = target if target.is_dir() else next(above for above in target.absolute().parents if above.is_dir())
    with TemporaryDirectory(prefix=".import-", dir=home) as made:
        copy = Path(made)
        for file in [*target.glob("*.*"), *target.glob("bars/*.parquet")]:
            if file.is_file():
                linked = copy / file.relative_to(target)
                linked.parent.mkdir(exist_ok=True)
                linked.symlink_to(file.absolute())
        try:
            yield copy
        except MarketDataError as error:
            raise MarketDataError(str(error).replace(str(copy), str(target))) from error
        changed = [file for file in copy.rglob("*") if file.is_file() and not file.is_symlink()]
        for file in sorted(changed, key=lambda each: (each.name == MANIFEST_FILE, each)):
            atomic_write(target / file.relative_to(copy), lambda temporary, file=file: shutil.move(file, temporary))  # type: ignore[misc]
