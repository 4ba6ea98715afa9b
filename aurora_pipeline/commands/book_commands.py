"""`aurora kill`, `flatten`, `resume`, `aurora book ...` and `aurora ablate`: the switch, and what a book was worth."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer
from rich.table import Table

from aurora_pipeline.commands.terminal import (
    HomeOption,
    SetOption,
    err,
    existing_home,
    holds_anything,
    marked,
    market_named,
    opened_home,
    out,
    print_table,
    progress_bars,
)
from aurora_pipeline.errors import BookError

if TYPE_CHECKING:
    from aurora_pipeline.execution.kill_switch import Mode

book = typer.Typer(help="What a book was worth, at which risk, at which cost.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="Why; it is kept with the switch and shown.")]

STATUS_UNITS = {
    "exposure": "exposure, fraction of NAV",
    "variance_share": "share of variance",
    "share_of_risk": "share of variance",
    "alpha": "expected, USD",
    "gross_pnl": "gross P&L, USD",
    "cost": "cost, USD",
    "largest": "largest, fraction of NAV",
    "allowed": "allowed, fraction of NAV",
    "usd": "USD",
    "mean_bps": "mean, bps of NAV",
}
"""Headings of the tables on a book whose names do not say the unit."""
CURVE_UNITS = {
    "gross_return": "gross, fraction of NAV",
    "cost": "cost, fraction of NAV",
    "net_return": "net, fraction of NAV",
    "net_usd": "net, USD",
    "turnover_per_session": "turnover a session, fraction of NAV",
    "utilisation": "gross exposure, fraction of NAV",
}
"""The same of the capacity curve."""


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
    from aurora_pipeline.live.standstill import standstill

    opened = opened_home(home)
    if not holds_anything(opened):
        raise BookError(
            f"no home at {opened.path}: nothing was changed; name the home that trades with --home or AURORA_HOME"
        )
    state = FileSwitch(opened.kill_switch_file, clock_of(opened.path / "live")).throw(mode, reason)
    since = "" if state.since is None else f", since {_moment(state.since)}"
    out.print(f"{opened.kill_switch_file}: {state.mode}, {state.reason}{since}", highlight=False, soft_wrap=True)
    for text in standstill(opened) if mode != "halt" else ():
        err.print(marked("nothing acts on it now:", text), soft_wrap=True)


@book.command()
def status(home: HomeOption = None, set_: SetOption = None) -> None:
    """Switch, risk, turnover, costs, alpha forgone to each limit, events, and the capital step a live book has earned."""
    from aurora_pipeline.reports.book_reports import book_status
    from aurora_pipeline.stages import book_name

    opened = existing_home(home)
    found = book_status(opened, set_ or [])
    out.print(f"book {book_name(opened.settings(set_ or []))}, {market_named(opened)}", style="bold", highlight=False)
    for title, frame in found.items():
        _print(title, _measured(frame) if title == "risk" else frame, STATUS_UNITS)


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
    from aurora_pipeline.stages import book_name

    opened = existing_home(home)
    found = cost_report(opened, set_ or [], name)
    chosen = name or book_name(opened.settings(set_ or []))
    out.print(f"book {chosen}, {market_named(opened)}", style="bold", highlight=False)
    for title, frame in found.items():
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
        opened = existing_home(home)
        found = capacity_report(opened, set_ or [], nav or [])
    out.print(market_named(opened), style="bold", highlight=False)
    _print("net result against capital", found.capacity, CURVE_UNITS | {"at": "capital, USD"})
    _print("net result against costs", found.stress, CURVE_UNITS | {"at": "multiple of the costs"})
    out.print(f"page  {found.page}\nplot  {found.plot}\ndata  {found.data}", highlight=False)


def _measured(risk: pl.DataFrame) -> pl.DataFrame:
    """Table of risk with each value in the unit it is read in: losses of a session in basis points, volatilities in per cent."""
    from aurora_pipeline.monitoring.text_table import cell

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


def _print(title: str, frame: pl.DataFrame, units: Mapping[str, str] | None = None) -> None:
    headings = [(units or {}).get(name, name.replace("_", " ")) for name in frame.columns]
    table = Table(*headings, title=title, title_justify="left")
    for row in frame.iter_rows(named=True):
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    print_table(table)


def _cell(name: str, value: object) -> str:
    from aurora_pipeline.monitoring.text_table import cell

    if name == "since" and isinstance(value, str) and value:
        return _moment(datetime.fromisoformat(value))
    return _moment(value) if isinstance(value, datetime) else cell(value)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
