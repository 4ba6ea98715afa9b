"""What the pipeline finds on synthetic markets with and without planted alpha.

    .venv/bin/python benchmarks/proofs.py null --seeds 1-20
    .venv/bin/python benchmarks/proofs.py planted --seeds 1-3

`null` runs preset `small` with alpha 0 up to calibrated signals and prints, per seed, the mean rank IC of the ensemble, its t and
the two-sided 5 % point of that t. `planted` runs preset `reference` and prints the mean Spearman correlation of the ensemble's
score with the planted expectation over every session after the warm-up, for all feature views together and for each view alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.defs.launch import bring_up_to_date
from aurora_pipeline.main_job import prepare_home
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.monitoring.information_coefficient import correlation_with_truth, information_coefficient
from aurora_pipeline.stages import VIEWS


def null_rows(seeds: range, root: Path) -> Iterator[str]:
    """One table row per seed, and a last line that counts."""
    yield "| seed | mean rank IC | t | 5 % point | beyond |"
    yield "|---|---|---|---|---|"
    beyond = 0
    for seed in seeds:
        market = root / f"null-{seed}"
        simulate_market(market, preset="small", seed=seed, alpha=0.0)
        home, _, settings = prepare_home(Home(root / f"home-{seed}"), market, ["threads=1"])
        bring_up_to_date(home, settings, trade=False)
        estimate = information_coefficient(home.lake.read("ensemble"), home.lake.read("labels"), "score")
        if estimate.mean is None or estimate.t is None or estimate.critical is None:
            raise SystemExit(f"seed {seed}: nothing matured")
        outside = abs(estimate.t) > estimate.critical
        beyond += outside
        yield f"| {seed} | {estimate.mean:.4f} | {estimate.t:.2f} | {estimate.critical:.2f} | {'yes' if outside else ''} |"
    yield f"\n{beyond} of {len(seeds)} beyond their own 5 % point."


def planted_rows(seeds: range, root: Path) -> Iterator[str]:
    """One table row per seed."""
    yield "| seed | all views | " + " | ".join(VIEWS) + " |"
    yield "|---" * (2 + len(VIEWS)) + "|"
    for seed in seeds:
        market = root / f"reference-{seed}"
        simulate_market(market, preset="reference", seed=seed)
        truth = MarketFolder.open(market).read_truth()
        if truth is None:
            raise SystemExit("the reference market has no truth")
        cells = []
        for views in (VIEWS, *((view,) for view in VIEWS)):
            chosen = f"models.views=[{', '.join(views)}]"
            home, _, settings = prepare_home(Home(root / f"home-{seed}"), market, [chosen])
            bring_up_to_date(home, settings, trade=False)
            mean = correlation_with_truth(home.lake.read("ensemble"), truth, "score").mean
            cells.append("-" if mean is None else f"{mean:.3f}")
        yield f"| {seed} | " + " | ".join(cells) + " |"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof", choices=("null", "planted"))
    parser.add_argument("--seeds", default="1-3", help="first-last")
    parser.add_argument("--root", type=Path, help="folder for markets and homes; a temporary one if left out")
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    root = arguments.root or Path(tempfile.mkdtemp(prefix="aurora-proofs-"))
    root.mkdir(parents=True, exist_ok=True)
    for line in (null_rows if arguments.proof == "null" else planted_rows)(seeds, root):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
