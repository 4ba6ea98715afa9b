"""One validated settings model: defaults here, `<home>/settings.yaml`, `AURORA_...` environment, `--set`.

The later source wins. An unknown key, wherever it comes from, is an error that lists the keys that exist. Rates are
fractions, money is USD, spans are in the unit their name ends in (`_sessions`, `_bars`).
"""

from aurora_pipeline.settings.book_settings import BookSettings, CostSettings, LiveSettings
from aurora_pipeline.settings.cluster_settings import ClusterSettings
from aurora_pipeline.settings.data_settings import FeatureSettings, MarketSettings, QualitySettings
from aurora_pipeline.settings.lifecycle_settings import DriftSettings, LifecycleSettings
from aurora_pipeline.settings.loading import (
    ENVIRONMENT_PREFIX,
    RESERVED_ENVIRONMENT,
    known_keys,
    load_settings,
    save_settings,
    settings_markdown,
    value_of,
)
from aurora_pipeline.settings.model import Settings
from aurora_pipeline.settings.model_settings import (
    CalibrationSettings,
    EnsembleSettings,
    ModelSettings,
    TrainingSettings,
    WalkForwardSettings,
)
from aurora_pipeline.settings.section import Family, Section, View

__all__ = [
    "ENVIRONMENT_PREFIX",
    "RESERVED_ENVIRONMENT",
    "BookSettings",
    "CalibrationSettings",
    "ClusterSettings",
    "CostSettings",
    "DriftSettings",
    "EnsembleSettings",
    "Family",
    "FeatureSettings",
    "LifecycleSettings",
    "LiveSettings",
    "MarketSettings",
    "ModelSettings",
    "QualitySettings",
    "Section",
    "Settings",
    "TrainingSettings",
    "View",
    "WalkForwardSettings",
    "known_keys",
    "load_settings",
    "save_settings",
    "settings_markdown",
    "value_of",
]
