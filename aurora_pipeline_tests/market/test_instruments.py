from datetime import date

import polars as pl
import pytest

from aurora_pipeline.market.instruments import instrument_intervals, instrument_map, with_instrument
from aurora_pipeline_tests.market.tiny import CALENDAR, feed_rows, moment, universe

CUT, LATER = date(2024, 6, 3), date(2025, 2, 3)


def action(symbol, day, kind, new_symbol=None):
    return {"symbol": symbol, "ex_date": day, "kind": kind, "new_symbol": new_symbol, "known_at": moment("2024-01-02")}


def lookup(mapping, pairs):
    rows = pl.DataFrame(pairs, schema={"symbol": pl.String, "day": pl.Date}, orient="row")
    return with_instrument(rows, mapping, pl.col("day"))["instrument_id"].to_list()


def test_without_actions_every_symbol_is_itself():
    mapping = instrument_map(universe("AAA", "BBB"), feed_rows("corporate_actions", []), CALENDAR)
    assert lookup(mapping, [("BBB", CUT), ("AAA", CUT), ("ZZZ", CUT)]) == ["BBB", "AAA", None]


def test_a_chain_of_renames_keeps_the_first_name():
    symbols = universe("AAA", "BBB", "CCC", valid_from=[None, CUT, LATER], valid_to=[CUT, LATER, None])
    actions = feed_rows(
        "corporate_actions", [action("AAA", CUT, "rename", "BBB"), action("BBB", LATER, "rename", "CCC")]
    )
    mapping = instrument_map(symbols, actions, CALENDAR)
    assert lookup(mapping, [("AAA", date(2024, 1, 2)), ("BBB", CUT), ("CCC", LATER)]) == ["AAA", "AAA", "AAA"]


def test_an_action_told_again_with_another_date_keeps_the_instrument():
    day, moved = date(2024, 6, 3), date(2024, 6, 5)
    symbols = universe("OLD", "NEW", "END", valid_from=[None, moved, None], valid_to=[moved, None, moved])
    first = [action("OLD", day, "rename", "NEW"), action("END", day, "delist")]
    again = [row | {"ex_date": moved, "known_at": moment("2024-05-31")} for row in first]
    mapping = instrument_map(symbols, feed_rows("corporate_actions", [*first, *again]), CALENDAR)
    asked = [("OLD", date(2024, 5, 1)), ("OLD", day), ("NEW", moved), ("END", date(2024, 5, 1)), ("END", day)]
    assert lookup(mapping, asked) == ["OLD", "OLD", "OLD", "END", "END"]


def test_a_rename_whose_new_symbol_was_corrected_goes_to_that_symbol_only():
    symbols = universe("OLD", "BAD", "NEW", valid_from=[None, None, CUT], valid_to=[CUT, None, None])
    first = action("OLD", CUT, "rename", "BAD")
    corrected = first | {"new_symbol": "NEW", "known_at": moment("2024-02-01")}
    mapping = instrument_map(symbols, feed_rows("corporate_actions", [first, corrected]), CALENDAR)
    assert lookup(mapping, [("NEW", LATER), ("BAD", CUT), ("BAD", LATER)]) == ["OLD", "BAD", "BAD"]


def test_a_symbol_used_again_is_another_instrument():
    symbols = universe("ABC", "ABC", "NEW", valid_from=[None, LATER, CUT], valid_to=[CUT, None, None])
    mapping = instrument_map(symbols, feed_rows("corporate_actions", [action("ABC", CUT, "rename", "NEW")]), CALENDAR)
    assert lookup(mapping, [("ABC", date(2024, 1, 2)), ("NEW", LATER), ("ABC", LATER)]) == ["ABC", "ABC", "ABC.2"]


def test_a_delisted_symbol_keeps_its_instrument_for_late_rows():
    mapping = instrument_map(
        universe("ABC", valid_to=[CUT]), feed_rows("corporate_actions", [action("ABC", CUT, "delist")]), CALENDAR
    )
    assert lookup(mapping, [("ABC", date(2024, 1, 2)), ("ABC", LATER)]) == ["ABC", "ABC"]


def test_row_order_is_kept():
    symbols = universe("AAA", "BBB", valid_from=[None, CUT], valid_to=[CUT, None])
    mapping = instrument_map(symbols, feed_rows("corporate_actions", [action("AAA", CUT, "rename", "BBB")]), CALENDAR)
    pairs = [("BBB", LATER), ("AAA", date(2024, 1, 2)), ("BBB", CUT)]
    rows = pl.DataFrame(pairs, schema={"symbol": pl.String, "day": pl.Date}, orient="row")
    assert with_instrument(rows, mapping, pl.col("day")).select("symbol", "day").equals(rows)


TOLD, NEXT = "2024-06-05T15:00", date(2024, 6, 6)
"""Within a session after :data:`CUT`, and the session that first opens with it known."""


def mapped(symbols, *actions):
    return instrument_map(symbols, feed_rows("corporate_actions", list(actions)), CALENDAR)


@pytest.mark.parametrize("told", ["2024-06-03T13:30", "2024-05-01"])
def test_a_rename_known_by_the_opening_of_its_day_counts_on_it(told):
    symbols = universe("OLD", "NEW", valid_from=[None, CUT], valid_to=[CUT, None])
    mapping = mapped(symbols, action("OLD", CUT, "rename", "NEW") | {"known_at": moment(told)})
    assert lookup(mapping, [("NEW", CUT), ("NEW", NEXT)]) == ["OLD", "OLD"]


def test_a_rename_told_late_counts_from_the_next_opening_and_changes_no_row_before():
    symbols = universe("OLD", "NEW", valid_from=[None, CUT], valid_to=[CUT, None])
    late = action("OLD", CUT, "rename", "NEW") | {"known_at": moment(TOLD)}
    before, after = mapped(symbols), mapped(symbols, late)
    days = [("OLD", date(2024, 5, 31)), ("NEW", CUT), ("NEW", date(2024, 6, 5))]
    assert lookup(after, days) == lookup(before, days) == ["OLD", "NEW", "NEW"]
    assert lookup(after, [("NEW", NEXT), ("NEW", LATER)]) == ["OLD", "OLD"]


def test_a_delisting_told_late_names_nothing_else_before_the_next_opening():
    mapping = mapped(universe("ABC"), action("ABC", CUT, "delist") | {"known_at": moment(TOLD)})
    assert lookup(mapping, [("ABC", CUT), ("ABC", date(2024, 6, 5)), ("ABC", NEXT)]) == ["ABC", "ABC", "ABC.2"]


def test_an_event_that_counted_is_not_undone_by_being_told_with_another_date():
    symbols = universe("OLD", "NEW", valid_from=[None, CUT])
    first = action("OLD", CUT, "rename", "NEW")
    again = first | {"ex_date": date(2024, 6, 7), "known_at": moment(TOLD)}
    days = [("NEW", CUT), ("NEW", date(2024, 6, 5)), ("NEW", LATER)]
    assert lookup(mapped(symbols, first, again), days) == ["OLD", "OLD", "OLD"]


def test_a_new_symbol_corrected_too_late_takes_the_instrument_on_from_where_it_went():
    symbols = universe("OLD", "BAD", "NEW", valid_from=[None, CUT, CUT], valid_to=[CUT, None, None])
    first = action("OLD", CUT, "rename", "BAD")
    corrected = first | {"new_symbol": "NEW", "known_at": moment(TOLD)}
    days = [("BAD", CUT), ("NEW", CUT), ("NEW", NEXT), ("BAD", NEXT)]
    assert lookup(mapped(symbols, first, corrected), days) == ["OLD", "NEW", "OLD", "BAD"]


def test_a_rename_told_after_the_next_one_leads_to_the_last_symbol():
    symbols = universe("AAA", "BBB", "CCC", valid_from=[None, CUT, NEXT], valid_to=[CUT, NEXT, None])
    told = {"known_at": moment("2024-09-03")}
    late = [action("AAA", CUT, "rename", "BBB") | told, action("BBB", NEXT, "rename", "CCC") | told]
    assert lookup(mapped(symbols, *late), [("CCC", NEXT), ("CCC", LATER)]) == ["CCC", "AAA"]


def test_an_event_beyond_what_the_calendar_knows_changes_nothing_yet():
    far = action("AAA", date(2400, 1, 3), "rename", "BBB")
    unheard = action("AAA", CUT, "rename", "BBB") | {"known_at": moment("2400-01-03")}
    for each in (far, unheard):
        assert lookup(mapped(universe("AAA", "BBB"), each), [("AAA", LATER), ("BBB", LATER)]) == ["AAA", "BBB"]


def test_an_interval_without_dates_is_cut_where_its_symbol_passes_to_another_instrument():
    symbols = universe("OLD", "NEW", "END")
    actions = [action("OLD", CUT, "rename", "NEW"), action("END", CUT, "delist")]
    found = instrument_intervals(symbols, mapped(symbols, *actions))
    assert found.select("symbol", "valid_from", "valid_to", "instrument_id").rows() == [
        ("OLD", None, CUT, "OLD"), ("OLD", CUT, None, "OLD.2"),
        ("NEW", None, CUT, "NEW"), ("NEW", CUT, None, "OLD"),
        ("END", None, CUT, "END"), ("END", CUT, None, "END.2"),
    ]  # fmt: skip
