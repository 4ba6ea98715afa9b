"""No feature looks at anything later than its decision time, and the checks that say so can fail."""

from datetime import timedelta

import polars as pl
import polars.selectors as cs
import pytest

from aurora_pipeline.features.leakage import FEATURE_CHECKS, feature_leaks, sample_decision_times
from aurora_pipeline.features.panel_builder import compute_panel, compute_view
from aurora_pipeline.features.registry import feature_names
from aurora_pipeline_tests.features.tiny_market import CALENDAR, random_inputs, with_residuals


def leaks(inputs, cuts, stored=None, checks=FEATURE_CHECKS):
    """All violations at some cuts, against the panel of the inputs unless another is given."""
    return feature_leaks(inputs, compute_panel(inputs) if stored is None else stored, cuts, 3, checks)


def truncation(inputs, cuts, stored=None):
    """Violations of the first check alone."""
    return leaks(inputs, cuts, stored, FEATURE_CHECKS[:1])


@pytest.fixture(scope="module")
def inputs():
    return random_inputs(seed=1, sessions=3)


def late_correction(inputs, symbol, bar, delay, factor=1.05):
    """Inputs in which one bar of the second session gets a corrected close `delay` bars after it ended."""
    session = inputs.sessions[1]
    end = CALENDAR.bar_ends(session)[bar]
    row = inputs.bars.filter(pl.col("symbol") == symbol, pl.col("bar_end") == end)
    corrected = row.with_columns(
        pl.col("close") * factor,
        pl.col("high") * factor,
        (pl.col("known_at") + timedelta(minutes=5 * delay)).alias("known_at"),
    )
    return with_residuals(inputs.with_frames(bars=pl.concat([inputs.bars, corrected])))


def test_clean_code_passes_every_check(inputs):
    cuts = sample_decision_times(inputs.sessions[1], CALENDAR, "5min")
    assert leaks(inputs, cuts).is_empty()


@pytest.mark.parametrize("without", [{"eligible": False}, {"eligible": False, "sector": None}])
def test_a_market_in_which_nobody_may_trade_has_features_of_nobody_and_no_leak(inputs, without):
    barred = [pl.lit(value, inputs.universe.schema[name]).alias(name) for name, value in without.items()]
    nobody = with_residuals(inputs.with_frames(universe=inputs.universe.with_columns(barred)))
    panel = compute_panel(nobody)
    assert panel.select(pl.any_horizontal(cs.float().is_not_null()).any()).item() is not True
    assert leaks(nobody, sample_decision_times(inputs.sessions[1], CALENDAR, "5min"), panel).is_empty()


def test_poison_shows_after_the_cut(inputs):
    ends = CALENDAR.bar_ends(inputs.sessions[1])
    panel = compute_panel(inputs)
    late = pl.col("known_at") > ends[30]
    spoilt = inputs.with_frames(
        bars=inputs.bars.with_columns(
            pl.when(late).then(pl.col("volume") * pl.col("close")).otherwise(pl.col("volume")).alias("volume")
        )
    )
    after = compute_panel(spoilt)
    at = pl.col("decision_time") == ends[31]
    assert not panel.filter(at).equals(after.filter(at))


def test_value_from_the_future_is_named(inputs):
    ends = CALENDAR.bar_ends(inputs.sessions[1])
    panel = compute_panel(inputs)
    name = feature_names("sector")[0]
    spoilt = panel.with_columns(
        pl.when(pl.col("decision_time") == ends[6], pl.col("symbol") == "BBB")
        .then(0.4)
        .otherwise(pl.col(name))
        .cast(pl.Float32)
        .alias(name)
    )
    found = truncation(inputs, [ends[6]], spoilt)
    assert found.select("table", "column", "symbol").rows() == [("features", name, "BBB")]
    assert found.get_column("stored").item() == pytest.approx(0.4)


def test_missing_row_is_named(inputs):
    ends = CALENDAR.bar_ends(inputs.sessions[1])
    panel = compute_panel(inputs).filter(~((pl.col("decision_time") == ends[6]) & (pl.col("symbol") == "CCC")))
    assert truncation(inputs, [ends[6]], panel).select("column", "symbol").rows() == [("row", "CCC")]


def test_late_correction_counts_from_when_it_was_known(inputs):
    corrected = late_correction(inputs, "AAA", bar=20, delay=4)
    ends = CALENDAR.bar_ends(inputs.sessions[1])
    before, after = compute_panel(inputs), compute_panel(corrected)
    early, late = pl.col("decision_time") < ends[24], pl.col("decision_time") == ends[24]
    assert before.filter(early).equals(after.filter(early))
    assert not before.filter(late).equals(after.filter(late))
    assert truncation(corrected, [ends[20], ends[23], ends[24], ends[40]], after).is_empty()
    assert leaks(corrected, [ends[22]]).is_empty()


def test_late_etf_bar_changes_its_sector_from_then_on(inputs):
    corrected = late_correction(inputs, "XLK", bar=20, delay=4)
    ends = CALENDAR.bar_ends(inputs.sessions[1])
    panel = compute_panel(corrected)
    assert truncation(corrected, [ends[23], ends[24]], panel).is_empty()
    versions = corrected.residual_returns.filter(pl.col("symbol") == "AAA", pl.col("bar_end") == ends[20]).sort(
        "known_at"
    )
    assert versions.get_column("known_at").to_list() == [ends[20], ends[24]]


def test_withdrawn_bar_counts_until_its_verdict(inputs):
    ends = CALENDAR.bar_ends(inputs.sessions[1])
    hit = (pl.col("symbol") == "AAA") & (pl.col("bar_end") == ends[20])
    verdict = pl.when(hit).then(pl.lit(ends[30]).cast(pl.Datetime("us", "UTC")))
    withdrawn = with_residuals(inputs.with_frames(bars=inputs.bars.with_columns(verdict.alias("quarantined_at"))))
    early, late = pl.col("decision_time") < ends[30], pl.col("decision_time") == ends[30]
    for view in ("sector", "microstructure"):
        before, after = compute_view(view, inputs), compute_view(view, withdrawn)
        assert before.filter(early).equals(after.filter(early))
        assert not before.filter(late).equals(after.filter(late))
    assert truncation(withdrawn, [ends[29], ends[30]], compute_panel(withdrawn)).is_empty()
    row = withdrawn.residual_returns.filter(pl.col("symbol") == "AAA", pl.col("bar_end") == ends[20])
    assert row.get_column("quarantined_at").to_list() == [ends[30]]


def test_daily_market_is_sound_too():
    inputs = random_inputs(seed=2, sessions=4, frequency="session")
    assert leaks(inputs, [CALENDAR.close(inputs.sessions[1])]).is_empty()


def test_every_check_says_what_holds():
    names = [check.name for check in FEATURE_CHECKS]
    assert names == ["truncation", "poison", "scale", "peers", "lagged_beta"]
    assert all(check.description.endswith(".") for check in FEATURE_CHECKS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_clean_code_gives_no_false_alarm(seed):
    inputs = random_inputs(seed=100 + seed, sessions=2)
    corrected = late_correction(inputs, "BBB", bar=10 + seed, delay=seed % 5)
    ends = CALENDAR.bar_ends(inputs.sessions[1])
    assert leaks(corrected, [ends[0], ends[9 + seed], ends[12 + seed], ends[-1]]).is_empty()
