"""FINRA's records to rows that count from their publication."""

from datetime import date

import pytest

from aurora_pipeline.adapters.vendors.finra import published
from aurora_pipeline.errors import VendorDownError, VendorFormatError, VendorKeyError
from aurora_pipeline.market.columns import FEEDS
from aurora_pipeline_tests.adapters.vendors.finra_server import FinraSite, record
from aurora_pipeline_tests.adapters.vendors.loopback import Fault, Reply
from aurora_pipeline_tests.market.tiny import moment

DATES = ("2024-09-30", "2024-10-15", "2024-10-31", "2024-11-15")
NOW = moment("2024-12-20T12:00")
SPAN = (date(2024, 9, 1), date(2024, 12, 31))


@pytest.fixture
def site():
    rows = [record(symbol, day, 100 + number) for symbol in ("AAA", "BBB") for number, day in enumerate(DATES)]
    with FinraSite(rows).running() as running:
        yield running


def test_every_page_is_read_even_where_pages_are_smaller_than_asked(site):
    rows = site.finra().short_interest(["AAA", "BBB"], *SPAN, NOW)
    assert rows.columns == list(FEEDS["short_interest"].columns)
    assert rows.height == 8
    assert [request.body["offset"] for request in site.asked] == [0, 3, 6]
    assert rows["shares_short"].to_list() == [100.0, 101.0, 102.0, 103.0] * 2


@pytest.mark.parametrize(
    ("settlement", "known"),
    [
        ("2024-11-15", "2024-11-28T05:00"),  # 18 19 20 21 22 25 26 27: over at midnight, before Thanksgiving
        ("2024-11-29", "2024-12-12T05:00"),
        ("2024-09-30", "2024-10-11T04:00"),
        ("2024-10-31", "2024-11-14T05:00"),  # Veterans' Day: the exchanges trade, nothing settles
        ("2024-03-28", "2024-04-11T04:00"),  # Good Friday: nothing settles on an exchange holiday
        ("2024-06-15", "2024-06-28T04:00"),  # a Saturday counts from the Friday before; Juneteenth does not
    ],
)
def test_a_cycle_counts_from_the_end_of_its_eighth_business_day(settlement, known):
    assert published(date.fromisoformat(settlement)) == moment(known)


def test_what_is_not_published_yet_is_not_handed_out(site):
    rows = site.finra().short_interest(["AAA"], *SPAN, moment("2024-11-28T04:59"))
    assert rows["settlement_date"].max() == date(2024, 10, 31)


def test_a_revised_value_counts_from_when_it_is_fetched(site):
    site.records.append(record("CCC", "2024-10-15", 7, revisionFlag="R"))
    rows = site.finra().short_interest(["CCC"], *SPAN, NOW)
    assert rows["known_at"].to_list() == [NOW]


def test_a_volume_that_is_missing_stays_missing(site):
    site.records.append(record("CCC", "2024-10-15", 7, averageDailyVolumeQuantity=None))
    assert site.finra().short_interest(["CCC"], *SPAN, NOW)["avg_daily_volume"].to_list() == [None]


def test_an_unknown_symbol_and_an_empty_range_have_no_rows(site):
    assert site.finra().short_interest(["NONE"], *SPAN, NOW).is_empty()
    assert site.finra().short_interest(["AAA"], date(2020, 1, 1), date(2020, 2, 1), NOW).is_empty()


def test_faults_that_pass_cost_nothing_and_one_that_stays_is_named(site):
    whole = site.finra().short_interest(["AAA", "BBB"], *SPAN, NOW)
    site.faults += [Fault(Reply(502, b"")), Fault(Reply(429, b"", {"Retry-After": "0"}))]
    assert site.finra().short_interest(["AAA", "BBB"], *SPAN, NOW).equals(whole)
    site.faults += [Fault(Reply(503, b""))] * 3
    with pytest.raises(VendorDownError, match="consolidatedShortInterest"):
        site.finra().short_interest(["AAA"], *SPAN, NOW)


def test_a_refusal_is_named(site):
    site.faults.append(Fault(Reply(401, {"message": "Unauthorized"})))
    with pytest.raises(VendorKeyError, match=r"FINRA.*Unauthorized"):
        site.finra().short_interest(["AAA"], *SPAN, NOW)


@pytest.mark.parametrize("field", ["symbolCode", "settlementDate", "currentShortPositionQuantity", "revisionFlag"])
def test_a_changed_field_is_named(site, field):
    row = record("AAA", DATES[0], 1)
    row.pop(field)
    site.faults.append(Fault(Reply(body=[row], headers={"Record-Total": "1"})))
    with pytest.raises(VendorFormatError, match=field):
        site.finra().short_interest(["AAA"], *SPAN, NOW)


@pytest.mark.parametrize(
    "reply", [Reply(body={"rows": []}, headers={"Record-Total": "1"}), Reply(body=[]), Reply(body=b"a,b")]
)
def test_another_form_is_named(site, reply):
    site.faults.append(Fault(reply))
    with pytest.raises(VendorFormatError):
        site.finra().short_interest(["AAA"], *SPAN, NOW)
