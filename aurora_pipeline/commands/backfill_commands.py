"""`aurora backfill`: the historical walk-forward test, or one job, over a range of sessions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aurora_pipeline.commands.terminal import (
    REPLACE_MODELS,
    HomeOption,
    LastDay,
    SetOption,
    err,
    existing_home,
    opened_home,
    out,
    print_changed,
    print_failed,
    progress_bars,
)
from aurora_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from aurora_pipeline.adapters.home import Home

INTERRUPTED = "DagsterExecutionInterruptedError"
"""What Dagster makes of Ctrl-C while a step runs; by name, since nothing of Dagster is imported here."""
FirstDay = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First session; the market's if left out.")
]


def backfill(
    from_: FirstDay = None,
    to: LastDay = None,
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
    first, last = from_.date() if from_ else None, to.date() if to else None
    if job is not None:
        if first is None or last is None:
            raise SettingsError(f"--job {job} runs over a range: give --from and --to")
        with _goes_on("what was finished is kept; the same command makes its whole range again"):
            _run_job(existing_home(home), job, first, last)
        return
    with _goes_on("the same command goes on where it stopped"):
        _run_walk_forward(opened_home(home), market, list(set_ or []), first, last, replace_models=replace_models)


def _run_job(opened: Home, job: str, first: date, last: date) -> None:
    from aurora_pipeline.workflows.backfill import run_range

    with progress_bars():
        done = run_range(opened, job, first, last)
    over = (
        f" over {_counted(done.partitions, done.unit)}" if done.partitions else ", which has no partitions, as a whole"
    )
    print_failed(done.failed)
    ended = "ended with what is named above not trained" if done.failed else "succeeded"
    out.print(f"{job}{over}: run {', '.join(done.runs)} {ended}", highlight=False, soft_wrap=True)
    if done.failed:
        raise typer.Exit(2)


def _run_walk_forward(
    opened: Home,
    market: Path | None,
    overrides: list[str],
    first: date | None,
    last: date | None,
    *,
    replace_models: bool,
) -> None:
    from aurora_pipeline.workflows.backfill import run_walk_forward

    with progress_bars():
        done = run_walk_forward(opened, market, overrides, first, last, replace_models=replace_models)
    print_failed(done.outcome.failed)
    print_changed(done.outcome.changed)
    made = f"made {_counted(done.made, done.unit)}" if done.made else "nothing was missing or stale"
    out.print(f"book {done.book}: {made}", highlight=False, soft_wrap=True)
    out.print(
        f"scorecard  {opened.scorecard_file}\nmanifest   {done.outcome.manifest}", highlight=False, soft_wrap=True
    )


def _counted(partitions: Sequence[str], unit: str) -> str:
    """Number of partitions, and the first and last of them."""
    if len(partitions) == 1:
        return f"{unit} {partitions[0]}"
    return f"{len(partitions)} {unit}s, {partitions[0]} to {partitions[-1]}"


@contextmanager
def _goes_on(how: str) -> Iterator[None]:
    """Say how to go on after Ctrl-C, whoever noticed it first, and leave with the shell's exit code for it."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt) and type(error).__name__ != INTERRUPTED:
            raise
        err.print(f"ended by Ctrl-C: {how}", highlight=False, soft_wrap=True)
        raise typer.Exit(130) from error
