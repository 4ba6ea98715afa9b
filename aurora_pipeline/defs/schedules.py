"""The armed five-minute schedule: a run starts a minute before each bar's end, loads its champions and waits for the bar.

A process takes seconds to start; started with the bar's end it would not be there yet when the bar comes.
"""

from datetime import UTC, timedelta

import dagster as dg

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.calendar import BAR_MINUTES
from aurora_pipeline.defs.live import TICK_JOB, tick_request

SCHEDULE = "five_minutes"
LEAD = timedelta(minutes=1)
"""How long before a bar's end its run starts."""


def five_minute_schedule(home: Home, *, running: bool = False) -> dg.ScheduleDefinition:
    """Build the schedule; it is off unless the home is served live, and skips, with the reason, outside sessions."""

    @dg.schedule(
        name=SCHEDULE,
        cron_schedule=f"{BAR_MINUTES - 1}-59/{BAR_MINUTES} * * * *",
        job_name=TICK_JOB,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        description="A minute before every bar of an exchange session ends: start the tick that waits for it.",
    )
    def five_minutes(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        bar_end = context.scheduled_execution_time.astimezone(UTC) + LEAD
        calendar = home.calendar
        day = bar_end.date()
        if not calendar.is_session(day):
            return dg.SkipReason(f"{day} is not a session of {calendar.code}")
        first = calendar.open(day) + timedelta(minutes=BAR_MINUTES)
        if not first <= bar_end <= calendar.close(day):
            return dg.SkipReason(
                f"{bar_end:%H:%M} UTC lies outside the bar ends {first:%H:%M} to {calendar.close(day):%H:%M}"
            )
        record = home.market()
        if day > record.last_session and not record.live:
            return dg.SkipReason(f"market {record.name} ends on {record.last_session}: no bars for {day}")
        return tick_request(day, bar_end)

    return five_minutes
