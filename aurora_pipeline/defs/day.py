"""Before the open, after the close, and when a run fails: jobs, their schedules and the sensor of failures."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.defs.live import TICK_JOB
from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.trade_book import BOOK_ASSETS

PREFLIGHT_JOB = "preflight"
CLOSE_JOB = "end_of_day"
BEFORE_OPEN = timedelta(minutes=60)
AFTER_CLOSE = timedelta(minutes=15)
_CLOSE_WITHIN = timedelta(hours=6)
_EVERY = "*/15 * * * *"


class DayConfig(dg.Config):
    """Which session.

    Attributes
    ----------
    session : str
        ISO date.
    """

    session: str


@dg.op(name="look_ahead", description="Everything the session's ticks will need: data, models, book, disk, clock.")
def look_ahead(context: dg.OpExecutionContext, config: DayConfig, home: HomeResource) -> None:
    """Run the preflight; fails where a check does."""
    from aurora_pipeline.defs.session_jobs import train_fold
    from aurora_pipeline.live.preflight import run_preflight

    checks = run_preflight(home.open(), date.fromisoformat(config.session), train_fold)
    context.add_output_metadata({check.name: f"{'ok' if check.passed else 'NO'}: {check.found}" for check in checks})
    wrong = [check for check in checks if not check.passed]
    if wrong:
        raise dg.Failure("; ".join(f"{check.name}: {check.found}" for check in wrong))


@dg.op(name="close_session", description="Settle what is left, make the session again, compare, mature labels, prune.")
def close_session(context: dg.OpExecutionContext, config: DayConfig, home: HomeResource) -> None:
    """Close a session; fails where it differs from the backfill."""
    from aurora_pipeline.defs.session_jobs import close_day

    report = close_day(home.open(), date.fromisoformat(config.session))
    numbers = {name: report[name] for name in ("decided", "skipped", "differences", "backfill_differences")}
    context.add_output_metadata({**numbers, "report": dg.MetadataValue.json(report)})
    for asset in BOOK_ASSETS:
        # The assets make everything again but the live book; its partition is told of here, for when the ticks have gone.
        context.log_event(dg.AssetMaterialization(asset, partition=config.session, metadata=numbers))
    if report["differences"] or report["backfill_differences"]:
        raise dg.Failure(f"the session differs from its backfill: {report['first_differences'][0]}")


@dg.job(name=PREFLIGHT_JOB, executor_def=dg.in_process_executor, description="An hour before the open.")
def preflight() -> None:
    """Look ahead."""
    look_ahead()


@dg.job(name=CLOSE_JOB, executor_def=dg.in_process_executor, description="A quarter of an hour after the close.")
def end_of_day_job() -> None:
    """Close the session."""
    close_session()


def day_schedules(home: Home, *, running: bool = False) -> list[dg.ScheduleDefinition]:
    """Build the schedules of preflight and close; both look every quarter of an hour and ask once per session."""
    status = dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name="before_the_open",
        cron_schedule=_EVERY,
        job_name=PREFLIGHT_JOB,
        execution_timezone="UTC",
        default_status=status,
        description="Once, within the hour before a session opens.",
    )
    def before_the_open(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time.astimezone(UTC)
        session = home.calendar.session_of(now)
        opened = home.calendar.open(session)
        if opened - BEFORE_OPEN <= now < opened:
            return _request(PREFLIGHT_JOB, "look_ahead", session)
        return dg.SkipReason(f"the next session, {session}, opens at {opened:%Y-%m-%d %H:%M} UTC")

    @dg.schedule(
        name="after_the_close",
        cron_schedule=_EVERY,
        job_name=CLOSE_JOB,
        execution_timezone="UTC",
        default_status=status,
        description="Once, after a session has closed.",
    )
    def after_the_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time.astimezone(UTC)
        session = last_closed(home, now)
        closed = home.calendar.close(session)
        if closed + AFTER_CLOSE <= now < closed + _CLOSE_WITHIN:
            return _request(CLOSE_JOB, "close_session", session)
        return dg.SkipReason(f"the last session, {session}, closed at {closed:%Y-%m-%d %H:%M} UTC")

    return [before_the_open, after_the_close]


def last_closed(home: Home, now: datetime) -> date:
    """Return the newest session that has closed."""
    calendar = home.calendar
    days = calendar.sessions((now - timedelta(days=14)).date(), now.date())
    return [day for day in days if calendar.close(day) <= now][-1]


def failure_sensor(home: Home, *, running: bool = False) -> dg.SensorDefinition:
    """Build the sensor that tells of failed runs."""

    @dg.run_failure_sensor(
        name="failed_runs",
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description="Tells of every run that fails: `AURORA_ALERT_URLS`, and `live/alerts.jsonl` of the home.",
    )
    def failed_runs(context: dg.RunFailureSensorContext) -> None:
        from aurora_pipeline.live.alert import Alert
        from aurora_pipeline.live.alerting import tell

        job = context.dagster_run.job_name
        reasons = [_cause(event) for event in context.get_step_failure_events()]
        text = (
            f"run {context.dagster_run.run_id} of {job} failed: {'; '.join(reasons) or context.failure_event.message}"
        )
        tell(home, [Alert("critical" if job in {TICK_JOB, CLOSE_JOB} else "warning", f"run:{job}", text)])

    return failed_runs


def _cause(event: dg.DagsterEvent) -> str:
    """What a step failed with, on one line: the error where it began, without what passed it on."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return f"{event.step_key}: {' '.join((error.message if error else '').split())}"


def _request(job: str, op: str, session: date) -> dg.RunRequest:
    config = {"ops": {op: {"config": {"session": session.isoformat()}}}}
    return dg.RunRequest(run_key=f"{job} {session}", job_name=job, run_config=config)
