"""`aurora explain`: why a symbol's target was what it was at a decision time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import polars as pl
import typer
from rich.table import Table

from aurora_pipeline.commands.terminal import HomeOption, existing_home, market_named, out, print_table
from aurora_pipeline.errors import LakeError

LARGE = 1e5
"""From here on a number is shown whole, with thousands separators."""


def explain(
    symbol: Annotated[str, typer.Option(help="Symbol of the day.")],
    at: Annotated[str, typer.Option(help="Decision time, a bar end: 2024-12-18T15:00, UTC unless it says otherwise.")],
    home: HomeOption = None,
    book: Annotated[
        str | None, typer.Option(help="Book; live where there is one, else the settings' backtest.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every feature, not only the top ones.")] = False,
) -> None:
    """Explain a decision: bar, verdicts, features, scores, weights, calibration, limits, target, order, fill, position."""
    from aurora_pipeline.adapters.stage_inputs.explanation import read_decision
    from aurora_pipeline.monitoring.explanation import explain as explained
    from aurora_pipeline.reports.dashboard.rendering import default_book

    opened = existing_home(home)
    moment = _moment(at)
    chosen = book or default_book(opened, opened.lake.branch_values("portfolio", "book"))
    decision = read_decision(opened, chosen, symbol, moment)
    out.print(f"{symbol} at {moment:%Y-%m-%d %H:%M} UTC, {market_named(opened)}", style="bold", highlight=False)
    for section in explained(decision, every_feature=all_):
        _print(section.title, section.table)
        if section.remark:
            out.print(f"  {section.remark}", highlight=False)


def _print(title: str, frame: pl.DataFrame) -> None:
    out.print(f"\n{title}", style="bold", highlight=False)
    if frame.is_empty():
        return
    table = Table(*(name.replace("_", " ") for name in frame.columns))
    for name, column in zip(frame.columns, table.columns, strict=True):
        column.justify = "right" if frame.schema[name].is_numeric() else "left"
    for row in frame.iter_rows():
        table.add_row(*(_cell(value) for value in row))
    print_table(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= LARGE else f"{value:,.5g}"


def _moment(text: str) -> datetime:
    """Moment of an ISO text; UTC unless it names an offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise LakeError(f"--at {text}: expected a time such as 2024-12-18T15:00 or 2024-12-18T10:00-05:00") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
