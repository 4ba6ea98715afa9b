"""Alpaca's answers to rows of the market folder, and everything that can be wrong with them."""

import logging
from datetime import date

import polars as pl
import pytest

pytest.importorskip("alpaca", reason="alpaca-py is not installed")

from aurora_pipeline.adapters.vendors.alpaca import SYMBOLS_PER_REQUEST, AlpacaKeys
from aurora_pipeline.errors import VendorDownError, VendorError, VendorFormatError, VendorKeyError
from aurora_pipeline.market.columns import BARS
from aurora_pipeline_tests.adapters.vendors.alpaca_server import KEYS, AlpacaMarket
from aurora_pipeline_tests.adapters.vendors.loopback import Fault, Reply
from aurora_pipeline_tests.market.tiny import CALENDAR, flat_sessions, moment

DAY = date(2024, 11, 26)
HALF = date(2024, 11, 29)
SPAN = (CALENDAR.open(DAY), CALENDAR.close(DAY))


@pytest.fixture
def market():
    with AlpacaMarket(flat_sessions(["AAA", "BBB"], [DAY, HALF])).running() as running:
        yield running


def test_bars_come_page_by_page_in_the_contract_form(market):
    rows = market.data().bars(["AAA", "BBB"], *SPAN)
    assert rows.columns == list(BARS.columns)
    assert rows.height == 2 * 78
    assert len(market.asked) == 4  # 156 rows in pages of 50
    first = rows.row(0, named=True)
    assert (first["symbol"], first["bar_start"], first["volume"]) == ("AAA", CALENDAR.open(DAY), 100.0)
    assert (first["trade_count"], first["vwap"], first["known_at"]) == (7.0, pytest.approx(10.0), None)


def test_a_half_day_ends_early_and_a_day_without_trades_is_empty(market):
    assert market.data().bars(["AAA"], CALENDAR.open(HALF), CALENDAR.close(HALF)).height == 42
    holiday = moment("2024-11-28T14:30"), moment("2024-11-28T21:00")
    empty = market.data().bars(["AAA"], *holiday)
    assert (empty.height, empty.columns) == (0, list(BARS.columns))


def test_a_gap_stays_a_gap_and_an_unknown_symbol_has_no_rows(market):
    gap = moment("2024-11-26T15:00")
    market.bars = market.bars.filter((pl.col("symbol") != "BBB") | (pl.col("bar_start") != gap))
    rows = market.data().bars(["AAA", "BBB", "NONE"], *SPAN)
    assert rows.height == 2 * 78 - 1
    assert "NONE" not in rows["symbol"].to_list()


def test_a_symbol_that_cannot_be_is_named(market):
    with pytest.raises(VendorError, match=r"400.*invalid symbol: A/B"):
        market.data().bars(["A/B"], *SPAN)


def test_many_symbols_are_asked_for_in_batches(market):
    market.data().bars([f"S{number}" for number in range(SYMBOLS_PER_REQUEST + 1)], *SPAN)
    assert [len(request.query["symbols"].split(",")) for request in market.asked] == [SYMBOLS_PER_REQUEST, 1]


def test_a_fault_in_the_middle_of_the_pages_costs_nothing(market):
    whole = market.data().bars(["AAA", "BBB"], *SPAN)
    for fault in (Reply(429, {}, {"Retry-After": "0"}), Reply(500, b""), Reply(504, b""), Reply(body={}, drop=True)):
        market.faults += [Fault(Reply(body={"bars": {"AAA": [1] * 500}}, cut=True)), Fault(fault)]
        assert market.data().bars(["AAA", "BBB"], *SPAN).equals(whole)


def test_a_vendor_that_stays_down_is_named(market):
    market.faults += [Fault(Reply(503, b""))] * 3
    with pytest.raises(VendorDownError, match="answer 503, after 3 tries"):
        market.data().bars(["AAA"], *SPAN)


def test_no_key_a_wrong_key_and_an_expired_key_are_named_and_never_shown(market, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(VendorKeyError, match="APCA_API_SECRET_KEY not set"):
        AlpacaKeys.from_environment({"APCA_API_KEY_ID": KEYS.key})
    environment = {"APCA_API_KEY_ID": KEYS.key, "APCA_API_SECRET_KEY": KEYS.secret}
    assert AlpacaKeys.from_environment(environment) == KEYS
    with pytest.raises(VendorKeyError, match="unauthorized") as wrong:
        market.data(keys=AlpacaKeys("PKOTHER", KEYS.secret)).bars(["AAA"], *SPAN)
    with pytest.raises(VendorKeyError, match="Forbidden") as expired:
        market.data(keys=AlpacaKeys(KEYS.key, "old-sesame")).bars(["AAA"], *SPAN)
    shown = caplog.text + str(wrong.value) + str(expired.value) + repr(KEYS)
    for secret in (KEYS.key, KEYS.secret, "PKOTHER", "old-sesame"):
        assert secret not in shown
    assert len(market.asked) == 2  # what is refused is not asked again


def test_a_subscription_that_does_not_allow_it_is_named(market):
    market.recent_sip = False
    with pytest.raises(VendorKeyError, match="subscription does not permit querying recent SIP data"):
        market.data(tape="sip").bars(["AAA"], *SPAN)
    assert market.data(tape="iex").bars(["AAA"], *SPAN).height == 78


@pytest.mark.parametrize("field", ["t", "v", "vw", "o"])
def test_a_changed_field_is_named_and_nothing_is_used(market, field):
    market.renamed_field = (field, f"{field}2")
    with pytest.raises(VendorFormatError, match=f"bars of AAA are not in their documented form.*'{field}'"):
        market.data().bars(["AAA"], *SPAN)


@pytest.mark.parametrize("body", [{"bars": {"AAA": [{"t": "yesterday"}]}}, {"bars": None}, {"rows": {}}, b"<html>", []])
def test_another_form_is_named(market, body):
    market.faults.append(Fault(Reply(body=body)))
    with pytest.raises(VendorFormatError, match="documented form"):
        market.data().bars(["AAA"], *SPAN)


def test_a_price_that_is_text_is_named(market):
    bar = {"t": "2024-11-26T14:30:00Z", "o": "ten", "h": 10, "l": 10, "c": 10, "v": 1, "n": 1, "vw": 10}
    market.faults.append(Fault(Reply(body={"bars": {"AAA": [bar]}, "next_page_token": None})))
    with pytest.raises(VendorFormatError, match="bars of AAA"):
        market.data().bars(["AAA"], *SPAN)


ACTIONS = {
    "forward_splits": [
        {"symbol": "AAA", "new_rate": 4, "old_rate": 1, "process_date": "2024-11-26", "ex_date": "2024-11-26"}
    ],
    "reverse_splits": [
        {"symbol": "BBB", "new_rate": 1, "old_rate": 10, "process_date": "2024-11-27", "ex_date": "2024-11-27"}
    ],
    "stock_dividends": [{"symbol": "AAA", "rate": 0.05, "process_date": "2024-11-27", "ex_date": "2024-11-27"}],
    "cash_dividends": [
        {
            "symbol": "AAA",
            "rate": 0.25,
            "special": False,
            "foreign": False,
            "process_date": "2024-11-26",
            "ex_date": "2024-11-15",
        }
    ],
    "name_changes": [
        {"old_symbol": "OLD", "new_symbol": "AAA", "process_date": "2024-11-26"},
        {"old_symbol": "BBB", "new_symbol": "BBB", "process_date": "2024-11-26"},
    ],
    "cash_mergers": [
        {"acquiree_symbol": "BBB", "rate": 12.5, "process_date": "2024-11-29", "effective_date": "2024-11-29"}
    ],
    "worthless_removals": [{"symbol": "AAA", "process_date": "2024-11-29"}],
    "spin_offs": [{"source_symbol": "AAA", "new_symbol": "CCC", "process_date": "2024-11-26", "ex_date": "2024-11-26"}],
}


def test_corporate_actions_take_the_contract_form_and_count_from_their_ex_date(market):
    market.actions, market.rows_per_page = ACTIONS, 3
    rows, left_out = market.data().corporate_actions(["AAA", "BBB", "OLD"], date(2024, 11, 1), date(2024, 12, 1))
    found = {(row["symbol"], row["kind"], str(row["ex_date"])): row for row in rows.iter_rows(named=True)}
    assert found["AAA", "split", "2024-11-26"]["ratio"] == 4.0
    assert found["BBB", "split", "2024-11-27"]["ratio"] == pytest.approx(0.1)
    assert found["AAA", "split", "2024-11-27"]["ratio"] == pytest.approx(1.05)
    assert found["AAA", "dividend", "2024-11-15"]["amount"] == 0.25
    assert found["OLD", "rename", "2024-11-26"]["new_symbol"] == "AAA"
    assert found["BBB", "delist", "2024-11-29"]["known_at"] == moment("2024-11-29T05:00")
    assert found["BBB", "delist", "2024-11-29"]["amount"] == 12.5
    assert found["AAA", "delist", "2024-11-29"]["amount"] == 0.0
    assert len(found) == 7  # a change of name that keeps the symbol is none
    assert left_out == {"spin_offs": 1}
    assert len(market.asked) == 3


@pytest.mark.parametrize(("special", "paid"), [(0.65, 0.9), (0.25, 0.5)])
def test_a_regular_and_a_special_dividend_of_one_day_are_one_payment(market, special, paid):
    regular = ACTIONS["cash_dividends"][0]
    market.actions = {"cash_dividends": [regular, regular, regular | {"rate": special, "special": True}]}
    rows, _ = market.data().corporate_actions(["AAA"], date(2024, 11, 1), date(2024, 12, 1))
    assert rows.select("symbol", "kind", "amount").rows() == [("AAA", "dividend", pytest.approx(paid))]


@pytest.mark.parametrize("broken", [{"old_rate": 0}, {"ex_date": None}, {"ex_date": "soon"}, {"new_rate": "four"}])
def test_a_broken_action_is_named(market, broken):
    market.actions = {"forward_splits": [ACTIONS["forward_splits"][0] | broken]}
    with pytest.raises(VendorFormatError, match="forward_splits"):
        market.data().corporate_actions(["AAA"], date(2024, 11, 1), date(2024, 12, 1))
