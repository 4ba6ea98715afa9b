"""The help of every command ends with an example the command line itself takes, and fits 80 columns."""

import re
import shlex

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from aurora_pipeline.cli import app
from aurora_pipeline.commands.help_texts import EXAMPLES, PANELS
from aurora_pipeline_tests.documentation.documented_commands import parse


def commands(command, path=()):
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(path)
        return
    for name, each in below.items():
        yield from commands(each, (*path, name))


def shown(*words):
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    assert done.exit_code == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def test_every_command_has_an_example_and_stands_under_one_heading():
    assert set(commands(get_command(app))) == set(EXAMPLES)
    below = [name for names in PANELS.values() for name in names]
    assert sorted(below) == sorted(get_command(app).commands)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_command_can_be_given(name):
    parse((*name.split(), *shlex.split(EXAMPLES[name])))


def test_help_shows_headings_in_order_the_example_and_whole_paragraphs():
    first = shown()
    assert sorted(PANELS, key=lambda heading: first.index(f"─ {heading} ─")) == list(PANELS)
    text = shown("backfill")
    assert "Example: aurora backfill --from 2024-08-09" in text
    assert "Cut off anywhere, the same command goes on." in " ".join(text.split())
    assert "the same\n command" not in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_help_has_a_short_name():
    assert CliRunner().invoke(app, ["sql", "-h"]).exit_code == 0
