import numpy as np
import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import empty
from aurora_pipeline.market import levels
from aurora_pipeline.market.feed_tables import known_splits
from aurora_pipeline.market.levels import LevelRules, in_time_order, level_breaks
from aurora_pipeline.settings import QualitySettings
from aurora_pipeline_tests.market.tiny import CALENDAR, sessions_from

DAYS = sessions_from("2025-03-03", 40)
QUIET = [100.0, 101.0] * 10
SPLITS = empty("corporate_actions").select("instrument_id", "ex_date", "kind", "known_at", "ratio").schema


def daily(closes, opens=None, withdrawn=()):
    count = len(closes)
    return in_time_order(
        pl.DataFrame(
            {
                "row": list(range(count)),
                "instrument_id": ["AAA"] * count,
                "session": DAYS[:count],
                "bar_end": [CALENDAR.close(day) for day in DAYS[:count]],
                "known_at": [CALENDAR.close(day) for day in DAYS[:count]],
                "quarantined_at": [CALENDAR.close(DAYS[k]) if k in withdrawn else None for k in range(count)],
                "open": opens or closes,
                "close": closes,
                "tested": [True] * count,
            },
            schema_overrides={"quarantined_at": TIMESTAMP},
        )
    )


def refused(rows, splits=(), memory=None):
    filed = pl.DataFrame(list(splits), schema=SPLITS, orient="row").with_columns(
        pl.lit(None, pl.Float64).alias("amount"), pl.lit(None, pl.String).alias("new_symbol")
    )
    filed = known_splits(filed, "none")
    found = level_breaks(rows, filed, DAYS, LevelRules.of(QualitySettings(), 20, memory))
    return sorted(found["row"].to_list())


def split(day, ratio, known=None):
    return ("AAA", DAYS[day], "split", CALENDAR.open(DAYS[day if known is None else known]), ratio)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 2 / 3, 2.0, 1.5, 20.0])
def test_an_unfiled_split_is_refused_to_the_end(ratio):
    assert refused(daily([*QUIET, *[100.0 * ratio] * 5])) == [20, 21, 22, 23, 24]


@pytest.mark.parametrize("ratio", [0.80, 1.35, 0.44, 1.0])
def test_other_moves_pass_however_large(ratio):
    assert refused(daily([*QUIET, *[100.0 * ratio] * 5])) == []


def test_a_split_on_file_explains_the_level():
    assert refused(daily([*QUIET, *[50.0] * 5]), [split(20, 2.0)]) == []


def test_a_split_filed_late_explains_it_from_then_on():
    assert refused(daily([*QUIET, *[50.0] * 5]), [split(20, 2.0, known=22)]) == [20, 21]


def test_a_split_filed_but_not_applied_is_a_break():
    assert refused(daily([*QUIET, *[100.0] * 3]), [split(20, 2.0)]) == [20, 21, 22]


@pytest.mark.parametrize("corrected", [2.0, 3.0])
def test_a_split_told_again_counts_once(corrected):
    closes = [*QUIET, *[100.0 / corrected] * 5]
    assert refused(daily(closes), [split(20, 2.0, known=15), split(20, corrected, known=18)]) == []


def test_a_split_moved_to_another_day_counts_on_that_day_only():
    closes = [*QUIET, 100.0, 100.0, *[50.0] * 3]
    assert refused(daily(closes), [split(20, 2.0, known=15), split(22, 2.0, known=18)]) == []
    assert refused(daily(closes), [split(20, 2.0, known=15), split(22, 2.0, known=21)]) == [20]


@pytest.mark.parametrize("corrected", [67.0, 134.0])
def test_a_correction_known_later_is_no_reference_for_rows_before_it(corrected):
    rows = daily([*QUIET, 100.0, 100.0, 101.0])
    later = rows.filter(pl.col("row") == 20).with_columns(
        pl.lit(corrected * 1.05).alias("open"),
        pl.lit(corrected).alias("close"),
        pl.lit(CALENDAR.close(DAYS[30]), TIMESTAMP).alias("known_at"),
        pl.lit(99, rows.schema["row"]).alias("row"),
    )
    assert refused(in_time_order(pl.concat([rows, later]))) == []


def test_return_to_the_old_level():
    assert refused(daily([*QUIET, 50.0, 51.0, 99.0, 100.0])) == [20, 21]


def test_a_broken_level_may_drift():
    assert refused(daily([*QUIET, 10.0, 11.0, 12.0, 13.0, 14.0])) == [20, 21, 22, 23, 24]


def test_news_that_does_not_stay_at_the_ratio_passes():
    rows = daily([*QUIET, 162.0, 163.0], opens=[*QUIET, 154.0, 162.0])
    assert refused(rows) == []


def test_a_volatile_symbol_moves_so():
    wild = [100.0, 110.0, 92.0, 105.0, 118.0, 99.0] * 4
    assert refused(daily([*wild, 50.0, 51.0])) == []


def test_verdicts_do_not_depend_on_what_follows():
    closes = [*QUIET, 50.0, 51.0, 99.0, 100.0, 10.0, 11.0]
    whole = refused(daily(closes))
    for count in range(1, len(closes)):
        assert refused(daily(closes[:count])) == [row for row in whole if row < count]


def test_withdrawn_prices_are_no_reference():
    assert refused(daily([*QUIET, 50.0, 100.0], withdrawn=[20]), memory=25) == [20]
    assert refused(daily([*QUIET, 30.0, 100.0, 50.0], withdrawn=[20]), memory=25) == [22]


def test_memory_bounds_how_long_a_level_is_refused():
    assert refused(daily([*QUIET, *[50.0] * 12]), memory=5) == [20, 21, 22, 23, 24]


def test_rows_may_come_in_any_order():
    rows = daily([*QUIET, 50.0, 51.0, 99.0, 100.0])
    assert refused(rows.sample(fraction=1.0, shuffle=True, seed=3)) == [20, 21]


def random_series(seed):
    """Closes of 40 sessions that jump to about a split's level and back now and then, one of them withdrawn."""
    random = np.random.default_rng(seed)
    steps = np.exp(0.01 * random.standard_normal(len(DAYS)))
    jumps = random.choice([1.0, 0.5, 2.0, 1.5, 2 / 3, 1.44, 0.7], len(DAYS), p=[0.7, *[0.05] * 6])
    closes = 100.0 * np.cumprod(steps) * jumps
    opens = closes * np.exp(0.003 * random.standard_normal(len(DAYS)))
    return daily(closes.tolist(), opens.tolist(), withdrawn={int(random.integers(40))} if seed % 2 else ())


def test_what_is_not_walked_through_had_no_break(monkeypatch):
    rows = [random_series(seed) for seed in range(12)] + [daily((100.0 * 1.4 ** np.linspace(0, 1, 40)).tolist())]
    found = [refused(each) for each in rows]
    monkeypatch.setattr(levels, "_unsteady", lambda rows, rules: set(rows["instrument_id"]))
    assert found == [refused(each) for each in rows]
    assert sum(map(bool, found)) > 5
    assert found[-1] == []
