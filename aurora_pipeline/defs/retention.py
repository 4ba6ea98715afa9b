"""Removes finished tick runs from a home's Dagster instance."""

from datetime import datetime

import dagster as dg

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.instance import STORAGE_FOLDER
from aurora_pipeline.defs.instances import instance_of
from aurora_pipeline.defs.tick_coordinator import TICK_TAG

_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def remove_tick_runs(home: Home, kept_from: datetime) -> int:
    """Delete finished tick runs created before a moment, with their events; returns how many."""
    with instance_of(home) as instance:
        old = dg.RunsFilter(tags={TICK_TAG: "true"}, statuses=_FINISHED, created_before=kept_from)
        runs = instance.get_runs(filters=old)
        for run in runs:
            instance.delete_run(run.run_id)
            # Each run's events lie in a database of their own, which Dagster empties but keeps.
            for file in (home.path / STORAGE_FOLDER).rglob(f"{run.run_id}.db*"):
                file.unlink(missing_ok=True)
        return len(runs)
