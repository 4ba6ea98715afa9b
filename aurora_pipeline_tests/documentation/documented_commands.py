"""The `aurora` commands the documentation shows, and whether the command line knows them.

Commands are parsed by the command line's own parser up to the point where they would be carried out: a command or flag that does
not exist, a missing argument, a date that is none is found; nothing is run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from aurora_pipeline.cli import app

REPOSITORY = Path(__file__).resolve().parents[2]
FENCE = "```"
# Base of every parser error. Newer versions of typer carry a copy of click, older ones import it: the class is the same to us.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]
_SHOWN = re.compile(r"(^|[\s/&|;(])aurora\s")
_INLINE = re.compile(r"(?<!`)`(aurora\s[^`]+)`(?!`)")
_BETWEEN = set(";&|<>")


class UnknownCommandError(Exception):
    """The documentation shows a command that does not exist."""


@dataclass(frozen=True)
class Documented:
    """One command: the page and line it stands on, and its words after `aurora`."""

    page: str
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: aurora {shlex.join(self.words)}"


def pages() -> list[Path]:
    """README and every page below docs/."""
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def fenced(page: str, text: str) -> Iterator[Documented]:
    """Commands in fenced blocks; a backslash at a line's end goes on with the next one."""
    inside, begun, parts = False, 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith(FENCE):
            inside, parts = not inside, []
            continue
        if not inside:
            continue
        begun = begun if parts else number
        parts.append(line.rstrip().removesuffix("\\"))
        if line.rstrip().endswith("\\"):
            continue
        whole, parts = " ".join(parts), []
        if _SHOWN.search(whole):
            yield from (Documented(page, begun, words) for words in _commands(whole))


def inline(page: str, text: str) -> Iterator[Documented]:
    """Commands in running text, which may leave out what they need."""
    for found in _INLINE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield from (
            Documented(page, line, words) for words in _commands(found[1].replace("\n", " ").replace("\\|", "|"))
        )


def parse(words: tuple[str, ...]) -> None:
    """Parse a command as it would be to carry it out.

    Raises
    ------
    UnknownCommandError
        No such command.
    UsageError
        An unknown flag, a missing argument, a value of a wrong type.
    """
    command, name, rest = _found(words)
    if "--help" not in rest and not hasattr(command, "commands"):
        command.make_context(name, rest)


def known(words: tuple[str, ...]) -> None:
    """Require that command and flags exist; what is left out is left out. Raises UnknownCommandError."""
    command, name, rest = _found(words)
    flags = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)} | {"--help"}
    for word in rest:
        if word.startswith("--") and word.partition("=")[0] not in flags:
            raise UnknownCommandError(f"{name} has no {word}")


def _found(words: tuple[str, ...]) -> tuple[Any, str, list[str]]:
    """Command at the end of a path of groups, its name and the words after it."""
    command: Any = _command_line()
    name, rest = "aurora", list(words)
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            raise UnknownCommandError(f"{name} has no command {rest[0]}; it has {', '.join(command.commands)}")
        name = rest.pop(0)
        command = command.commands[name]
    return command, name, rest


@cache
def _command_line() -> Any:
    return get_command(app)


def _commands(line: str) -> Iterator[tuple[str, ...]]:
    """Words after each `aurora` of a shell line, up to a comment, a redirection or the next command."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="".join(_BETWEEN))
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] | None = None
    for token in lexer:
        if set(token) <= _BETWEEN:
            if words is not None:
                yield tuple(words)
            words = None
        elif words is not None:
            words.append(token)
        elif Path(token).name == "aurora":
            words = []
    if words is not None:
        yield tuple(words)
