"""The panel: every feature of the registry, joined, transformed; what a market forbids is missing."""

from dataclasses import replace

import polars as pl
import pytest

from aurora_pipeline.contracts import validated
from aurora_pipeline.errors import ContractError
from aurora_pipeline.features import alternative_data_engine, bar_views, fundamental_engine
from aurora_pipeline.features.feature_spec import FeatureSpec
from aurora_pipeline.features.panel_builder import build_panel, compute_view
from aurora_pipeline.features.registry import REGISTRY, VIEWS, feature_names, unavailable_features
from aurora_pipeline.market.manifest import require_known_columns
from aurora_pipeline_tests.features.tiny_market import manifest, random_inputs


@pytest.fixture(scope="module")
def inputs():
    return random_inputs(seed=4, history=140, sessions=1)


@pytest.fixture(scope="module")
def views(inputs):
    return {view: compute_view(view, inputs) for view in VIEWS}


def test_names_are_unique_and_every_view_has_its_own():
    assert len(set(feature_names())) == len(REGISTRY)
    assert [name for view in VIEWS for name in feature_names(view)] == feature_names()
    assert all(feature_names(view) for view in VIEWS)


@pytest.mark.parametrize("view", VIEWS)
def test_views_keep_their_contract(views, view):
    frame = validated(f"{view}_features", views[view])
    assert frame.columns == ["session", "symbol", "decision_time", *feature_names(view)]
    floats = frame.select(pl.col(pl.Float32))
    assert floats.width == len(feature_names(view))
    assert not floats.select(pl.any_horizontal(pl.all().is_nan().any())).item()
    assert not floats.select(pl.any_horizontal(pl.all().is_infinite().any())).item()


def test_features_of_bars_and_daily_history_are_there(views):
    for view in ("price", "sector", "microstructure"):
        newest = views[view].filter(pl.col("decision_time") == pl.col("decision_time").max())
        # the last decision has no bars after it in earlier sessions
        newest = newest.with_columns(pl.lit(0.0).alias("same_time_return"))
        empty = [name for name in feature_names(view) if newest.get_column(name).null_count() == newest.height]
        assert empty == [name for name in ("momentum_12_1", "residual_momentum_12_1") if name in empty]


def test_panel_has_every_feature_in_order_within_its_bounds(inputs, views):
    panel = validated("features", build_panel(list(views.values()), inputs.universe, inputs.settings))
    assert panel.columns == ["session", "symbol", "decision_time", *feature_names()]
    assert panel.height == views["price"].height
    for spec in REGISTRY:
        bound = {"rank": 0.5, "sector_rank": 1.0, "z": 3.0}.get(spec.transform)
        largest = panel.get_column(spec.name).abs().max()
        assert bound is None or largest is None or largest <= bound, spec.name


def test_session_without_anyone_eligible_has_no_rows(inputs):
    nobody = inputs.with_frames(universe=inputs.universe.with_columns(pl.lit(value=False).alias("eligible")))
    empty_views = [compute_view(view, nobody) for view in VIEWS]
    assert validated("features", build_panel(empty_views, inputs.universe, inputs.settings)).is_empty()


def test_missing_stays_missing(inputs, views):
    hole = (pl.col("symbol") == "AAA").and_(pl.col("decision_time") == pl.col("decision_time").max())
    holed = views["price"].with_columns(pl.when(~hole).then(pl.col("return_5")).alias("return_5"))
    panel = build_panel([holed, *(views[view] for view in VIEWS[1:])], inputs.universe, inputs.settings)
    assert panel.filter(pl.col("return_5").is_null()).height == 1


def test_order_of_the_rows_handed_in_does_not_matter(inputs, views):
    shuffled = [view.sample(fraction=1.0, shuffle=True, seed=1) for view in views.values()]
    settings = inputs.settings
    assert build_panel(shuffled, inputs.universe, settings).equals(
        build_panel(list(views.values()), inputs.universe, settings)
    )


def test_views_with_other_rows_are_refused(inputs, views):
    shorter = {**views, "sector": views["sector"][1:]}
    with pytest.raises(ContractError, match="same rows"):
        build_panel(list(shorter.values()), inputs.universe, inputs.settings)


def test_panel_without_a_view_is_refused(inputs, views):
    with pytest.raises(ContractError, match="residual_reversal"):
        build_panel([views[view] for view in VIEWS if view != "sector"], inputs.universe, inputs.settings)


def test_the_text_of_an_intraday_feature_says_that_daily_markets_have_none():
    for spec in REGISTRY:
        assert ("frequency `session`" in spec.expected_missing) is ("session" not in spec.frequencies), spec.name


@pytest.mark.parametrize(
    ("view", "module", "name"),
    [
        ("price", bar_views, "BAR_VIEWS"),
        ("sector", bar_views, "BAR_VIEWS"),
        ("microstructure", bar_views, "BAR_VIEWS"),
        ("fundamental", fundamental_engine, "FUNDAMENTAL_FEATURES"),
        ("alternative", alternative_data_engine, "ALTERNATIVE_FEATURES"),
    ],
)
def test_a_feature_that_is_declared_and_not_computed_is_refused_by_name(inputs, monkeypatch, view, module, name):
    forgotten = FeatureSpec("forgotten", view, "nothing", "1", "1 bar", "bar_end")
    declared = getattr(module, name)
    if name == "BAR_VIEWS":
        wider = {**declared, view: replace(declared[view], specs=(*declared[view].specs, forgotten))}
    else:
        wider = (*declared, forgotten)
    monkeypatch.setattr(module, name, wider)
    with pytest.raises(
        ContractError, match=rf"view {view}: feature\(s\) forgotten are declared and nothing computes them"
    ):
        compute_view(view, inputs)


def test_every_column_a_feature_names_can_be_declared_not_point_in_time():
    columns = sorted({column for spec in REGISTRY for column in spec.columns})
    require_known_columns(manifest(not_point_in_time=columns), {}, "market.yaml")


def test_columns_that_are_not_point_in_time_cost_their_features():
    needing = next(spec for spec in REGISTRY if spec.columns)
    market = manifest(not_point_in_time=[needing.columns[0]])
    lost = unavailable_features(market)
    assert lost[needing.name] == f"{needing.columns[0]} is not point-in-time in market tiny"
    assert set(lost) == {spec.name for spec in REGISTRY if needing.columns[0] in spec.columns}
    assert unavailable_features(manifest()) == {}


def test_prices_on_another_split_basis_cost_their_features():
    rebased = ["earnings.eps_estimate", "earnings.eps_actual", "fundamentals.shares_outstanding"]
    assert unavailable_features(manifest(price_adjustment="split", rebased_for_later_splits=rebased)) == {}
    lost = unavailable_features(manifest(price_adjustment="split_dividend", rebased_for_later_splits=rebased))
    assert "earnings per share are on another split basis" in lost["surprise_to_price_decayed"]
    assert "filed share counts are on another split basis" in lost["book_yield"]
    assert "standardised_surprise_decayed" not in lost
    only_shares = unavailable_features(manifest(price_adjustment="split", rebased_for_later_splits=rebased[:2]))
    assert "surprise_to_price_decayed" not in only_shares
    assert {"short_interest_ratio", "turnover_20"} <= set(only_shares)
