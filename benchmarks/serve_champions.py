"""Time to load the champion set and to score the newest decision time with it.

    .venv/bin/python benchmarks/serve_champions.py HOME [--fold KEY] [--threads N]

HOME holds a finished run. All is measured in this fresh process: the imports the champion families need; the start of numba,
which a tick has paid by the time its features are there; then loading all families with their hashes checked and scoring
every symbol of the fold's last decision time, the first call of each model included. The target is at most 0.3 s for
loading and scoring. The ratio is to reading and hashing the same files, the least any server must do.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.models.model_factory import FAMILIES
from aurora_pipeline.models.training_pipeline import load_trained, predict
from aurora_pipeline.monitoring.information_coefficient import average_ranks

LIBRARIES = {
    "random_forest": "lightgbm",
    "lightgbm": "lightgbm",
    "ranker": "lightgbm",
    "xgboost": "xgboost",
    "catboost": "catboost",
}
REPEATS = 7


def newest_rows(home: Home, fold: str) -> pl.DataFrame:
    """Features of the last decision time of a fold's test month."""
    sessions = [day for day in home.sessions(home.settings()) if day.isoformat().startswith(fold)]
    features = home.lake.read("features", sessions[-1], sessions[-1])
    return features.filter(pl.col("decision_time") == pl.col("decision_time").max())


def least_seconds(directories: list[Path]) -> float:
    """Seconds to read and hash all files of the champion set, median of a few."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        for directory in directories:
            for file in directory.iterdir():
                hashlib.sha256(file.read_bytes()).hexdigest()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Measure and print; exit 1 above the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--fold", help="the newest one unless named")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    home = Home(arguments.home)
    champions = home.champions()
    fold = arguments.fold or max(key for folds in champions.values() for key in folds)
    served = {family: home.models / champions[family][fold] for family in FAMILIES if fold in champions.get(family, {})}
    rows = newest_rows(home, fold)
    libraries = sorted({LIBRARIES[family] for family in served if family in LIBRARIES})
    started = time.perf_counter()
    for library in libraries:
        __import__(library)
    imported = time.perf_counter()
    average_ranks(np.zeros(2))
    compiled = time.perf_counter()
    least = least_seconds(list(served.values()))
    print(f"fold {fold}, {rows.height} symbols, {len(served)} families")
    print(f"imports {', '.join(libraries)}: {imported - started:.2f} s; start of numba: {compiled - imported:.2f} s")
    print(f"{'family':<16}{'load ms':>9}{'score ms':>10}")
    total, processor = 0.0, 0.0
    for family, directory in served.items():
        started, busy = time.perf_counter(), time.process_time()
        trained = load_trained(directory, arguments.threads)
        loaded = time.perf_counter()
        predict(trained, rows)
        scored = time.perf_counter()
        processor += time.process_time() - busy
        total += scored - started
        print(f"{family:<16}{1000 * (loaded - started):9.1f}{1000 * (scored - loaded):10.1f}")
    needless = {"optuna", "mlflow", "dagster", *LIBRARIES.values()} - set(libraries)
    brought = sorted(needless & set(sys.modules))
    verdict = "within" if total <= 0.3 and not brought else "BEYOND"
    print(f"load and score all: {total:.3f} s ({processor:.3f} s of processor time), {verdict} the target of 0.3 s")
    print(f"{total / least:.0f} x reading and hashing the files")
    if brought:
        print(f"imported without need: {', '.join(brought)}")
    if verdict == "BEYOND":
        raise SystemExit(1)


if __name__ == "__main__":
    main()
