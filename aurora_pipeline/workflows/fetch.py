"""Downloading from vendors into a market folder: session by session or symbol by symbol, kept as it comes.

Whatever was answered before a download broke off is in the folder, and the same call goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from aurora_pipeline.adapters.progress import report
from aurora_pipeline.adapters.vendors.fetched_file import FetchedFile, require_one_source
from aurora_pipeline.calendar import SessionCalendar
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.columns import BARS, FEEDS

if TYPE_CHECKING:
    from aurora_pipeline.adapters.vendors.alpaca import AlpacaMarketData
    from aurora_pipeline.adapters.vendors.edgar import Edgar
    from aurora_pipeline.adapters.vendors.finra import Finra

AFTER_CLOSE = timedelta(minutes=20)
"""A session is downloaded this long after its close: the consolidated tape of the last 15 minutes costs extra."""
FILING_LEAD = timedelta(days=3 * 365)
CYCLE_LEAD = timedelta(days=90)
"""How far before the first session quarters and short interest reach: features compare with the years and cycles before."""
SYMBOLS_AT_A_TIME = 20


@dataclass
class Fetched:
    """What a download brought.

    Attributes
    ----------
    rows : dict of str to int
        New rows by file of the contract (`bars`, `fundamentals`, ...).
    silent : list of str
        Symbols without any row: unknown to the vendor, or nothing happened.
    left_out : dict of str to int
        What the vendor has and the contract has no place for.
    waiting : list of date
        Sessions that are not over yet.
    """

    rows: dict[str, int] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    waiting: list[date] = field(default_factory=list)


def fetch_alpaca(
    target: Path,
    data: AlpacaMarketData,
    symbols: Sequence[str],
    first: date,
    last: date,
    calendar: SessionCalendar,
    now: datetime,
    *,
    again: bool = False,
) -> Fetched:
    """5-minute bars, one file per session, and corporate actions.

    Parameters
    ----------
    target : Path
        Market folder, begun already.
    data : AlpacaMarketData
    symbols : sequence of str
    first, last : date
        Sessions from and to.
    calendar : SessionCalendar
    now : datetime
        Moment of the download.
    again : bool
        Ask again for sessions that are there: what has changed is added as a correction known now.

    Raises
    ------
    MarketDataError
        No session lies in the range, or the folder has bars of the other tape.
    VendorError
        What went wrong at the vendor; everything before is kept.
    """
    source = f"alpaca-{data.tape}"
    require_one_source(sorted((target / "bars").glob("alpaca-*.parquet")), "alpaca", source)
    sessions = calendar.sessions(first, last)
    over = [session for session in sessions if calendar.close(session) + AFTER_CLOSE <= now]
    if not sessions:
        raise MarketDataError(f"no session of {calendar.code} from {first} to {last}")
    found = Fetched(rows={"bars": 0}, waiting=[session for session in sessions if session not in over])
    traded: set[str] = set()
    for number, session in enumerate(over, start=1):
        file = FetchedFile(target / "bars" / f"alpaca-{session}.parquet", BARS, source)
        wanted = [symbol for symbol in symbols if again or symbol not in file.asked]
        if wanted:
            opened, closed = calendar.open(session), calendar.close(session)
            rows = data.bars(wanted, opened, closed)
            found.rows["bars"] += file.add(rows, wanted, session, closed, now)
        traded |= set(file.rows.get_column("symbol").unique())
        report(f"bars, {data.tape}", number, len(over))
    found.silent = [symbol for symbol in symbols if symbol not in traded] if over else []
    actions, found.left_out = data.corporate_actions(symbols, first, last)
    file = FetchedFile(target / "corporate_actions.parquet", FEEDS["corporate_actions"], "alpaca")
    found.rows["corporate_actions"] = file.add(actions, symbols, first, _through(last, now), now)
    return found


def fetch_edgar(
    target: Path, edgar: Edgar, symbols: Sequence[str], first: date, last: date, now: datetime, *, again: bool = False
) -> Fetched:
    """Quarters as first filed, from three years before `first`; parameters as of :func:`fetch_alpaca`."""
    begin = first - FILING_LEAD

    def ask(some: Sequence[str]) -> tuple[pl.DataFrame, list[str]]:
        rows, unknown = edgar.fundamentals(some)
        return rows.filter(pl.col("fiscal_period_end") >= begin, pl.col("known_at") <= _through(last, now)), unknown

    return _by_symbol(target, "fundamentals", "edgar", ask, symbols, begin, last, now, again=again)


def fetch_finra(
    target: Path, finra: Finra, symbols: Sequence[str], first: date, last: date, now: datetime, *, again: bool = False
) -> Fetched:
    """Short interest that was published by `last`, from three months before `first`; parameters as of :func:`fetch_alpaca`."""
    begin = first - CYCLE_LEAD

    def ask(some: Sequence[str]) -> tuple[pl.DataFrame, list[str]]:
        rows = finra.short_interest(some, begin, last, now)
        return rows, sorted({*some} - {*rows.get_column("symbol")})

    return _by_symbol(target, "short_interest", "finra", ask, symbols, begin, last, now, again=again)


def _by_symbol(
    target: Path,
    feed: str,
    source: str,
    ask: Callable[[Sequence[str]], tuple[pl.DataFrame, list[str]]],
    symbols: Sequence[str],
    begin: date,
    last: date,
    now: datetime,
    *,
    again: bool,
) -> Fetched:
    """Ask for a few symbols at a time and keep each answer."""
    file = FetchedFile(target / f"{feed}.parquet", FEEDS[feed], source)
    through = _through(last, now)
    wanted = [symbol for symbol in symbols if again or not _covered(file.asked, symbol, begin, through)]
    found = Fetched(rows={feed: 0})
    for start in range(0, len(wanted), SYMBOLS_AT_A_TIME):
        some = wanted[start : start + SYMBOLS_AT_A_TIME]
        rows, silent = ask(some)
        found.rows[feed] += file.add(rows, some, begin, through, now)
        found.silent += silent
        report(feed, min(start + SYMBOLS_AT_A_TIME, len(wanted)), len(wanted))
    return found


def _covered(asked: Mapping[str, tuple[date, datetime]], symbol: str, begin: date, through: datetime) -> bool:
    return symbol in asked and asked[symbol][0] <= begin and asked[symbol][1] >= through - timedelta(hours=12)


def _through(last: date, now: datetime) -> datetime:
    return min(now, datetime.combine(last + timedelta(days=1), time(0), UTC))
