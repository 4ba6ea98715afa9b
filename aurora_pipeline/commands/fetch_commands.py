"""`aurora fetch`: a vendor's data into a market folder, made or extended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from aurora_pipeline.commands.terminal import out, pairs, progress_bars
from aurora_pipeline.errors import MarketDataError

if TYPE_CHECKING:
    from aurora_pipeline.adapters.vendors.alpaca import AlpacaMarketData, Tape
    from aurora_pipeline.adapters.vendors.edgar import Edgar
    from aurora_pipeline.adapters.vendors.finra import Finra
    from aurora_pipeline.market.manifest import MarketManifest
    from aurora_pipeline.workflows.fetch import Fetched

FEEDS = ("alpaca", "edgar", "finra")
TAPE_NOTES = {
    "iex": "Alpaca, IEX: prices, volumes and trade counts of one exchange, a few per cent of the consolidated volume",
    "sip": "Alpaca, SIP: the consolidated tape",
}
_WRITTEN_AS = ["%Y-%m-%d"]


def fetch(
    feed: Annotated[str, typer.Argument(help="alpaca, edgar or finra.")],
    market: Annotated[Path, typer.Option("--out", help="Market folder to make or extend.")],
    first: Annotated[datetime, typer.Option("--from", formats=_WRITTEN_AS, help="First session.")],
    last: Annotated[datetime, typer.Option("--to", formats=_WRITTEN_AS, help="Last session.")],
    symbols: Annotated[
        str | None, typer.Option(help="AAA,BBB or @file with one a line; what the folder has if left out.")
    ] = None,
    tape: Annotated[str, typer.Option(help="iex or sip, of alpaca.")] = "iex",
    again: Annotated[
        bool, typer.Option("--again", help="Ask again for what is there; what changed becomes a correction known now.")
    ] = False,
    universe: Annotated[Path | None, typer.Option(help="CSV or Parquet with symbol, kind, sector.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="Symbol of the market, of a new folder.")] = None,
    sector: Annotated[
        list[str] | None, typer.Option(help="sector=ETF, repeatable, of a new folder; fetched as well.")
    ] = None,
) -> None:
    """Download from a vendor into a market folder; the same call goes on where it broke off. Keys: docs/feeds.md."""
    from aurora_pipeline.adapters.vendors.alpaca import known_tape
    from aurora_pipeline.market.folder_growth import extend_universe, require_same_options, staged, started_folder
    from aurora_pipeline.market.importer import read_universe
    from aurora_pipeline.market.manifest import MANIFEST_FILE, read_manifest

    if feed not in FEEDS:
        raise MarketDataError(
            f"no such feed {feed!r}; expected {', '.join(FEEDS)}. Other data come in by `aurora import`"
        )
    if last < first:
        raise MarketDataError(f"--to {last:%Y-%m-%d} lies before --from {first:%Y-%m-%d}")
    vendor = _vendor(feed, known_tape(tape))
    asked, funds = _listed(symbols), pairs(sector, "--sector")
    listed = read_universe(universe) if universe is not None else None
    with staged(market) as folder:
        if (folder / MANIFEST_FILE).exists():
            require_same_options(read_manifest(folder), market, benchmark=benchmark, sector_etfs=funds)
        manifest = started_folder(
            folder,
            frequency="5min",
            calendar="XNYS",
            benchmark=benchmark,
            sector_etfs=funds,
            price_adjustment="none",
            notes=TAPE_NOTES[tape] if feed == "alpaca" else "bars not fetched yet",
            redistribution="not allowed by the vendors' terms, see docs/feeds.md",
            name=market.absolute().name,
        )
        extend_universe(folder, asked, manifest, listed)
    wanted = _wanted(market, manifest, feed, asked)
    with progress_bars():
        found = _download(vendor, market, manifest, wanted, (first.date(), last.date()), again=again)
    _print(found, market)


def _vendor(feed: str, tape: Tape) -> AlpacaMarketData | Edgar | Finra:
    """Return the vendor, its keys checked before anything is made."""
    from aurora_pipeline.adapters.vendors import alpaca, edgar, finra

    if feed == "alpaca":
        return alpaca.AlpacaMarketData(alpaca.AlpacaKeys.from_environment(), tape)
    return edgar.Edgar(edgar.user_agent()) if feed == "edgar" else finra.Finra()


def _download(
    vendor: AlpacaMarketData | Edgar | Finra,
    market: Path,
    manifest: MarketManifest,
    symbols: Sequence[str],
    span: tuple[date, date],
    *,
    again: bool,
) -> Fetched:
    from aurora_pipeline.adapters.vendors.alpaca import AlpacaMarketData
    from aurora_pipeline.adapters.vendors.edgar import Edgar
    from aurora_pipeline.calendar import session_calendar
    from aurora_pipeline.workflows.fetch import fetch_alpaca, fetch_edgar, fetch_finra

    now = datetime.now(tz=UTC)
    if isinstance(vendor, AlpacaMarketData):
        return fetch_alpaca(market, vendor, symbols, *span, session_calendar(manifest.calendar), now, again=again)
    if isinstance(vendor, Edgar):
        return fetch_edgar(market, vendor, symbols, *span, now, again=again)
    return fetch_finra(market, vendor, symbols, *span, now, again=again)


def _listed(symbols: str | None) -> list[str]:
    """Symbols of the option."""
    if symbols is None:
        return []
    if symbols.startswith("@"):
        file = Path(symbols[1:])
        if not file.is_file():
            raise MarketDataError(f"--symbols {symbols}: no such file")
        texts = file.read_text(encoding="utf-8").split()
    else:
        texts = symbols.split(",")
    return list(dict.fromkeys(text.strip() for text in texts if text.strip()))


def _wanted(market: Path, manifest: MarketManifest, feed: str, listed: Sequence[str]) -> list[str]:
    """Symbols to ask for: those listed, else the folder's; with the funds for bars, without them for filings."""
    rows = pl.read_parquet(market / "universe.parquet", glob=False)
    funds = set(rows.filter(pl.col("kind") == "etf")["symbol"])
    symbols = list(listed) or sorted(set(rows["symbol"]))
    if feed == "alpaca":
        symbols += [fund for fund in (manifest.benchmark, *manifest.sector_etfs.values()) if fund]
    if feed == "edgar":
        symbols = [symbol for symbol in symbols if symbol not in funds]
    if not symbols:
        raise MarketDataError(f"{market}: no symbol to ask for; name them with --symbols")
    return list(dict.fromkeys(symbols))


def _print(found: Fetched, market: Path) -> None:
    rows = ", ".join(f"{count} new rows of {file}" for file, count in found.rows.items())
    out.print(f"{rows} in {market}; next: aurora check {market}", highlight=False)
    if found.silent:
        out.print(f"nothing for {', '.join(found.silent)}: unknown to the vendor, or nothing happened", highlight=False)
    if found.waiting:
        out.print(f"not over yet, fetch again later: {', '.join(map(str, found.waiting))}", highlight=False)
    for kind, count in found.left_out.items():
        out.print(f"{count} {kind} left out: the market folder has no place for them", highlight=False)
