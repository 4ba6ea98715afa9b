"""Every feature of the registry has a test that works it out on paper, and that test fails if the feature is wrong."""

from functools import partial

import polars as pl
import pytest

from aurora_pipeline.features.registry import REGISTRY, VIEWS, feature_names
from aurora_pipeline_tests.features import (
    test_alternative_data_engine,
    test_fundamental_engine,
    test_microstructure,
    test_price,
    test_sector_features,
)

MODULES = {
    "price": test_price,
    "sector": test_sector_features,
    "microstructure": test_microstructure,
    "fundamental": test_fundamental_engine,
    "alternative": test_alternative_data_engine,
}
COMPUTED_BY = {
    "price": ("daily_price_features", "session_price_features"),
    "sector": ("daily_sector_features", "bar_sector_features"),
    "microstructure": (
        "daily_microstructure_features",
        "pressure_features",
        "volume_features",
        "impact_features",
        "realised_features",
    ),
    "fundamental": ("compute_fundamental_features",),
    "alternative": ("compute_alternative_features",),
}
"""What the tests of a view call to get its features."""
WORKED = {
    "test_returns_and_momentum_of_a_steady_rise": "return_5 return_20 momentum_12_1 max_return_20",
    "test_quarter_and_trend_of_volatility": "return_60 volatility_trend",
    "test_volatility_of_alternating_returns": "volatility_20",
    "test_range_based_volatility_against_closes": "parkinson_to_close_20 garman_klass_to_parkinson_20",
    "test_skewness_of_one_jump_in_sixty_sessions": "skewness_60",
    "test_ranges_and_distance_from_the_high": "range_position_20 high_52_week",
    "test_night_and_day_parts": "overnight_return_20 intraday_return_20",
    "test_liquidity": "amihud_20 dollar_volume_20 volume_trend",
    "test_volume_that_rises_with_returns_is_perfectly_correlated": "price_volume_correlation_20",
    "test_realised_volatility_of_four_sessions_of_equal_bars": "realised_to_close_volatility",
    "test_session_so_far": "return_since_open session_range_position",
    "test_night_is_the_first_bars_return_before_its_open": "overnight_gap",
    "test_opening_range_counts_from_its_sixth_bar": "opening_range_position",
    "test_sums_over_bars_need_half_of_them": "residual_return_1_bars residual_return_6_bars",
    "test_sums_over_more_bars": "residual_return_12_bars residual_return_39_bars residual_return_78_bars",
    "test_reversal_of_equal_days": "residual_reversal",
    "test_newest_session_reverts": "residual_reversal_1",
    "test_momentum_and_reversal_in_units_of_volatility": (
        "residual_reversal_5 residual_momentum_20 residual_momentum_60 residual_volatility_20 residual_volatility_trend "
        "idiosyncratic_share_60"
    ),
    "test_year_of_momentum_leaves_the_newest_month_out": "residual_momentum_12_1",
    "test_skewness_and_largest_residual": "residual_skewness_60 residual_max_20",
    "test_betas_are_those_estimated_through_the_newest_row": "beta_market",
    "test_sector_beta_is_that_estimated_through_the_newest_row": "beta_sector",
    "test_signed_volume_is_classified_in_bulk": (
        "signed_volume_6_bars signed_volume_12_bars signed_volume_39_bars signed_volume_78_bars"
    ),
    "test_pressure_from_the_shape_of_equal_bars": (
        "vwap_pressure_fast vwap_pressure_slow wick_pressure_fast close_location"
    ),
    "test_slow_wick_pressure_of_equal_bars": "wick_pressure_slow",
    "test_volume_surprise_takes_level_and_time_of_day_out": "volume_surprise_fast",
    "test_slow_volume_surprise_halves_in_twenty_bars": "volume_surprise_slow",
    "test_reversal_where_volume_is_abnormal": "reversal_times_volume",
    "test_volume_by_the_same_bar_of_the_session_before": "volume_clock",
    "test_distance_from_the_sessions_average_price": "vwap_deviation",
    "test_realised_moments_of_a_session": "realised_volatility jump_share",
    "test_skewness_of_bars": "realised_skewness",
    "test_variance_ratio_of_a_trend_and_of_a_bounce": "variance_ratio",
    "test_bouncing_bars_show_their_spread": "roll_spread",
    "test_price_impact_of_a_usual_bar": "kyle_lambda",
    "test_same_time_of_the_session_before_skips_the_bar_of_the_fill": "same_time_return",
    "test_progress_of_the_session": "session_progress",
    "test_spreads_of_days": "half_spread_20 high_low_spread_20",
    "test_seasonal_surprise_by_hand": "seasonal_surprise_decayed",
    "test_short_interest_surprise_by_hand": "short_interest_surprise",
    "test_implied_volatility_over_news_by_hand": "implied_volatility_over_news",
    "test_flow_price_divergence_by_hand": "flow_price_divergence_pressure",
}
"""Test to the features it works out; those of `by_hand()` in the two feed views come on top."""


def worked_out(view):
    """Feature to what is run to check it."""
    module = MODULES[view]
    own = set(feature_names(view))
    found = {name: test for test, names in WORKED.items() if hasattr(module, test) for name in names.split()}
    calls = {name: getattr(module, test) for name, test in found.items() if name in own}
    if hasattr(module, "by_hand"):
        calls |= {name: partial(module.test_feature_by_hand, name) for name in module.by_hand()}
    return calls


def run(call):
    wanted = getattr(call, "__code__", None)
    needs = wanted.co_varnames[: wanted.co_argcount] if wanted else ()
    call(**({"steady": test_price.rising()} if "steady" in needs else {}))


@pytest.mark.parametrize("view", VIEWS)
def test_no_feature_is_without_a_worked_test(view):
    worked, declared = set(worked_out(view)), set(feature_names(view))
    assert declared - worked == set(), (
        "work each out on paper: a test in WORKED, or a row of by_hand() in the view's tests"
    )
    assert worked - declared == set(), "worked out and not declared: no FeatureSpec has that name"


def test_registry_is_as_large_as_promised():
    assert len(REGISTRY) >= 80
    assert all(len(feature_names(view)) >= 10 for view in VIEWS)


def test_every_declaration_is_complete():
    for spec in REGISTRY:
        missing = [
            part for part in ("formula", "unit", "lookback", "known_at", "expected_missing") if not getattr(spec, part)
        ]
        assert not missing, (spec.name, missing)
    referenced = [spec.name for spec in REGISTRY if spec.reference]
    assert len(referenced) > 2 * len(REGISTRY) / 3, "name the paper a feature is from as its `reference`"


@pytest.mark.parametrize("name", feature_names())
def test_worked_test_fails_if_its_feature_is_wrong(name, monkeypatch):
    view = next(spec.view for spec in REGISTRY if spec.name == name)
    if name not in worked_out(view):
        pytest.fail(f"no test works {name} out; see test_no_feature_is_without_a_worked_test")
    module, call = MODULES[view], worked_out(view)[name]
    run(call)

    def spoilt(compute, *given):
        values = compute(*given)
        if isinstance(values, pl.DataFrame):
            return values.with_columns(pl.col(name) * 1.5 + 0.1)
        return values | {name: values[name] * 1.5 + 0.1} if name in values else values

    for function in COMPUTED_BY[view]:
        monkeypatch.setattr(module, function, partial(spoilt, getattr(module, function)))
    with pytest.raises(AssertionError):
        run(call)
