"""Predictions to model states: drift, challengers and their shadow scores, what each model is worth, who trades."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from aurora_pipeline.defs.resources import HomeResource, RegistryResource
from aurora_pipeline.defs.stage_run import StageRun
from aurora_pipeline.stages import VIEWS

GROUP = "lifecycle"
OWNERS = ["team:research"]
_KEY = ("session", "symbol", "decision_time")


def _predictions(families: Sequence[str]) -> list[dg.AssetKey]:
    return [dg.AssetKey(["prediction", family]) for family in families]


def drift_asset(families: Sequence[str], partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of drift."""

    @dg.asset(
        name="drift",
        deps=[*(f"{view}_features" for view in VIEWS), *_predictions(families), "labels", "residual_returns"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars"},
        description="How far a session's raw features, scores, ICs and market lie from what they were; asks for challengers, "
        "never for trades.",
    )
    def drift(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.adapters.drift_inputs import read_last_raw_features
        from aurora_pipeline.adapters.zoo import LABEL_COLUMNS, read_evidence, score_parts
        from aurora_pipeline.monitoring.drift import (
            feature_drift,
            prediction_drift,
            regime_drift,
            regime_measures,
            residual_drift,
        )
        from aurora_pipeline.monitoring.sequential_tests import lane_count

        run = StageRun(context, home.open(), "drift")
        rules, lake, last = run.settings.drift, run.home.lake, run.sessions[-1]
        sessions = [day for day in run.sessions if day >= run.scored_from]
        back = rules.window_sessions + rules.reference_sessions
        first = run.before(sessions[0], back) or sessions[0]
        labels = lake.read("labels", run.scored_from, last, LABEL_COLUMNS)
        evidence = read_evidence(run.home, run.settings, labels, run.scored_from, last)
        at_the_end = pl.col("decision_time") == pl.col("decision_time").max().over("session")
        lasting = pl.concat(
            part.filter(at_the_end) for part in score_parts(run.home, run.settings, run.scored_from, last)
        )
        closes = {day: run.home.calendar.close(day) for day in sessions}
        models = lasting.get_column("model").unique().sort().to_list()
        series = {model: {day: evidence.ics(model, closes[day]) for day in sessions} for model in models}
        frame = pl.concat(
            [
                feature_drift(read_last_raw_features(run.home, run.lineage.sessions, first, last), sessions, rules),
                prediction_drift(lasting, sessions, rules),
                residual_drift(series, lane_count(*_bars(run)), rules),
                regime_drift(regime_measures(lake.read("residual_returns", first, last)), sessions, rules),
            ]
        )
        run.write("drift", frame, run.keys)
        counts = dict(frame.filter("drifted").group_by("kind").len().sort("kind").iter_rows())
        return dg.MaterializeResult(
            metadata={**run.summary(), **{f"drifted_{kind}": count for kind, count in counts.items()}}
        )

    return drift


def challengers_asset(partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset that trains challengers."""

    @dg.asset(
        name="challengers",
        deps=["drift", "feature_panel", "labels"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars", "mlflow"},
        description="Challengers trained after a session's close because something drifted, and their refits when a fold begins.",
    )
    def challengers(
        context: dg.AssetExecutionContext, home: HomeResource, registry: RegistryResource
    ) -> dg.MaterializeResult:
        from aurora_pipeline.adapters.challenger_store import train_challenger, versions_due
        from aurora_pipeline.adapters.model_lifecycle import record_challenger
        from aurora_pipeline.contracts import empty
        from aurora_pipeline.monitoring.drift import challengers_wanted

        run = StageRun(context, home.open(), "challengers")
        lake, axis = run.home.lake, run.lineage.sessions
        sessions = [day for day in run.sessions if day >= run.scored_from]
        wanted = challengers_wanted(
            lake.read("drift", run.scored_from, sessions[-1]), axis, run.settings.models.families, run.settings.drift
        )
        begins = {fold.test_sessions[0] for fold in run.lineage.folds}
        earlier = run.before(sessions[0], 1)
        alive = lake.read("challengers", run.scored_from, earlier) if earlier else empty("challengers")
        rows: list[dict[str, Any]] = []
        for session in sessions:
            following = run.home.calendar.shift(session, 1)
            for name, family, first, reason in versions_due(session, following, wanted, alive, following in begins):
                version, directory = train_challenger(run.home, run.settings, name, family, following, axis)
                rows.append(
                    {
                        "session": session,
                        "model": name,
                        "family": family,
                        "first_session": first,
                        "serves_from": following,
                        "model_version": version,
                        "directory": directory,
                        "reason": reason,
                    }
                )
                alive = pl.concat([alive, pl.DataFrame(rows[-1:], schema=alive.schema)])
        frame = pl.DataFrame(rows, schema=empty("challengers").schema)
        run.write("challengers", frame, run.keys)
        unrecorded = record_challenger(registry.open(), run.home, frame)
        return dg.MaterializeResult(
            metadata={**run.summary(), "trained": frame.height, "registry": unrecorded or "up to date"}
        )

    return challengers


def shadow_predictions_asset(partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of the challengers' scores."""

    @dg.asset(
        name="shadow_predictions",
        deps=["challengers", "feature_panel"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars"},
        description="Scores of every challenger; nothing trades on them until it is promoted.",
    )
    def shadow_predictions(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.adapters.challenger_store import shadow_scores
        from aurora_pipeline.contracts import empty

        run = StageRun(context, home.open(), "shadow_predictions")
        for keys, sessions in run.blocks():
            challengers = run.home.lake.read("challengers", run.scored_from, sessions[-1])
            scored = [day for day in sessions if day >= run.scored_from]
            scores = empty("predictions")
            if challengers.height:
                scores = shadow_scores(run.home, challengers, run.read_back("features", scored, 0), scored)
            run.write("shadow_predictions", scores, keys)
        return dg.MaterializeResult(metadata=run.summary())

    return shadow_predictions


def model_scores_asset(families: Sequence[str], partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of what each model is worth."""

    @dg.asset(
        name="model_scores",
        deps=[*_predictions(families), "shadow_predictions", "labels", "feature_panel", "drift"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars"},
        description="Matured IC with interval, rank among peers, earnings, calibration, turnover, coverage and health of every "
        "model, as of each session's open.",
    )
    def model_scores(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.adapters.champions_in_force import scores_of_zoo

        run = StageRun(context, home.open(), "model_scores")
        axis = [day for day in run.lineage.sessions if run.scored_from <= day <= run.sessions[-1]]
        sessions = [day for day in run.sessions if day >= run.scored_from]
        frame = scores_of_zoo(run.home, run.settings, axis, sessions)
        run.write("model_scores", frame, run.keys)
        newest = frame.filter(pl.col("session") == sessions[-1]).drop_nulls("ic")
        numbers = {f"ic_{row['model']}": row["ic"] for row in newest.iter_rows(named=True)}
        return dg.MaterializeResult(metadata={**run.summary(), **numbers, "unsound": frame.get_column("fault").count()})

    return model_scores


def model_states_asset(families: Sequence[str], partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of the states."""

    @dg.asset(
        name="model_states",
        deps=[*_predictions(families), "shadow_predictions", "labels", "model_scores"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars", "mlflow"},
        description="Candidate, shadow, champion, probation or retired: the state of every model during a session, decided "
        "before its open, with the evidence.",
        check_specs=[
            dg.AssetCheckSpec(
                "one_champion",
                asset="model_states",
                blocking=True,
                description="No family has two models that trade, and no state rests on evidence its session could not have had.",
            )
        ],
    )
    def model_states(
        context: dg.AssetExecutionContext, home: HomeResource, registry: RegistryResource
    ) -> dg.MaterializeResult:
        from aurora_pipeline.adapters.champion_set import write_champion_set
        from aurora_pipeline.adapters.champions_in_force import states_of_zoo
        from aurora_pipeline.adapters.model_lifecycle import publish_states
        from aurora_pipeline.monitoring.lifecycle import state_violations
        from aurora_pipeline.monitoring.model_monitor import model_health

        run = StageRun(context, home.open(), "model_states")
        last = run.sessions[-1]
        axis = [day for day in run.lineage.sessions if run.scored_from <= day <= last]
        opens = {day: run.home.calendar.open(day) for day in axis}
        frame, ignored = states_of_zoo(
            run.home, run.settings, axis, model_health(run.read_back("model_scores", axis, 0))
        )
        wanted = frame.filter(pl.col("session").is_in(run.sessions))
        run.write("model_states", wanted, run.keys)
        problem = None
        if last == run.lineage.sessions[-1] or last == _newest_stored(run):
            write_champion_set(run.home, frame.filter(pl.col("session") == last), last)
            problem = publish_states(registry.open(), run.home, frame)
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
                    "one_champion", state_violations(wanted, opens), "families with two champions, or early evidence"
                )
            ],
        )

    return model_states


def _newest_stored(run: StageRun) -> date:
    """Last session of the newest stored partition of the states."""
    newest = run.home.lake.partitions("model_states")[-1]
    return run.home.sessions_of([newest], run.settings)[-1]


def _bars(run: StageRun) -> tuple[int, int]:
    return (78 if run.home.frequency == "5min" else 1), run.settings.horizon_bars(run.home.frequency)
