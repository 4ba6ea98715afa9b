"""The feeds of a live home by name: which vendors are asked for what, for the symbols of the home's market."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from aurora_pipeline.adapters.feeds import Feed
from aurora_pipeline.adapters.feeds.alpaca import AlpacaBars
from aurora_pipeline.adapters.feeds.published import PublishedRows
from aurora_pipeline.adapters.vendors.alpaca import AlpacaKeys, AlpacaMarketData, Tape
from aurora_pipeline.adapters.vendors.edgar import Edgar, user_agent
from aurora_pipeline.adapters.vendors.fetched_file import require_one_source
from aurora_pipeline.adapters.vendors.finra import Finra
from aurora_pipeline.adapters.vendors.http import TRADING
from aurora_pipeline.errors import SettingsError
from aurora_pipeline.market.folder import MarketFolder

NAMES = ("alpaca", "edgar", "finra")
ACTIONS_EVERY = timedelta(hours=1)
FILINGS_EVERY = timedelta(hours=1)
CYCLES_EVERY = timedelta(hours=6)
_ACTIONS_BACK, _FILINGS_BACK, _CYCLES_BACK = timedelta(days=30), timedelta(days=400), timedelta(days=60)


def vendor_feeds(name: str, market: MarketFolder, now: datetime, tape: Tape = "iex") -> Sequence[Feed]:
    """Feeds of one vendor for the stocks and funds a market lists.

    Parameters
    ----------
    name : str
        One of :data:`NAMES`.
    market : MarketFolder
        Of the live home: its symbols are asked for, and bars from its last session on.
    now : datetime
    tape : {"iex", "sip"}
        Of Alpaca; must be the one the market was fetched with.

    Raises
    ------
    SettingsError
        There is no such feed.
    MarketDataError
        The market's bars are of the other tape.
    VendorKeyError
        The vendor's keys are not in the environment.
    """
    today = now.date()
    listed = market.universe().filter(
        pl.col("valid_from").is_null() | (pl.col("valid_from") <= today),
        pl.col("valid_to").is_null() | (pl.col("valid_to") > today),
    )
    symbols = sorted(set(listed["symbol"]))
    stocks = sorted(set(listed.filter(pl.col("kind") == "stock")["symbol"]))
    if name == "alpaca":
        require_one_source(sorted((market.path / "bars").glob("*.parquet")), "alpaca", f"alpaca-{tape}")
        data = AlpacaMarketData(AlpacaKeys.from_environment(), tape, TRADING)
        last = market.span[1]
        since = min(market.calendar.close(last), market.calendar.open(market.calendar.session_of(now)))
        return [actions_feed(data, symbols), AlpacaBars(data, symbols, market.calendar, since)]
    if name == "edgar":
        return [filings_feed(Edgar(user_agent()), stocks)]
    if name == "finra":
        return [short_interest_feed(Finra(), stocks)]
    raise SettingsError(f"no such feed {name!r}; expected {', '.join(NAMES)}")


def actions_feed(data: AlpacaMarketData, symbols: Sequence[str]) -> PublishedRows:
    """Corporate actions of the last month and of today."""

    def ask(now: datetime) -> pl.DataFrame:
        return data.corporate_actions(symbols, (now - _ACTIONS_BACK).date(), now.date() + timedelta(days=1))[0]

    return PublishedRows("Alpaca, corporate actions", "corporate_actions", ask, ACTIONS_EVERY)


def filings_feed(edgar: Edgar, symbols: Sequence[str]) -> PublishedRows:
    """Quarters of the last year as first filed."""

    def ask(now: datetime) -> pl.DataFrame:
        rows, _ = edgar.fundamentals(symbols)
        return rows.filter(pl.col("fiscal_period_end") >= (now - _FILINGS_BACK).date())

    return PublishedRows("EDGAR, company facts", "fundamentals", ask, FILINGS_EVERY)


def short_interest_feed(finra: Finra, symbols: Sequence[str]) -> PublishedRows:
    """Short interest of the last cycles."""

    def ask(now: datetime) -> pl.DataFrame:
        return finra.short_interest(symbols, (now - _CYCLES_BACK).date(), now.date(), now)

    return PublishedRows("FINRA, short interest", "short_interest", ask, CYCLES_EVERY)
