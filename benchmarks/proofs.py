"""What the pipeline finds in the reference market with all feature views, and with each view alone.

    .venv/bin/python benchmarks/proofs.py --seeds 1-3

Prints the mean Spearman correlation of the ensemble's score with the planted expectation over every session after the warm-up.
Markets without alpha, and calibration on planted ones, are the business of `aurora prove`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aurora_pipeline.stages import VIEWS
from aurora_pipeline.workflows.proofs import MarketTask, prove_market


def planted_rows(seeds: range, root: Path) -> Iterator[str]:
    """One table row per seed."""
    yield "| seed | all views | " + " | ".join(VIEWS) + " |"
    yield "|---" * (2 + len(VIEWS)) + "|"
    for seed in seeds:
        cells = []
        for views in (VIEWS, *((view,) for view in VIEWS)):
            task = MarketTask(root, "full", seed, "reference", overrides=(f"models.views=[{', '.join(views)}]",))
            found = prove_market(task).correlation_with_truth
            cells.append("-" if found is None else f"{found:.3f}")
        yield f"| {seed} | " + " | ".join(cells) + " |"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1-3", help="first-last")
    parser.add_argument("--root", type=Path, help="folder for markets and homes; a temporary one if left out")
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    root = arguments.root or Path(tempfile.mkdtemp(prefix="aurora-proofs-"))
    root.mkdir(parents=True, exist_ok=True)
    for line in planted_rows(seeds, root):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
