"""Trains folds side by side in processes of their own, each fold one Dagster run with all families in it.

Processes are spawned, never forked (polars and the model libraries hold threads), and end with the process that started them.
A family that fails in a fold is a result, not an error: the others go on. A process that dies (out of memory, killed) takes
nothing with it but its fold, which is tried again alone.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.model_registry import ModelRegistry, make_registry
from aurora_pipeline.adapters.progress import report
from aurora_pipeline.adapters.stage_inputs.fold import forget_fold_inputs
from aurora_pipeline.adapters.worker_processes import worker_pool
from aurora_pipeline.defs import jobs
from aurora_pipeline.defs.cluster_runs import PARTITION, await_run, failures_of, submit_run
from aurora_pipeline.defs.instances import instance_of
from aurora_pipeline.defs.launcher import Launcher
from aurora_pipeline.settings import Settings

PROGRESS = "training"
_THREADS_VARIABLE = "AURORA_THREADS"


@dataclass(frozen=True)
class FoldResult:
    """What became of one fold.

    Attributes
    ----------
    fold : str
        Fold key.
    run_id : str or None
        Dagster run; None where its process died.
    failed : dict of str to str
        Asset that failed, such as `trained_model/ridge`, to why.
    """

    fold: str
    run_id: str | None
    failed: dict[str, str] = field(default_factory=dict)


def train_folds(launcher: Launcher, settings: Settings, folds: Sequence[str]) -> list[FoldResult]:
    """Train all families of each fold; results in the order of `folds`.

    Parameters
    ----------
    launcher : Launcher
        Of the home; runs the folds itself where there is only one, or `training.processes` is 1.
    settings : Settings
        Section `training`, and `threads`, which the processes share.
    folds : sequence of str
        Fold keys.
    """
    processes = min(settings.training.processes, len(folds))
    report(PROGRESS, 0, len(folds))
    if settings.profile == "cluster":
        found = _on_the_cluster(launcher, folds)
    elif processes <= 1:
        found = _here(launcher, folds)
    else:
        found = _side_by_side(launcher.home.path, folds, processes, settings.threads, settings.training.retries)
    results = {}
    for result in found:
        results[result.fold] = result
        report(PROGRESS, len(results), len(folds))
    launcher.launched += [run_id for fold in folds if (run_id := results[fold].run_id) is not None]
    return [results[fold] for fold in folds]


def prepare_tracking(home: Home) -> None:
    """Start making the registry's database in a process of its own, where there is none: its migrations take seconds."""
    if home.shared is None and not ModelRegistry(home.mlflow).database.exists():
        multiprocessing.get_context("spawn").Process(target=make_registry, args=(home.mlflow,), daemon=True).start()


def _on_the_cluster(launcher: Launcher, folds: Sequence[str]) -> Iterator[FoldResult]:
    """All folds at once: the run queue gives each to a worker as there is room."""
    submitted = {fold: submit_run(launcher.instance, jobs.TRAINING_JOB, {PARTITION: fold}) for fold in folds}
    for fold, run_id in submitted.items():
        run = await_run(launcher.instance, run_id)
        yield FoldResult(fold, run.run_id, failures_of(launcher.instance, run))
    launcher.home.refresh()


def _here(launcher: Launcher, folds: Sequence[str]) -> Iterator[FoldResult]:
    try:
        for fold in folds:
            yield _train(launcher, fold)
    finally:
        forget_fold_inputs()


def _train(launcher: Launcher, fold: str) -> FoldResult:
    run_id, failed = launcher.attempt(jobs.TRAINING_JOB, partition=fold)
    return FoldResult(fold, run_id, failed)


def _side_by_side(home: Path, folds: Sequence[str], processes: int, threads: int, retries: int) -> Iterator[FoldResult]:
    """Results as they come; after a process has died each fold without one gets a process to itself."""
    left = list(folds)
    for attempt in range(1 + retries):
        batches = [[fold] for fold in left] if attempt else [list(left)]
        for batch in batches:
            for result in _in_processes(home, batch, min(processes, len(batch)), threads):
                left.remove(result.fold)
                yield result
    for fold in left:
        yield FoldResult(fold, None, {"process": f"the process that trained the fold died, {1 + retries} time(s)"})


def _in_processes(home: Path, folds: Sequence[str], processes: int, threads: int) -> Iterator[FoldResult]:
    shares = thread_shares(len(folds), processes, threads)
    with worker_pool(processes) as pool:
        waiting = {
            pool.submit(_train_in_process, str(home), fold, share) for fold, share in zip(folds, shares, strict=True)
        }
        for future in as_completed(waiting):
            with suppress(BrokenProcessPool):
                yield future.result()


def thread_shares(folds: int, processes: int, threads: int) -> list[int]:
    """Threads of each fold: those left over by full rounds of the processes share all that there are."""
    left = folds % processes
    return [max(1, threads // processes)] * (folds - left) + [max(1, threads // left) for _ in range(left)]


def _train_in_process(home: str, fold: str, threads: int) -> FoldResult:
    os.environ[_THREADS_VARIABLE] = str(threads)
    opened = Home(Path(home))
    with instance_of(opened) as instance:
        return _train(Launcher(opened, instance), fold)
