"""The five-minute schedule: today's session, from bars to target positions, while the exchange is open."""

from datetime import UTC, timedelta

import dagster as dg

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.lake import partition_of
from aurora_pipeline.calendar import BAR_MINUTES
from aurora_pipeline.defs.jobs import SESSION_JOB

SCHEDULE = "five_minutes"


def five_minute_schedule(home: Home) -> dg.ScheduleDefinition:
    """Build the schedule; it is off until switched on in the UI, and skips, with the reason, outside sessions."""

    @dg.schedule(
        name=SCHEDULE,
        cron_schedule=f"*/{BAR_MINUTES} * * * *",
        job_name=SESSION_JOB,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Every five minutes of an exchange session: materialise today's partition up to the newest bar.",
    )
    def five_minutes(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time.astimezone(UTC)
        calendar = home.calendar
        day = now.date()
        if not calendar.is_session(day):
            return dg.SkipReason(f"{day} is not a session of {calendar.code}")
        first = calendar.open(day) + timedelta(minutes=BAR_MINUTES)
        if not first <= now <= calendar.close(day):
            return dg.SkipReason(
                f"{now:%H:%M} UTC lies outside the bar ends {first:%H:%M} to {calendar.close(day):%H:%M}"
            )
        if day > home.market().last_session:
            return dg.SkipReason(f"market {home.market().name} ends on {home.market().last_session}: no bars for {day}")
        return dg.RunRequest(run_key=f"{now:%Y-%m-%dT%H:%M}", partition_key=partition_of(day, home.frequency))

    return five_minutes
