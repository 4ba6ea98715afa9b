"""FINRA: consolidated short interest, known when its cycle was published.

Firms report twice a month; FINRA publishes on the eighth business day after the settlement date, after the close. A record
says its settlement date but not when it was published, so a row counts from the end of that business day. A record marked as
revised holds only its newest value, which nobody had on publication day: it counts from the moment it is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.adapters.vendors.http import DOWNLOAD, Pace, Patience, json_of, patient_session
from aurora_pipeline.errors import VendorFormatError
from aurora_pipeline.market.columns import FEEDS

VENDOR = "FINRA"
URL = "https://api.finra.org"
DATA_SET = "/data/group/otcMarket/name/consolidatedShortInterest"
REQUESTS_PER_SECOND = 20
RECORDS_PER_PAGE = 5000
SYMBOLS_PER_REQUEST = 100
PUBLISHED_AFTER = 8
NEW_YORK = ZoneInfo("America/New_York")
_FIELDS = ("symbolCode", "settlementDate", "currentShortPositionQuantity", "averageDailyVolumeQuantity", "revisionFlag")


class Finra:
    """Short interest of US stocks.

    Parameters
    ----------
    patience : Patience
    url : str
        Address of the interface.
    """

    def __init__(self, patience: Patience = DOWNLOAD, url: str = URL) -> None:
        headers = {"Accept": "application/json"}
        self._session = patient_session(patience, Pace(REQUESTS_PER_SECOND, 1.0), headers, posts_ask=True)
        self._url = url + DATA_SET

    def short_interest(self, symbols: Sequence[str], first: date, last: date, now: datetime) -> pl.DataFrame:
        """Short interest of settlement dates in a range that was known by a moment.

        Returns
        -------
        polars.DataFrame
            Contract columns of `short_interest`, by symbol and settlement date.

        Raises
        ------
        VendorError
            Naming what was refused, is down, or has another form.
        """
        rows: list[dict[str, Any]] = []
        for begin in range(0, len(symbols), SYMBOLS_PER_REQUEST):
            rows += self._records(symbols[begin : begin + SYMBOLS_PER_REQUEST], first, last, now)
        frame = pl.DataFrame(rows, schema=pl.Schema(FEEDS["short_interest"].columns))
        return frame.filter(pl.col("known_at") <= now).unique(maintain_order=True).sort("symbol", "settlement_date")

    def _records(self, symbols: Sequence[str], first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        """All pages of one query."""
        query: dict[str, Any] = {
            "fields": list(_FIELDS),
            "limit": RECORDS_PER_PAGE,
            "domainFilters": [{"fieldName": "symbolCode", "values": list(symbols)}],
            "dateRangeFilters": [
                {"fieldName": "settlementDate", "startDate": first.isoformat(), "endDate": last.isoformat()}
            ],
            "sortFields": ["+settlementDate", "+symbolCode"],
        }
        rows: list[dict[str, Any]] = []
        offset = 0
        while True:
            response = self._session.post(self._url, json=query | {"offset": offset})
            if response.status_code == 204:  # no record fits
                return rows
            records = json_of(response, VENDOR)
            total = response.headers.get("Record-Total", "")
            if not (isinstance(records, list) and total.isdigit()):
                raise VendorFormatError(f"{VENDOR}: expected a list of records and a header Record-Total")
            rows += [_row(record, now) for record in records]
            offset += len(records)
            if not records or offset >= int(total):
                return rows


def published(settlement: date) -> datetime:
    """End of the day on which the short interest of a settlement date is published, UTC."""
    day = np.busday_offset(np.datetime64(settlement), PUBLISHED_AFTER, roll="backward", holidays=_holidays())
    over = date.fromisoformat(str(day)) + timedelta(days=1)
    return datetime.combine(over, time(0), NEW_YORK).astimezone(UTC)


@lru_cache(maxsize=1)
def _holidays() -> NDArray[np.datetime64]:
    """Days that are no business days: federal holidays, on which nothing settles, and days the exchanges are closed."""
    from pandas.tseries.holiday import GoodFriday, USFederalHolidayCalendar

    first, last = "2000-01-01", f"{date.today().year + 2}-12-31"
    federal = USFederalHolidayCalendar().holidays(first, last).to_numpy()
    return np.union1d(federal, GoodFriday.dates(first, last).to_numpy()).astype("datetime64[D]")


def _row(record: Any, now: datetime) -> dict[str, Any]:
    try:
        settlement = date.fromisoformat(record["settlementDate"])
        volume = record["averageDailyVolumeQuantity"]
        return {
            "symbol": record["symbolCode"],
            "settlement_date": settlement,
            "known_at": now if record["revisionFlag"] == "R" else published(settlement),
            "shares_short": float(record["currentShortPositionQuantity"]),
            "avg_daily_volume": float(volume) if volume is not None else None,
        }
    except (KeyError, TypeError, ValueError) as error:
        raise VendorFormatError(
            f"{VENDOR}: a record of short interest is not in its documented form ({', '.join(_FIELDS)}): {error!r}"
        ) from error
