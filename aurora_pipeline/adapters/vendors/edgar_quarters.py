"""Company facts to quarters: what a company first filed for each fiscal quarter, and when the filing was accepted.

A fact is a value for a span (revenue from 1 July to 30 September) or a day (assets on 30 September) in one filing. Of several
filings with the same fact the first counts. A quarter's value is the fact that spans it; where a company files year to date (cash
flows), the difference to the span one quarter shorter; for the fourth quarter, which is never filed, the year less the other
three. A derived value is known when the last of its parts is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from aurora_pipeline.errors import VendorFormatError
from aurora_pipeline.market.columns import FEEDS

NEW_YORK = ZoneInfo("America/New_York")
QUARTER_DAYS = (80, 100)
YEAR_DAYS = (350, 380)
FLOWS: dict[str, tuple[str, ...]] = {
    "revenue": (
        "RevenueFromContractWithCustomerExcludingAssessedTax",
        "Revenues",
        "RevenueFromContractWithCustomerIncludingAssessedTax",
        "SalesRevenueNet",
    ),
    "gross_profit": ("GrossProfit",),
    "operating_income": ("OperatingIncomeLoss",),
    "net_income": ("NetIncomeLoss", "ProfitLoss"),
    "operating_cash_flow": (
        "NetCashProvidedByUsedInOperatingActivities",
        "NetCashProvidedByUsedInOperatingActivitiesContinuingOperations",
    ),
    "capital_expenditure": ("PaymentsToAcquirePropertyPlantAndEquipment", "PaymentsToAcquireProductiveAssets"),
}
"""Column to the us-gaap tags that mean it, the usual first."""
STOCKS: dict[str, tuple[str, ...]] = {
    "total_assets": ("Assets",),
    "stockholders_equity": (
        "StockholdersEquity",
        "StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest",
    ),
}
_OPENS, _CLOSES = time(6, 0), time(22, 30)
_ENOUGH = 3
"""Stamps that only one reading makes possible before a filer counts as using it."""


@dataclass(frozen=True)
class Known:
    """A value and the moment it was known.

    Attributes
    ----------
    value : float
    at : datetime
    """

    value: float
    at: datetime


def acceptance_moments(stamps: Sequence[str]) -> list[datetime]:
    """When a filer's filings were accepted.

    EDGAR's `acceptanceDateTime` ends in Z, yet for about a fifth of the filers it is the clock of New York: always the one or
    always the other. EDGAR accepts from 6 to 22 o'clock New York time on weekdays, so a filer's stamps tell which; where they
    do not, the later reading counts, and a value is used up to five hours late rather than early.

    Parameters
    ----------
    stamps : sequence of str
        Of one filer, such as ``2024-11-01T18:01:36.000Z``.

    Returns
    -------
    list of datetime
        UTC, in the same order.
    """
    clocks = [datetime.fromisoformat(stamp.replace("Z", "")).replace(tzinfo=None) for stamp in stamps]
    as_utc = [clock.replace(tzinfo=UTC) for clock in clocks]
    as_local = [clock.replace(tzinfo=NEW_YORK).astimezone(UTC) for clock in clocks]
    never_utc, never_local = (sum(not _accepted_at(moment) for moment in each) for each in (as_utc, as_local))
    if never_utc == 0 and never_local >= _ENOUGH:
        return as_utc
    if never_local == 0 and never_utc >= _ENOUGH:
        return as_local
    return [
        utc if _accepted_at(utc) and not _accepted_at(local) else local
        for utc, local in zip(as_utc, as_local, strict=True)
    ]


def quarterly_values(symbol: str, facts: Mapping[str, Any], accepted: Mapping[str, datetime]) -> pl.DataFrame:
    """First-filed quarters of one company.

    Parameters
    ----------
    symbol : str
    facts : mapping
        `companyfacts` of EDGAR.
    accepted : mapping of str to datetime
        Acceptance by accession number; a filing that is not in it counts from the end of its filing day.

    Returns
    -------
    polars.DataFrame
        Contract columns of `fundamentals`: for each fiscal quarter one row per moment at which something of it became known,
        each with all that was known of it by then.

    Raises
    ------
    VendorFormatError
        Naming tag and field that is not as documented.
    """
    gaap, dei = (facts.get("facts", {}).get(name, {}) for name in ("us-gaap", "dei"))
    quarters: dict[str, dict[date, Known]] = {}
    periods: dict[date, set[str]] = {}
    for column, tags in FLOWS.items():
        spans, filings = _first_filed(symbol, gaap, tags, "USD", accepted)
        quarters[column] = _quarters(spans)
        for (_, end), accession in filings.items():
            if end in quarters[column]:
                periods.setdefault(end, set()).add(accession)
    days = {column: _on_days(symbol, gaap, tags, "USD", accepted) for column, tags in STOCKS.items()}
    days["total_debt"] = _debt(symbol, gaap, accepted)
    shares = _cover_shares(symbol, dei, accepted, periods)
    rows: list[dict[str, Any]] = []
    for end in sorted(periods):
        found = {column: values[end] for column, values in quarters.items() if end in values}
        found |= {column: values[end] for column, values in days.items() if end in values}
        found |= {"shares_outstanding": shares[end]} if end in shares else {}
        for moment in sorted({known.at for known in found.values()}):
            values = {column: known.value for column, known in found.items() if known.at <= moment}
            rows.append({"symbol": symbol, "fiscal_period_end": end, "known_at": moment} | values)
    return pl.DataFrame(rows, schema=pl.Schema(FEEDS["fundamentals"].columns))


_Span = tuple[date | None, date]


def _first_filed(
    symbol: str,
    taxonomy: Mapping[str, Any],
    tags: Iterable[str],
    unit: str,
    accepted: Mapping[str, datetime],
) -> tuple[dict[_Span, Known], dict[_Span, str]]:
    """First value of every span (start None for a day) among tags, and the filing it is from; of equals the first tag's."""
    values: dict[_Span, Known] = {}
    filings: dict[_Span, str] = {}
    for tag in tags:
        for fact in taxonomy.get(tag, {}).get("units", {}).get(unit, ()):
            try:
                if not fact["form"].startswith("10-"):
                    continue
                start = date.fromisoformat(fact["start"]) if "start" in fact else None
                span = (start, date.fromisoformat(fact["end"]))
                value, accession = float(fact["val"]), fact["accn"]
                at = accepted.get(accession) or _day_over(date.fromisoformat(fact["filed"]))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise VendorFormatError(
                    f"EDGAR: {symbol}, {tag}: a fact is not in its documented form "
                    f"(start, end, val, accn, form, filed): {error!r}"
                ) from error
            if span not in values or at < values[span].at:
                values[span], filings[span] = Known(value, at), accession
    return values, filings


def _quarters(spans: Mapping[_Span, Known]) -> dict[date, Known]:
    """Value of each quarter by its end: filed, year-to-date difference, or the year less the other three."""
    found: dict[date, Known] = {}
    dated = {(start, end): known for (start, end), known in spans.items() if start is not None}
    for (start, end), known in dated.items():
        if _within(start, end, QUARTER_DAYS):
            found[end] = known
    for (start, end), known in sorted(dated.items(), key=lambda item: item[0]):
        if end in found or _length(start, end) <= QUARTER_DAYS[1]:
            continue
        shorter = [
            before for (begun, until), before in dated.items() if begun == start and _within(until, end, QUARTER_DAYS)
        ]
        if shorter:
            found[end] = Known(known.value - shorter[0].value, max(known.at, shorter[0].at))
    for (start, end), known in dated.items():
        if end in found or not _within(start, end, YEAR_DAYS):
            continue
        others = [value for until, value in found.items() if start < until < end]
        if len(others) == 3:
            found[end] = Known(
                known.value - sum(value.value for value in others), max(known.at, *(value.at for value in others))
            )
    return found


def _on_days(
    symbol: str, taxonomy: Mapping[str, Any], tags: Iterable[str], unit: str, accepted: Mapping[str, datetime]
) -> dict[date, Known]:
    values, _ = _first_filed(symbol, taxonomy, tags, unit, accepted)
    return {end: known for (start, end), known in values.items() if start is None}


def _debt(symbol: str, gaap: Mapping[str, Any], accepted: Mapping[str, datetime]) -> dict[date, Known]:
    """Long-term debt with its current part, and short-term borrowings where a company has them."""
    whole = _on_days(symbol, gaap, ("LongTermDebt",), "USD", accepted)
    later, soon, short = (
        _on_days(symbol, gaap, (tag,), "USD", accepted)
        for tag in ("LongTermDebtNoncurrent", "LongTermDebtCurrent", "ShortTermBorrowings")
    )
    found: dict[date, Known] = {}
    for end in {*whole, *later}:
        parts = [whole[end]] if end in whole else [values[end] for values in (later, soon) if end in values]
        parts += [short[end]] if end in short else []
        found[end] = Known(sum(part.value for part in parts), max(part.at for part in parts))
    return found


def _cover_shares(
    symbol: str, dei: Mapping[str, Any], accepted: Mapping[str, datetime], periods: Mapping[date, set[str]]
) -> dict[date, Known]:
    """Shares on a filing's cover, for the newest quarter of that filing. Companies with several classes file none."""
    newest: dict[str, date] = {}
    for end, accessions in periods.items():
        for accession in accessions:
            newest[accession] = max(end, newest.get(accession, end))
    found: dict[date, Known] = {}
    values, filings = _first_filed(symbol, dei, ("EntityCommonStockSharesOutstanding",), "shares", accepted)
    for span, known in values.items():
        period = newest.get(filings[span])
        if period is not None and (period not in found or known.at < found[period].at):
            found[period] = known
    return found


def _accepted_at(moment: datetime) -> bool:
    local = moment.astimezone(NEW_YORK)
    return local.weekday() < 5 and _OPENS <= local.time() <= _CLOSES


def _day_over(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(0), NEW_YORK).astimezone(UTC)


def _length(start: date, end: date) -> int:
    return (end - start).days


def _within(start: date | None, end: date, days: tuple[int, int]) -> bool:
    return start is not None and days[0] <= _length(start, end) <= days[1]
