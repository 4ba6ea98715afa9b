"""The tick as a job: one step that decides a bar and reports the assets whose partition of today it replaced.

One step, not one per asset: the graph's own assets walk through the fingerprints of the whole history and run every leak
check, which is right for a backfill and takes seconds. A tick runs the same functions on today, and at the end of the day the
assets make the session again.
"""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from aurora_pipeline.defs.market_data import SESSION_TABLES
from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.tick_coordinator import TICK_TAG
from aurora_pipeline.stages import VIEWS

if TYPE_CHECKING:
    from aurora_pipeline.live.decision_log import Settled

TICK_JOB = "tick"
TICK_TAGS = {
    TICK_TAG: "true",
    "dagster/max_runtime": "240",  # the next bar is due then
    "dagster/priority": "10",
}
OP = "decide"
SHOWN_TARGETS = 25
SHOWN_IN_LINE = 8


class TickConfig(dg.Config):
    """Which bar to decide.

    Attributes
    ----------
    session : str
        Session, ISO date; the running one if empty.
    bar_end : str
        End of the bar, ISO; the newest that is there if empty.
    """

    session: str = ""
    bar_end: str = ""


def tick_request(session: date, bar_end: datetime, attempt: int = 1) -> dg.RunRequest:
    """Return the request for one bar's tick; the same attempt at the same bar gives the same key."""
    stamp = bar_end.astimezone(UTC)
    config = {"session": session.isoformat(), "bar_end": stamp.isoformat()}
    return dg.RunRequest(
        run_key=f"{session} {stamp:%H:%M}" + (f" attempt {attempt}" if attempt > 1 else ""),
        job_name=TICK_JOB,
        run_config={"ops": {OP: {"config": config}}},
        tags={**TICK_TAGS, "aurora/bar_end": f"{stamp:%Y-%m-%dT%H:%M}"},
    )


def asset_tables(families: Sequence[str]) -> dict[str, str]:
    """Asset to the lake table a tick writes of it."""
    tables = {name: name for name in (*SESSION_TABLES, "residual_returns", "ensemble_weights", "ensemble")}
    tables |= {f"{view}_features": f"{view}_features" for view in VIEWS}
    tables |= {"feature_panel": "features"} | {f"prediction/{family}": "predictions" for family in families}
    tables |= {"calibrated_signals": "signals", "target_positions": "targets"}
    return tables | {name: name for name in ("orders", "fills", "portfolio")}


def _wanted(settled: "Settled") -> str:
    """Return the largest targets of a decision as a table."""
    rows = sorted(settled.content["targets"], key=lambda row: -abs(row["target_weight"]))
    lines = [
        f"| {row['symbol']} | {1e4 * row['target_weight']:.1f} | {1e4 * row['current_weight']:.1f} | {row['reason']} |"
        for row in rows[:SHOWN_TARGETS]
    ]
    return "\n".join(["| symbol | target, bps of NAV | held, bps | why |", "|---|---|---|---|", *lines])


def _largest(settled: "Settled") -> str:
    """Return the largest targets of a decision as one line; names that are not to be held are none of them."""
    held = [row for row in settled.content["targets"] if row["target_weight"]]
    rows = sorted(held, key=lambda row: -abs(row["target_weight"]))[:SHOWN_IN_LINE]
    return (
        ", ".join(f"{row['symbol']} {1e4 * row['target_weight']:+.1f} bps" for row in rows) or "none: the book is flat"
    )


@dg.op(description="Does nothing.")
def nothing() -> None:
    """Do nothing."""


@dg.job(
    executor_def=dg.in_process_executor,
    description="Does nothing: what a run costs Dagster itself, for `aurora bench tick`.",
)
def empty_run() -> None:
    """Do nothing."""
    nothing()


def tick_job(families: Sequence[str]) -> dg.JobDefinition:
    """Build the job of the tick."""

    @dg.op(name=OP, description="Take the inbox in, decide the bar, make it durable, replace today's partitions.")
    def decide(context: dg.OpExecutionContext, config: TickConfig, home: HomeResource) -> None:
        from aurora_pipeline.adapters.clock import clock_of
        from aurora_pipeline.errors import AuroraError
        from aurora_pipeline.live.alert import TICK_FAILED, Alert
        from aurora_pipeline.live.alerting import tell
        from aurora_pipeline.live.homes import extend_market
        from aurora_pipeline.live.process_clock import process_started
        from aurora_pipeline.live.tick import TickRunner

        moments = {"process": process_started(), "step": time.time()}
        opened = home.open()
        now = clock_of(opened.path / "live").now()
        session = date.fromisoformat(config.session) if config.session else opened.calendar.running_session(now)
        try:
            runner = TickRunner(extend_market(opened, session), session)
            runner.moments |= moments
            bar_end = datetime.fromisoformat(config.bar_end) if config.bar_end else runner.due(now)
            outcome = runner.attempt(bar_end)
            if outcome is None:
                runner.warm_up()
                outcome = runner.wait(bar_end)
        except AuroraError as error:
            tell(opened, [Alert("critical", TICK_FAILED, f"session {session}, no decision was taken: {error}")])
            raise
        tell(opened, outcome.alerts)
        settled = outcome.settled
        context.log.info(f"{bar_end:%H:%M} UTC {settled.status} {settled.reason}".strip())
        numbers: dict[str, Any] = {name: round(value, 6) for name, value in outcome.numbers.items()}
        numbers |= {f"{name}_ms": value for name, value in outcome.timings_ms.items()}
        when = dg.MetadataValue.timestamp(outcome.bar_end)
        context.add_output_metadata({"bar_end": when, "status": settled.status, "reason": settled.reason, **numbers})
        if not outcome.rows:
            return
        for asset, name in asset_tables(families).items():
            book: dict[str, Any] = {}
            if asset == "target_positions":
                table = dg.MetadataValue.md(_wanted(settled))
                book = {"decided": when, "largest_targets": _largest(settled), "targets": table, **numbers}
            event = dg.AssetMaterialization(
                dg.AssetKey(asset.split("/")),
                partition=session.isoformat(),
                metadata={"rows": outcome.rows[name], **book},
            )
            context.log_event(event)

    @dg.job(
        name=TICK_JOB,
        executor_def=dg.in_process_executor,
        tags=TICK_TAGS,
        description="One bar of the running session, from the inbox to durable targets of the book `live`.",
    )
    def tick() -> None:
        decide()

    return tick
