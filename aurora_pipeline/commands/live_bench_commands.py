"""`aurora bench tick` and `aurora soak`: how fast the loop is, and whether it can be killed."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from aurora_pipeline.commands.terminal import HomeOption, opened_home, out
from aurora_pipeline.errors import AuroraError

bench = typer.Typer(help="Measure.", no_args_is_help=True)
SessionOption = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Session to replay.")]
WorkOption = Annotated[Path | None, typer.Option(help="Folder for the replay homes; `<home>/replays` if left out.")]


@bench.callback()
def _bench() -> None:
    """Measure."""


@bench.command()
def tick(
    session: SessionOption,
    home: HomeOption = None,
    bars: Annotated[int, typer.Option(help="Bars each way.", min=2, max=38)] = 20,
    work: WorkOption = None,
    port: Annotated[int, typer.Option(help="Port of the webserver on loopback.")] = 3099,
) -> None:
    """From a bar in the inbox to durable targets, real daemon, beside a Dagster run that does nothing."""
    from aurora_pipeline.live.bench import bench_tick

    opened = opened_home(home)
    folder = (work or opened.path / "replays" / "bench").absolute()
    found = bench_tick(opened, session.date(), folder, bars, port, lambda text: out.print(text, highlight=False))
    empty = next(each for each in found if each.name == "empty run").percentile(50)
    table = Table("way", "bars", "p50 s", "p95 s", "p99 s", "p95 / empty run", "parts, median ms")
    for each in found:
        ranks = [f"{each.percentile(rank):.2f}" for rank in (50, 95, 99)]
        parts = ", ".join(f"{name} {value:.0f}" for name, value in each.parts_ms.items())
        table.add_row(each.name, str(len(each.seconds)), *ranks, f"{each.percentile(95) / empty:.2f}", parts)
    out.print(table)


def soak(
    session: SessionOption,
    home: HomeOption = None,
    bars: Annotated[int | None, typer.Option(help="Bars; the whole session if left out.")] = None,
    faults: Annotated[bool, typer.Option("--faults/--no-faults", help="Do harm on the way.")] = True,
    work: WorkOption = None,
    port: Annotated[int, typer.Option(help="Port of the webserver on loopback.")] = 3098,
    seed: Annotated[int, typer.Option(help="Which bar meets which fault.")] = 1,
) -> None:
    """Replay a session through the real daemon while it is harmed; every bar must be settled once and parity hold."""
    from aurora_pipeline.live.soak import run_soak

    opened = opened_home(home)
    folder = (work or opened.path / "replays" / "soak").absolute()
    report = run_soak(
        opened, session.date(), folder, bars, port, seed, lambda text: out.print(text, highlight=False), faults=faults
    )
    out.print_json(json.dumps(report))
    if report["wrong"]:
        raise AuroraError("; ".join(report["wrong"]))
