"""Why nobody acts on the kill switch now: what a person who has just thrown it must be told."""

from __future__ import annotations

from datetime import UTC, datetime

from aurora_pipeline.adapters.clock import clock_of
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.errors import LakeError
from aurora_pipeline.live.alert import TICK_FAILED
from aurora_pipeline.live.alerting import kept_alerts
from aurora_pipeline.live.decision_log import DecisionLog, session_folder
from aurora_pipeline.live.health import supervisor
from aurora_pipeline.live.last_settings import settings_trouble
from aurora_pipeline.live.session_opening import RECORD


def standstill(home: Home) -> list[str]:
    """Return one sentence for each thing that keeps the loop of a home from deciding; none where it is at work.

    A home that was never live has nothing to decide.
    """
    try:
        live_home = home.market().live
    except LakeError as error:
        return [str(error)]
    if not live_home:
        return [f"home {home.path} was never live: it has no live book"]
    live = home.path / "live"
    found = [alert.text for alert in supervisor(live / "service.json", datetime.now(tz=UTC))]
    session = home.calendar.running_session(clock_of(live).now())
    begun = (session_folder(live, session) / "opening" / RECORD).exists()
    return [text for text in (*found, "" if begun else settings_trouble(home), _failed_tick(home)) if text]


def _failed_tick(home: Home) -> str:
    """What the newest tick that failed said, if no bar was decided since; empty otherwise."""
    told = next((row for row in reversed(kept_alerts(home)) if row["key"] == TICK_FAILED), None)
    folders = sorted((home.path / "live" / "sessions").glob("*"))[-1:]
    decided = [
        bar.content["settled_at"] for folder in folders for bar in DecisionLog(folder) if bar.status == "decided"
    ]
    return str(told["text"]) if told and str(told["at"]) > max(decided, default="") else ""
