"""The cost model gives back the costs it was made from, and refuses what it cannot know."""

import polars as pl
import pytest

from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.stages import BLOCK_SESSIONS, block_sessions
from aurora_pipeline.workflows.scale_model import RECORD, ScaleModel, Size

STAGES = (("session_data", 1.0), ("feature_views", 4.0))
RUNS = [(29, 10), (143, 10), (143, 20), (77, 40), (29, 240), (273, 10)]


def costs(size, stage, scale):
    back = stage == "feature_views"
    return {
        "rows": scale * size.bars,
        "bytes": 5_000 * size.sessions + 40 * scale * size.bars,
        "cpu_seconds": 2.0
        + 0.05 * size.sessions
        + 1e-5 * scale * (size.bars_read if back else size.bars)
        + 2e-6 * size.history,
        "peak_bytes": 4e8
        + (
            900 * scale * size.block_bars + 100 * size.block_history
            if back
            else 900 * size.block_own_bars + 1e5 * size.names
        ),
    }


def record(runs=RUNS):
    rows = [
        {"stage": stage, "names": names, "sessions": sessions} | costs(Size(names, sessions), stage, scale)
        for names, sessions in runs
        for stage, scale in STAGES
    ]
    return pl.DataFrame(rows).cast(RECORD)


@pytest.mark.parametrize("size", [Size(1513, 60), Size(5013, 1260), Size(143, 20)])
def test_costs_that_follow_the_form_are_predicted_exactly(size):
    found = ScaleModel(record()).predict(size)
    for stage, scale in STAGES:
        row = found.filter(stage=stage).row(0, named=True)
        for measure, expected in costs(size, stage, scale).items():
            assert row[measure] == pytest.approx(expected, rel=2e-3), (stage, measure)


def test_each_run_is_predicted_from_the_others():
    errors = ScaleModel(record()).errors()
    assert errors.height == len(RUNS)
    assert errors.select(pl.col("seconds", "bytes", "memory").abs().max()).row(0) == pytest.approx((0, 0, 0), abs=0.02)
    grown = record().with_columns(
        pl.when(pl.col("names") == 273).then(2.0 * pl.col("cpu_seconds")).otherwise("cpu_seconds").alias("cpu_seconds")
    )
    error = ScaleModel(grown).errors().filter(names=273)["seconds"].item()
    assert error == pytest.approx(-0.5, abs=0.02)  # what does not follow the form shows


def test_too_few_sizes_are_refused():
    with pytest.raises(MarketDataError, match=r"the record has 3 run\(s\) of different sizes; at least 4"):
        ScaleModel(record(RUNS[:3]))
    with pytest.raises(MarketDataError, match=r"1 run\(s\)"):
        ScaleModel(record([RUNS[0]] * 5))


def test_larger_markets_are_worked_on_in_smaller_blocks():
    assert block_sessions(143) == block_sessions(520) == BLOCK_SESSIONS
    assert [block_sessions(names) for names in (1513, 5013, 10**6)] == [13, 4, 1]
    for names in (143, 520, 1513, 5013):
        assert names * block_sessions(names) <= 520 * BLOCK_SESSIONS
    assert Size(1513, 60).block_bars == 1513 * (13 + 6) * 78
    assert Size(1513, 60).block_own_bars == 1513 * 13 * 78
    assert (
        Size(1513, 60).bars_read == 1513 * (60 + 4 * 6) * 78
    )  # five blocks, and six sessions before all but the first
    assert Size(29, 10).bars_read == Size(29, 10).bars
    assert Size(29, 10).block_bars == 29 * 10 * 78
    assert Size(10, 85).history == 10 * (40 + 80 + 85)
