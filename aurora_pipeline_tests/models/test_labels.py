from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_pipeline.calendar import TIMESTAMP, Frequency, session_calendar
from aurora_pipeline.contracts import validated
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.models.label_leakage import LABEL_CHECKS, LabelInputs, label_leaks
from aurora_pipeline.models.labels import LATE_LIMIT, compute_labels, maturity_violations

CALENDAR = session_calendar()
HALF_DAY = date(2025, 11, 28)
DAYS = CALENDAR.sessions(date(2025, 11, 24), date(2025, 12, 12))
Return = tuple[str, datetime, float, datetime]


def returns_frame(rows: list[Return]) -> pl.DataFrame:
    """Rows of (symbol, bar_end, residual return, known_at)."""
    frame = pl.DataFrame(
        rows,
        schema={"symbol": pl.String, "bar_end": TIMESTAMP, "residual_return": pl.Float64, "known_at": TIMESTAMP},
        orient="row",
    )
    return frame.with_columns(pl.col("symbol").alias("instrument_id"), pl.col("bar_end").dt.date().alias("session"))


def universe_frame(
    symbols: list[str], sessions: list[date] = DAYS, kind: str = "stock", eligible: bool = True
) -> pl.DataFrame:
    return (
        pl.DataFrame({"session": sessions})
        .join(pl.DataFrame({"symbol": symbols}), how="cross")
        .with_columns(
            pl.col("symbol").alias("instrument_id"), pl.lit(kind).alias("kind"), pl.lit(eligible).alias("eligible")
        )
    )


def daily(values: dict[int, float], symbol: str = "A") -> list[Return]:
    """Residual returns of session bars, by position among DAYS, all known at the close."""
    return [(symbol, CALENDAR.close(DAYS[k]), value, CALENDAR.close(DAYS[k])) for k, value in values.items()]


def label_of(
    rows: list[Return], day: int, horizon: int = 2, frequency: Frequency = "session"
) -> tuple[float, datetime] | None:
    """Label and maturity of symbol A decided at the close of DAYS[day]."""
    frame = compute_labels(DAYS[:8], returns_frame(rows), universe_frame(["A"]), CALENDAR, frequency, horizon, 1)
    found = frame.filter(symbol="A", decision_time=CALENDAR.close(DAYS[day]))
    return None if found.is_empty() else (found["label"][0], found["matured_at"][0])


def test_label_is_the_sum_of_the_bars_after_the_entry_bar() -> None:
    rows = daily({0: 0.1, 1: 0.01, 2: 0.002, 3: 0.0004, 4: 0.5})
    assert label_of(rows, 0) == (pytest.approx(0.0024, abs=1e-15), CALENDAR.close(DAYS[3]))


def test_horizon_counts_bars_of_the_grid_over_a_half_day() -> None:
    ends = [end for day in DAYS for end in CALENDAR.bar_ends(day)]
    rows = [("A", end, float(k), end) for k, end in enumerate(ends)]
    frame = compute_labels([HALF_DAY], returns_frame(rows), universe_frame(["A"]), CALENDAR, "5min", 78, 1)
    assert frame.height == 42  # a half-day has 42 decision times
    start = ends.index(CALENDAR.bar_ends(HALF_DAY)[-1])
    last = frame.row(-1, named=True)
    assert last["decision_time"] == ends[start]
    assert last["label"] == sum(range(start + 2, start + 80))  # entry is the first bar of the next session
    assert last["matured_at"] == ends[start + 79]


def test_the_contract_holds() -> None:
    rows = daily(dict.fromkeys(range(8), 0.01))
    frame = compute_labels(DAYS[:8], returns_frame(rows), universe_frame(["A"]), CALENDAR, "session", 2, 1)
    assert validated("labels", frame).equals(frame)


def test_a_missing_entry_bar_gives_no_label() -> None:
    assert label_of(daily({0: 0.1, 2: 0.02, 3: 0.03, 4: 0.04}), 0) is None


def test_a_missing_bar_inside_is_spanned_by_the_next_return() -> None:
    assert label_of(daily({0: 0.1, 1: 0.01, 3: 0.05, 4: 0.0}), 0) == (0.05, CALENDAR.close(DAYS[3]))


def test_a_missing_last_bar_ends_the_label_at_the_last_close_and_matures_an_hour_later() -> None:
    others = daily(dict.fromkeys(range(8), 0.0), "B")
    rows = daily({0: 0.1, 1: 0.01, 2: 0.02, 4: 0.4})
    assert label_of(rows + others, 0) == (0.02, CALENDAR.close(DAYS[3]) + timedelta(hours=1))


def test_a_delisted_stock_keeps_its_last_price() -> None:
    others = daily(dict.fromkeys(range(8), 0.0), "B")
    rows = daily({0: 0.1, 1: 0.01})
    assert label_of(rows + others, 0) == (0.0, CALENDAR.close(DAYS[3]) + timedelta(hours=1))
    assert label_of(rows + others, 1) is None  # nothing to enter at after the last bar


def test_unmatured_rows_are_absent() -> None:
    rows = daily(dict.fromkeys(range(5), 0.01))
    assert label_of(rows, 1) is not None
    assert label_of(rows, 2) is None


def test_a_session_going_on_has_labels_up_to_its_newest_bar() -> None:
    ends = [end for day in DAYS[:2] for end in CALENDAR.bar_ends(day)][:100]
    rows = [("A", end, 0.001, end) for end in ends if end != ends[70]] + [("B", end, 0.001, end) for end in ends]
    frame = compute_labels(DAYS[:2], returns_frame(rows), universe_frame(["A", "B"]), CALENDAR, "5min", 30, 1)
    for symbol in "AB":
        times = frame.filter(symbol=symbol).get_column("decision_time").to_list()
        assert times == [end for k, end in enumerate(ends[:69]) if symbol == "B" or k + 1 != 70]
    absent = [row for row in rows if row[:2] != ("A", ends[99])]
    cut = compute_labels(DAYS[:2], returns_frame(absent), universe_frame(["A", "B"]), CALENDAR, "5min", 30, 1)
    assert cut.filter(symbol="A").get_column("decision_time").max() == ends[68]
    assert cut.filter(symbol="A").get_column("matured_at").max() == ends[99] + timedelta(hours=1)


def test_a_label_ending_where_the_whole_market_is_silent_is_absent_whatever_came_later() -> None:
    days = [k for k in range(12) if k not in (5, 6)]
    frame = returns_frame([row for symbol in "AB" for row in daily(dict.fromkeys(days, 0.01), symbol)])
    together = compute_labels(DAYS[:8], frame, universe_frame(["A", "B"]), CALENDAR, "session", 2, 1)
    # The labels of days 2 and 3 would end on days 5 and 6; those of 4 and 5 have no entry.
    assert together.filter(symbol="A").get_column("session").to_list() == [DAYS[0], DAYS[1], DAYS[6], DAYS[7]]
    for day in DAYS[:8]:
        near = frame.filter(pl.col("session") <= CALENDAR.shift(day, 4))
        alone = compute_labels([day], near, universe_frame(["A", "B"]), CALENDAR, "session", 2, 1)
        assert alone.equals(together.filter(session=day))
    given = (frame, universe_frame(["A", "B"]), CALENDAR, "session", 2, 1)
    cuts = [CALENDAR.close(day) + LATE_LIMIT for day in DAYS[:8]]
    assert label_leaks(LabelInputs(DAYS[:8], *given), together, cuts, 1, LABEL_CHECKS[:2]).is_empty()  # type: ignore[arg-type]


def test_one_other_bar_known_within_the_hour_tells_a_missing_bar_from_a_silent_market() -> None:
    rows = daily({0: 0.1, 1: 0.01, 2: 0.02, 4: 0.04})
    close = CALENDAR.close(DAYS[3])
    assert label_of([*rows, ("B", close, 0.0, close + LATE_LIMIT)], 0) == (0.02, close + LATE_LIMIT)
    assert label_of([*rows, ("B", close, 0.0, close + LATE_LIMIT + timedelta(microseconds=1))], 0) is None
    corrected = [("B", close, 0.0, close), ("B", close, 0.1, close + timedelta(hours=3))]
    assert label_of([*rows, *corrected], 0) == (0.02, close + LATE_LIMIT)
    ends = CALENDAR.bar_ends(DAYS[0])
    gap = [("A", end, 0.001, end) for end in ends if end != ends[40]]
    frame = compute_labels(DAYS[:1], returns_frame(gap), universe_frame(["A"]), CALENDAR, "5min", 30, 1)
    assert ends[9] in frame.get_column("decision_time").to_list()  # ends at bar 40, which nobody has; 41 follows


def test_an_entry_bar_unknown_at_maturity_gives_no_label() -> None:
    others = daily(dict.fromkeys(range(8), 0.0), "B")
    late_entry = ("A", CALENDAR.close(DAYS[1]), 0.01, CALENDAR.close(DAYS[6]))
    assert label_of([*daily({0: 0.1}), late_entry, *others], 0) is None


def test_a_correction_counts_if_known_at_maturity_and_not_after() -> None:
    rows = daily({0: 0.1, 1: 0.01, 2: 0.02, 3: 0.03, 4: 0.04})
    early = ("A", CALENDAR.close(DAYS[2]), 0.5, CALENDAR.close(DAYS[3]))
    late = ("A", CALENDAR.close(DAYS[2]), 0.9, CALENDAR.close(DAYS[3]) + timedelta(microseconds=1))
    assert label_of([*rows, late], 0) == (0.05, CALENDAR.close(DAYS[3]))
    assert label_of([*rows, late, early], 0) == (0.53, CALENDAR.close(DAYS[3]))


def test_a_bar_withdrawn_by_maturity_is_missing_and_one_withdrawn_later_is_not() -> None:
    rows = daily({0: 0.1, 1: 0.01, 2: 1.0, 3: -0.5, 4: 0.04})
    close = CALENDAR.close(DAYS[3])
    spanning = ("A", close, 0.06, close)

    def label(withdrawn: int, moment: datetime) -> list[float]:
        gone = pl.when(pl.col("bar_end") == CALENDAR.close(DAYS[withdrawn])).then(pl.lit(moment, TIMESTAMP))
        frame = returns_frame([row for row in rows if row[1] != close] + [spanning])
        frame = frame.with_columns(gone.alias("quarantined_at"))
        found = compute_labels(DAYS[:1], frame, universe_frame(["A"]), CALENDAR, "session", 2, 1)
        return found["label"].to_list()

    assert label(2, close) == [0.06]
    assert label(2, close + timedelta(microseconds=1)) == [1.06]
    assert label(1, close) == []  # the entry bar itself: nobody knows what was paid


def test_a_last_bar_that_comes_late_delays_maturity_up_to_an_hour() -> None:
    rows = daily({0: 0.1, 1: 0.01, 2: 0.02, 4: 0.04}) + daily(dict.fromkeys(range(8), 0.0), "B")
    close = CALENDAR.close(DAYS[3])
    within, beyond = close + timedelta(minutes=10), close + timedelta(hours=2)
    assert label_of([*rows, ("A", close, 0.03, within)], 0) == (0.05, within)
    assert label_of([*rows, ("A", close, 0.03, beyond)], 0) == (0.02, close + timedelta(hours=1))


def test_a_return_taken_from_before_a_late_entry_is_never_used() -> None:
    entry = CALENDAR.close(DAYS[1])
    late_entry = ("A", entry, 0.01, CALENDAR.close(DAYS[3]))
    stale = daily(
        {0: 0.1, 2: 0.02, 3: 0.03}
    )  # the return of day 2 was known before the entry bar was: it spans the entry
    assert label_of([*stale, late_entry], 0) is None
    restated = ("A", CALENDAR.close(DAYS[2]), 0.015, CALENDAR.close(DAYS[3]))
    assert label_of([*stale, late_entry, restated], 0) == (pytest.approx(0.045), CALENDAR.close(DAYS[3]))
    # Only the return next to the entry can span it: day 3's was taken from the close of day 2, whenever it was known.
    moment = CALENDAR.close(DAYS[4])
    later = [("A", entry, 0.01, moment), ("A", CALENDAR.close(DAYS[2]), 0.015, moment)]
    assert label_of([*stale, *daily({4: 0.04}), *later], 0, horizon=3) == (pytest.approx(0.085), moment)


def test_only_eligible_stocks_are_labelled() -> None:
    rows = daily(dict.fromkeys(range(8), 0.01))
    for universe in (universe_frame(["A"], kind="etf"), universe_frame(["A"], eligible=False), universe_frame(["Z"])):
        frame = compute_labels(DAYS[:8], returns_frame(rows), universe, CALENDAR, "session", 2, 1)
        assert frame.is_empty()


def test_a_rename_keeps_the_instrument() -> None:
    rows = returns_frame(daily(dict.fromkeys(range(8), 0.01)))
    renamed = rows.with_columns(
        pl.when(pl.col("session") >= DAYS[2]).then(pl.lit("NEW")).otherwise("symbol").alias("symbol")
    )
    universe = universe_frame(["A"]).with_columns(
        pl.when(pl.col("session") >= DAYS[2]).then(pl.lit("NEW")).otherwise("symbol").alias("symbol")
    )
    frame = compute_labels(DAYS[:8], renamed, universe, CALENDAR, "session", 2, 1)
    assert frame.sort("decision_time")["symbol"].to_list() == ["A", "A", "NEW", "NEW", "NEW"]


def test_a_bar_off_the_grid_is_named() -> None:
    moment = datetime(2025, 11, 25, 12, 1, tzinfo=UTC)
    with pytest.raises(MarketDataError, match=r"A ends at 2025-11-25 12:01.*no bar"):
        label_of([*daily(dict.fromkeys(range(5), 0.01)), ("A", moment, 0.0, moment)], 0)


def test_entry_check_catches_a_label_without_the_execution_lag() -> None:
    rows = returns_frame(daily(dict.fromkeys(range(8), 0.01)))
    sound = compute_labels(DAYS[:8], rows, universe_frame(["A"]), CALENDAR, "session", 2, 1)
    mutant = compute_labels(DAYS[:8], rows, universe_frame(["A"]), CALENDAR, "session", 2, 0)
    assert maturity_violations(sound, CALENDAR, "session", 1).is_empty()
    assert maturity_violations(mutant, CALENDAR, "session", 1).height == mutant.height


@st.composite
def untidy_returns(draw: st.DrawFn) -> list[Return]:
    """Session returns of three names with missing, late and corrected bars."""
    rows: list[Return] = []
    for symbol in "ABC":
        for day in DAYS[:8]:
            close = CALENDAR.close(day)
            kind = draw(st.sampled_from(["there", "there", "missing", "late", "corrected"]))
            value = draw(st.integers(1, 1000)) / 1024
            delay = timedelta(minutes=draw(st.sampled_from([0, 1, 59, 61, 3000])))
            if kind != "missing":
                rows.append((symbol, close, value, close + (delay if kind == "late" else timedelta())))
            if kind == "corrected":
                rows.append((symbol, close, value + 1.0, close + delay + timedelta(seconds=1)))
    return rows


@settings(max_examples=60, deadline=None)
@given(untidy_returns(), st.integers(0, 10), st.integers(1, 4), st.integers(0, 20))
def test_labels_known_at_a_moment_do_not_depend_on_what_comes_later(
    rows: list[Return], day: int, horizon: int, hours: int
) -> None:
    frame = returns_frame(rows)
    if frame.is_empty():
        return
    moment = CALENDAR.open(DAYS[day]) + timedelta(hours=hours)
    everything = compute_labels(DAYS, frame, universe_frame(list("ABC")), CALENDAR, "session", horizon, 1)
    cut = frame.filter(pl.col("known_at") <= moment)
    then = compute_labels(DAYS, cut, universe_frame(list("ABC")), CALENDAR, "session", horizon, 1)
    known = pl.col("matured_at") <= moment
    assert then.filter(known).equals(everything.filter(known))


def test_one_session_alone_equals_the_range() -> None:
    generator = np.random.default_rng(1)
    ends = [end for day in DAYS for end in CALENDAR.bar_ends(day)]
    rows = [(s, end, float(generator.normal()), end) for s in "AB" for end in ends if generator.random() > 0.05]
    frame, universe = returns_frame(rows), universe_frame(["A", "B"])
    together = compute_labels(DAYS[:6], frame, universe, CALENDAR, "5min", 30, 1)
    alone = [
        compute_labels(
            [day], frame.filter(pl.col("session").is_between(day, DAYS[k + 2])), universe, CALENDAR, "5min", 30, 1
        )
        for k, day in enumerate(DAYS[:6])
    ]
    assert pl.concat(alone).sort("symbol", "decision_time").equals(together)


def test_poison_outside_the_interval_changes_nothing() -> None:
    rows = daily({k: 0.01 * k for k in range(10)})
    clean = label_of(rows, 3)
    poisoned = [
        (s, end, value if CALENDAR.close(DAYS[4]) < end <= CALENDAR.close(DAYS[6]) else 1e9, known)
        for s, end, value, known in rows
    ]
    assert label_of(poisoned, 3) == clean
