"""Predictions to challengers: what drifted, which challengers that or a changed setting asks for, and their shadow scores."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from aurora_pipeline.adapters.models.model_registry import ModelRegistry
from aurora_pipeline.defs.session_asset import prediction_keys, session_asset
from aurora_pipeline.defs.stage_run import StageRun
from aurora_pipeline.stages import VIEWS

GROUP = "lifecycle"


def drift_asset(families: Sequence[str], partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of drift."""
    return session_asset(
        "drift",
        GROUP,
        [*(f"{view}_features" for view in VIEWS), *prediction_keys(families), "labels", "residual_returns"],
        partitions,
        "How far a session's raw features, scores, ICs and market lie from what they were; asks for challengers, never for "
        "trades.",
        _drift,
    )


def _drift(run: StageRun, _: ModelRegistry) -> dg.MaterializeResult:
    from aurora_pipeline.adapters.models.zoo import LABEL_COLUMNS, overlap_lanes, read_evidence, score_parts
    from aurora_pipeline.adapters.stage_inputs.drift import read_last_raw_features
    from aurora_pipeline.monitoring.drift import (
        feature_drift,
        prediction_drift,
        regime_drift,
        regime_measures,
        residual_drift,
    )

    rules, lake, last = run.settings.drift, run.home.lake, run.sessions[-1]
    sessions = [day for day in run.sessions if day >= run.scored_from]
    back = rules.window_sessions + rules.reference_sessions
    first = run.before(sessions[0], back) or sessions[0]
    labels = lake.read("labels", run.scored_from, last, LABEL_COLUMNS)
    evidence = read_evidence(run.home, run.settings, labels, run.scored_from, last)
    at_the_end = pl.col("decision_time") == pl.col("decision_time").max().over("session")
    lasting = pl.concat(part.filter(at_the_end) for part in score_parts(run.home, run.settings, run.scored_from, last))
    closes = {day: run.home.calendar.close(day) for day in sessions}
    models = lasting.get_column("model").unique().sort().to_list()
    series = {model: {day: evidence.ics(model, closes[day]) for day in sessions} for model in models}
    frame = pl.concat(
        [
            feature_drift(read_last_raw_features(run.home, run.lineage.sessions, first, last), sessions, rules),
            prediction_drift(lasting, sessions, rules),
            residual_drift(series, overlap_lanes(run.home, run.settings), rules),
            regime_drift(regime_measures(lake.read("residual_returns", first, last)), sessions, rules),
        ]
    )
    run.write("drift", frame, run.keys)
    counts = dict(frame.filter("drifted").group_by("kind").len().sort("kind").iter_rows())
    return dg.MaterializeResult(
        metadata={**run.summary(), **{f"drifted_{kind}": count for kind, count in counts.items()}}
    )


def challengers_asset(partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset that trains challengers."""
    return session_asset(
        "challengers",
        GROUP,
        ["drift", "feature_panel", "labels"],
        partitions,
        "Challengers trained after a session's close because something drifted or the settings of `models` changed, and their "
        "refits when a fold begins.",
        _challengers,
        kinds=("polars", "mlflow"),
    )


def _challengers(run: StageRun, registry: ModelRegistry) -> dg.MaterializeResult:
    from aurora_pipeline.adapters.models.challenger_store import (
        KNOWN_BY,
        DueVersion,
        known_by,
        train_challengers,
        versions_due,
    )
    from aurora_pipeline.adapters.models.configuration_log import recorded_configurations
    from aurora_pipeline.adapters.models.model_lifecycle import record_challenger
    from aurora_pipeline.adapters.models.zoo import first_sessions
    from aurora_pipeline.contracts import empty
    from aurora_pipeline.monitoring.drift import challengers_wanted

    lake, axis = run.home.lake, run.lineage.sessions
    sessions = [day for day in run.sessions if day >= run.scored_from]
    drift = lake.read("drift", run.scored_from, sessions[-1])
    families = first_sessions(run.home, run.settings, run.scored_from)
    wanted = challengers_wanted(drift, axis, families, run.settings.drift)
    configurations = recorded_configurations(run.home)
    begins = {fold.test_sessions[0] for fold in run.lineage.folds}
    earlier = run.before(sessions[0], 1)
    alive = lake.read("challengers", run.scored_from, earlier) if earlier else empty("challengers")
    known = alive.select(KNOWN_BY)
    versions: list[tuple[DueVersion, date]] = []
    for session in sessions:
        following = run.home.calendar.shift(session, 1)
        due = versions_due(session, following, wanted, configurations, known, following in begins, run.settings)
        versions += [(version, following) for version in due]
        known = pl.concat([known, known_by(due)])
    rows = train_challengers(run.home, run.settings, versions, axis)
    frame = pl.DataFrame(rows, schema=empty("challengers").schema)
    run.write("challengers", frame, run.keys)
    unrecorded = record_challenger(registry, run.home, frame)
    return dg.MaterializeResult(
        metadata={
            **run.summary(),
            "trained": frame.height,
            "asked_for": dg.MetadataValue.json(
                [f"{row['session']} {row['model']}: {row['reason']}" for row in frame.iter_rows(named=True)]
            ),
            "registry": unrecorded or "up to date",
        }
    )


def shadow_predictions_asset(partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of the challengers' scores."""
    return session_asset(
        "shadow_predictions",
        GROUP,
        ["challengers", "feature_panel"],
        partitions,
        "Scores of every challenger; nothing trades on them until it is promoted.",
        _shadow_predictions,
    )


def _shadow_predictions(run: StageRun, _: ModelRegistry) -> dg.MaterializeResult:
    from aurora_pipeline.adapters.models.challenger_store import shadow_scores
    from aurora_pipeline.contracts import empty

    for keys, sessions in run.blocks():
        challengers = run.home.lake.read("challengers", run.scored_from, sessions[-1])
        scored = [day for day in sessions if day >= run.scored_from]
        scores = empty("predictions")
        if challengers.height:
            scores = shadow_scores(run.home, challengers, run.read_back("features", scored, 0), scored)
        run.write("shadow_predictions", scores, keys)
    return dg.MaterializeResult(metadata=run.summary())
