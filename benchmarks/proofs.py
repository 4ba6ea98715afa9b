"""What the pipeline finds in the reference market with all feature views, and with each view alone.

    .venv/bin/python benchmarks/proofs.py --seeds 1-3 [--families ridge,lightgbm,xgboost] [--views all]
    .venv/bin/python benchmarks/proofs.py --seeds 1-1 --sessions 320 --views none --blocks 160
    .venv/bin/python benchmarks/proofs.py --seeds 1-6 --views none --set drift.most_challengers=0

Prints the mean Spearman correlation of the ensemble's score with the planted expectation over every session after the warm-up,
and for all views IC, slope and coverage beside it; with `--blocks N` also the correlation over the folds whose train block has N
sessions or more. One home per seed: for a view alone only the models are made anew.
Markets without alpha, and calibration on small planted ones, are the business of `aurora prove`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.defs.up_to_date import bring_up_to_date
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.models.walk_forward import make_folds
from aurora_pipeline.monitoring.information_coefficient import correlation_with_truth
from aurora_pipeline.monitoring.proof_verdicts import ProvenMarket
from aurora_pipeline.stages import VIEWS
from aurora_pipeline.workflows.main_job import prepare_home
from aurora_pipeline.workflows.proofs import measure_home


def measured(
    root: Path, seed: int, sessions: int | None, views: Sequence[str], overrides: Sequence[str]
) -> ProvenMarket:
    """Bring the seed's home up to date with some views, and measure it."""
    folder, path = root / f"market-{seed}", root / f"home-{seed}"
    if not (folder / "truth.parquet").exists():
        simulate_market(folder, preset="reference", seed=seed, sessions=sessions)
    home, market, settings = prepare_home(Home(path), folder, [f"models.views=[{', '.join(views)}]", *overrides])
    bring_up_to_date(home, settings, trade=False, replace_models=True)
    return measure_home(home, market, "full", seed)


def learned_correlation(root: Path, seed: int, least: int) -> str:
    """Correlation with the truth of the ensemble (and of equal weights) in folds with at least so many train sessions."""
    home = Home(root / f"home-{seed}")
    settings = home.settings()
    folds = make_folds(home.sessions(settings), home.frequency, settings)
    sessions = [day for fold in folds if len(fold.train_sessions) >= least for day in fold.test_sessions]
    ensemble = home.lake.read("ensemble").filter(pl.col("session").is_in(sessions))
    truth = MarketFolder.open(root / f"market-{seed}").read_truth()
    if truth is None or ensemble.is_empty():
        return "-"
    own, equal = (
        number(correlation_with_truth(ensemble, truth, score).mean, 4) for score in ("score", "equal_weight_score")
    )
    return f"{own} ({equal}) over {ensemble.get_column('session').n_unique()} sessions"


def number(value: float | None, digits: int = 3) -> str:
    """A cell."""
    return "-" if value is None else f"{value:.{digits}f}"


def rows(
    seeds: range, root: Path, sessions: int | None, alone: Sequence[str], overrides: Sequence[str], blocks: int | None
) -> Iterator[str]:
    """Table, one row per seed."""
    names = ["seed", "all views", "equal weight", "rank IC (t)", "slope (95 %)", "coverage 50/80/90"]
    names += [] if blocks is None else [f"train blocks of {blocks} and more (equal weight)"]
    names += alone
    yield "| " + " | ".join(names) + " |"
    yield "|---" * len(names) + "|"
    for seed in seeds:
        found = measured(root, seed, sessions, VIEWS, overrides)
        cells = [
            number(found.correlation_with_truth, 4),
            number(found.equal_weight_correlation, 4),
            f"{number(found.rank_ic)} ({number(found.t, 1)})",
            f"{number(found.slope, 2)} ({number(found.slope_lower, 2)} to {number(found.slope_upper, 2)})",
            " / ".join(f"{100 * value:.1f}" for value in found.coverage.values()),
        ]
        cells += [] if blocks is None else [learned_correlation(root, seed, blocks)]
        cells += [number(measured(root, seed, sessions, [view], overrides).correlation_with_truth) for view in alone]
        for kind in ("market", "home"):
            shutil.rmtree(root / f"{kind}-{seed}")
        yield f"| {seed} | " + " | ".join(cells) + " |"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1-3", help="first-last")
    parser.add_argument("--sessions", type=int, help="scored and warm-up sessions; the preset's 160 if left out")
    parser.add_argument("--views", default="all", help="views to run alone: all, none, or names with commas between")
    parser.add_argument("--families", help="model families, commas between; all if left out")
    parser.add_argument("--set", action="append", default=[], help="key=value, as for `aurora run`, repeatable")
    parser.add_argument("--blocks", type=int, help="train sessions a fold must have for a column of its own")
    parser.add_argument("--root", type=Path, help="folder for markets and homes; a temporary one if left out")
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition("-")
    alone = {"all": VIEWS, "none": ()}.get(arguments.views, tuple(arguments.views.split(",")))
    overrides = [] if arguments.families is None else [f"models.families=[{arguments.families}]"]
    overrides += arguments.set
    root = arguments.root or Path(tempfile.mkdtemp(prefix="aurora-proofs-"))
    root.mkdir(parents=True, exist_ok=True)
    seeds = range(int(first), int(last or first) + 1)
    for line in rows(seeds, root, arguments.sessions, alone, overrides, arguments.blocks):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
