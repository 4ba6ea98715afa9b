"""EDGAR's facts to first-filed quarters: every derived number worked out by hand."""

import time
from datetime import date

import pytest

from aurora_pipeline.adapters.vendors.edgar import user_agent
from aurora_pipeline.adapters.vendors.edgar_quarters import acceptance_moments, quarterly_values
from aurora_pipeline.errors import VendorDownError, VendorError, VendorFormatError, VendorKeyError
from aurora_pipeline.market.columns import FEEDS
from aurora_pipeline_tests.adapters.vendors.edgar_server import STAMPS, YEAR, EdgarSite, fact, facts_of
from aurora_pipeline_tests.adapters.vendors.loopback import Fault, Reply
from aurora_pipeline_tests.market.tiny import moment


@pytest.fixture
def site():
    with EdgarSite({"AAA": YEAR, "BRK-B": YEAR}, STAMPS).running() as running:
        yield running


def quarters(site, symbol="AAA"):
    rows, unknown = site.edgar().fundamentals([symbol])
    assert unknown == []
    return {str(row["fiscal_period_end"]): row for row in rows.iter_rows(named=True)}


def test_each_quarter_is_the_value_first_filed_for_it(site):
    found = quarters(site)
    assert {end: row["revenue"] for end, row in found.items()} == {
        "2023-03-31": 100.0,  # not the 95 of the filing a year later
        "2023-06-30": 110.0,
        "2023-09-30": 120.0,
        "2023-12-31": 140.0,  # 470 - 100 - 110 - 120
        "2024-03-31": 130.0,
    }


def test_year_to_date_cash_flows_become_quarters(site):
    found = quarters(site)
    flows = [row["operating_cash_flow"] for row in found.values()]
    assert flows == [10.0, 15.0, 20.0, 25.0, None]


def test_a_quarter_is_known_when_its_filing_was_accepted_and_q4_with_the_year(site):
    known = {end: row["known_at"] for end, row in quarters(site).items()}
    assert known["2023-03-31"] == moment("2023-05-01T20:30")
    assert known["2023-12-31"] == moment("2024-02-01T21:05")


def test_balances_debt_and_shares_belong_to_the_quarter_of_their_filing(site):
    found = quarters(site)
    assert found["2023-03-31"]["total_assets"] == 1000.0
    assert found["2023-06-30"]["total_assets"] is None  # missing stays missing
    assert found["2023-12-31"]["total_debt"] == 325.0
    assert (found["2023-03-31"]["shares_outstanding"], found["2023-12-31"]["shares_outstanding"]) == (50.0, 60.0)
    assert "2022-12-31" not in found  # a balance alone is no quarter


def test_the_fourth_quarter_without_nine_months_is_the_year_less_three_quarters():
    facts = facts_of(
        Revenues=[
            fact("2023-01-01", "2023-03-31", 1.0, "a", "2023-05-01"),
            fact("2023-04-01", "2023-06-30", 2.0, "b", "2023-08-01"),
            fact("2023-07-01", "2023-09-30", 3.0, "c", "2023-11-01"),
            fact("2023-01-01", "2023-12-31", 10.0, "d", "2024-02-01", "10-K"),
        ]
    )
    rows = quarterly_values("AAA", facts, {})
    last = rows.filter(fiscal_period_end=date(2023, 12, 31)).row(0, named=True)
    assert (last["revenue"], last["known_at"]) == (4.0, moment("2024-02-02T05:00"))  # end of the day it was filed
    facts["facts"]["us-gaap"]["Revenues"]["units"]["USD"].pop(1)
    rows = quarterly_values("AAA", facts, {})
    assert date(2023, 12, 31) not in rows["fiscal_period_end"].to_list()  # a quarter is missing: no guess


def test_a_value_filed_later_than_the_rest_comes_in_a_later_row():
    facts = facts_of(
        Revenues=[fact("2023-01-01", "2023-03-31", 1.0, "a", "2023-05-01")],
        GrossProfit=[fact("2023-01-01", "2023-03-31", 0.5, "b", "2023-06-01", "10-Q/A")],
    )
    rows = quarterly_values("AAA", facts, {})
    assert rows["gross_profit"].to_list() == [None, 0.5]
    assert rows["revenue"].to_list() == [1.0, 1.0]
    assert rows["known_at"].is_sorted()


def test_a_tag_filed_first_wins_over_one_of_higher_rank_filed_later():
    ours = "RevenueFromContractWithCustomerExcludingAssessedTax"
    facts = facts_of(
        **{
            ours: [fact("2023-01-01", "2023-03-31", 2.0, "b", "2024-05-01")],
            "Revenues": [fact("2023-01-01", "2023-03-31", 1.0, "a", "2023-05-01")],
        }
    )
    assert quarterly_values("AAA", facts, {})["revenue"].to_list() == [1.0]


def test_an_8k_is_no_filing_of_a_quarter():
    facts = facts_of(Revenues=[fact("2023-01-01", "2023-03-31", 1.0, "a", "2023-04-20", "8-K")])
    rows = quarterly_values("AAA", facts, {})
    assert (rows.height, rows.columns) == (0, list(FEEDS["fundamentals"].columns))


NIGHT_AS_LOCAL = ["2023-05-02T01:30:00.000Z", "2023-08-02T00:10:00.000Z", "2023-11-02T02:00:00.000Z"]
NIGHT_AS_UTC = ["2023-05-02T07:30:00.000Z", "2023-08-02T08:10:00.000Z", "2023-11-02T09:30:00.000Z"]


def test_a_filers_stamps_tell_which_clock_they_are():
    evening = "2023-05-01T20:30:00.000Z"
    assert acceptance_moments([evening, *NIGHT_AS_LOCAL])[0] == moment("2023-05-01T20:30")
    morning = "2023-05-01T16:21:59.000Z"
    assert acceptance_moments([morning, *NIGHT_AS_UTC])[0] == moment("2023-05-01T20:21:59")


def test_stamps_that_do_not_tell_count_from_the_later_reading():
    assert acceptance_moments(["2023-05-01T16:21:59.000Z"]) == [moment("2023-05-01T20:21:59")]
    assert acceptance_moments([NIGHT_AS_LOCAL[0]]) == [moment("2023-05-02T01:30")]  # the later one cannot be
    mixed = acceptance_moments(["2023-05-01T16:21:59.000Z", *NIGHT_AS_LOCAL, *NIGHT_AS_UTC])
    assert mixed[0] == moment("2023-05-01T20:21:59")


def test_companies_edgar_does_not_know_and_funds_without_facts_are_named(site):
    rows, unknown = site.edgar().fundamentals(["NONE", "AAA", "FUND", "BRK.B"])
    assert unknown == ["NONE", "FUND"]
    assert set(rows["symbol"]) == {"AAA", "BRK.B"}


def test_who_asks_must_be_said(site):
    with pytest.raises(VendorKeyError, match="EDGAR_USER_AGENT"):
        user_agent({})
    with pytest.raises(VendorKeyError, match="no e-mail address"):
        user_agent({"EDGAR_USER_AGENT": "Aurora"})
    assert user_agent({"EDGAR_USER_AGENT": "Ann Example ann@example.com"}) == "Ann Example ann@example.com"
    with pytest.raises(VendorKeyError, match="Undeclared Automated Tool"):
        site.edgar("python-requests").fundamentals(["AAA"])


def test_no_more_than_ten_requests_a_second(site):
    edgar = site.edgar()
    began = time.monotonic()
    for _ in range(7):
        edgar.fundamentals(["AAA"])  # three requests each, and the table once
    assert len(site.asked) == 22
    assert time.monotonic() - began >= 2.0


def test_faults_that_pass_cost_nothing_and_one_that_stays_is_named(site):
    whole = site.edgar().fundamentals(["AAA"])[0]
    site.faults += [
        Fault(Reply(429, b"", {"Retry-After": "0"})),
        Fault(Reply(body=YEAR, cut=True), path="companyfacts"),
    ]
    assert site.edgar().fundamentals(["AAA"])[0].equals(whole)
    site.faults += [Fault(Reply(500, b""), path="submissions")] * 3
    with pytest.raises(VendorDownError, match="submissions"):
        site.edgar().fundamentals(["AAA"])


@pytest.mark.parametrize("field", ["val", "end", "accn", "form"])
def test_a_changed_field_is_named(field):
    row = fact("2023-01-01", "2023-03-31", 1.0, "a", "2023-05-01")
    row[f"{field}2"] = row.pop(field)
    with pytest.raises(VendorFormatError, match=f"AAA, Revenues.*'{field}'"):
        quarterly_values("AAA", facts_of(Revenues=[row]), {})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("company_tickers", {"0": {"ticker": "AAA"}}),
        ("company_tickers", []),
        ("companyfacts", {"error": "x"}),
        ("submissions", {"filings": {"recent": {"accessionNumber": ["a"], "acceptanceDateTime": []}}}),
        ("submissions", {"filings": {"recent": {"accessionNumber": ["a"], "acceptanceDateTime": ["soon"]}}}),
        ("submissions", b"<html>"),
    ],
)
def test_another_form_is_named(site, path, body):
    site.faults.append(Fault(Reply(body=body), path=path))
    with pytest.raises(VendorFormatError):
        site.edgar().fundamentals(["AAA"])


def test_an_answer_that_is_no_error_of_ours_is_named(site):
    site.faults.append(Fault(Reply(410, b"gone"), path="submissions"))
    with pytest.raises(VendorError, match="answered 410: gone"):
        site.edgar().fundamentals(["AAA"])
