"""FINRA's query interface on loopback, in the form of its documentation (POST data, platform usage limits)."""

from __future__ import annotations

from datetime import date
from typing import Any

from aurora_pipeline.adapters.vendors.finra import DATA_SET, Finra
from aurora_pipeline.adapters.vendors.http import Patience
from aurora_pipeline_tests.adapters.vendors.loopback import Reply, Request, Vendor

QUICK = Patience(tries=3, pause=0.01, longest_pause=0.5, timeout=20.0)


def record(symbol: str, settlement: str, shares: float, **other: Any) -> dict[str, Any]:
    row = {
        "symbolCode": symbol,
        "settlementDate": settlement,
        "currentShortPositionQuantity": shares,
        "averageDailyVolumeQuantity": 1000,
        "revisionFlag": None,
    }
    return row | other


class FinraSite(Vendor):
    """`records` is what it holds; `page` caps a page as the payload limit does, whatever limit was asked for."""

    def __init__(self, records: list[dict[str, Any]], page: int = 3) -> None:
        super().__init__(self.site)
        self.records = records
        self.page = page

    def finra(self) -> Finra:
        return Finra(QUICK, self.url)

    def site(self, request: Request) -> Reply:
        assert (request.method, request.path) == ("POST", DATA_SET)
        assert request.headers["accept"] == "application/json"
        query = request.body
        (symbols,), (days,) = query["domainFilters"], query["dateRangeFilters"]
        rows = [
            row
            for row in sorted(self.records, key=lambda row: (row["settlementDate"], row["symbolCode"]))
            if row["symbolCode"] in symbols["values"]
            and days["startDate"] <= row["settlementDate"] <= days["endDate"]
            and date.fromisoformat(row["settlementDate"])
        ]
        if not rows:
            return Reply(204)
        begin = query["offset"]
        shown = rows[begin : begin + min(self.page, query["limit"])]
        return Reply(body=shown, headers={"Record-Total": str(len(rows))})
