"""The arrival sensor: a bar in the inbox starts its tick, whenever it comes.

The sensor daemon looks every five seconds; an evaluation therefore waits for the inbox itself (long-polling), for longer than
that, and returns the moment a bar is there.
"""

from __future__ import annotations

import time

import dagster as dg

from aurora_pipeline.adapters.clock import clock_of
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.defs.dead_runs import bury_the_dead
from aurora_pipeline.defs.live import TICK_JOB, tick_request
from aurora_pipeline.live.arrival_watch import ArrivalWatch

SENSOR = "bar_arrival"
POLL_SECONDS = 20.0
"""How long an evaluation waits: more than the daemon's loop of 5 s, less than the 60 s after which it gives up on one."""


STANDBY_SECONDS = 5.0
"""How long it leaves a new bar to the run that was armed for it, where a schedule arms one."""


def arrival_sensor(
    home: Home, *, running: bool = False, poll_seconds: float = POLL_SECONDS, standby_seconds: float = 0.0
) -> dg.SensorDefinition:
    """Build the sensor; it is off unless the home is served."""

    @dg.sensor(
        name=SENSOR,
        job_name=TICK_JOB,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description="A new bar in the inbox starts its tick. Late rows, corrections and feed rows wait for the next one.",
    )
    def bar_arrival(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if not home.market().live:
            return dg.SkipReason(f"home {home.path} is not live; `aurora live` makes it so")
        watch = ArrivalWatch(Home(home.path), clock_of(home.path / "live"))
        deadline = time.monotonic() + poll_seconds
        while True:
            found = watch.newest_bar(context.cursor)
            if found is not None and time.time() - found.visible >= standby_seconds:
                if found.attempt > 1 or standby_seconds:
                    bury_the_dead(context.instance)  # the run this one stands in for may hold a slot of the queue
                request = tick_request(found.session, found.bar_end, found.attempt)
                return dg.SensorResult(run_requests=[request], cursor=found.cursor)
            if time.monotonic() >= deadline:
                return dg.SkipReason(watch.reason)
            time.sleep(0.05)

    return bar_arrival
