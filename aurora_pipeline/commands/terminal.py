"""What the commands share: consoles, options and progress bars."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.style import Style
from rich.table import Table
from rich.text import Text

from aurora_pipeline.errors import MarketDataError, SettingsError

if TYPE_CHECKING:
    from aurora_pipeline.adapters.home import Home
    from aurora_pipeline.adapters.progress import Listener

PLAIN_WIDTH = 160
"""Columns of output that does not go to a terminal."""
UNLIMITED = 100_000
"""Columns nothing is wider than."""
LINE_SECONDS = 15.0
"""Shortest time between two lines of progress that do not go to a terminal."""
out = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, markup=False, emoji=False)
"""Takes every text as it is: what is styled is a `Text`, or printed with `style`."""
err = Console(stderr=True, width=None if sys.stderr.isatty() else PLAIN_WIDTH, markup=False, emoji=False)
LOOPBACK = "127.0.0.1"

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Directory of all state; default AURORA_HOME or data/.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="key=value, such as book.name_cap=0.02; repeatable.")
]
REPLACE_MODELS = "Make history again with changed settings of `models` instead of sending challengers."
LastDay = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last session; the market's if left out.")]
NewestSession = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The newest stored one if left out.")
]


def opened_home(path: Path | None) -> Home:
    """Home at a path, or the default one.

    Raises
    ------
    SettingsError
        A file is in its place.
    """
    from aurora_pipeline.adapters.home import Home

    home = Home(path.absolute()) if path is not None else Home.default()
    if home.path.is_file():
        raise SettingsError(f"home {home.path} is a file; name a directory with --home or AURORA_HOME")
    return home


def existing_home(path: Path | None) -> Home:
    """Home at a path, or the default one, if something has been put into it.

    Raises
    ------
    LakeError
        It is not there, or holds neither market nor tables.
    """
    opened = opened_home(path)
    if not holds_anything(opened) and opened.shared is None:
        raise opened.without_market()
    return opened


def holds_anything(home: Home) -> bool:
    """Whether this machine has a market or tables of a home."""
    return home.market_file.exists() or (home.path / "lake").is_dir()


def require_free_port(port: int) -> None:
    """Refuse a port of loopback that somebody else listens on; 0 stands for any that is free.

    Raises
    ------
    SettingsError
        The port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as error:
            raise SettingsError(
                f"port {port} of {LOOPBACK} cannot be had ({error}); choose another with --port"
            ) from error


def marked(mark: str, text: object, style: str = "bold red") -> Text:
    """Text with a styled word before it."""
    return Text.assemble((mark, style), f" {text}")


def print_table(table: Table) -> None:
    """Print a table of which nothing is cut off; where it does not fit, each row is a paragraph, empty cells left out."""
    unlimited = out.options.update(max_width=UNLIMITED)
    if Measurement.get(out, unlimited, table).minimum <= out.width:
        for column in table.columns:
            column.overflow = "fold"
            words = (str(text).split() for text in (column.header, *column.cells))
            column.no_wrap = column.no_wrap or all(len(each) <= 1 for each in words)
        out.print(table)
        return
    if table.title:
        out.print(table.title, style="italic")
    names = [str(column.header) for column in table.columns]
    for first, *others in zip(*(column.cells for column in table.columns), strict=True):
        out.print(Text.assemble(_cell(first, "bold")), soft_wrap=True)
        parts = [
            Text.assemble(f"{name} ", _cell(cell)) for name, cell in zip(names[1:], others, strict=True) if str(cell)
        ]
        if parts:
            out.print(Padding(Text(" · ").join(parts), (0, 0, 0, 2), expand=False))


def _cell(cell: object, style: str = "") -> tuple[str, str | Style]:
    return str(cell), cell.style if isinstance(cell, Text) else style


def market_named(home: Home) -> str:
    """Name of a home's market, with SYNTHETIC beside it where a generator made it."""
    market = home.market()
    try:
        made = market.directory is not None and home.folder().synthetic
    except MarketDataError:
        return f"{market.name} (its folder cannot be read)"
    return f"{market.name} (SYNTHETIC)" if made else market.name


def verdict(text: str, style: str = "bold red") -> Text:
    """Cell of a table that stands out."""
    return Text(text, style)


def pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """Return the name=value texts of a repeatable option as a dictionary."""
    parts = [text.partition("=") for text in texts or []]
    for name, equals, value in parts:
        if not (name and equals and value):
            raise MarketDataError(f"{option} {name}{equals}{value}: expected name=value")
    return {name: value for name, _, value in parts}


def print_failed(failed: Sequence[str]) -> None:
    """Name the folds and families that could not be trained."""
    for line in failed:
        err.print(marked("not trained:", line), soft_wrap=True)
    if failed:
        err.print("what was trained went on without them; the next run tries them again", highlight=False)


def print_changed(changed: Sequence[str]) -> None:
    """Say which changed settings became challengers."""
    for line in changed:
        err.print(marked("challenger:", line, "bold yellow"), soft_wrap=True)
    if changed:
        err.print("`--replace-models` makes history again with the new settings instead", highlight=False)


@contextmanager
def progress_bars() -> Iterator[None]:
    """Draw what is reported inside the block; where nobody looks at a terminal, print a line now and then instead."""
    from aurora_pipeline.adapters.progress import listening

    if not err.is_terminal:
        with listening(_plain_lines()):
            yield
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as progress:
        tasks: dict[str, int] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(progress.task_ids[tasks[what]], completed=done, total=total)

        with listening(show):
            yield


def _plain_lines() -> Listener:
    """Tell the first and the last of each kind of work, and at most one line in `LINE_SECONDS` between."""
    began = time.monotonic()
    told: dict[str, float] = {}

    def show(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what in told and done < total and now - told[what] < LINE_SECONDS:
            return
        told[what] = now
        err.print(f"{now - began:7.1f} s  {what:<24} {done}/{total}", highlight=False)

    return show
