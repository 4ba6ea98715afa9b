"""Lets a tick that the arrival sensor asks for begin at once, past the queue that all other runs wait in.

Dagster's queue is looked at once a second, which is half of the time a whole tick takes. A tick is never to wait for a slot
either: it holds the lock of the live book, so there is one at a time. Backfills and whatever a person starts are queued.
"""

from __future__ import annotations

import os

import dagster as dg

from aurora_pipeline.adapters.home import SERVED_VARIABLE

TICK_TAG = "aurora/tick"
"""Tag of every tick's run."""
SENSOR_TAG = "dagster/sensor_name"
"""Dagster's own tag of a run that a sensor asked for: it is submitted by the daemon, where the warm process is."""


class TicksGoAhead(dg.QueuedRunCoordinator):
    """Dagster's queue, but for ticks of homes that `aurora live` serves."""

    def submit_run(self, context: dg.SubmitRunContext) -> dg.DagsterRun:
        """Launch a sensor's tick, queue any other run; parameters as Dagster's."""
        run = context.dagster_run
        urgent = TICK_TAG in run.tags and SENSOR_TAG in run.tags and SERVED_VARIABLE in os.environ
        if urgent and run.status == dg.DagsterRunStatus.NOT_STARTED:
            return self._instance.launch_run(run.run_id, context.workspace)
        return super().submit_run(context)
