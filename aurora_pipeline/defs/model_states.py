"""Predictions to who trades: what each model is worth, and the state it is in."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import polars as pl

from aurora_pipeline.adapters.models.model_registry import ModelRegistry
from aurora_pipeline.defs.session_asset import (
    blocking_check,
    opens,
    prediction_keys,
    scored_sessions,
    session_asset,
)
from aurora_pipeline.defs.shown_numbers import shown_numbers
from aurora_pipeline.defs.stage_run import StageRun
from aurora_pipeline.monitoring.text_table import markdown_table

GROUP = "lifecycle"
_SHOWN = 200
"""Changes of state that are shown of one run."""


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
    from aurora_pipeline.adapters.models.champions_in_force import scores_of_zoo

    sessions = [day for day in run.sessions if day >= run.scored_from]
    frame = scores_of_zoo(run.home, run.settings, scored_sessions(run), sessions)
    run.write("model_scores", frame, run.keys)
    newest = frame.filter(pl.col("session") == sessions[-1]).drop_nulls("ic")
    numbers = {f"ic_{row['model']}": row["ic"] for row in newest.iter_rows(named=True)}
    return dg.MaterializeResult(
        metadata={**run.summary(), **shown_numbers(numbers), "unsound": frame.get_column("fault").count()}
    )


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
    from aurora_pipeline.adapters.models.champion_set import write_champion_set
    from aurora_pipeline.adapters.models.champions_in_force import states_of_zoo
    from aurora_pipeline.adapters.models.model_lifecycle import publish_states
    from aurora_pipeline.monitoring.model_monitor import model_health
    from aurora_pipeline.monitoring.served_states import state_changes, state_violations

    last, axis = run.sessions[-1], scored_sessions(run)
    opened = opens(run, axis)
    frame, ignored = states_of_zoo(run.home, run.settings, axis, model_health(run.read_back("model_scores", axis, 0)))
    wanted = frame.filter(pl.col("session").is_in(run.sessions))
    problem, stored = None, run.home.lake.partitions("model_states")
    if last == run.lineage.sessions[-1] or not stored or run.keys[-1] >= stored[-1]:
        # Before the states are stored: cut off in between they are not, so that all of it is done again.
        write_champion_set(run.home, frame.filter(pl.col("session") == last), last)
        problem = publish_states(registry, run.home, frame)
    run.write("model_states", wanted, run.keys)
    counts = dict(wanted.filter(pl.col("session") == last).group_by("state").len().iter_rows())
    return dg.MaterializeResult(
        metadata={
            **run.summary(),
            **counts,
            "registry": problem or "up to date",
            "changes": dg.MetadataValue.md(_table(state_changes(wanted))),
            "ignored_decisions": len(ignored),
            "ignored": dg.MetadataValue.json(ignored),
        },
        check_results=[
            run.check(
                "one_champion", state_violations(wanted, opened), "families with two champions, or early evidence"
            )
        ],
    )


def _table(changes: pl.DataFrame) -> str:
    """Changes of state with their reasons as markdown, the newest first."""
    shown = ("session", "model", "state", "decided_by", "reason")
    return "\n".join(markdown_table(shown, changes.select(shown).reverse().head(_SHOWN).iter_rows(), str))
