"""Stage times of the main job on the reference market, and the newest bar's feature time.

    .venv/bin/python benchmarks/main_job.py [--market DIR] [--home DIR]

Runs in a clean home (a temporary one unless named). Each stage is printed in seconds and as a share of the raw model fits of the
same run, the reference that travels between machines; peak memory is the largest resident size of the process and of its
largest worker together. What a training run does besides fitting is shown in two parts: orchestration (Dagster, reading,
joining, files, MLflow), and the models' own predictions for in-fold IC and permutation importance.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.stage_inputs.features import read_view_inputs
from aurora_pipeline.defs.instances import instance_of
from aurora_pipeline.defs.jobs import TRAINING_JOB
from aurora_pipeline.stages import VIEWS
from aurora_pipeline.workflows.main_job import run_main_job

REPEATS = 7


def stage_seconds(home: Home) -> dict[str, float]:
    """Seconds of each step, summed over the runs of a home."""
    seconds: dict[str, float] = {}
    with instance_of(home) as instance:
        for run in instance.get_runs():
            for stats in instance.get_run_step_stats(run.run_id):
                if stats.start_time is not None and stats.end_time is not None:
                    seconds[stats.step_key] = seconds.get(stats.step_key, 0.0) + stats.end_time - stats.start_time
    return seconds


def training_seconds(home: Home) -> float:
    """Seconds of the training runs from start to end, summed over processes, without the feature audits they begin with."""
    total = 0.0
    with instance_of(home) as instance:
        for record in instance.get_run_records(filters=dg.RunsFilter(job_name=TRAINING_JOB)):
            if record.start_time is not None and record.end_time is not None:
                total += record.end_time - record.start_time
    return total - stage_seconds(home).get("feature_audit", 0.0)


def model_seconds(home: Home) -> dict[str, float]:
    """Seconds in fits, and in measuring the fitted (in-fold IC, importance), from the training metadata."""
    total = dict.fromkeys(("fit_seconds", "measuring_seconds"), 0.0)
    with instance_of(home) as instance:
        for family in home.settings().models.families:
            key = dg.AssetKey(["trained_model", family])
            for record in instance.fetch_materializations(key, limit=100).records:
                metadata = record.asset_materialization.metadata if record.asset_materialization else {}
                for name in total:
                    total[name] += float(metadata[name].value) if name in metadata else 0.0
    return total


def newest_bar_seconds(home: Home) -> list[float]:
    """Seconds to compute all features of the last session's newest bar, views and panel, inputs in memory."""
    from aurora_pipeline.features.panel_builder import build_panel, compute_view

    settings = home.settings()
    session = home.sessions(settings)[-1]

    def read_back(name: str, sessions: Sequence[date], count: int, columns: Sequence[str] | None) -> pl.DataFrame:
        return home.lake.read(name, home.calendar.shift(sessions[0], -count), sessions[-1], columns)

    until = home.calendar.bar_ends(session, home.frequency)[-1]
    inputs = read_view_inputs(home, settings, [session], read_back, until)
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        build_panel([compute_view(view, inputs) for view in VIEWS], inputs.universe, settings)
        times.append(time.perf_counter() - started)
    return times[1:]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--market", type=Path)
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    home = Home(arguments.home or Path(tempfile.mkdtemp(prefix="aurora-bench-")))
    started = time.perf_counter()
    run_main_job(home, arguments.market, [], fresh=True)
    total = time.perf_counter() - started
    model = model_seconds(Home(home.path))
    fits = model["fit_seconds"]
    peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 2**20
    training = training_seconds(Home(home.path))
    print(f"main job      {total:7.1f} s   peak memory {peak:.2f} GiB   raw model fits {fits:.1f} s")
    orchestration = training - sum(model.values())
    print(
        f"training runs {training:7.1f} s   over the raw fits: orchestration {100 * orchestration / fits:.1f} % (target 15 %), "
        f"in-fold IC and importance {100 * model['measuring_seconds'] / fits:.1f} %"
    )
    for step, seconds in sorted(stage_seconds(Home(home.path)).items(), key=lambda item: -item[1]):
        print(f"{step:<34} {seconds:7.2f} s {seconds / fits if fits else float('nan'):8.2f} x raw fits")
    times = newest_bar_seconds(Home(home.path))
    print(f"newest bar, all features          median {1000 * statistics.median(times):.0f} ms of {len(times)} runs")


if __name__ == "__main__":
    main()
