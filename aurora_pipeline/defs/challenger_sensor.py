"""A session whose drift asks for a challenger gets one trained: a sensor, so that drift never trades."""

from datetime import date

import dagster as dg

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.storage.lake import partition_of
from aurora_pipeline.defs.jobs import CHALLENGER_JOB

SENSOR = "drift_asks_for_challenger"


def challenger_sensor(home: Home) -> dg.SensorDefinition:
    """Build the sensor; it is off until switched on in the UI, and skips, with the reason, where nothing drifted."""

    @dg.sensor(
        name=SENSOR,
        job_name=CHALLENGER_JOB,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Trains a challenger after a session whose drift asks for one; it predicts in shadow and trades nothing.",
    )
    def drift_asks_for_challenger(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from aurora_pipeline.adapters.models.zoo import first_sessions
        from aurora_pipeline.monitoring.drift import challengers_wanted

        settings = home.settings()
        drift = home.lake.read("drift")
        if drift.is_empty():
            return dg.SkipReason("no session's drift has been measured yet")
        newest: date = drift.get_column("session").max()  # type: ignore[assignment]
        if context.cursor and context.cursor >= newest.isoformat():
            return dg.SkipReason(f"drift of {newest} has been looked at")
        cursor = newest.isoformat()
        axis = home.sessions(settings)
        families = first_sessions(home, settings, drift.get_column("session").min())  # type: ignore[arg-type]
        wanted = challengers_wanted(drift, axis, families, settings.drift)
        asked = [want for want in wanted if want.session == newest]
        if not asked:
            return dg.SensorResult(skip_reason=f"nothing that drifted by {newest} asks for a challenger", cursor=cursor)
        key = partition_of(newest, home.frequency)
        reasons = "; ".join(f"{want.family}: {want.reason}" for want in asked)
        request = dg.RunRequest(run_key=f"challenger-{newest}", partition_key=key, tags={"aurora/drift": reasons[:200]})
        return dg.SensorResult(run_requests=[request], cursor=cursor)

    return drift_asks_for_challenger
