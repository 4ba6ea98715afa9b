"""`aurora bench tick` and `aurora soak`: how fast the loop is, and whether it can be killed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from aurora_pipeline.commands.terminal import HomeOption, existing_home, out, print_table, verdict

bench = typer.Typer(help="Measure the loop, and time and memory by size; photograph the UI.", no_args_is_help=True)
SessionOption = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Session to replay.")]
WorkOption = Annotated[Path | None, typer.Option(help="Folder for the replay homes; `<home>/replays` if left out.")]


@bench.callback()
def _bench() -> None:
    """Measure the loop, and time and memory by size; photograph the UI."""


@bench.command()
def tick(
    session: SessionOption,
    home: HomeOption = None,
    bars: Annotated[int, typer.Option(help="Bars each way.", min=2, max=38)] = 20,
    work: WorkOption = None,
    port: Annotated[int, typer.Option(help="Port of the webserver on loopback.")] = 3099,
    report: Annotated[
        Path | None, typer.Option(help="Folder for numbers and plot; the home's reports if left out.")
    ] = None,
) -> None:
    """From a bar in the inbox to durable targets, real daemon, beside Dagster runs that do nothing; exit code 1 if too slow."""
    from aurora_pipeline.serving.bench import TickBench, verdicts
    from aurora_pipeline.serving.bench_report import save_bench

    opened = existing_home(home)
    folder = (work or opened.path / "replays" / "bench").absolute()
    bench_of = TickBench(opened, session.date(), folder, port, lambda text: out.print(text, highlight=False))
    found = bench_of.run(bars)
    table = Table("way", "bars", "p50 s", "p95 s", "p99 s", "parts, median ms")
    for each in found:
        ranks = [f"{each.percentile(rank):.2f}" for rank in (50, 95, 99)]
        parts = ", ".join(f"{name} {1000 * value:.0f}" for name, value in each.medians().items())
        table.add_row(each.name, str(len(each.seconds)), *ranks, parts)
    print_table(table)
    promised = Table("promised", "measured", "required", "")
    for what, measured, required, holds in verdicts(found):
        promised.add_row(what, measured, required, "holds" if holds else verdict("does not hold"))
    print_table(promised)
    data, plot = save_bench(found, bench_of.facts(), report or opened.reports)
    out.print(f"kept in {data} and {plot}", highlight=False)
    if not all(row[-1] for row in verdicts(found)):
        raise typer.Exit(1)


@bench.command()
def screenshots(
    session: SessionOption,
    home: HomeOption = None,
    bars: Annotated[int, typer.Option(help="Bars to replay first.", min=1)] = 4,
    work: WorkOption = None,
    port: Annotated[int, typer.Option(help="Port of the webserver on loopback.")] = 3097,
    to: Annotated[Path | None, typer.Option(help="Folder for the pictures; the home's reports if left out.")] = None,
) -> None:
    """Replay a few bars and photograph the UI with headless Chromium."""
    from aurora_pipeline.serving.screenshots import take_screenshots

    opened = existing_home(home)
    folder = (work or opened.path / "replays" / "screenshots").absolute()
    for picture in take_screenshots(opened, session.date(), folder, bars, port, to or opened.reports):
        out.print(f"{picture}  {picture.stat().st_size // 1000} KB", highlight=False)


def soak(
    session: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First session; as many follow as needed.")],
    home: HomeOption = None,
    undisturbed: Annotated[int, typer.Option(help="Bars without a fault.", min=0)] = 390,
    disturbed: Annotated[int, typer.Option(help="Bars with a fault each.", min=0)] = 300,
    backfill: Annotated[
        int, typer.Option(help="Sessions of a backfill beside the undisturbed bars; 0 for none.", min=0)
    ] = 60,
    work: WorkOption = None,
    port: Annotated[int, typer.Option(help="Port of the webserver on loopback.")] = 3098,
    seed: Annotated[int, typer.Option(help="Which bar meets which fault.")] = 1,
    report: Annotated[
        Path | None, typer.Option(help="Markdown page to write; in the home's reports if left out.")
    ] = None,
) -> None:
    """Run sessions on end through the real daemon, undisturbed and then with a fault per bar; exit code 1 if anything is lost."""
    from aurora_pipeline.live.session_opening import opening_of
    from aurora_pipeline.serving.soak import Soak, SoakPlan
    from aurora_pipeline.serving.soak_report import save_soak_report

    opened = existing_home(home)
    folder = (work or opened.path / "replays" / "soak").absolute()
    plan = SoakPlan(session.date(), undisturbed, disturbed, backfill, seed)
    run = Soak(opened, plan, folder, port, lambda text: out.print(text, highlight=False))
    result = run.run()
    command = (
        f"aurora soak --session {plan.session} --undisturbed {undisturbed} --disturbed {disturbed} --backfill {backfill} "
        f"--seed {seed}"
    )
    families = len(opening_of(run.home, plan.session).champions.members)
    page = save_soak_report(result, opened.market().name, families, command, report or opened.reports / "soak.md")
    out.print(f"kept in {page}", highlight=False)
    for text in result.wrong():
        out.print(text, style="bold red", highlight=False)
    if result.wrong():
        raise typer.Exit(1)
