"""The feeds of a market folder as lake tables, with the instruments behind the symbols."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP, SessionCalendar
from aurora_pipeline.contracts import FEED_TABLES, TABLES, empty
from aurora_pipeline.market.action_versions import with_superseded
from aurora_pipeline.market.columns import FEEDS
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.instruments import instrument_intervals, instrument_map, with_instrument
from aurora_pipeline.market.levels import LevelRules, level_breaks
from aurora_pipeline.market.quarantine import quarantine_rows
from aurora_pipeline.market.universe import close_history
from aurora_pipeline.market.validation import FeedContext, filed, row_moment, validate_feed
from aurora_pipeline.settings import Settings

DAILY_WINDOW = 60
"""Earlier sessions whose opening gaps scale a daily bar's."""
UNEXPLAINED_SPLIT = "unexplained_split"


@dataclass(frozen=True)
class FeedTables:
    """Every feed in contract form.

    Attributes
    ----------
    tables : dict of str to polars.DataFrame
        One frame per name of :data:`aurora_pipeline.contracts.FEED_TABLES`; also reached as ``feeds[name]``.
    intervals : polars.DataFrame
        Universe intervals: `symbol`, `kind`, `sector`, `valid_from`, `valid_to`, `instrument_id`.
    quarantine : polars.DataFrame
        Refused feed rows, contract form.
    calendar : SessionCalendar
    """

    tables: dict[str, pl.DataFrame]
    intervals: pl.DataFrame
    quarantine: pl.DataFrame
    calendar: SessionCalendar
    _histories: dict[int, pl.DataFrame] = field(default_factory=dict, repr=False)

    def seasoning(self, needed: int) -> pl.DataFrame:
        """Return the `needed` daily closes of each instrument that became usable first: more change no eligibility.

        Columns as of :func:`aurora_pipeline.market.universe.close_history`; worked out once.
        """
        if needed not in self._histories:
            closes = self["daily_bars"].select("instrument_id", "session", "known_at", "quarantined_at")
            history = close_history(closes, self.calendar)
            first = history.sort("instrument_id", "usable_from", "session").group_by(
                "instrument_id", maintain_order=True
            )
            self._histories[needed] = first.head(needed).select(history.columns)
        return self._histories[needed]

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self.tables[name]


def ingest_feeds(folder: MarketFolder, settings: Settings) -> FeedTables:
    """Validate every feed of a folder.

    Parameters
    ----------
    folder : MarketFolder
    settings : Settings
        Section `quality`.

    Returns
    -------
    FeedTables
        Feeds the folder lacks are empty. Daily bars on a broken level are refused, see :mod:`aurora_pipeline.market.levels`.
    """
    universe = folder.universe()
    context = FeedContext(folder.calendar, folder.span, universe, folder.manifest.frequency == "session")
    accepted: dict[str, pl.DataFrame] = {}
    refused: list[pl.DataFrame] = [empty("quarantine")]
    for name in FEED_TABLES:
        accepted[name], rows = validate_feed(name, folder.read(name), context)
        refused.append(rows)
    mapping = instrument_map(universe, accepted["corporate_actions"], folder.calendar)
    named = {name: with_instrument(rows, mapping, instrument_day(name)) for name, rows in accepted.items()}
    splits = known_splits(named["corporate_actions"], folder.manifest.price_adjustment)
    named["daily_bars"], broken = _without_broken_levels(named["daily_bars"], splits, context, settings)
    refused.append(broken)
    tables = {name: _contract_form(name, rows) for name, rows in named.items()}
    intervals = instrument_intervals(universe, mapping)
    quarantine = pl.concat(refused).sort("session", "source", "row_id", "reason")
    return FeedTables(tables, intervals, quarantine, folder.calendar)


def stored_feeds(folder: MarketFolder, tables: dict[str, pl.DataFrame]) -> FeedTables:
    """Rebuild the feeds from the lake's tables; their quarantine is in the lake and not repeated here."""
    universe = folder.universe()
    mapping = instrument_map(universe, tables["corporate_actions"], folder.calendar)
    intervals = instrument_intervals(universe, mapping)
    return FeedTables(dict(tables), intervals, empty("quarantine"), folder.calendar)


def known_before_event(feeds: FeedTables) -> pl.DataFrame:
    """Find rows known before their event; none unless the validation is broken.

    Returns
    -------
    polars.DataFrame
        `feed`, `symbol`, `event` (UTC moment: a daily bar's close, else the start of the event's day), `known_at`.
    """
    found = []
    for name in FEED_TABLES:
        column = FEEDS[name].event
        if column is None:
            continue
        rows = feeds[name]
        event = pl.col(column).cast(TIMESTAMP)
        if name == "daily_bars":
            days = rows["session"].unique().to_list()
            closes = {day: feeds.calendar.close(day) for day in days}
            event = pl.col("session").replace_strict(closes, return_dtype=TIMESTAMP) if closes else event
        found.append(
            rows.filter(pl.col("known_at") < event).select(
                pl.lit(name).alias("feed"), "symbol", event.alias("event"), "known_at"
            )
        )
    return pl.concat(found)


def known_splits(actions: pl.DataFrame, price_adjustment: str) -> pl.DataFrame:
    """Return the splits that raw prices still contain: none where the source has adjusted for them."""
    splits = with_superseded(actions).filter((pl.col("kind") == "split") & (pl.lit(price_adjustment) == "none"))
    return splits.select("instrument_id", "ex_date", "known_at", "superseded_at", "ratio")


def instrument_day(feed: str) -> pl.Expr:
    """Day on which a feed row's symbol is looked up; a rename or delisting still belongs to the symbol that ends."""
    if feed == "corporate_actions":
        leaves = pl.col("kind").is_in(["rename", "delist"])
        return pl.when(leaves).then(pl.col("ex_date") - timedelta(days=1)).otherwise("ex_date")
    if feed in ("daily_bars", "etf_flows", "options"):
        return pl.col(FEEDS[feed].event or "")
    return pl.col("known_at").dt.date()


def _without_broken_levels(
    daily: pl.DataFrame, splits: pl.DataFrame, context: FeedContext, settings: Settings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    numbered = daily.with_row_index("row")
    if daily.is_empty():
        return daily, empty("quarantine")
    sessions = context.calendar.sessions(daily["session"].min(), daily["session"].max())  # type: ignore[arg-type]
    series = numbered.with_columns(
        pl.col("session").cast(TIMESTAMP).alias("bar_end"),
        pl.lit(None, TIMESTAMP).alias("quarantined_at"),
        pl.lit(value=True).alias("tested"),
    )
    breaks = level_breaks(series, splits, sessions, LevelRules.of(settings.quality, DAILY_WINDOW))
    broken = numbered.join(breaks, on="row").with_columns(
        pl.lit(UNEXPLAINED_SPLIT).alias("reason"), pl.col("known_at").alias("_known")
    )
    rows = quarantine_rows(
        filed(broken, row_moment("daily_bars"), context), "daily_bars", list(FEEDS["daily_bars"].columns)
    )
    return numbered.join(breaks, on="row", how="anti", maintain_order="left").drop("row"), rows


def _contract_form(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    if name == "daily_bars":
        rows = rows.with_columns(pl.lit(None, TIMESTAMP).alias("quarantined_at"))
    declared = TABLES[name]
    return rows.select(list(declared.schema.columns())).sort(declared.key)
