"""The dead-man check, from files alone."""

import json
import os
from datetime import UTC, date, datetime, timedelta

import pytest

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.live.alerting import kept_alerts
from aurora_pipeline.live.decision_log import decision_log
from aurora_pipeline.live.health import OVERDUE, check_health
from aurora_pipeline_tests.market.tiny import CALENDAR

SESSION = date(2024, 11, 26)
ENDS = CALENDAR.bar_ends(SESSION)


class Fixed:
    def __init__(self, moment):
        self.moment = moment

    def now(self):
        return self.moment


@pytest.fixture
def home(tmp_path):
    record = MarketRecord(name="x", directory=tmp_path, first_session=SESSION, last_session=SESSION, live=True)
    Home(tmp_path).record_market(record)
    (tmp_path / "live").mkdir()
    return Home(tmp_path)


def serve(home, moment, process=None):
    content = {"alive_at": moment.isoformat(), "process": process or os.getpid()}
    (home.path / "live" / "service.json").write_text(json.dumps(content))


def look(home, moment):
    return [alert.key for alert in check_health(home, Fixed(moment), lambda alert: None)]


def test_a_served_home_with_its_bars_settled_is_alive(home):
    now = ENDS[3] + timedelta(minutes=4)
    serve(home, now)
    for end in ENDS[:4]:
        decision_log(home.path / "live", SESSION).settle(end, "skipped", "test")
    assert look(home, now) == []


def test_no_service_and_no_sign_of_life_are_told(home):
    before = datetime(2024, 11, 26, 9, tzinfo=UTC)
    assert look(home, before) == ["dead:service"]
    serve(home, before - timedelta(seconds=61))
    assert look(home, before) == ["dead:service"]
    serve(home, before, process=2**22 + 1)
    assert look(home, before) == ["dead:service"]


def test_settings_that_cannot_be_read_are_told_kept_and_do_not_silence_the_rest(home):
    before = datetime(2024, 11, 26, 9, tzinfo=UTC)
    serve(home, before)
    for damaged in ("book: [", "book:\n  name_cap: much\n", "book:\n  name_cup: 0.1\n"):
        home.settings_file.write_text(damaged)
        assert look(home, before) == ["dead:settings"]
    assert look(home, before + timedelta(hours=1)) == ["dead:service", "dead:settings"]
    kept = kept_alerts(home)[-1]
    assert (kept["severity"], kept["key"]) == ("critical", "dead:settings")
    assert "name_cup" in kept["text"]
    assert "\n" not in kept["text"]
    home.settings_file.unlink()
    assert look(home, before) == []


def test_a_bar_that_stays_open_is_told_after_grace(home):
    serve(home, ENDS[0] + OVERDUE)
    assert look(home, ENDS[0] + OVERDUE - timedelta(seconds=1)) == []
    assert look(home, ENDS[0] + OVERDUE) == ["dead:bars"]
    decision_log(home.path / "live", SESSION).settle(ENDS[0], "skipped", "test")
    assert look(home, ENDS[0] + OVERDUE) == []


def test_bars_are_not_awaited_at_night_and_on_holidays(home):
    for moment in (datetime(2024, 11, 27, 3, tzinfo=UTC), datetime(2024, 11, 28, 16, tzinfo=UTC)):
        serve(home, moment)
        assert look(home, moment) == []


def test_a_home_that_was_never_live_is_not_alive_and_is_left_as_it_is(tmp_path):
    told = []
    (found,) = check_health(Home(tmp_path), send=told.append)
    assert (found.key, told) == ("dead:home", [])
    assert "was never live" in found.text
    assert not list(tmp_path.iterdir())
