"""`aurora kill`, `flatten`, `resume`, `aurora book ...` and `aurora ablate`: the switch, and what a book was worth."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer
from rich.table import Table

from aurora_pipeline.commands.terminal import (
    HomeOption,
    SetOption,
    existing_home,
    holds_anything,
    opened_home,
    out,
    progress_bars,
)
from aurora_pipeline.errors import BookError

if TYPE_CHECKING:
    from aurora_pipeline.execution.kill_switch import Mode

book = typer.Typer(help="What a book was worth, at which risk, at which cost.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="Why; it is kept with the switch and shown.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(book, name="book")
    app.command()(kill)
    app.command()(flatten)
    app.command()(resume)
    app.command()(ablate)


def kill(home: HomeOption = None, reason: Reason = "by hand") -> None:
    """Stop: no order leaves until `aurora resume`; what is held stays."""
    _throw("halt", home, reason)


def flatten(home: HomeOption = None, reason: Reason = "by hand") -> None:
    """Close every position as fast as its bars allow, then hold nothing until `aurora resume`."""
    _throw("flatten", home, reason)


def resume(home: HomeOption = None, reason: Reason = "by hand") -> None:
    """Trade again, after a kill, a flatten, or a difference between broker and book."""
    _throw("on", home, reason)


def ablate(
    market: Annotated[Path | None, typer.Option(help="Market folder; the reference market if left out.")] = None,
    home: HomeOption = None,
    set_: SetOption = None,
) -> None:
    """Run the plan's phases one after another and print what each adds, with intervals; best in a home of its own."""
    from aurora_pipeline.workflows.ablation import run_ablation

    with progress_bars():
        found = run_ablation(opened_home(home), market, set_ or [])
    shown = [name for name in found.table.columns if name not in {"adds", "sessions", "cost_bps"}]
    _print("each phase over the one before", found.table.select(shown))
    out.print(f"page  {found.page}\ndata  {found.data}", highlight=False)


def _throw(mode: Mode, home: HomeOption, reason: str) -> None:
    from aurora_pipeline.adapters.book.kill_switch import FileSwitch
    from aurora_pipeline.adapters.clock import clock_of

    opened = opened_home(home)
    if not holds_anything(opened):
        raise BookError(
            f"no home at {opened.path}: nothing was changed; name the home that trades with --home or AURORA_HOME"
        )
    state = FileSwitch(opened.kill_switch_file, clock_of(opened.path / "live")).throw(mode, reason)
    since = "" if state.since is None else f", since {_moment(state.since)}"
    out.print(f"{opened.kill_switch_file}: {state.mode}, {state.reason}{since}", highlight=False, soft_wrap=True)


@book.command()
def status(home: HomeOption = None, set_: SetOption = None) -> None:
    """Switch, risk, turnover, costs, alpha forgone to each limit, events, and the capital step a live book has earned."""
    from aurora_pipeline.reports.book_reports import book_status

    for title, frame in book_status(existing_home(home), set_ or []).items():
        _print(title, _measured(frame) if title == "risk" else frame)


@book.command()
def costs(
    home: HomeOption = None,
    set_: SetOption = None,
    name: Annotated[
        str | None, typer.Option("--book", help="live, or a backtest; that of the settings in force if left out.")
    ] = None,
) -> None:
    """What fills cost beside what was forecast, and spread and impact fitted to them."""
    from aurora_pipeline.reports.cost_report import cost_report

    for title, frame in cost_report(existing_home(home), set_ or [], name).items():
        _print(title, frame)


@book.command()
def capacity(
    home: HomeOption = None,
    set_: SetOption = None,
    nav: Annotated[list[float] | None, typer.Option(help="Capital in USD, repeatable; 1 M to 1 B if left out.")] = None,
) -> None:
    """Run the book again at several amounts of capital and at 1, 2 and 3 times its costs; table and plot."""
    from aurora_pipeline.reports.book_reports import capacity_report

    with progress_bars():
        found = capacity_report(existing_home(home), set_ or [], nav or [])
    _print("net result against capital", found.capacity)
    _print("net result against costs", found.stress)
    out.print(f"page  {found.page}\nplot  {found.plot}\ndata  {found.data}", highlight=False)


def _measured(risk: pl.DataFrame) -> pl.DataFrame:
    """Table of risk with each value in the unit it is read in: losses of a session in basis points, volatilities in per cent."""
    from aurora_pipeline.monitoring.feature_audit_report import cell

    texts = []
    for measure, value in risk.iter_rows():
        if value is None:
            texts.append("")
        elif measure.startswith(("value at risk", "expected shortfall")):
            texts.append(f"{1e4 * value:.2f} bps")
        elif "volatility" in measure:
            texts.append(f"{100 * value:.2f} %")
        else:
            texts.append(cell(value))
    return risk.select("measure", pl.Series("value", texts, dtype=pl.String))


def _print(title: str, frame: pl.DataFrame) -> None:
    table = Table(*(name.replace("_", " ") for name in frame.columns), title=title, title_justify="left")
    for row in frame.iter_rows(named=True):
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    out.print(table)


def _cell(name: str, value: object) -> str:
    from aurora_pipeline.monitoring.feature_audit_report import cell

    if name == "since" and isinstance(value, str) and value:
        return _moment(datetime.fromisoformat(value))
    return _moment(value) if isinstance(value, datetime) else cell(value)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
