"""The asset graph of one home: its market decides the partitions, its settings the model families."""

from __future__ import annotations

import os

import dagster as dg

from aurora_pipeline.adapters.home import SERVED_VARIABLE, Home
from aurora_pipeline.defs.challenger_sensor import challenger_sensor
from aurora_pipeline.defs.claims import claims, signal_quality
from aurora_pipeline.defs.day import day_schedules, end_of_day_job, failure_sensor, preflight
from aurora_pipeline.defs.ensemble import calibrated_signals_asset, ensemble_asset, ensemble_weights_asset
from aurora_pipeline.defs.feature_audit import feature_audit_asset
from aurora_pipeline.defs.features import feature_panel_asset, residual_returns_asset, views_asset
from aurora_pipeline.defs.jobs import build_jobs
from aurora_pipeline.defs.labels import labels_asset
from aurora_pipeline.defs.lifecycle import challengers_asset, drift_asset, shadow_predictions_asset
from aurora_pipeline.defs.live import empty_run, tick_job
from aurora_pipeline.defs.market_data import market_feeds, session_data_asset
from aurora_pipeline.defs.model_comparison import model_comparison_asset
from aurora_pipeline.defs.model_contributions import model_contributions
from aurora_pipeline.defs.model_states import model_scores_asset, model_states_asset
from aurora_pipeline.defs.model_tracking import model_tracking_asset
from aurora_pipeline.defs.models import prediction_asset, trained_model_asset
from aurora_pipeline.defs.partitions import fold_partitions, session_partitions
from aurora_pipeline.defs.performance_dashboard import performance_dashboard
from aurora_pipeline.defs.report import report
from aurora_pipeline.defs.resources import HomeResource, RegistryResource
from aurora_pipeline.defs.schedules import five_minute_schedule
from aurora_pipeline.defs.sensors import STANDBY_SECONDS, arrival_sensor
from aurora_pipeline.defs.shown_tables import with_table
from aurora_pipeline.defs.trade_book import trade_book_asset


def build_definitions(home: Home) -> dg.Definitions:
    """Return everything Dagster loads for a home; an empty home gets the reference market's partitions."""
    settings = home.settings()
    families = settings.models.families
    served = os.environ.get(SERVED_VARIABLE, "")
    sessions, folds = session_partitions(home), fold_partitions(home)
    assets = [
        market_feeds,
        session_data_asset(sessions),
        residual_returns_asset(sessions),
        views_asset(sessions),
        feature_panel_asset(sessions),
        labels_asset(sessions),
        feature_audit_asset(folds),
        *(trained_model_asset(family, folds, settings.training) for family in families),
        *(prediction_asset(family, sessions) for family in families),
        drift_asset(families, sessions),
        challengers_asset(sessions),
        shadow_predictions_asset(sessions),
        model_scores_asset(families, sessions),
        model_states_asset(families, sessions),
        ensemble_weights_asset(families, sessions),
        ensemble_asset(families, sessions),
        calibrated_signals_asset(sessions),
        trade_book_asset(sessions),
        model_comparison_asset(families),
        model_contributions,
        signal_quality,
        report,
        model_tracking_asset(families),
        claims,
        performance_dashboard,
    ]
    return dg.Definitions(
        assets=dg.map_asset_specs(with_table, assets),
        jobs=[*build_jobs(families), tick_job(families), empty_run, preflight, end_of_day_job],
        schedules=[
            five_minute_schedule(home, running=served == "live"),
            *day_schedules(home, running=served == "live"),
        ],
        sensors=[
            arrival_sensor(home, running=bool(served), standby_seconds=0.0 if served == "replay" else STANDBY_SECONDS),
            failure_sensor(home, running=bool(served)),
            challenger_sensor(home),
        ],
        resources={
            "home": HomeResource(path=str(home.path)),
            "registry": RegistryResource(home=str(home.path)),
        },
        executor=dg.in_process_executor,
    )
