"""A feature declares every column of a feed it looks at: what is declared is what `not_point_in_time` can take away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.features.bar_views import BAR_VIEWS
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.registry import REGISTRY
from aurora_pipeline.market.columns import FEEDS
from aurora_pipeline.market.manifest import FACT_FEEDS, HEEDED
from aurora_pipeline_tests.features import test_alternative_data_engine, test_fundamental_engine
from aurora_pipeline_tests.features.dense_histories import bar_history, columns
from aurora_pipeline_tests.features.test_microstructure import ONE_BAR

NUMBERS = {
    feed: [name for name, dtype in FEEDS[feed].columns.items() if dtype == pl.Float64 and name != "hv_30d"]
    for feed in FACT_FEEDS
}
"""Columns of facts; `hv_30d` no feature looks at."""


def changed(
    compute: Callable[[FeatureInputs], pl.DataFrame], inputs: FeatureInputs, feed: str, column: str
) -> set[str]:
    """Features that differ when every value of a column is another one."""
    frame: pl.DataFrame = getattr(inputs, feed)
    factor = pl.Series(np.linspace(0.5, 1.7, frame.height))
    other = frame.with_columns((pl.col(column).fill_null(1.0) * factor).alias(column))
    before, after = compute(inputs), compute(inputs.with_frames(**{feed: other}))
    return {name for name in before.columns[3:] if not before[name].equals(after[name])}


@pytest.mark.parametrize("price_adjustment", ["none", "split"])
@pytest.mark.parametrize("feed", FACT_FEEDS)
def test_no_feature_looks_at_a_column_it_does_not_declare(feed: str, price_adjustment: str) -> None:
    manifest = {"price_adjustment": price_adjustment}
    seen: dict[str, set[str]] = {column: set() for column in NUMBERS[feed]}
    for module, market in (
        (test_alternative_data_engine, test_alternative_data_engine.positioning(manifest=manifest)),
        (test_fundamental_engine, test_fundamental_engine.reports(manifest=manifest)),
    ):
        if getattr(market, feed).is_empty():
            continue
        for column in NUMBERS[feed]:
            seen[column] |= changed(module.computed, market, feed, column)
    undeclared = [
        f"{spec.name} looks at {feed}.{column} and does not declare it: add it to `columns` of its FeatureSpec"
        for column, features in seen.items()
        for spec in REGISTRY
        if spec.name in features and f"{feed}.{column}" not in spec.columns
    ]
    assert undeclared == []
    assert any(seen.values())


def test_no_feature_of_bars_looks_at_a_vwap_it_does_not_declare():
    found = []
    for level in (102.5, 103.5):
        history = bar_history(12, **(ONE_BAR | {"vwap": columns([level] * 12)}))
        views = [BAR_VIEWS[view].bars(history) for view in BAR_VIEWS]
        found.append({name: values for view in views for name, values in view.items()})
    before, after = found
    looking = {name for name in before if not np.array_equal(before[name], after[name], equal_nan=True)}
    assert looking == {spec.name for spec in REGISTRY if "bars.vwap" in spec.columns}


def test_every_declared_column_can_be_kept_out_of_a_market() -> None:
    known = {f"{feed}.{column}" for feed, columns in HEEDED.items() for column in columns}
    unknown = {spec.name: set(spec.columns) - known for spec in REGISTRY if set(spec.columns) - known}
    assert unknown == {}, "misspelt, or missing in HEEDED of market/manifest.py"
