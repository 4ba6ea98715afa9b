"""Telling people: every alert is kept in the home, and sent, once per stretch of trouble, to wherever `AURORA_ALERT_URLS` says.

The addresses (Apprise URLs: e-mail, Slack, ntfy, webhooks and many more, separated by blanks) hold secrets: they come from the
environment only and appear in no message, file or error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.errors import SettingsError
from aurora_pipeline.live.alert import Alert

URLS_VARIABLE = "AURORA_ALERT_URLS"
QUIET = timedelta(minutes=30)
"""An alert that comes again within this time of its last appearance belongs to the same trouble."""
Sender = Callable[[Alert], None]


def tell(home: Home, alerts: Iterable[Alert], send: Sender | None = None, now: datetime | None = None) -> list[Alert]:
    """Keep alerts in `<home>/live/alerts.jsonl` and send those that are news.

    Parameters
    ----------
    home : Home
    alerts : iterable of Alert
    send : callable, optional
        What sends one; by default through Apprise to the addresses of the environment, or nowhere if there are none.
    now : datetime, optional
        The machine's clock by default.

    Returns
    -------
    list of Alert
        Those that were news; all of them where the home cannot be written. Trouble while keeping or sending never stops the
        caller; that while sending is kept beside the alerts.
    """
    wanted = list(alerts)
    if not wanted:
        return []
    moment = now or datetime.now(tz=UTC)
    try:
        news = _kept(home, wanted, moment)
    except OSError:  # a full disk, or one that may not be written, is when somebody has to hear of it
        news = wanted
    for alert in news:
        try:
            (send or send_by_apprise)(alert)
        except Exception as error:  # an unreachable address must not stop a tick
            failure = Alert("warning", "alerting", f"could not send {alert.key}: {type(error).__name__}")
            with suppress(OSError):
                _keep(home, failure, moment, sent=False)
    return news


def _kept(home: Home, wanted: Sequence[Alert], moment: datetime) -> list[Alert]:
    """Keep alerts, and return those that are news."""
    with home.locked("alerts"):
        path = home.path / "live" / "alerts-seen.json"
        seen = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        news = []
        for alert in wanted:
            last = seen.get(alert.key)
            if last is None or moment - datetime.fromisoformat(last) > QUIET:
                news.append(alert)
            seen[alert.key] = moment.isoformat()
        recent = {key: last for key, last in seen.items() if moment - datetime.fromisoformat(last) <= QUIET}
        atomic_text(path, json.dumps(recent, sort_keys=True) + "\n")
        for alert in wanted:
            _keep(home, alert, moment, sent=alert in news)
    return news


def addresses() -> list[str]:
    """Apprise URLs of the environment."""
    return os.environ.get(URLS_VARIABLE, "").split()


def send_by_apprise(alert: Alert) -> None:
    """Send one alert to every address.

    Raises
    ------
    SettingsError
        An address is not one Apprise knows, or refused the message; it is named by its position, never by its text.
    """
    urls = addresses()
    if not urls:
        return
    import apprise

    kinds = {
        "info": apprise.NotifyType.INFO,
        "warning": apprise.NotifyType.WARNING,
        "critical": apprise.NotifyType.FAILURE,
    }
    for position, url in enumerate(urls, start=1):
        sender = apprise.Apprise()
        if not sender.add(url):
            raise SettingsError(f"{URLS_VARIABLE}: address {position} is not an Apprise URL")
        if not sender.notify(
            body=alert.text, title=f"Aurora {alert.severity}: {alert.key}", notify_type=kinds[alert.severity]
        ):
            raise SettingsError(f"{URLS_VARIABLE}: address {position} did not take the message")


def kept_alerts(home: Home, newest: int = 50) -> Sequence[dict[str, object]]:
    """Alerts kept in the home, newest last."""
    path = home.path / "live" / "alerts.jsonl"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-newest:]
    return [row for line in lines if (row := _row(line)) is not None]


def _row(line: str) -> dict[str, object] | None:
    """One kept alert; None for half a line, which is what a kill or a full disk can leave of one."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _keep(home: Home, alert: Alert, moment: datetime, *, sent: bool) -> None:
    path = home.path / "live" / "alerts.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"at": moment.isoformat(), "severity": alert.severity, "key": alert.key, "text": alert.text, "news": sent}
    with path.open("a+b") as handle:
        # An alert before this one may have been cut off: it must not take this one with it.
        end = handle.seek(0, os.SEEK_END)
        handle.seek(max(0, end - 1))
        torn = handle.read(1) not in (b"", b"\n")
        handle.write((b"\n" if torn else b"") + json.dumps(row).encode() + b"\n")
