import errno
import os
import sys
from datetime import UTC, datetime, timedelta

import pytest

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.errors import SettingsError
from aurora_pipeline.live.alert import Alert
from aurora_pipeline.live.alerting import QUIET, URLS_VARIABLE, kept_alerts, send_by_apprise, tell

NOON = datetime(2024, 11, 26, 12, tzinfo=UTC)
RIDGE, DISK = Alert("warning", "model:ridge", "ridge failed"), Alert("critical", "disk", "disk full")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def test_the_same_trouble_is_told_once_while_it_lasts_and_again_after_quiet(home):
    sent = []
    for minutes in (0, 5, 29, 58):  # never quiet for half an hour
        tell(home, [RIDGE], sent.append, NOON + timedelta(minutes=minutes))
    assert sent == [RIDGE]
    tell(home, [RIDGE], sent.append, NOON + timedelta(minutes=58) + QUIET + timedelta(seconds=1))
    assert sent == [RIDGE, RIDGE]


def test_every_alert_is_kept_be_it_news_or_not(home):
    tell(home, [RIDGE, DISK], lambda alert: None, NOON)
    tell(home, [RIDGE], lambda alert: None, NOON)
    assert [(row["key"], row["news"]) for row in kept_alerts(home)] == [
        ("model:ridge", True), ("disk", True), ("model:ridge", False),
    ]  # fmt: skip


def test_an_alert_that_was_cut_off_takes_no_other_with_it(home):
    tell(home, [RIDGE], lambda alert: None, NOON)
    path = home.path / "live" / "alerts.jsonl"
    path.write_bytes(path.read_bytes() + b'{"at": "2024-11-26T15:0')
    tell(home, [DISK], lambda alert: None, NOON)
    assert [row["key"] for row in kept_alerts(home)] == [RIDGE.key, DISK.key]


def test_different_trouble_is_told_separately(home):
    assert tell(home, [RIDGE, DISK], lambda alert: None, NOON) == [RIDGE, DISK]


def test_nothing_to_tell_writes_nothing(home):
    assert tell(home, [], lambda alert: None, NOON) == []
    assert not list(home.path.iterdir())


def test_a_home_that_cannot_be_written_tells_all_the_same(home, monkeypatch):
    sent = []
    tell(home, [RIDGE], sent.append, NOON)
    before = kept_alerts(home)

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("aurora_pipeline.live.alerting.atomic_text", no_space)
    assert tell(home, [RIDGE, DISK], sent.append, NOON) == [RIDGE, DISK]
    assert sent == [RIDGE, RIDGE, DISK]
    assert kept_alerts(home) == before


def test_an_address_that_cannot_be_reached_stops_nobody_and_is_not_written_down(home):
    def unreachable(alert):
        raise OSError("mailto://user:secret@example.org refused")

    tell(home, [RIDGE], unreachable, NOON)
    kept = str(kept_alerts(home))
    assert "could not send model:ridge: OSError" in kept
    assert "secret" not in kept


def test_without_addresses_nothing_is_sent_or_loaded(monkeypatch):
    monkeypatch.delenv(URLS_VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "apprise", None)  # importing it now is an error
    send_by_apprise(RIDGE)


def test_addresses_come_from_the_environment_and_a_wrong_one_is_named_by_its_position(monkeypatch):
    pytest.importorskip("apprise")
    monkeypatch.setenv(URLS_VARIABLE, "nosuch://token-that-is-secret")
    with pytest.raises(SettingsError, match="address 1 is not an Apprise URL") as caught:
        send_by_apprise(RIDGE)
    assert "secret" not in str(caught.value)


def test_an_alert_reaches_a_webhook_with_severity_and_text(monkeypatch):
    import json
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    pytest.importorskip("apprise")
    received = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.timeout = 10
    thread = Thread(target=server.handle_request, daemon=True)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(URLS_VARIABLE, f"json://127.0.0.1:{server.server_port}/alert")
    send_by_apprise(DISK)
    thread.join(timeout=10)
    server.server_close()
    (message,) = received
    assert message["title"] == "Aurora critical: disk"
    assert message["message"] == "disk full"
    assert message["type"] == "failure"
