"""What a market folder holds, what is refused and why, what is missing and what that costs: the content of `aurora check`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import empty
from aurora_pipeline.market.columns import FEEDS
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.ingest import LOOKBACK_SESSIONS, FeedTables, ingest_bars, ingest_feeds
from aurora_pipeline.market.manifest import FACT_FEEDS
from aurora_pipeline.settings import Settings

BLOCK_SESSIONS = 40
EXAMPLES = 3
COSTS = {
    "daily_bars": "no history before the first bar: daily features and betas start late, and nothing contradicts bad bars",
    "corporate_actions": "splits, dividends, renames and delistings cannot be told from price moves",
    "earnings": "earnings-surprise features are missing",
    "fundamentals": "yields, profitability, growth, and short interest to shares outstanding are missing",
    "short_interest": "short-interest features are missing",
    "etf_flows": "ETF-flow features are missing",
    "options": "implied-volatility, skew and put-call features are missing",
    "borrow": "a short costs what the section `costs` says (`borrow_rates`, `borrow_rate`, `unknown_borrow`)",
}
_DAY_OF = {"daily_bars": "session"}
_WRONG_HOURS = ["outside_session", "after_early_close", "not_a_session"]


@dataclass(frozen=True)
class FeedReport:
    """One feed: `status` is `present`, `missing`, `starts late` or `stops`; `cost` says what that means for features."""

    name: str
    status: str
    rows: int
    symbols: int
    first: date | None
    last: date | None
    cost: str


@dataclass(frozen=True)
class RefusalReport:
    """Rows refused for one reason, with examples as `symbol time: detail`."""

    source: str
    reason: str
    rows: int
    examples: list[str]


@dataclass(frozen=True)
class MarketReport:
    """What `aurora check` found.

    Attributes
    ----------
    name, frequency, survivorship : str
        From the manifest.
    first, last : date
        Span of the decision frequency's bars.
    sessions, stocks, bars : int
        Sessions in the span, stocks in the universe (a renamed one counts once), bars accepted.
    missing_bars, flat_bars : int
        Absences against the calendar; valid bars without a trade.
    feeds : list of FeedReport
    refusals : list of RefusalReport
        Most frequent first.
    refused_share : float
        Refused bar rows over all bar rows of the decision frequency, fraction.
    eligible : frozenset of date
        Sessions on which at least one stock is eligible.
    notes : list of str
        What else a user should know, such as columns that are not point in time.
    """

    name: str
    frequency: str
    survivorship: str
    first: date
    last: date
    sessions: int
    stocks: int
    bars: int
    missing_bars: int
    flat_bars: int
    feeds: list[FeedReport]
    refusals: list[RefusalReport]
    refused_share: float
    eligible: frozenset[date]
    notes: list[str]


def inspect_market(
    folder: MarketFolder, settings: Settings, progress: Callable[[str, int, int], None] | None = None
) -> MarketReport:
    """Validate a whole folder without writing anything.

    Parameters
    ----------
    folder : MarketFolder
        Opened, so its form is already sound.
    settings : Settings
        Sections `quality` and `features`.
    progress : callable, optional
        Called with what, done and total.
    """
    feeds = ingest_feeds(folder, settings)
    first, last = folder.span
    sessions = folder.calendar.sessions(first, last)
    refused, quality, bars, late = [feeds.quarantine], [], 0, 0
    recent = empty("bars")
    traded: set[str] = set()
    eligible: set[date] = set()
    for start in range(0, len(sessions), BLOCK_SESSIONS):
        block = sessions[start : start + BLOCK_SESSIONS]
        raw = folder.read_bars(block)
        made = ingest_bars(raw, block, feeds, folder.manifest, folder.calendar, recent, settings)
        refused.append(made.quarantine)
        quality.append(made.data_quality)
        bars += made.bars.height
        late += made.bars.filter(pl.col("known_at") > pl.col("bar_end")).height
        traded |= set(made.bars.get_column("symbol").unique())
        eligible |= set(made.universe.filter("eligible").get_column("session").unique())
        kept = sessions[max(0, start + len(block) - LOOKBACK_SESSIONS) : start + len(block)]
        recent = pl.concat([recent, made.bars]).filter(pl.col("session").is_in(kept))
        if progress:
            progress("bars", start + len(block), len(sessions))
    quarantine, summary = pl.concat(refused), pl.concat(quality)
    source = "bars" if folder.manifest.frequency == "5min" else "daily_bars"
    refused_bars = quarantine.filter(pl.col("source") == source).height
    universe = folder.universe()
    return MarketReport(
        name=folder.manifest.name,
        frequency=folder.manifest.frequency,
        survivorship=folder.manifest.survivorship,
        first=first,
        last=last,
        sessions=len(sessions),
        stocks=feeds.intervals.filter(pl.col("kind") == "stock").get_column("instrument_id").n_unique(),
        bars=bars,
        missing_bars=int(summary.get_column("missing_bars").sum()),
        flat_bars=int(summary.get_column("flat_bars").sum()),
        feeds=[_feed(name, feeds, folder, settings) for name in COSTS],
        refusals=_refusals(quarantine),
        refused_share=refused_bars / max(1, bars + refused_bars),
        eligible=frozenset(eligible),
        notes=[
            *_trust_notes(bars, quarantine.filter(pl.col("source") == "bars")),
            *_late_notes(bars, late, folder),
            *_early_notes(feeds),
            *_notes(folder, universe, traded),
        ],
    )


def _feed(name: str, feeds: FeedTables, folder: MarketFolder, settings: Settings) -> FeedReport:
    rows = feeds[name]
    if rows.is_empty():
        return FeedReport(name, "missing", 0, 0, None, None, COSTS[name])
    days = rows.get_column(_DAY_OF[name]) if name in _DAY_OF else rows.get_column("known_at").dt.date()
    begin: date = days.min()  # type: ignore[assignment]
    end: date = days.max()  # type: ignore[assignment]
    first, last = folder.span
    allowed = settings.features.expiry_of(name)
    status, cost = "present", ""
    if allowed is not None and len(folder.calendar.sessions(end, last)) > allowed + 1:
        status, cost = "stops", f"from {end} plus {allowed} sessions on, {COSTS[name]}"
    elif allowed is not None and begin > first:
        status, cost = "starts late", f"until {begin}, {COSTS[name]}"
    return FeedReport(name, status, rows.height, rows.get_column("symbol").n_unique(), begin, end, cost)


def _refusals(quarantine: pl.DataFrame) -> list[RefusalReport]:
    when = pl.col("row_time").dt.strftime("%Y-%m-%d %H:%M").fill_null("?")
    example = pl.format("{} {}: {}", pl.col("symbol").fill_null("?"), when, "detail")
    by_symbol = (
        quarantine.sort("symbol", "row_time")
        .group_by("source", "reason", "symbol", maintain_order=True)
        .agg(pl.len().alias("rows"), example.first().alias("example"))
    )
    grouped = (
        by_symbol.group_by("source", "reason", maintain_order=True)
        .agg(pl.col("rows").sum(), pl.col("example").head(EXAMPLES).alias("examples"))
        .sort(["rows", "source", "reason"], descending=[True, False, False])
    )
    return [RefusalReport(**row) for row in grouped.iter_rows(named=True)]


def _trust_notes(accepted: int, refused: pl.DataFrame) -> list[str]:
    outside = refused.filter(pl.col("reason").is_in(_WRONG_HOURS)).height
    if outside <= (accepted + refused.height) / 2:
        return []
    return [
        f"{100 * outside / (accepted + refused.height):.0f} % of the bar rows lie outside the hours of trading: either they are "
        "of extended hours, or their times were read in the wrong zone or by the wrong end; "
        "see --time-zone and --bar-label of `aurora import`"
    ]


def _late_notes(accepted: int, late: int, folder: MarketFolder) -> list[str]:
    """Say what it costs where most daily bars come after the close; behind a late 5-minute bar there are earlier ones."""
    if folder.manifest.frequency != "session" or late <= accepted / 2:
        return []
    return [
        f"{100 * late / accepted:.0f} % of the daily bars have a known_at after their session's close, the moment at which the "
        "session is decided: a stock is left out of a session without its bar; leave known_at out where the close may be used"
    ]


def _early_notes(feeds: FeedTables) -> list[str]:
    """Name the feeds that know rows on the day they are about: a filing then, or what a session brought before it opened."""
    notes = []
    for name in FACT_FEEDS:
        column = FEEDS[name].event or ""
        rows = feeds[name].drop_nulls(column)
        bound = pl.col(column).dt.offset_by("1d").cast(TIMESTAMP)
        if name in ("etf_flows", "options") and not rows.is_empty():
            days = feeds.calendar.sessions(rows[column].min(), rows[column].max())  # type: ignore[arg-type]
            opens = {day: feeds.calendar.open(day) for day in days}
            bound = pl.col(column).replace_strict(opens, default=bound, return_dtype=TIMESTAMP)
        early = rows.filter(pl.col("known_at") < bound).height
        if early:
            notes.append(
                f"{early} of {feeds[name].height} rows of {name} have a known_at on the day of their {column}, before anybody "
                "can have had them: it looks filled in from that day, and decisions use what they could not have known"
            )
    return notes


def _notes(folder: MarketFolder, universe: pl.DataFrame, traded: set[str]) -> list[str]:
    manifest = folder.manifest
    notes = []
    if manifest.not_point_in_time:
        notes.append(f"not used, because not point in time: {', '.join(manifest.not_point_in_time)}")
    if manifest.rebased_for_later_splits:
        notes.append(f"used scale-free only: {', '.join(manifest.rebased_for_later_splits)}")
    if manifest.benchmark is None:
        notes.append("no benchmark: the market return is the mean of the other stocks")
    elif manifest.benchmark not in traded:
        notes.append(
            f"the benchmark {manifest.benchmark} has no bars: the market return of a bar is the mean of the other stocks"
        )
    barless = sorted(f"{sector} ({fund})" for sector, fund in manifest.sector_etfs.items() if fund not in traded)
    if barless:
        notes.append(f"sectors whose ETF has no bars, measured against their peers: {', '.join(barless)}")
    sectors = set(universe.filter(pl.col("kind") == "stock").get_column("sector").drop_nulls())
    alone = sorted(sectors - set(manifest.sector_etfs))
    if alone:
        notes.append(f"sectors without an ETF, measured against their peers: {', '.join(alone)}")
    unknown = universe.filter((pl.col("kind") == "stock") & pl.col("sector").is_null()).get_column("symbol").n_unique()
    if unknown:
        notes.append(f"{unknown} stock(s) without a sector are never eligible")
    return notes
