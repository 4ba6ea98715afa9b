"""The `aurora` command.

Errors a user can fix are one line on stderr and exit code 2; anything else is a bug and shows its traceback.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import webbrowser
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from aurora_pipeline import __version__
from aurora_pipeline.commands import live_bench_commands, live_commands
from aurora_pipeline.commands.audit_commands import audit
from aurora_pipeline.commands.backfill_commands import backfill
from aurora_pipeline.commands.book_commands import register
from aurora_pipeline.commands.claims_commands import claims
from aurora_pipeline.commands.cluster_commands import daemon
from aurora_pipeline.commands.dashboard_commands import dashboard
from aurora_pipeline.commands.explain_commands import explain
from aurora_pipeline.commands.fetch_commands import fetch
from aurora_pipeline.commands.help_texts import NEXT, complete_help
from aurora_pipeline.commands.models_commands import models
from aurora_pipeline.commands.prove_commands import prove
from aurora_pipeline.commands.report_commands import report
from aurora_pipeline.commands.scale_commands import scale
from aurora_pipeline.commands.terminal import (
    REPLACE_MODELS,
    HomeOption,
    LastDay,
    SetOption,
    err,
    existing_home,
    marked,
    opened_home,
    out,
    pairs,
    print_changed,
    print_failed,
    print_table,
    progress_bars,
    require_free_port,
)
from aurora_pipeline.errors import AuroraError, MarketDataError

app = typer.Typer(
    name="aurora",
    help="From raw market bars to target positions every five minutes.",
    epilog=NEXT,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(audit, name="audit")
app.add_typer(report, name="report")
live_bench_commands.bench.command()(scale)
app.add_typer(live_bench_commands.bench, name="bench")
app.add_typer(models, name="models")


_MAKE_ROOM = "make room on its disk, then give the same command again: it goes on with what is missing"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take what stands before a command."""


def main() -> None:
    """Run the command line."""
    try:
        app(prog_name="aurora")
    except AuroraError as error:
        err.print(marked("aurora:", error), soft_wrap=True)
        sys.exit(error.exit_code)
    except Exception as error:
        said = _not_written(error)
        if said is None:
            raise
        err.print(marked("aurora:", said), soft_wrap=True)
        sys.exit(AuroraError.exit_code)


def _not_written(error: BaseException) -> str | None:
    """Say that files or databases of a home could not be written, and what to do; None of an error that means something else."""
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__
    for found in chain:
        if isinstance(found, OSError) and found.errno in {errno.ENOSPC, errno.EDQUOT}:
            return f"{found}; {_MAKE_ROOM}"
        if isinstance(found, OSError) and found is error and found.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            return str(found)
        if isinstance(found, sqlite3.OperationalError):
            code = getattr(found, "sqlite_errorcode", 0) & 0xFF  # the upper bytes tell kinds of one error apart
            if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
                return f"a database of the home cannot grow ({found}); {_MAKE_ROOM}"
            if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}:
                return f"a database of the home may not be written ({found})"
    return None


@app.command()
def run(
    market: Annotated[
        Path | None, typer.Option(help="Market folder; the embedded reference market if left out.")
    ] = None,
    home: HomeOption = None,
    start: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First session; the market's if left out.")
    ] = None,
    end: LastDay = None,
    set_: SetOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Empty the home first.")] = False,
    replace_models: Annotated[bool, typer.Option("--replace-models", help=REPLACE_MODELS)] = False,
) -> None:
    """Materialise everything that is missing or stale, through Dagster, and print the scorecard."""
    from aurora_pipeline.workflows.main_job import run_main_job

    opened = opened_home(home)
    overrides = list(set_ or [])
    overrides += [f"market.start={start:%Y-%m-%d}"] if start else []
    overrides += [f"market.end={end:%Y-%m-%d}"] if end else []
    with progress_bars():
        outcome = run_main_job(opened, market, overrides, fresh=fresh, replace_models=replace_models)
    _print_scorecard(outcome.scorecard)
    print_failed(outcome.failed)
    print_changed(outcome.changed)
    out.print(f"\nscorecard  {opened.scorecard_file}\nreports    {opened.reports}\nmanifest   {outcome.manifest}")
    look = [(f"aurora {name} --home {opened.path}", "bold") for name in ("ui", "dashboard")]
    out.print(Text.assemble("look at it with ", look[0], " or ", look[1]), soft_wrap=True)


@app.command()
def check(directory: Annotated[Path, typer.Argument(help="Market folder.")], set_: SetOption = None) -> None:
    """Validate a market folder: what it has, what is refused and why, what is missing and what that costs."""
    from aurora_pipeline.adapters.progress import report
    from aurora_pipeline.market.folder import MarketFolder
    from aurora_pipeline.market.inspection import inspect_market
    from aurora_pipeline.models.trainable_folds import training_notes
    from aurora_pipeline.settings import load_settings

    folder, settings = MarketFolder.open(directory), load_settings(None, set_ or [])
    with progress_bars():
        found = inspect_market(folder, settings, report)
    sessions = folder.calendar.sessions(*folder.span)
    trainable = training_notes(sessions, found.eligible, folder.calendar, folder.manifest.frequency, settings)
    out.print(
        f"{found.name}, {found.frequency}, {found.first} to {found.last}: {found.sessions} sessions, "
        f"{found.stocks} stocks, {found.bars} bars accepted, {found.missing_bars} absent, {found.flat_bars} flat; "
        f"{100 * found.refused_share:.3f} % of bar rows refused",
        highlight=False,
    )
    feeds = Table("feed", "status", "rows", "symbols", "from", "to", "what that costs")
    for feed in found.feeds:
        cells = (feed.name, feed.status, feed.rows, feed.symbols, feed.first or "-", feed.last or "-", feed.cost)
        feeds.add_row(*(str(cell) for cell in cells))
    for column in feeds.columns[:-1]:
        column.no_wrap = True
    print_table(feeds)
    if found.refusals:
        refused = Table("file", "refused because", "rows", "such as")
        for refusal in found.refusals:
            refused.add_row(refusal.source, refusal.reason, str(refusal.rows), "\n".join(refusal.examples))
        for column in refused.columns[:-1]:
            column.no_wrap = True
        print_table(refused)
    for note in [f"survivorship: {found.survivorship}", *found.notes, *trainable]:
        out.print(f"- {note}", highlight=False)
    if not found.bars:
        raise MarketDataError(f"{directory}: no bar is accepted, so nothing can be used; the report says why")


@app.command()
def simulate(
    directory: Annotated[Path, typer.Argument(help="Folder to write.")],
    preset: Annotated[str, typer.Option(help="reference, reference-long or small.")] = "reference",
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 1,
    alpha: Annotated[float, typer.Option(help="Strength of the planted alpha; 0 plants none.")] = 1.0,
    profile: Annotated[str, typer.Option(help="full or modest.")] = "full",
    sessions: Annotated[int | None, typer.Option(help="Sessions; the preset's if left out.")] = None,
    symbols: Annotated[int | None, typer.Option(help="Stocks; the preset's if left out.")] = None,
    break_: Annotated[
        datetime | None, typer.Option("--break", formats=["%Y-%m-%d"], help="What pays changes here.")
    ] = None,
) -> None:
    """Write a synthetic market with planted alpha as a market folder."""
    from aurora_pipeline.adapters.progress import report
    from aurora_pipeline.market.simulation import simulate_market

    with progress_bars():
        simulate_market(
            directory,
            preset=preset,
            seed=seed,
            alpha=alpha,
            profile=profile,
            sessions=sessions,
            symbols=symbols,
            break_session=break_.date() if break_ else None,
            progress=report,
        )
    out.print(f"wrote {directory} (synthetic)")


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A SELECT over the tables of the lake.")],
    home: HomeOption = None,
    rows: Annotated[int, typer.Option(help="Rows shown.")] = 50,
) -> None:
    """Query the lake, read-only."""
    frame = existing_home(home).sql(query)
    table = Table(*frame.columns)
    for row in frame.head(rows).iter_rows():
        table.add_row(*(str(value) for value in row))
    print_table(table)
    if frame.height > rows:
        out.print(f"{rows} of {frame.height} rows")


@app.command()
def export(
    duckdb: Annotated[Path, typer.Option("--duckdb", help="New DuckDB file with real tables.")], home: HomeOption = None
) -> None:
    """Copy the lake into one DuckDB file."""
    with progress_bars():
        existing_home(home).lake.export(duckdb)
    out.print(f"wrote {duckdb}, {duckdb.stat().st_size / 1e6:.0f} MB")


@app.command()
def ui(
    home: HomeOption = None,
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 3000,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = False,
) -> None:
    """Open Dagster on loopback with the right home."""
    from aurora_pipeline.adapters.home import HOME_VARIABLE
    from aurora_pipeline.adapters.worker_processes import terminated_as_exit
    from aurora_pipeline.defs.instances import instance_of

    require_free_port(port)
    opened = opened_home(home)
    with instance_of(opened):
        pass  # makes its databases, and ends runs that a crash left behind
    # `dagster dev` warns that it is superseded by `dg dev`, which needs a project folder; an installed package has none.
    environment = os.environ | {
        "DAGSTER_HOME": str(opened.path),
        HOME_VARIABLE: str(opened.path),
        "PYTHONWARNINGS": "ignore",
    }
    out.print(f"Dagster on http://127.0.0.1:{port} for home {opened.path}; Ctrl-C ends it", highlight=False)
    if browser:
        webbrowser.open(f"http://127.0.0.1:{port}")
    module = ["-m", "dagster", "dev", "-m", "aurora_pipeline.definitions", "-h", "127.0.0.1", "-p", str(port)]
    with terminated_as_exit(), subprocess.Popen([sys.executable, *module], env=environment, cwd=opened.path) as process:
        try:
            code = process.wait()
        finally:
            process.terminate()
    sys.exit(code)


@app.command()
def settings(
    home: HomeOption = None,
    set_: SetOption = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The defaults as the table of docs/settings.md.")
    ] = False,
) -> None:
    """Show every setting with its value in force and its meaning."""
    from aurora_pipeline.settings import Settings, known_keys, settings_markdown, value_of

    if markdown:
        typer.echo(settings_markdown(), nl=False)
        return
    in_force = opened_home(home).settings(set_ or [])
    table = Table("key", "value", "default", "meaning")
    for key, meaning in known_keys().items():
        value, default = value_of(in_force, key), value_of(Settings(), key)
        table.add_row(key, str(value), "" if value == default else str(default), meaning)
    print_table(table)


@app.command(name="import")
def import_(
    source: Annotated[Path, typer.Argument(help="CSV or Parquet file.")],
    target: Annotated[Path, typer.Argument(help="Market folder to make or extend.")],
    kind: Annotated[str, typer.Option(help="bars, daily_bars, or a feed such as earnings.")] = "bars",
    column: Annotated[list[str] | None, typer.Option(help="ours=theirs, such as symbol=ticker; repeatable.")] = None,
    time_zone: Annotated[str, typer.Option(help="Zone of timestamps without one.")] = "UTC",
    time_format: Annotated[
        list[str] | None,
        typer.Option(
            help="How times are written, such as '%m/%d/%Y %H:%M', or days, such as '%m/%d/%Y'; ISO 8601 if left out."
        ),
    ] = None,
    bar_label: Annotated[str, typer.Option(help="start or end: what a bar's timestamp marks.")] = "start",
    frequency: Annotated[str | None, typer.Option(help="5min or session; 5min of a new folder.")] = None,
    calendar: Annotated[str | None, typer.Option(help="exchange_calendars code; XNYS of a new folder.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="Symbol of the market.")] = None,
    sector: Annotated[list[str] | None, typer.Option(help="sector=ETF, repeatable.")] = None,
    universe: Annotated[Path | None, typer.Option(help="CSV or Parquet with symbol, kind, sector.")] = None,
    price_adjustment: Annotated[
        str | None, typer.Option(help="none, split or split_dividend; none of a new folder.")
    ] = None,
) -> None:
    """Make a market folder from your own bars and feeds."""
    from aurora_pipeline.market.importer import import_market

    summary = import_market(
        source,
        target,
        kind=kind,
        columns=pairs(column, "--column"),
        time_zone=time_zone,
        time_formats=time_format or (),
        bar_label=bar_label,
        frequency=frequency,
        calendar=calendar,
        benchmark=benchmark,
        sector_etfs=pairs(sector, "--sector"),
        universe=universe,
        price_adjustment=price_adjustment,
    )
    out.print(str(summary))
    for note in summary.notes:
        out.print(f"- {note}", highlight=False)


def _print_scorecard(card: dict[str, Any]) -> None:
    from aurora_pipeline.monitoring.scorecard_table import scorecard_rows, scorecard_title

    out.print(scorecard_title(card), style="bold", highlight=False)
    table = Table("measure", "value", "95 % interval")
    for row in scorecard_rows(card):
        table.add_row(*row)
    print_table(table)


# Commands with files of their own; `complete_help` puts all of them in order.
for command in (
    fetch,
    backfill,
    prove,
    claims,
    dashboard,
    explain,
    live_commands.live,
    live_commands.preflight,
    live_commands.close,
    live_commands.parity,
    live_commands.health,
    live_bench_commands.soak,
    daemon,
):
    app.command()(command)
register(app)
complete_help(app)

if __name__ == "__main__":
    main()
