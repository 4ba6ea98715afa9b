"""`aurora audit`: of every feature, and of every session for leaks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import polars as pl
import typer
from rich.table import Table

from aurora_pipeline.commands.terminal import (
    HomeOption,
    LastDay,
    existing_home,
    marked,
    market_named,
    out,
    print_table,
    progress_bars,
)

audit = typer.Typer(help="Look for features that are broken, redundant or see the future.", no_args_is_help=True)
SHOWN_LEAKS = 20


@audit.command()
def features(
    home: HomeOption = None,
    fold: Annotated[str | None, typer.Option(help="Fold whose train block is used; the newest if left out.")] = None,
    rows: Annotated[int, typer.Option(help="Features shown; the page has all of them.")] = 25,
) -> None:
    """Coverage, IC, decay, redundancy and verdict of every feature; exit code 1 if one is broken."""
    from aurora_pipeline.monitoring.feature_audit_report import AUDIT_COLUMNS, audit_headline, strongest
    from aurora_pipeline.reports.audits import run_feature_audit

    opened = existing_home(home)
    found = run_feature_audit(opened, fold)
    out.print(market_named(opened), style="bold", highlight=False)
    for name, value in audit_headline(found.audit).items():
        out.print(f"{name.replace('_', ' '):22}{value}", highlight=False)
    narrow = ("feature", "view", "verdict", "ic", "ic_t", "ic_q", "incremental_ic", "incremental_q", "commodity_r2")
    _print(strongest(found.audit).head(rows).select(narrow), {name: AUDIT_COLUMNS[name] for name in narrow})
    _print(found.gains, {name: name.replace("_", " ") for name in found.gains.columns})
    if found.planted is not None and found.decoys is not None:
        _print(found.planted, {name: name.replace("_", " ") for name in found.planted.columns})
        shown = found.decoys.select("feature", "coverage", "ic", "ic_q", "incremental_ic", "incremental_q", "verdict")
        _print(shown, {name: name.replace("_", " ") for name in shown.columns})
    out.print(f"page  {found.page}\nplot  {found.plot}", highlight=False)
    for name, fault in found.faults.iter_rows():
        out.print(marked(f"{name}:", fault))
    if found.faults.height:
        raise typer.Exit(1)


@audit.command()
def leaks(
    home: HomeOption = None,
    from_: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First session; the market's if left out.")
    ] = None,
    to: LastDay = None,
    processes: Annotated[int, typer.Option(help="Sessions looked at side by side.")] = 2,
) -> None:
    """Run every leak check on features and labels of every session; exit code 1 if a value changes."""
    from aurora_pipeline.reports.audits import run_leak_audit

    opened = existing_home(home)
    with progress_bars():
        found = run_leak_audit(opened, from_.date() if from_ else None, to.date() if to else None, processes)
    if found.is_empty():
        out.print(
            "no leak: truncation, poison, scale, peers, lagged_beta on features; truncation, poison, entry on labels"
        )
        return
    counted = found.group_by("check", "table", "column").agg(pl.len().alias("values"), pl.col("session").n_unique())
    _print(counted.sort("check", "table", "column"), {name: name for name in counted.columns})
    _print(found.head(SHOWN_LEAKS), {name: name for name in found.columns})
    raise typer.Exit(1)


def _print(frame: pl.DataFrame, headings: dict[str, str]) -> None:
    from aurora_pipeline.monitoring.text_table import cell

    table = Table(*headings.values())
    for row in frame.select(list(headings)).iter_rows():
        table.add_row(*(cell(value) for value in row))
    print_table(table)
