from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.monitoring.ic_suite import ic_suite
from aurora_pipeline_tests.monitoring.persistent_panel import OUTCOMES, persistent_panel

NUMBERS = Path(__file__).parent / "alphalens_numbers.jsonl"
TABLES = {
    "ic": (["decision_time", "outcome"], ["ic"]),
    "group_ic": (["decision_time", "group", "outcome"], ["ic"]),
    "quantile_returns": (["quantile", "outcome"], ["mean", "standard_error"]),
    "turnover": (["decision_time"], ["quantile_1", "quantile_5", "rank_autocorrelation"]),
}


def small(scores: list[list[float]], outcomes: list[list[float]], sectors: list[str] | None = None) -> pl.DataFrame:
    days, names = len(scores), len(scores[0])
    return pl.DataFrame(
        {
            "decision_time": np.repeat(np.datetime64("2025-01-01") + np.arange(days), names),
            "symbol": [f"S{k}" for k in range(names)] * days,
            "sector": (sectors or ["all"] * names) * days,
            "score": [value for row in scores for value in row],
            "label": [value for row in outcomes for value in row],
        }
    )


@pytest.mark.parametrize("name", sorted(TABLES))
def test_numbers_agree_with_alphalens(name):
    """The file was written by alphalens-reloaded 0.5.1: `benchmarks/ic_suite.py --alphalens PYTHON --numbers FILE`."""
    theirs = [row for line in NUMBERS.read_text().splitlines() if (row := json.loads(line))["table"] == name]
    ours = getattr(ic_suite(persistent_panel(24, 30, 3, 7), OUTCOMES), name)
    keys, values = TABLES[name]
    if "decision_time" in keys:
        ours = ours.with_columns(pl.col("decision_time").dt.strftime("%Y-%m-%d"))
    both = pl.DataFrame(theirs, infer_schema_length=None).join(ours, on=keys, suffix="_ours")
    assert both.height == len(theirs) >= 15
    for value in values:
        known = both.drop_nulls(value)
        assert known.height >= 15
        assert (known[value] - known[f"{value}_ours"]).abs().max() < 1e-9


def test_everything_by_hand_on_two_days_of_six_names():
    scores = [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [6.0, 2.0, 3.0, 4.0, 5.0, 1.0]]
    outcomes = [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]
    suite = ic_suite(small(scores, outcomes), ["label"], quantiles=2)
    # The second day swaps the ends: rank differences 5 and 5, so 1 - 6 * 50 / 210.
    assert suite.ic["ic"].to_list() == pytest.approx([1.0, 1.0 - 300 / 210])
    assert suite.group_ic["ic"].to_list() == pytest.approx([1.0, 1.0 - 300 / 210])
    # Day one: halves -1.5 and 1.5 about the mean 2.5. Day two: low scores are outcomes 1, 2, 5, high ones 0, 3, 4.
    low, high = [-1.5, 8 / 3 - 2.5], [1.5, 7 / 3 - 2.5]
    assert suite.quantile_returns["mean"].to_list() == pytest.approx([np.mean(low), np.mean(high)])
    assert suite.quantile_returns["standard_error"][0] == pytest.approx(np.std(low, ddof=1) / 2**0.5)
    assert suite.turnover.row(0)[1:] == (None, None, None)
    assert suite.turnover.row(1)[1:] == pytest.approx((1 / 3, 1 / 3, 1.0 - 300 / 210))
    assert suite.decay["mean"].to_list() == pytest.approx([(1.0 + 1.0 - 300 / 210) / 2])


def test_ties_share_ranks_and_a_constant_score_has_no_ic_and_one_quantile():
    suite = ic_suite(
        small([[1.0] * 6, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]], [[1.0, 2, 3, 4, 5, 6]] * 2), ["label"], quantiles=2
    )
    assert suite.ic["ic"].to_list() == [None, pytest.approx(13.5 / np.sqrt(13.5 * 17.5))]
    assert suite.quantile_returns["decision_times"].to_list() == [2, 1]
    assert suite.turnover["rank_autocorrelation"].to_list() == [None, None]


def test_a_missing_score_or_outcome_leaves_out_its_pair_only():
    frame = small([[1.0, 2, 3, 4, 5, 6, 7]], [[1.0, 2, 3, 4, 5, 6, float("nan")]])
    holed = frame.with_columns(pl.when(pl.col("symbol") == "S0").then(None).otherwise("score").alias("score"))
    suite = ic_suite(holed, ["label"])
    assert suite.ic["ic"].to_list() == pytest.approx([1.0])
    too_few = ic_suite(holed.filter(pl.col("symbol") != "S1"), ["label"])
    assert too_few.ic["ic"].to_list() == [None]
    assert too_few.decay.row(0) == ("label", None, None, None, None)


def test_a_name_without_a_sector_forms_a_group_of_its_own():
    frame = small([[1.0, 2, 3, 4, 5, 6] * 2], [[1.0, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1]], ["A"] * 6 + ["B"] * 6)
    frame = frame.with_columns(pl.when(pl.col("sector") == "B").then(None).otherwise("sector").alias("sector"))
    suite = ic_suite(frame, ["label"])
    assert suite.group_ic.select("group", "ic").rows() == [("A", pytest.approx(1.0)), (None, pytest.approx(-1.0))]


def test_the_order_of_rows_does_not_matter():
    frame = persistent_panel(24, 30, 3, 7)
    one, other = ic_suite(frame, OUTCOMES), ic_suite(frame.sample(fraction=1.0, shuffle=True, seed=1), OUTCOMES)
    for name in ("ic", "group_ic", "quantile_returns", "decay", "turnover"):
        assert getattr(one, name).equals(getattr(other, name))


def test_an_empty_panel_gives_empty_tables():
    suite = ic_suite(persistent_panel(24, 30, 3, 7).clear(), OUTCOMES)
    assert suite.ic.is_empty()
    assert suite.decay["mean"].to_list() == [None] * 3
