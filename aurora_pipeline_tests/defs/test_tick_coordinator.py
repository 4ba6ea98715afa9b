"""A tick that the sensor asks for is launched at once; every other run is queued."""

from types import SimpleNamespace

import dagster as dg
import pytest

from aurora_pipeline.adapters.home import SERVED_VARIABLE
from aurora_pipeline.defs.tick_coordinator import SENSOR_TAG, TICK_TAG, TicksGoAhead

BY_SENSOR = {TICK_TAG: "true", SENSOR_TAG: "bar_arrival"}


class Instance:
    """What a coordinator asks of Dagster's instance."""

    def __init__(self, run):
        self.run, self.done = run, []

    def launch_run(self, run_id, _):
        self.done.append(f"launched {run_id}")
        return self.run

    def report_dagster_event(self, event, run_id):
        self.done.append(f"{event.event_type_value} {run_id}")

    def get_run_by_id(self, _):
        return self.run


@pytest.mark.parametrize(
    ("tags", "served", "status", "done"),
    [
        (BY_SENSOR, True, dg.DagsterRunStatus.NOT_STARTED, ["launched 7"]),
        (BY_SENSOR, True, dg.DagsterRunStatus.STARTED, []),
        (BY_SENSOR, False, dg.DagsterRunStatus.NOT_STARTED, ["PIPELINE_ENQUEUED 7"]),
        ({TICK_TAG: "true"}, True, dg.DagsterRunStatus.NOT_STARTED, ["PIPELINE_ENQUEUED 7"]),
        ({SENSOR_TAG: "challengers"}, True, dg.DagsterRunStatus.NOT_STARTED, ["PIPELINE_ENQUEUED 7"]),
    ],
)
def test_only_a_served_home_s_tick_from_the_sensor_goes_ahead(tags, served, status, done, monkeypatch):
    monkeypatch.delenv(SERVED_VARIABLE, raising=False)
    if served:
        monkeypatch.setenv(SERVED_VARIABLE, "live")
    run = dg.DagsterRun(job_name="tick", run_id="7", tags=tags, status=status)
    instance, coordinator = Instance(run), TicksGoAhead()
    coordinator._instance_weakref = lambda: instance
    returned = coordinator.submit_run(dg.SubmitRunContext(run, SimpleNamespace()))
    assert returned is run
    assert instance.done == done
