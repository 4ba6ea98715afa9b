import pytest
from typer.testing import CliRunner

from aurora_pipeline.adapters.kill_switch import FileSwitch
from aurora_pipeline.cli import app


def test_a_switch_that_was_never_thrown_is_on(tmp_path):
    assert FileSwitch(tmp_path / "kill_switch.json").state().mode == "on"


@pytest.mark.parametrize(("command", "mode"), [("kill", "halt"), ("flatten", "flatten"), ("resume", "on")])
def test_the_commands_throw_the_switch_of_the_home(tmp_path, command, mode):
    done = CliRunner().invoke(app, [command, "--home", str(tmp_path), "--reason", "fire drill"])
    assert done.exit_code == 0, done.output
    state = FileSwitch(tmp_path / "kill_switch.json").state()
    assert (state.mode, state.reason) == (mode, "fire drill")
    assert state.since is not None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"mode": "on"}', '{"mode": "off", "reason": "", "since": "2026-01-05"}']
)
def test_a_switch_that_cannot_be_read_halts(tmp_path, content):
    path = tmp_path / "kill_switch.json"
    path.write_text(content)
    state = FileSwitch(path).state()
    assert state.mode == "halt"
    assert "kill_switch.json" in state.reason


def test_a_switch_that_is_a_folder_halts(tmp_path):
    (tmp_path / "kill_switch.json").mkdir()
    assert FileSwitch(tmp_path / "kill_switch.json").state().mode == "halt"
