import polars as pl

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import validated
from aurora_pipeline.market.data_quality import bar_time_violations, grid_violations, summarise_sessions
from aurora_pipeline.settings import Settings
from aurora_pipeline_tests.market.tiny import CALENDAR, sessions_from

DAYS = sessions_from("2025-03-03", 2)
SETTINGS = Settings()


def bars(symbol, day, absent=(), corrected=(), flat=()):
    grid = CALENDAR.grid([day])
    kept = grid.filter(~pl.col("bar_index").is_in(list(absent)))
    rows = pl.concat([kept, kept.filter(pl.col("bar_index").is_in(list(corrected)))])
    return rows.select(
        pl.lit(symbol).alias("symbol"), "session", "bar_start", pl.col("bar_index").is_in(list(flat)).alias("flat")
    )


def refused(*rows):
    columns = {"symbol": pl.String, "session": pl.Date, "row_time": TIMESTAMP, "reason": pl.String}
    return pl.DataFrame(list(rows), schema=columns, orient="row")


def quality(frame, quarantine=None, symbols=("AAA", "BBB"), days=DAYS):
    listed = pl.DataFrame(
        [(day, symbol) for day in days for symbol in symbols],
        schema={"session": pl.Date, "symbol": pl.String},
        orient="row",
    )
    made = summarise_sessions(listed, CALENDAR.grid(days), frame, refused() if quarantine is None else quarantine)
    return validated("data_quality", made)


def test_counts_by_hand():
    start = CALENDAR.grid([DAYS[0]])["bar_start"]
    quarantine = refused(
        ("AAA", DAYS[0], start[3], "b_fault"),
        ("AAA", DAYS[0], start[3], "b_fault"),
        ("AAA", DAYS[0], start[4], "a_fault"),
    )
    made = quality(bars("AAA", DAYS[0], absent=[3, 4, 77], corrected=[5], flat=[6, 7]), quarantine)
    assert made.row(0, named=True) == {
        "session": DAYS[0],
        "symbol": "AAA",
        "expected_bars": 78,
        "present_bars": 75,
        "missing_bars": 3,
        "missing": "14:45,14:50,20:55",
        "flat_bars": 2,
        "corrected_bars": 1,
        "quarantined_bars": 2,
        "reasons": "a_fault 1, b_fault 2",
    }
    absent = made.row(1, named=True)
    assert (absent["symbol"], absent["missing_bars"], absent["reasons"]) == ("BBB", 78, None)


def whole(*days):
    return pl.concat([bars(symbol, day) for symbol in ("AAA", "BBB") for day in days])


def test_a_complete_market_does_not_block():
    assert grid_violations(quality(whole(*DAYS)), SETTINGS).is_empty()


def test_absences_above_the_share_block_their_session_only():
    some = pl.concat([whole(DAYS[0]), bars("AAA", DAYS[1]), bars("BBB", DAYS[1], absent=range(8))])
    few = pl.concat([whole(DAYS[0]), bars("AAA", DAYS[1]), bars("BBB", DAYS[1], absent=range(7))])
    blocked = grid_violations(quality(some), SETTINGS)
    assert blocked["session"].to_list() == [DAYS[1]]
    assert blocked["absent_bars"].to_list() == [8]
    assert grid_violations(quality(few), SETTINGS).is_empty()


def test_a_symbol_that_is_gone_for_a_session_counts():
    gone = pl.concat([whole(DAYS[0]), bars("AAA", DAYS[1])])
    assert grid_violations(quality(gone), SETTINGS)["absent_share"].to_list() == [0.5]


def test_a_symbol_without_any_intraday_bars_does_not_count():
    assert grid_violations(quality(whole(*DAYS), symbols=("AAA", "BBB", "ETF")), SETTINGS).is_empty()


def test_a_symbol_counts_from_the_month_of_its_first_bar():
    days = [*sessions_from("2025-01-06", 2), *DAYS]
    came = pl.concat([bars(symbol, day) for symbol in ("AAA", "BBB") for day in days] + [bars("NEW", DAYS[0])])
    made = quality(came, symbols=("AAA", "BBB", "NEW"), days=days)
    assert grid_violations(made, SETTINGS)["session"].to_list() == [DAYS[1]]


def test_refused_bars_are_faults_not_gaps():
    start = CALENDAR.grid([DAYS[0]])["bar_start"]
    quarantine = refused(*[("AAA", DAYS[0], start[k], "fault") for k in range(20)])
    frame = pl.concat([bars("AAA", DAYS[0], absent=range(20)), bars("BBB", DAYS[0]), whole(DAYS[1])])
    assert grid_violations(quality(frame, quarantine), SETTINGS).is_empty()


def test_a_session_without_a_single_bar_blocks():
    assert grid_violations(quality(whole(DAYS[0])), SETTINGS)["session"].to_list() == [DAYS[1]]


def test_bars_known_before_their_end():
    grid = CALENDAR.grid([DAYS[0]]).with_columns(pl.lit("AAA").alias("symbol"), pl.col("bar_end").alias("known_at"))
    assert bar_time_violations(grid).is_empty()
    assert bar_time_violations(grid.with_columns(pl.col("bar_start").alias("known_at"))).height == 78
