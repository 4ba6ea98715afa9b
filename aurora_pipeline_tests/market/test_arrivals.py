"""Late, repeated and corrected rows: what is added, and from when on it counts."""

from datetime import date, timedelta

import polars as pl

from aurora_pipeline.market.arrivals import arrived_bars, arrived_rows
from aurora_pipeline.market.validation import FeedContext, validate_feed
from aurora_pipeline_tests.market.tiny import CALENDAR, bar_rows, feed_rows, moment, universe

NOTHING = bar_rows([])
MICRO = timedelta(microseconds=1)


def bar(clock, **values):
    return {"symbol": "AAA", "bar_start": moment(f"2024-11-26T{clock}"), **values}


def arrived(rows, held=NOTHING, now="15:00", decided=None):
    at = None if decided is None else moment(f"2024-11-26T{decided}")
    return arrived_bars(bar_rows(rows), held, moment(f"2024-11-26T{now}"), at)


def test_a_bar_on_time_counts_from_its_end():
    assert arrived([bar("14:55")], decided="14:55")["known_at"].to_list() == [None]


def test_a_bar_that_says_it_is_known_later_keeps_that():
    later = moment("2024-11-26T15:07")
    assert arrived([bar("14:55", known_at=later)], decided="14:55")["known_at"].to_list() == [later]


def test_a_bar_of_a_settled_decision_time_counts_from_its_arrival():
    assert arrived([bar("14:50")], now="15:00", decided="14:55")["known_at"].to_list() == [moment("2024-11-26T15:00")]


def test_a_clock_behind_the_newest_decision_does_not_put_a_late_bar_before_it():
    (known,) = arrived([bar("14:50")], now="14:40", decided="14:55")["known_at"].to_list()
    assert known == moment("2024-11-26T14:55") + MICRO


def test_a_repeated_bar_is_left_out_be_it_in_the_same_file_or_held():
    assert arrived([bar("14:55"), bar("14:55")]).height == 1
    assert arrived([bar("14:55")], held=bar_rows([bar("14:55")])).is_empty()
    again = bar("14:55", known_at=moment("2024-11-26T15:30"))
    assert arrived([again], held=bar_rows([bar("14:55")])).is_empty()


def test_a_correction_stands_beside_the_first_version_and_is_known_after_it():
    held = bar_rows([bar("14:50")])
    found = arrived([bar("14:50", close=9.9)], held=held, now="15:00", decided="14:55")
    assert found["known_at"].to_list() == [moment("2024-11-26T15:00")]
    early = arrived([bar("14:50", close=9.9)], held=held, decided="14:50")
    assert early["known_at"].to_list() == [moment("2024-11-26T14:55") + MICRO]


def test_two_versions_in_one_file_are_told_apart():
    found = arrived([bar("14:50"), bar("14:50", close=9.9)])
    assert found["known_at"].to_list() == [None, moment("2024-11-26T14:55") + MICRO]


def test_a_bar_of_an_earlier_session_counts_from_its_arrival():
    row = {"symbol": "AAA", "bar_start": moment("2024-11-25T15:00")}
    assert arrived([row], now="14:58", decided="14:55")["known_at"].to_list() == [moment("2024-11-26T14:58")]


def test_feed_rows_are_stamped_only_if_a_decision_could_have_used_them():
    told = moment("2024-11-26T14:58")
    rows = feed_rows("earnings", [{"symbol": "AAA", "known_at": told, "eps_actual": 1.0}])
    now, none = moment("2024-11-26T15:03"), feed_rows("earnings", [])
    on_time = arrived_rows("earnings", rows, none, now, moment("2024-11-26T14:55"))
    late = arrived_rows("earnings", rows, none, now, moment("2024-11-26T15:00"))
    assert on_time["known_at"].to_list() == [told]
    assert late["known_at"].to_list() == [now]
    assert arrived_rows("earnings", rows, on_time, now, None).is_empty()


def test_a_correction_that_is_taken_back_is_a_version_of_its_own():
    first, second, third = (bar("14:50", close=close, known_at=moment(f"2024-11-26T{known}"))
                            for close, known in ((9.9, "14:56"), (9.8, "15:00"), (9.9, "15:10")))  # fmt: skip
    held = bar_rows([first, second])
    assert arrived([third], held=held, now="15:11")["known_at"].to_list() == [third["known_at"]]
    assert arrived([second, third], held=held.head(1), now="15:11").height == 2
    assert arrived([first, second, third], now="15:11").height == 3
    told = bar_rows([first, second, third])
    assert arrived([first, second, third], held=told, now="15:11").is_empty()
    assert arrived([bar("14:50", close=9.9)], held=held, now="15:11").is_empty()  # says nothing of when: told again


def test_rows_that_counted_from_their_arrival_are_still_the_same_rows_when_told_again():
    day = moment("2024-11-15T00:00").date()
    rows = [
        {"symbol": "AAA", "settlement_date": day, "known_at": moment(f"2024-11-{known}T15:00"), "shares_short": shares}
        for known, shares in ((20, 1.0), (21, 2.0), (22, 1.0))
    ]
    told, now = feed_rows("short_interest", rows), moment("2024-11-26T15:00")
    held = arrived_rows("short_interest", told, told.clear(), now, moment("2024-11-26T14:55"))
    assert held["shares_short"].to_list() == [1.0, 2.0, 1.0]
    assert held["known_at"].to_list() == [now, now + MICRO, now + 2 * MICRO]
    assert arrived_rows("short_interest", told, held, now + timedelta(days=1), now).is_empty()


def test_versions_of_a_feed_row_that_would_be_known_together_are_told_apart():
    told = moment("2024-11-26T05:00")
    first = {"symbol": "AAA", "ex_date": told.date(), "kind": "split", "known_at": told, "ratio": 2.0}
    versions = [first, first | {"ratio": 3.0}, first | {"ratio": 4.0}]
    held, none = feed_rows("corporate_actions", versions[:1]), feed_rows("corporate_actions", [])
    now, before, after = moment("2024-11-26T15:00"), moment("2024-11-25T21:00"), moment("2024-11-26T14:55")

    def known(held, decided, rows=versions):
        return arrived_rows("corporate_actions", feed_rows("corporate_actions", rows), held, now, decided)[
            "known_at"
        ].to_list()

    assert known(none, before) == [told, told + MICRO, told + 2 * MICRO]
    assert known(held, before) == [told + MICRO, told + 2 * MICRO]
    assert known(none, after) == [now, now + MICRO, now + 2 * MICRO]
    earlier = arrived_rows("corporate_actions", feed_rows("corporate_actions", versions[:2]), none, now, before)
    assert known(earlier, before) == [told + 2 * MICRO]
    assert known(earlier, before, [first | {"ratio": 5.0, "known_at": told - timedelta(hours=1)}]) == [
        told - timedelta(hours=1)
    ]


def test_periods_that_arrive_late_together_are_all_taken():
    ends = [date(2024, 3, 31), date(2024, 6, 30), None]
    rows = [
        {"symbol": "AAA", "fiscal_period_end": end, "known_at": moment("2024-11-01T15:00"), "revenue": 1e9}
        for end in ends
    ]
    now = moment("2024-11-26T15:00")
    found = arrived_rows(
        "fundamentals", feed_rows("fundamentals", rows), feed_rows("fundamentals", []), now, moment("2024-11-26T14:55")
    )
    assert found["known_at"].to_list() == [now] * 3
    context = FeedContext(CALENDAR, (date(2024, 11, 1), date(2024, 11, 26)), universe("AAA"), future=False)
    accepted, refused = validate_feed("fundamentals", found, context)
    assert (accepted.height, refused.height) == (3, 0)


def test_rows_without_symbol_or_time_go_on_to_the_validation():
    found = arrived([{"symbol": None, "bar_start": None}], decided="14:55")
    assert found.height == 1
    assert found["bar_start"].to_list() == [None]
    assert found.schema == pl.Schema(NOTHING.schema)
