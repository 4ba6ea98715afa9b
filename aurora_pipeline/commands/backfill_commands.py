"""`aurora backfill`: the historical walk-forward test, or one job, over a range of sessions."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from aurora_pipeline.commands.terminal import (
    REPLACE_MODELS,
    Day,
    HomeOption,
    SetOption,
    opened_home,
    out,
    print_changed,
    print_failed,
    progress_bars,
)
from aurora_pipeline.errors import SettingsError

FirstDay = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First session.")]


def backfill(
    from_: FirstDay = None,
    to: Day = None,
    job: Annotated[
        str | None,
        typer.Option(
            help="One job, as the UI names it, whether or not its partitions are stale; needs --from and --to."
        ),
    ] = None,
    market: Annotated[Path | None, typer.Option(help="Market folder; the home's if left out.")] = None,
    home: HomeOption = None,
    set_: SetOption = None,
    replace_models: Annotated[bool, typer.Option("--replace-models", help=REPLACE_MODELS)] = False,
) -> None:
    """Run the walk-forward test of a range of sessions: what is missing or stale is trained, predicted, weighed and traded.

    What a session rests on before --from is made too where it is missing; nothing after --to is. Cut off anywhere, the same
    command goes on. Families that could not be trained are named at the end; exit code 2 only if not one model could be.
    """
    from aurora_pipeline.workflows.backfill import run_range, run_walk_forward

    first, last = from_.date() if from_ else None, to.date() if to else None
    if job is not None:
        if first is None or last is None:
            raise SettingsError(f"--job {job} runs over a range: give --from and --to")
        with progress_bars():
            run_id = run_range(opened_home(home), job, first, last)
        out.print(f"run {run_id} succeeded")
        return
    opened = opened_home(home)
    with progress_bars():
        outcome = run_walk_forward(opened, market, list(set_ or []), first, last, replace_models=replace_models)
    print_failed(outcome.failed)
    print_changed(outcome.changed)
    out.print(f"scorecard  {opened.scorecard_file}\nmanifest   {outcome.manifest}")
