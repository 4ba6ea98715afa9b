from datetime import date

import polars as pl

from aurora_pipeline.market.instruments import instrument_map, with_instrument
from aurora_pipeline_tests.market.tiny import feed_rows, moment, universe

CUT, LATER = date(2024, 6, 3), date(2025, 2, 3)


def action(symbol, day, kind, new_symbol=None):
    return {"symbol": symbol, "ex_date": day, "kind": kind, "new_symbol": new_symbol, "known_at": moment("2024-01-02")}


def lookup(mapping, pairs):
    rows = pl.DataFrame(pairs, schema={"symbol": pl.String, "day": pl.Date}, orient="row")
    return with_instrument(rows, mapping, pl.col("day"))["instrument_id"].to_list()


def test_without_actions_every_symbol_is_itself():
    mapping = instrument_map(universe("AAA", "BBB"), feed_rows("corporate_actions", []))
    assert lookup(mapping, [("BBB", CUT), ("AAA", CUT), ("ZZZ", CUT)]) == ["BBB", "AAA", None]


def test_a_chain_of_renames_keeps_the_first_name():
    symbols = universe("AAA", "BBB", "CCC", valid_from=[None, CUT, LATER], valid_to=[CUT, LATER, None])
    actions = feed_rows(
        "corporate_actions", [action("AAA", CUT, "rename", "BBB"), action("BBB", LATER, "rename", "CCC")]
    )
    mapping = instrument_map(symbols, actions)
    assert lookup(mapping, [("AAA", date(2024, 1, 2)), ("BBB", CUT), ("CCC", LATER)]) == ["AAA", "AAA", "AAA"]


def test_an_action_told_again_with_another_date_keeps_the_instrument():
    day, moved = date(2024, 6, 3), date(2024, 6, 5)
    symbols = universe("OLD", "NEW", "END", valid_from=[None, moved, None], valid_to=[moved, None, moved])
    first = [action("OLD", day, "rename", "NEW"), action("END", day, "delist")]
    again = [row | {"ex_date": moved, "known_at": moment("2024-05-31")} for row in first]
    mapping = instrument_map(symbols, feed_rows("corporate_actions", [*first, *again]))
    asked = [("OLD", date(2024, 5, 1)), ("OLD", day), ("NEW", moved), ("END", date(2024, 5, 1)), ("END", day)]
    assert lookup(mapping, asked) == ["OLD", "OLD", "OLD", "END", "END"]


def test_a_rename_whose_new_symbol_was_corrected_goes_to_that_symbol_only():
    symbols = universe("OLD", "BAD", "NEW", valid_from=[None, None, CUT], valid_to=[CUT, None, None])
    first = action("OLD", CUT, "rename", "BAD")
    corrected = first | {"new_symbol": "NEW", "known_at": moment("2024-02-01")}
    mapping = instrument_map(symbols, feed_rows("corporate_actions", [first, corrected]))
    assert lookup(mapping, [("NEW", LATER), ("BAD", CUT), ("BAD", LATER)]) == ["OLD", "BAD", "BAD"]


def test_a_symbol_used_again_is_another_instrument():
    symbols = universe("ABC", "ABC", "NEW", valid_from=[None, LATER, CUT], valid_to=[CUT, None, None])
    mapping = instrument_map(symbols, feed_rows("corporate_actions", [action("ABC", CUT, "rename", "NEW")]))
    assert lookup(mapping, [("ABC", date(2024, 1, 2)), ("NEW", LATER), ("ABC", LATER)]) == ["ABC", "ABC", "ABC.2"]


def test_a_delisted_symbol_keeps_its_instrument_for_late_rows():
    mapping = instrument_map(
        universe("ABC", valid_to=[CUT]), feed_rows("corporate_actions", [action("ABC", CUT, "delist")])
    )
    assert lookup(mapping, [("ABC", date(2024, 1, 2)), ("ABC", LATER)]) == ["ABC", "ABC"]


def test_row_order_is_kept():
    symbols = universe("AAA", "BBB", valid_from=[None, CUT], valid_to=[CUT, None])
    mapping = instrument_map(symbols, feed_rows("corporate_actions", [action("AAA", CUT, "rename", "BBB")]))
    pairs = [("BBB", LATER), ("AAA", date(2024, 1, 2)), ("BBB", CUT)]
    rows = pl.DataFrame(pairs, schema={"symbol": pl.String, "day": pl.Date}, orient="row")
    assert with_instrument(rows, mapping, pl.col("day")).select("symbol", "day").equals(rows)
