"""Every kind of feed is entered everywhere a feed needs an entry; the failure names the place that lacks it."""

import pytest

from aurora_pipeline.contracts import FEATURE_FEEDS, FEED_TABLES, TABLES
from aurora_pipeline.features.feed_facts import PERIODS
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.market.columns import FEEDS
from aurora_pipeline.market.inspection import COSTS
from aurora_pipeline.market.manifest import FACT_FEEDS
from aurora_pipeline.market.validation import _RULES
from aurora_pipeline.monitoring.feed_value import PRICED_FEEDS
from aurora_pipeline.settings import FeatureSettings

BARS_AND_ACTIONS = {"daily_bars", "corporate_actions"}
FACTS = set(FEATURE_FEEDS) - BARS_AND_ACTIONS
"""Feeds whose rows are facts of a period that features look up."""


@pytest.mark.parametrize(
    ("place", "found", "expected"),
    [
        ("FEED_TABLES of contracts/catalogue.py", set(FEED_TABLES), set(FEEDS)),
        ("TABLES of contracts/catalogue.py", set(TABLES) & set(FEEDS), set(FEEDS)),
        ("_RULES of market/validation.py", set(_RULES), set(FEEDS)),
        ("COSTS of market/inspection.py", set(COSTS), set(FEEDS)),
        ("FACT_FEEDS of market/manifest.py", set(FACT_FEEDS), FACTS),
        ("PERIODS of features/feed_facts.py", set(PERIODS), FACTS),
        ("PRICED_FEEDS of monitoring/feed_value.py", set(PRICED_FEEDS), FACTS),
        (
            "FeatureInputs of features/inputs.py",
            set(FeatureInputs.__dataclass_fields__) & set(FEEDS),
            set(FEATURE_FEEDS),
        ),
        (
            "expiry_of of settings/data_settings.py",
            {name for name in FEEDS if FeatureSettings().expiry_of(name)},
            FACTS,
        ),
    ],
)
def test_every_kind_of_feed_is_entered(place, found, expected):
    assert found == expected, f"{place} lacks or has beyond the feeds: {', '.join(sorted(found ^ expected))}"
