"""What the help of a command line shows beside the commands' own words: which belong together, and an example of each."""

from __future__ import annotations

import inspect

import typer

NEXT = (
    "Begin with `aurora run`, then `aurora ui` and `aurora dashboard`. The help of every command ends with an example."
)
PANELS = {
    "Run": ("run", "backfill", "ui", "settings"),
    "Data": ("check", "import", "fetch", "simulate"),
    "Look": ("dashboard", "report", "explain", "claims", "sql", "export"),
    "Trade": (
        "live",
        "preflight",
        "close",
        "parity",
        "health",
        "kill",
        "flatten",
        "resume",
        "models",
        "book",
        "daemon",
    ),
    "Measure": ("audit", "prove", "ablate", "bench", "soak"),
}
"""Heading of the help to its commands, in its order; groups come after single commands."""
EXAMPLES = {
    "check": "my-market",
    "import": "bars.csv my-market --column symbol=ticker --time-zone America/New_York --universe symbols.csv",
    "fetch": "alpaca --symbols AAPL,MSFT --from 2024-01-02 --to 2024-12-31 --out my-market",
    "simulate": "my-null-market --preset small --alpha 0 --seed 7",
    "run": "--market my-market --home my-home",
    "backfill": "--from 2024-08-09 --to 2024-10-31 --home my-home",
    "ui": "--home my-home --port 3001",
    "settings": "--home my-home",
    "dashboard": "--home my-home --browser",
    "report models": "--home my-home",
    "report day": "--session 2024-12-18 --home my-home",
    "report week": "--session 2024-12-18 --home my-home",
    "report dashboard": "--home my-home",
    "explain": "--symbol COM02 --at 2024-12-17T21:00 --home my-home",
    "claims": "--home my-home",
    "sql": "'select model, avg(weight) from ensemble_weights group by model' --home my-home",
    "export": "--duckdb copy.duckdb --home my-home",
    "live": "--home my-home --replay my-market --session 2024-12-18 --speed 30",
    "preflight": "--session 2024-12-18 --home my-home",
    "close": "--session 2024-12-18 --home my-home",
    "parity": "--session 2024-12-18 --home my-home",
    "health": "--home my-home",
    "kill": "--reason 'broker down' --home my-home",
    "flatten": "--reason 'end of the test' --home my-home",
    "resume": "--reason 'broker back' --home my-home",
    "models list": "--home my-home",
    "models history": "--home my-home",
    "models promote": "ridge~2025-12-30 --reason 'better for 60 sessions' --home my-home",
    "models retire": "ridge --reason 'its feed has ended' --home my-home",
    "models rollback": "ridge --reason 'the new one is broken' --home my-home",
    "book status": "--home my-home",
    "book costs": "--home my-home",
    "book capacity": "--home my-home",
    "daemon": "--home my-home",
    "audit features": "--home my-home",
    "audit leaks": "--home my-home",
    "prove": "--seeds 1-3 --home my-home",
    "ablate": "--market my-market --home my-ablation",
    "bench tick": "--session 2024-12-18 --home my-home",
    "bench screenshots": "--session 2024-12-18 --home my-home",
    "bench scale": "measured.parquet --measure 130x20 --predict 500x160",
    "soak": "--session 2024-12-02 --undisturbed 78 --disturbed 20 --home my-home",
}
"""Command to what stands after it in the example of its help."""


def complete_help(app: typer.Typer) -> None:
    """Sort the commands under headings and end the help of each with an example; a command without one is an error."""
    headings = {name: heading for heading, names in PANELS.items() for name in names}
    app.registered_commands.sort(key=lambda command: list(headings).index(_name(command)))
    for command in app.registered_commands:
        command.rich_help_panel = headings[_name(command)]
        _complete(command, _name(command))
    for group in app.registered_groups:
        assert group.name
        assert group.typer_instance
        group.rich_help_panel = headings[group.name]
        for command in group.typer_instance.registered_commands:
            _complete(command, f"{group.name} {_name(command)}")


def _name(command: typer.models.CommandInfo) -> str:
    assert command.callback
    return command.name or command.callback.__name__.rstrip("_")


def _complete(command: typer.models.CommandInfo, name: str) -> None:
    """Take the line breaks, which help would keep, out of a docstring's paragraphs, and add the example."""
    paragraphs = (inspect.getdoc(command.callback) or "").split("\n\n")
    command.help = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)
    command.epilog = f"Example: aurora {name} {EXAMPLES[name]}".rstrip()
