"""The one settings model, made of its sections."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.settings.book_settings import BookSettings, CostSettings, LiveSettings
from aurora_pipeline.settings.cluster_settings import ClusterSettings
from aurora_pipeline.settings.data_settings import FeatureSettings, MarketSettings, QualitySettings
from aurora_pipeline.settings.lifecycle_settings import DriftSettings, LifecycleSettings
from aurora_pipeline.settings.model_settings import (
    CalibrationSettings,
    EnsembleSettings,
    ModelSettings,
    TrainingSettings,
    WalkForwardSettings,
)
from aurora_pipeline.settings.section import Count, Section


class Settings(Section):
    """Everything a run can be told."""

    profile: Literal["local", "cluster"] = Field(
        default="local", description="one machine, or the services of section cluster; the same definitions"
    )
    seed: int = Field(default=1, description="seed of everything random", ge=0)
    threads: Count = Field(default=2, description="threads a model may use")
    horizon: Count | None = Field(default=None, description="label length in bars; 78 at 5min, 5 at session if unset")
    execution_lag_bars: Literal[1] = Field(default=1, description="a decision is filled in the next bar")
    warm_up_sessions: Count | None = Field(
        default=None, description="sessions before the first fold; 60 at 5min, 504 at session"
    )
    market: MarketSettings = MarketSettings()
    quality: QualitySettings = QualitySettings()
    features: FeatureSettings = FeatureSettings()
    walk_forward: WalkForwardSettings = WalkForwardSettings()
    models: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    costs: CostSettings = CostSettings()
    book: BookSettings = BookSettings()
    live: LiveSettings = LiveSettings()
    lifecycle: LifecycleSettings = LifecycleSettings()
    drift: DriftSettings = DriftSettings()
    cluster: ClusterSettings = ClusterSettings()

    @model_validator(mode="after")
    def _services_named(self) -> Settings:
        missing = [f"cluster.{key}" for key in ("store", "ray") if getattr(self.cluster, key) is None]
        if self.profile == "cluster" and missing:
            raise ValueError(f"profile cluster needs {' and '.join(missing)}; see docs/scaling.md")
        return self

    def horizon_bars(self, frequency: Frequency) -> int:
        """Label length in bars."""
        return self.horizon or (78 if frequency == "5min" else 5)

    def warm_up(self, frequency: Frequency) -> int:
        """Sessions before the first scored one."""
        return self.warm_up_sessions or (60 if frequency == "5min" else 504)

    def purge_bars(self, frequency: Frequency) -> int:
        """Execution lag plus horizon: what separates a train row from the first test row."""
        return self.execution_lag_bars + self.horizon_bars(frequency)
