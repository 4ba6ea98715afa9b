"""False alarms of the leak checks on clean code, over seeds of the reference market.

    .venv/bin/python benchmarks/leaks.py [--seeds 1-20] [--stocks 16] [--sessions 8]

Every seed simulates a market (corrections, splits, restated filings, late bars included), computes features and labels of all its
sessions in one range, and runs all checks on its last sessions that labels reach. Prints a row of a table per seed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import polars as pl
from feature_market import made_home, read_inputs

from aurora_pipeline.features.leakage import FEATURE_CHECKS, feature_leaks, sample_decision_times
from aurora_pipeline.features.panel_builder import compute_panel
from aurora_pipeline.models.label_leakage import LABEL_CHECKS, LabelInputs, label_cuts, label_leaks

REACH = 3
"""Sessions a label of 78 bars may need after its own."""


def alarms(root: Path, seed: int, stocks: int, sessions: int, checked: int) -> tuple[int, int, pl.DataFrame]:
    """Decision times and values checked on a market of its own, and what was found wrong."""
    home = made_home(root, "small", stocks, sessions, seed)
    settings = home.settings()
    days = home.sessions(settings)
    stored = compute_panel(read_inputs(home, days))
    own = days[-REACH - checked : -REACH]
    cuts, values, found = 0, 0, []
    for session in own:
        times = sample_decision_times(session, home.calendar, home.frequency)
        inputs = read_inputs(home, [session], whole=True)
        panel = stored.filter(pl.col("session") == session)
        found.append(feature_leaks(inputs, panel, times, seed, FEATURE_CHECKS).select("check", "column"))
        label_inputs = LabelInputs(
            [session],
            home.lake.read("residual_returns", session, days[min(days.index(session) + REACH, len(days) - 1)]),
            home.lake.read("universe", session, session),
            home.calendar,
            home.frequency,
            settings.horizon_bars(home.frequency),
            settings.execution_lag_bars,
        )
        labels = label_inputs.labels()
        wrong = label_leaks(label_inputs, labels, label_cuts(label_inputs, labels), seed, LABEL_CHECKS)
        found.append(wrong.select("check", pl.lit("label").alias("column")))
        cuts += len(times)
        values += panel.height * (panel.width - 3) + labels.height
    return cuts, values, pl.concat(found)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1-20")
    parser.add_argument("--stocks", type=int, default=16)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--checked", type=int, default=2, help="sessions checked of each seed")
    arguments = parser.parse_args()
    first, last = (int(part) for part in arguments.seeds.split("-"))
    print("| seed | decision times | values | violations |\n|---|---|---|---|")
    started, total = time.process_time(), 0
    for seed in range(first, last + 1):
        with tempfile.TemporaryDirectory() as name:
            cuts, values, found = alarms(Path(name), seed, arguments.stocks, arguments.sessions, arguments.checked)
        total += found.height
        print(f"| {seed} | {cuts} | {values} | {found.height} |", flush=True)
        if found.height:
            print(found.group_by("check", "column").len())
    print(f"\n{total} violations; {time.process_time() - started:.0f} s of processor time")
    raise SystemExit(1 if total else 0)


if __name__ == "__main__":
    main()
