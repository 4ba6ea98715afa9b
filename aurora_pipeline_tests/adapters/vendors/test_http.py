"""Faults that pass are sat out, faults that stay are named, and nothing is ordered twice."""

import logging
import time

import pytest

from aurora_pipeline.adapters.vendors.http import Pace, Patience, json_of, patient_session
from aurora_pipeline.errors import VendorDownError, VendorError, VendorFormatError, VendorKeyError
from aurora_pipeline_tests.adapters.vendors.loopback import Fault, Reply, Vendor

QUICK = Patience(tries=4, pause=0.01, longest_pause=1.0, timeout=0.8)


@pytest.fixture
def vendor():
    with Vendor(lambda request: Reply(body={"path": request.path})).running() as running:
        yield running


def session(patience=QUICK, pace=None, **options):
    return patient_session(patience, pace or Pace(1000, 1.0), {"X-Key": "sesame"}, **options)


PASSING = {
    "too many": Reply(429, {"message": "slow down"}),
    "error of its own": Reply(503, b"<html>"),
    "cut in the body": Reply(body={"path": "/x" * 1000}, cut=True),
    "cut before a word": Reply(drop=True),
    "silence": Reply(body={}, late=30.0),
}


@pytest.mark.parametrize("fault", sorted(PASSING))
def test_a_fault_that_passes_is_sat_out(vendor, fault):
    vendor.faults += [Fault(PASSING[fault]), Fault(PASSING[fault])]
    assert json_of(session().get(f"{vendor.url}/a"), "V") == {"path": "/a"}
    assert len(vendor.asked) == 3


@pytest.mark.parametrize("fault", sorted(PASSING))
def test_a_fault_that_stays_is_named_after_the_tries_allowed(vendor, fault):
    vendor.faults += [Fault(PASSING[fault])] * 9
    with pytest.raises(VendorDownError, match=r"GET 127.0.0.1/a: .* after 4 tries"):
        session().get(f"{vendor.url}/a")
    assert len(vendor.asked) == 4


def test_a_vendor_that_is_not_there_is_named():
    with pytest.raises(VendorDownError, match="the connection failed, after 4 tries"):
        session().get("http://127.0.0.1:9/a")


def test_the_pause_is_the_one_the_vendor_asks_for_up_to_a_bound(vendor):
    vendor.faults.append(Fault(Reply(429, {}, {"Retry-After": "1"})))
    began = time.monotonic()
    session().get(f"{vendor.url}/a")
    assert time.monotonic() - began >= 1.0
    vendor.faults.append(Fault(Reply(429, {}, {"Retry-After": "3600"})))
    began = time.monotonic()
    session().get(f"{vendor.url}/a")
    assert 1.0 <= time.monotonic() - began < 60.0


def test_a_pause_that_cannot_be_read_is_one_of_our_own(vendor):
    vendor.faults.append(Fault(Reply(503, {}, {"Retry-After": "soon"})))
    assert session().get(f"{vendor.url}/a").status_code == 200


def test_an_order_is_made_again_only_where_it_was_refused(vendor):
    vendor.faults.append(Fault(PASSING["too many"]))
    assert session().post(f"{vendor.url}/orders", json={}).status_code == 200
    assert len(vendor.asked) == 2
    for fault in ("error of its own", "cut in the body", "cut before a word", "silence"):
        vendor.asked.clear()
        vendor.faults.append(Fault(PASSING[fault]))
        with pytest.raises(VendorDownError, match="whether it was carried out is unknown"):
            session().post(f"{vendor.url}/orders", json={})
        assert len(vendor.asked) == 1


def test_a_query_by_post_is_made_again(vendor):
    vendor.faults += [Fault(PASSING["error of its own"]), Fault(PASSING["cut in the body"])]
    assert session(posts_ask=True).post(f"{vendor.url}/q", json={}).status_code == 200
    assert len(vendor.asked) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_refused_keys_are_named(vendor, status):
    vendor.faults.append(Fault(Reply(status, {"message": "request is not authorized"})))
    with pytest.raises(VendorKeyError, match=r"V: GET 127.0.0.1/a was refused .*request is not authorized"):
        json_of(session().get(f"{vendor.url}/a"), "V")
    assert len(vendor.asked) == 1


def test_other_answers_and_other_forms_are_named(vendor):
    vendor.faults += [Fault(Reply(404, b"x" * 5000)), Fault(Reply(200, b"<html>maintenance</html>"))]
    with pytest.raises(VendorError, match=r"answered 404: x+ \.\.\.$"):
        json_of(session().get(f"{vendor.url}/a"), "V")
    with pytest.raises(VendorFormatError, match="not JSON: <html>maintenance"):
        json_of(session().get(f"{vendor.url}/a"), "V")


def test_a_pace_allows_a_burst_and_then_waits():
    pace = Pace(3, 1.0)
    began = time.monotonic()
    for _ in range(3):
        pace.wait()
    assert time.monotonic() - began < 0.9
    for _ in range(3):
        pace.wait()
    assert time.monotonic() - began >= 1.0


def test_tries_count_against_the_pace(vendor):
    vendor.faults += [Fault(PASSING["error of its own"])] * 3
    began = time.monotonic()
    session(pace=Pace(1, 0.2)).get(f"{vendor.url}/a")
    assert time.monotonic() - began >= 0.6


def test_no_log_and_no_message_has_a_key(vendor, caplog):
    caplog.set_level(logging.DEBUG)
    vendor.faults += [Fault(PASSING["error of its own"])] * 9
    with pytest.raises(VendorDownError) as error:
        session().get(f"{vendor.url}/a")
    assert vendor.asked[0].headers["x-key"] == "sesame"
    assert "sesame" not in caplog.text + str(error.value)
