"""Every feature of the panel, in its column order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from aurora_pipeline.features.alternative_data_engine import ALTERNATIVE_FEATURES
from aurora_pipeline.features.feature_spec import FeatureSpec, View
from aurora_pipeline.features.fundamental_engine import FUNDAMENTAL_FEATURES
from aurora_pipeline.features.microstructure import MICROSTRUCTURE_FEATURES
from aurora_pipeline.features.price import PRICE_FEATURES
from aurora_pipeline.features.sector_features import SECTOR_FEATURES
from aurora_pipeline.market.manifest import MarketManifest

REGISTRY: tuple[FeatureSpec, ...] = (
    *PRICE_FEATURES,
    *SECTOR_FEATURES,
    *MICROSTRUCTURE_FEATURES,
    *FUNDAMENTAL_FEATURES,
    *ALTERNATIVE_FEATURES,
)

VIEWS: tuple[View, ...] = get_args(View)
"""Views in panel order."""


def feature_names(view: str | None = None) -> list[str]:
    """Names of all features, or of one view's."""
    return [spec.name for spec in REGISTRY if view in {None, spec.view}]


def unavailable_features(manifest: MarketManifest, specs: Sequence[FeatureSpec] = REGISTRY) -> dict[str, str]:
    """Features a market's data must not be used for, each with the reason: they are null in its panel."""
    return {
        spec.name: f"{column} is not point-in-time in market {manifest.name}"
        for spec in specs
        for column in spec.columns
        if column in manifest.not_point_in_time
    }
