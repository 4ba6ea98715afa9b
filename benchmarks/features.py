"""Speed and memory of the feature views, with Qlib's Alpha158 in the same run.

    .venv/bin/python benchmarks/features.py --work DIR [--qlib QLIB_PYTHON] [--parts daily,intraday,newest,memory,scaling]

QLIB_PYTHON is the interpreter of an environment of its own (`python3 -m venv E; E/bin/pip install pyqlib==0.9.7`).
Markets are simulated below DIR and kept, so that a second run starts at once. What is printed:

- daily: history of all features on 130 stocks x 2016 sessions of daily bars, from a cold store (files dropped from the system's
  cache) to the frames of the views, in finite cells a second, and Alpha158 on the same bars, likewise cold;
- intraday: the same at 5 minutes, 130 stocks x 20 sessions;
- newest: all features and the panel of one new bar of 130 stocks, inputs in memory;
- memory: largest resident size while 250 sessions of 5-minute bars are computed block by block as a backfill does;
- scaling: seconds for 500 stocks over seconds for 130, to be held against 500 / 130.

Wall seconds and processor seconds are both printed: on a machine that does other work only the second means much.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import polars as pl
import polars.selectors as cs
from feature_market import forget, made_home, read_inputs

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.features.panel_builder import build_panel, compute_views

PARTS = ("daily", "intraday", "newest", "memory", "scaling")
STOCKS, DAYS = 130, 2016
REPEATS = 3
BACKFILL_BLOCK = 40
BAR_VIEWS = ("price", "sector", "microstructure")
ALL_VIEWS = (*BAR_VIEWS, "fundamental", "alternative")


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Wall seconds, and processor seconds of all threads of this process."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - wall, "processor": time.process_time() - processor}


def finite_cells(frames: Sequence[pl.DataFrame]) -> int:
    """Values that are not missing."""
    return sum(int(frame.select(cs.float().count()).sum_horizontal().item() or 0) for frame in frames)


def history(home: Home, days: Sequence[date], views: Sequence[str]) -> dict[str, float]:
    """Compute some views of a range of sessions from a cold lake."""
    forget(home.lake.root)
    frames: list[pl.DataFrame] = []
    taken = timed(lambda: frames.extend(compute_views(read_inputs(home, days), views).values()))
    return taken | {"cells": finite_cells(frames)}


def show(name: str, runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """Print the medians of some runs; returns cells a second, by either clock."""
    median = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "processor", "cells")}
    rate = {clock: median["cells"] / median[clock] for clock in ("seconds", "processor")}
    print(
        f"{name:<44} {median['seconds']:8.2f} s wall {median['processor']:8.2f} s processor {median['cells'] / 1e6:8.2f} M cells "
        f"{rate['seconds'] / 1e6:8.2f} M cells/s {rate['processor'] / 1e6:8.2f} M cells/processor s",
        flush=True,
    )
    return rate


def daily(work: Path, qlib: Path | None) -> None:
    """Daily history and Alpha158, turn by turn so that both meet the same machine."""
    home = made_home(work, "reference-long", STOCKS, DAYS)
    days = home.sessions(home.settings())[-DAYS:]
    bars = work / "qlib-bars.parquet"
    stocks = home.lake.read("universe").filter(kind="stock").get_column("symbol").unique()
    columns = ["symbol", "session", "open", "high", "low", "close", "volume"]
    home.lake.read("daily_bars").filter(pl.col("symbol").is_in(stocks.implode())).select(columns).write_parquet(bars)
    runs: dict[str, list[dict[str, float]]] = {"all": [], "bars": [], "qlib": []}
    history(home, days[:50], ["price"])
    for _ in range(REPEATS):
        runs["all"].append(history(home, days, ALL_VIEWS))
        runs["bars"].append(history(home, days, BAR_VIEWS))
        if qlib is not None:
            script = Path(__file__).with_name("qlib_alpha158.py")
            command = [str(qlib), str(script), str(bars), str(days[0]), str(days[-1]), "1"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            runs["qlib"].append(json.loads(done.stdout.strip().splitlines()[-1]))
    rates = {
        name: show(title, runs[name])
        for name, title in (
            ("all", f"daily {STOCKS} x {DAYS}, all five views"),
            ("bars", "daily, price + sector + microstructure"),
            ("qlib", "daily, Qlib Alpha158"),
        )
        if runs[name]
    }
    if qlib is not None:
        for name in ("all", "bars"):
            ratios = {clock: rates[name][clock] / rates["qlib"][clock] for clock in ("seconds", "processor")}
            print(f"  {name} over Alpha158: {ratios['seconds']:.1f} by wall, {ratios['processor']:.1f} by processor")


def intraday(work: Path, _: Path | None) -> None:
    """Five-minute history."""
    home = made_home(work, "reference", STOCKS, 20)
    days = home.sessions(home.settings())
    history(home, days[-2:], ALL_VIEWS)
    show(f"5 minutes {STOCKS} x 20 x 78, all five views", [history(home, days, ALL_VIEWS) for _ in range(3)])


def newest(work: Path, _: Path | None) -> None:
    """One new bar."""
    home = made_home(work, "reference", STOCKS, 20)
    day = home.sessions(home.settings())[-1]
    until = home.calendar.bar_ends(day, home.frequency)[40]
    inputs = read_inputs(home, [day], until)
    # A tick wants its newest bar only, but its session's bars are computed by the same kernels in one pass.
    runs = []
    for _ in range(15):
        fresh = inputs.with_frames()
        runs.append(timed(lambda own=fresh: build_panel(list(compute_views(own).values()), own.universe, own.settings)))
    for clock in ("seconds", "processor"):
        median = statistics.median(run[clock] for run in runs[1:])
        print(f"newest bar, {STOCKS} stocks, all features and panel: median {median:.3f} s {clock}", flush=True)


def memory(work: Path, _: Path | None) -> None:
    """A year of five-minute bars, in a process of its own."""
    made_home(work, "reference", STOCKS, 250)
    script = Path(__file__).resolve()
    done = subprocess.run(
        [sys.executable, str(script), "--work", str(work), "--parts", "backfill"],
        capture_output=True,
        text=True,
        check=True,
    )
    print(done.stdout, end="", flush=True)


def backfill(work: Path, _: Path | None) -> None:
    """Compute and store a year block by block, as a backfill does, and print the largest resident size."""
    home = made_home(work, "reference", STOCKS, 250)
    days = home.sessions(home.settings())
    rows = 0
    wall, processor = time.perf_counter(), time.process_time()
    for begin in range(0, len(days), BACKFILL_BLOCK):
        block = days[begin : begin + BACKFILL_BLOCK]
        inputs = read_inputs(home, block)
        frames = compute_views(inputs)
        panel = build_panel(list(frames.values()), inputs.universe, inputs.settings)
        home.lake.write_sessions("features", panel, {f"{day}": "benchmark" for day in block})
        rows += panel.height
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"memory {STOCKS} x 250 x 78: largest resident size {peak:.2f} GiB, {rows / 1e6:.2f} M rows, "
        f"{time.perf_counter() - wall:.1f} s wall, {time.process_time() - processor:.1f} s processor"
    )


def scaling(work: Path, _: Path | None) -> None:
    """The same code on 130 and on 500 stocks."""
    for preset, sessions in (("reference-long", 500), ("reference", 8)):
        medians = {}
        for stocks in (130, 500):
            home = made_home(work, preset, stocks, sessions)
            days = home.sessions(home.settings())[-sessions:]
            history(home, days[-2:], ALL_VIEWS)
            runs = [history(home, days, ALL_VIEWS) for _ in range(3)]
            show(f"{preset} {stocks} x {sessions}", runs)
            medians[stocks] = {
                key: statistics.median(run[key] for run in runs) for key in ("seconds", "processor", "cells")
            }
        grown = {key: medians[500][key] / medians[130][key] for key in ("seconds", "processor", "cells")}
        print(
            f"  500 over 130 stocks: {grown['seconds']:.2f} by wall, {grown['processor']:.2f} by processor, "
            f"{grown['cells']:.2f} times the cells"
        )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--qlib", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS))
    arguments = parser.parse_args()
    known = {
        "daily": daily,
        "intraday": intraday,
        "newest": newest,
        "memory": memory,
        "scaling": scaling,
        "backfill": backfill,
    }
    for part in arguments.parts.split(","):
        known[part](arguments.work, arguments.qlib)


if __name__ == "__main__":
    main()
