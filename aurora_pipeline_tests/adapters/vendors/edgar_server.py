"""EDGAR on loopback, in the form of its documentation (data.sec.gov: submissions and companyfacts)."""

from __future__ import annotations

from typing import Any

from aurora_pipeline.adapters.vendors.edgar import Edgar
from aurora_pipeline.adapters.vendors.http import Patience
from aurora_pipeline_tests.adapters.vendors.loopback import Reply, Request, Vendor

AGENT = "Aurora Tests tests@example.com"
QUICK = Patience(tries=3, pause=0.01, longest_pause=0.5, timeout=20.0)
KEY = 320193


def fact(start: str | None, end: str, value: float, accession: str, filed: str, form: str = "10-Q") -> dict[str, Any]:
    span = {"start": start} if start else {}
    return span | {"end": end, "val": value, "accn": accession, "fy": 2023, "fp": "Q1", "form": form, "filed": filed}


def facts_of(**tags: list[dict[str, Any]]) -> dict[str, Any]:
    """Company facts of us-gaap tags in USD."""
    return {
        "cik": KEY,
        "entityName": "A Inc.",
        "facts": {"us-gaap": {tag: {"label": tag, "units": {"USD": rows}} for tag, rows in tags.items()}},
    }


# A company with calendar quarters: revenue by quarter and year, cash flow year to date, one restated comparison.
YEAR = facts_of(
    Revenues=[
        fact("2023-01-01", "2023-03-31", 100.0, "q1", "2023-05-01"),
        fact("2023-04-01", "2023-06-30", 110.0, "q2", "2023-08-01"),
        fact("2023-01-01", "2023-06-30", 210.0, "q2", "2023-08-01"),
        fact("2023-07-01", "2023-09-30", 120.0, "q3", "2023-11-01"),
        fact("2023-01-01", "2023-09-30", 330.0, "q3", "2023-11-01"),
        fact("2023-01-01", "2023-12-31", 470.0, "k", "2024-02-01", "10-K"),
        fact("2023-01-01", "2023-03-31", 95.0, "q1b", "2024-05-01"),
        fact("2024-01-01", "2024-03-31", 130.0, "q1b", "2024-05-01"),
    ],
    NetCashProvidedByUsedInOperatingActivities=[
        fact("2023-01-01", "2023-03-31", 10.0, "q1", "2023-05-01"),
        fact("2023-01-01", "2023-06-30", 25.0, "q2", "2023-08-01"),
        fact("2023-01-01", "2023-09-30", 45.0, "q3", "2023-11-01"),
        fact("2023-01-01", "2023-12-31", 70.0, "k", "2024-02-01", "10-K"),
    ],
    Assets=[
        fact(None, "2022-12-31", 900.0, "q1", "2023-05-01"),
        fact(None, "2023-03-31", 1000.0, "q1", "2023-05-01"),
        fact(None, "2023-12-31", 1400.0, "k", "2024-02-01", "10-K"),
    ],
    LongTermDebtNoncurrent=[fact(None, "2023-12-31", 300.0, "k", "2024-02-01", "10-K")],
    LongTermDebtCurrent=[fact(None, "2023-12-31", 20.0, "k", "2024-02-01", "10-K")],
    ShortTermBorrowings=[fact(None, "2023-12-31", 5.0, "k", "2024-02-01", "10-K")],
)
YEAR["facts"]["dei"] = {
    "EntityCommonStockSharesOutstanding": {
        "units": {
            "shares": [
                fact(None, "2023-04-20", 50.0, "q1", "2023-05-01"),
                fact(None, "2024-01-25", 60.0, "k", "2024-02-01", "10-K"),
            ]
        }
    }
}
STAMPS = {
    "q1": "2023-05-01T20:30:00.000Z",
    "q2": "2023-08-01T20:31:00.000Z",
    "q3": "2023-11-01T10:15:00.000Z",
    "k": "2024-02-01T21:05:00.000Z",
    "q1b": "2024-05-01T02:10:00.000Z",
    "x1": "2022-05-03T01:30:00.000Z",
    "x2": "2022-05-04T01:45:00.000Z",
}
"""Of a filer whose Z is true: two of the stamps, read as New York's clock, would lie in the night."""


class EdgarSite(Vendor):
    """Both of EDGAR's hosts on one address; `companies` is ticker to facts, `stamps` acceptance by accession number."""

    def __init__(self, companies: dict[str, Any], stamps: dict[str, str]) -> None:
        super().__init__(self.site)
        self.companies = companies
        self.stamps = stamps

    def edgar(self, agent: str = AGENT) -> Edgar:
        return Edgar(agent, QUICK, self.url, self.url)

    def site(self, request: Request) -> Reply:
        if "@" not in request.headers["user-agent"]:
            return Reply(403, b"Your Request Originates from an Undeclared Automated Tool")
        tickers = sorted({*self.companies, "FUND"})
        if request.path == "/files/company_tickers.json":
            table = {str(n): {"cik_str": KEY + n, "ticker": each, "title": each} for n, each in enumerate(tickers)}
            return Reply(body=table)
        if request.path == "/submissions/older-001.json":
            return Reply(body=self._columns(sorted(self.stamps)[:2]))
        key = int(request.path.partition("CIK")[2].partition(".")[0])
        facts = self.companies.get(tickers[key - KEY])
        if facts is None:
            return Reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if request.path.startswith("/submissions/"):
            filings = {"recent": self._columns(sorted(self.stamps)[2:]), "files": [{"name": "older-001.json"}]}
            return Reply(body={"cik": str(key), "filings": filings})
        return Reply(body=facts)

    def _columns(self, numbers: list[str]) -> dict[str, list[str]]:
        return {"accessionNumber": numbers, "acceptanceDateTime": [self.stamps[number] for number in numbers]}
