"""Jobs: the stretches of the graph that run as one."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from aurora_pipeline.defs.market_data import FEEDS_ASSET, SESSION_TABLES
from aurora_pipeline.defs.model_tracking import TRACKING_ASSET
from aurora_pipeline.defs.performance_dashboard import DASHBOARD_ASSET
from aurora_pipeline.defs.trade_book import BOOK_ASSETS
from aurora_pipeline.stages import VIEWS

FEEDS_JOB = "market_feeds_job"
DATA_JOB = "bars_to_labels"
TRAINING_JOB = "train_fold"
PREDICTION_JOB = "predict"
LIFECYCLE_JOB = "model_lifecycle"
CHALLENGER_JOB = "train_challengers"
SIGNAL_JOB = "predictions_to_signals"
BOOK_JOB = "trade_book_job"
SESSION_JOB = "trading_session"
EVALUATION_JOB = "evaluation_job"
REPORT_JOB = "report_job"

DATA_ASSETS = (*SESSION_TABLES, "residual_returns", *(f"{view}_features" for view in VIEWS), "feature_panel", "labels")
LIFECYCLE_ASSETS = ("drift", "challengers", "shadow_predictions", "model_scores", "model_states")
STATE_ASSETS = ("model_scores", "model_states")
SIGNAL_ASSETS = ("ensemble_weights", "ensemble", "calibrated_signals")

EVALUATION_ASSETS = ("signal_quality", "model_comparison", TRACKING_ASSET)
"""What is said of scores and signals: nothing of it waits for the book."""
BOOK_REPORT_ASSETS = ("report", "model_contributions", "claims", DASHBOARD_ASSET)


def build_jobs(families: Sequence[str]) -> list[dg.UnresolvedAssetJobDefinition]:
    """Return every job for the given model families."""
    predictions = [dg.AssetKey(["prediction", family]) for family in families]
    models = [dg.AssetKey(["trained_model", family]) for family in families]

    def job(name: str, assets: Sequence[str | dg.AssetKey], description: str) -> dg.UnresolvedAssetJobDefinition:
        return dg.define_asset_job(name, selection=dg.AssetSelection.assets(*assets), description=description)

    return [
        job(FEEDS_JOB, [FEEDS_ASSET], "Read and validate the market folder's feeds."),
        job(DATA_JOB, DATA_ASSETS, "Bars, residual returns, features and labels of a range of sessions."),
        job(TRAINING_JOB, ["feature_audit", *models], "Feature audit and all families of one fold."),
        job(PREDICTION_JOB, predictions, "Out-of-fold scores of every family over a range of sessions."),
        job(
            LIFECYCLE_JOB,
            LIFECYCLE_ASSETS,
            "Drift, challengers, shadow scores and model states over a range of sessions.",
        ),
        job(CHALLENGER_JOB, ["challengers"], "Train the challengers that a session's drift asks for."),
        job(SIGNAL_JOB, SIGNAL_ASSETS, "Weights, ensemble and calibrated signals over a range of sessions."),
        job(BOOK_JOB, list(BOOK_ASSETS), "The backtest book over a range of sessions, continued from its last state."),
        job(
            SESSION_JOB,
            [*DATA_ASSETS, *predictions, *STATE_ASSETS, *SIGNAL_ASSETS, *BOOK_ASSETS],
            "One session from bars to target positions: choose today's partition, or a past one.",
        ),
        job(
            EVALUATION_JOB,
            EVALUATION_ASSETS,
            "Signal quality and comparison of models; out-of-fold ICs to MLflow: the reports that need no book.",
        ),
        job(
            REPORT_JOB,
            [*EVALUATION_ASSETS, *BOOK_REPORT_ASSETS],
            "Scorecard, signal quality, comparison and contributions of models, claims, dashboard; out-of-fold ICs to MLflow.",
        ),
    ]
