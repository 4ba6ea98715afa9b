"""Every feature of the panel, in its column order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from aurora_pipeline.features import earnings_surprise, filing_ratios
from aurora_pipeline.features.alternative_data_engine import ALTERNATIVE_FEATURES
from aurora_pipeline.features.feature_spec import FeatureSpec
from aurora_pipeline.features.fundamental_engine import FUNDAMENTAL_FEATURES
from aurora_pipeline.features.microstructure import MICROSTRUCTURE_FEATURES
from aurora_pipeline.features.price import PRICE_FEATURES
from aurora_pipeline.features.sector_features import SECTOR_FEATURES
from aurora_pipeline.market.manifest import MarketManifest
from aurora_pipeline.settings import View

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
    own = {spec.name for spec in specs}
    basis = f"are on another split basis than the prices of market {manifest.name} ({manifest.price_adjustment})"
    lost: dict[str, str] = {}
    if not earnings_surprise.per_share_matches_price(manifest):
        lost |= dict.fromkeys(earnings_surprise.PRICED, f"earnings per share {basis}")
    if not filing_ratios.shares_match_price(manifest):
        lost |= dict.fromkeys(filing_ratios.PRICED, f"filed share counts {basis}")
    return {name: why for name, why in lost.items() if name in own} | {
        spec.name: f"{column} is not point-in-time in market {manifest.name}"
        for spec in specs
        for column in spec.columns
        if column in manifest.not_point_in_time
    }
