from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from aurora_pipeline.adapters.book.kill_switch import FileSwitch
from aurora_pipeline.cli import app
from aurora_pipeline.errors import BookError

NOW = datetime(2100, 1, 1, tzinfo=UTC)


def test_a_switch_that_was_never_thrown_is_on(tmp_path):
    assert FileSwitch(tmp_path / "kill_switch.json").state(NOW).mode == "on"


@pytest.mark.parametrize(("command", "mode"), [("kill", "halt"), ("flatten", "flatten"), ("resume", "on")])
def test_the_commands_throw_the_switch_of_the_home(tmp_path, command, mode):
    (tmp_path / "lake").mkdir()
    done = CliRunner().invoke(app, [command, "--home", str(tmp_path), "--reason", "fire drill"])
    assert done.exit_code == 0, done.output
    state = FileSwitch(tmp_path / "kill_switch.json").state(NOW)
    assert (state.mode, state.reason) == (mode, "fire drill")
    assert state.since is not None


@pytest.mark.parametrize(
    ("market", "told"),
    [('{"live": false}', "never live"), ('{"live": true}', "no service runs"), ("{", "not a market record")],
)
def test_the_switch_is_thrown_and_who_cannot_act_on_it_is_said(tmp_path, market, told):
    (tmp_path / "market.json").write_text(market)
    done = CliRunner().invoke(app, ["flatten", "--home", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert FileSwitch(tmp_path / "kill_switch.json").state(NOW).mode == "flatten"
    assert "nothing acts on it now:" in done.output
    assert told in done.output


@pytest.mark.parametrize("command", ["kill", "flatten", "resume"])
def test_a_home_that_is_not_there_is_refused_and_not_made(tmp_path, command):
    done = CliRunner().invoke(app, [command, "--home", str(tmp_path / "typo")])
    assert isinstance(done.exception, BookError)
    assert "nothing was changed" in str(done.exception)
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    "content", ["", "{", '{"mode": "on"}', '[{"mode": "off", "reason": "", "since": "2026-01-05"}]']
)
def test_a_switch_that_cannot_be_read_halts(tmp_path, content):
    path = tmp_path / "kill_switch.json"
    path.write_text(content)
    state = FileSwitch(path).state(NOW)
    assert state.mode == "halt"
    assert "kill_switch.json" in state.reason


def test_a_switch_that_is_a_folder_halts(tmp_path):
    (tmp_path / "kill_switch.json").mkdir()
    assert FileSwitch(tmp_path / "kill_switch.json").state(NOW).mode == "halt"


def test_what_was_thrown_later_does_not_change_what_was_in_force_before(tmp_path):
    switch = FileSwitch(tmp_path / "kill_switch.json")
    halted = switch.throw("halt", "odd fills").since
    resumed = switch.throw("on", "explained").since
    assert switch.state(halted - timedelta(seconds=1)).mode == "on"
    assert switch.state(halted).mode == "halt"
    assert switch.state(resumed).mode == "on"
    assert switch.state(resumed).reason == "explained"


def test_a_damaged_switch_can_be_thrown_again(tmp_path):
    path = tmp_path / "kill_switch.json"
    path.write_text("{")
    assert FileSwitch(path).throw("on", "repaired").mode == "on"
    assert path.with_suffix(".damaged").read_text() == "{"
