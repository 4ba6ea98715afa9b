"""Predictions to who trades: what each model is worth, and the state it is in."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from aurora_pipeline.adapters.model_registry import ModelRegistry
from aurora_pipeline.defs.session_asset import (
    blocking_check,
    opens,
    prediction_keys,
    scored_sessions,
    session_asset,
)
from aurora_pipeline.defs.stage_run import StageRun

GROUP = "lifecycle"
_KEY = ("session", "symbol", "decision_time")


def model_scores_asset(families: Sequence[str], partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of what each model is worth."""
    return session_asset(
        "model_scores",
        GROUP,
        [*prediction_keys(families), "shadow_predictions", "labels", "feature_panel", "drift"],
        partitions,
        "Matured IC with interval, rank among peers, earnings, calibration, turnover, coverage and health of every model, as of "
        "each session's open.",
        _model_scores,
    )


def _model_scores(run: StageRun, _: ModelRegistry) -> dg.MaterializeResult:
    from aurora_pipeline.adapters.zoo import LABEL_COLUMNS, read_evidence, read_zoo, score_parts
    from aurora_pipeline.monitoring.drift import lost_features
    from aurora_pipeline.monitoring.model_monitor import model_scores, session_earnings, session_looks

    lake, last = run.home.lake, run.sessions[-1]
    zoo = read_zoo(run.home, run.settings, run.scored_from, last)
    labels = lake.read("labels", run.scored_from, last, LABEL_COLUMNS)
    drift = lake.read("drift", run.scored_from, last)
    lost = lost_features(drift, {member.model.name: member.features for member in zoo}, run.settings.drift.missing)
    rows = lake.read("features", run.scored_from, last, _KEY)
    looks, earnings = [], []
    for part in score_parts(run.home, run.settings, run.scored_from, last):
        looks.append(session_looks(part, rows, lost))
        earnings.append(session_earnings(part, labels))
    axis = scored_sessions(run)
    sessions = [day for day in run.sessions if day in set(axis)]
    frame = model_scores(
        sessions,
        axis,
        opens(run, sessions),
        zoo,
        read_evidence(run.home, run.settings, labels, run.scored_from, last),
        pl.concat(looks),
        pl.concat(earnings),
        run.settings.lifecycle,
    )
    run.write("model_scores", frame, run.keys)
    newest = frame.filter(pl.col("session") == sessions[-1]).drop_nulls("ic")
    numbers = {f"ic_{row['model']}": row["ic"] for row in newest.iter_rows(named=True)}
    return dg.MaterializeResult(metadata={**run.summary(), **numbers, "unsound": frame.get_column("fault").count()})


def model_states_asset(families: Sequence[str], partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of the states."""
    return session_asset(
        "model_states",
        GROUP,
        [*prediction_keys(families), "shadow_predictions", "labels", "model_scores"],
        partitions,
        "Candidate, shadow, champion, probation or retired: the state of every model during a session, decided before its open, "
        "with the evidence.",
        _model_states,
        kinds=("polars", "mlflow"),
        checks=[
            blocking_check(
                "one_champion",
                "model_states",
                "No family has two models that trade, and no state rests on evidence its session could not have had.",
            )
        ],
    )


def _model_states(run: StageRun, registry: ModelRegistry) -> dg.MaterializeResult:
    from aurora_pipeline.adapters.champion_set import write_champion_set
    from aurora_pipeline.adapters.decision_log import DecisionLog
    from aurora_pipeline.adapters.model_lifecycle import publish_states
    from aurora_pipeline.adapters.zoo import LABEL_COLUMNS, read_evidence, read_zoo
    from aurora_pipeline.monitoring.lifecycle import model_states
    from aurora_pipeline.monitoring.model_monitor import model_health
    from aurora_pipeline.monitoring.served_states import state_violations

    lake, last = run.home.lake, run.sessions[-1]
    axis = scored_sessions(run)
    opened = opens(run, axis)
    labels = lake.read("labels", run.scored_from, last, LABEL_COLUMNS)
    frame, ignored = model_states(
        axis,
        opened,
        [member.model for member in read_zoo(run.home, run.settings, run.scored_from, last)],
        read_evidence(run.home, run.settings, labels, run.scored_from, last),
        model_health(run.read_back("model_scores", axis, 0)),
        DecisionLog(run.home).decisions(),
        run.settings.lifecycle,
    )
    wanted = frame.filter(pl.col("session").is_in(run.sessions))
    run.write("model_states", wanted, run.keys)
    problem = None
    if last == run.lineage.sessions[-1] or last == _newest_stored(run):
        write_champion_set(run.home, frame.filter(pl.col("session") == last), last)
        problem = publish_states(registry, run.home, frame)
    counts = dict(wanted.filter(pl.col("session") == last).group_by("state").len().iter_rows())
    return dg.MaterializeResult(
        metadata={
            **run.summary(),
            **counts,
            "registry": problem or "up to date",
            "ignored_decisions": len(ignored),
            "ignored": dg.MetadataValue.json(ignored),
        },
        check_results=[
            run.check(
                "one_champion", state_violations(wanted, opened), "families with two champions, or early evidence"
            )
        ],
    )


def _newest_stored(run: StageRun) -> date:
    """Last session of the newest stored partition of the states."""
    newest = run.home.lake.partitions("model_states")[-1]
    return run.home.sessions_of([newest], run.settings)[-1]
