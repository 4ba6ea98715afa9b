"""The dead-man check: whether the loop is alive, told from its files alone. Works when daemon and UI are dead.

Run it from cron. It looks at the supervisor's sign of life, at the age of the newest settled bar and at the settings.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aurora_pipeline.adapters.clock import Clock, WallClock
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.live.alert import Alert
from aurora_pipeline.live.alerting import Sender, tell
from aurora_pipeline.live.decision_log import decision_log
from aurora_pipeline.live.last_settings import settings_trouble

SIGN_OF_LIFE = timedelta(seconds=60)
OVERDUE = timedelta(minutes=8)
"""A bar is settled within its five minutes, decided or not; the rest is grace."""


def check_health(home: Home, clock: Clock | None = None, send: Sender | None = None) -> list[Alert]:
    """Look, tell of what is wrong, and return it; empty if all is well.

    Parameters
    ----------
    home : Home
        A live home; of one that never was, this is returned and nobody is told: it has no place to keep that in.
    clock : Clock, optional
        The machine's by default: a replay has no dead man.
    send : callable, optional
        As of :func:`~aurora_pipeline.live.alerting.tell`.
    """
    if not home.market().live:
        text = f"home {home.path} was never live, so nothing in it can be alive; `aurora live --home {home.path}` makes it so"
        return [Alert("critical", "dead:home", text)]
    now = (clock or WallClock()).now()
    found = [*supervisor(home.path / "live" / "service.json", now), *_bars(home, now), *_settings(home)]
    tell(home, found, send, now)
    return found


def supervisor(path: Path, now: datetime) -> list[Alert]:
    """Tell whether no service is at work, by what it wrote to `live/service.json`."""
    if not path.exists():
        return [Alert("critical", "dead:service", f"{path.parent.parent}: no service runs; start `aurora live`")]
    content = json.loads(path.read_text(encoding="utf-8"))
    age = now - datetime.fromisoformat(content["alive_at"])
    if age > SIGN_OF_LIFE or not _alive(int(content["process"])):
        silent = f"the service gave its last sign of life {age.total_seconds():.0f} s ago"
        return [Alert("critical", "dead:service", f"{path.parent.parent}: {silent}; start `aurora live` again")]
    return []


def _bars(home: Home, now: datetime) -> list[Alert]:
    session = home.calendar.running_session(now)
    due = [end for end in home.calendar.bar_ends(session) if end + OVERDUE <= now]
    settled = decision_log(home.path / "live", session).newest()
    if not due or (settled is not None and settled >= due[-1]) or now.astimezone(UTC).date() != session:
        return []
    newest = "none" if settled is None else f"{settled:%H:%M} UTC"
    text = f"{home.path}: the bar that ended {due[-1]:%H:%M} UTC is not settled, the newest settled is {newest}; look at the runs"
    return [Alert("critical", "dead:bars", text)]


def _settings(home: Home) -> list[Alert]:
    trouble = settings_trouble(home)
    return [Alert("critical", "dead:settings", f"{home.path}: {trouble}")] if trouble else []


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
