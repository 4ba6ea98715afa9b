"""The lifecycle at work on a market that breaks, unattended, beside the same run without it.

    .venv/bin/python benchmarks/lifecycle_cycle.py --directory DIR                    preset small, minutes
    .venv/bin/python benchmarks/lifecycle_cycle.py --directory DIR --preset reference --break 2024-09-20

Two runs in one home, so that data and features are made once: first with challengers and decisions by test switched off, then
with drift that trains challengers and tests that promote and retire. Each has a book of its own. Printed are every change of
state with its reason, what MLflow says of each version, and the two books from the break on, with the paired difference.
"""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.model_registry import ModelRegistry
from aurora_pipeline.defs.launch import bring_up_to_date
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.monitoring.bootstrap_interval import bootstrap_interval
from aurora_pipeline.monitoring.performance import session_returns
from aurora_pipeline.settings import Settings
from aurora_pipeline.stages import book_name
from aurora_pipeline.workflows.main_job import prepare_home

SMALL = (
    "warm_up_sessions=20",
    "walk_forward.minimum_train_sessions=12",
    "calibration.minimum_sessions=2",
    "ensemble.minimum_sessions=2",
    "quality.eligibility_sessions=5",
    "models.families=[ridge]",
    "models.views=[price]",
    "lifecycle.minimum_sessions=20",
    "lifecycle.least_gain=0.05",
    "drift.residual_sessions=8",
    "drift.z=2",
)
"""What makes a cycle fit into 150 sessions; the promotion and retirement rates stay as they are.

Prices alone: of what pays the break turns the reversal round, so the model that was right is wrong and its challenger is not.
"""
OFF = ("drift.most_challengers=0", "lifecycle.approval=true")
ON = ("drift.most_challengers=3", "lifecycle.approval=false")
SHOWN = ("state", "since", "reason", "decided_by", "gain_evidence", "promotion_threshold", "matured_sessions")
BPS = 1e4


def net_results(home: Home, settings: Settings) -> pl.DataFrame:
    """Net return of each session of the settings' book."""
    return session_returns(home.lake.read("portfolio", book=book_name(settings))).select("session", "net")


def print_states(home: Home) -> None:
    """Print what asked for challengers, and every change of state."""
    for row in home.lake.read("challengers").sort("session").iter_rows(named=True):
        print(f"{row['session']} trained {row['model']}: {row['reason']}")
    changes = home.lake.read("model_states").filter(pl.col("since") == pl.col("session")).sort("session", "model")
    for row in changes.iter_rows(named=True):
        print(f"{row['session']} {row['model']} {row['state']} by {row['decided_by']}: {row['reason']}")


def print_registry(home: Home, settings: Settings) -> None:
    """Print aliases and evidence as MLflow has them."""
    client = ModelRegistry(home.mlflow).client
    for family in settings.models.families:
        name = f"aurora-{family}"
        print(f"MLflow {name}: aliases {client.get_registered_model(name).aliases}")
        for version in client.search_model_versions(f"name='{name}'"):
            if "state" in version.tags:
                print(f"  version {version.version}: " + ", ".join(f"{key} {version.tags[key]}" for key in SHOWN))


def print_books(results: dict[str, pl.DataFrame], breaks: date, seed: int) -> None:
    """Print both books from the break on, and the paired difference."""
    after = {name: frame.filter(pl.col("session") >= breaks) for name, frame in results.items()}
    for name, frame in after.items():
        net = frame.get_column("net")
        print(f"{name} lifecycle: {BPS * net.mean():.3f} bps of NAV a session net, {net.len()} sessions from {breaks}")
    both = after["with"].join(after["without"], on="session", suffix="_without").sort("session")
    difference = BPS * (both.get_column("net") - both.get_column("net_without")).to_numpy()
    print(f"difference {difference.mean():.3f} bps a session, {bootstrap_interval(difference, seed)}")


def main() -> None:
    """Run both and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--sessions", type=int, default=150)
    parser.add_argument("--symbols", type=int)
    parser.add_argument("--alpha", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--break", dest="breaks", type=date.fromisoformat, default=date(2024, 8, 20))
    parser.add_argument("--set", dest="pairs", action="append", default=[])
    chosen = parser.parse_args()
    market = chosen.directory / "market"
    if not market.exists():
        simulate_market(
            market,
            preset=chosen.preset,
            seed=chosen.seed,
            alpha=chosen.alpha,
            sessions=chosen.sessions,
            symbols=chosen.symbols,
            break_session=chosen.breaks,
        )
    pairs = [*(SMALL if chosen.preset == "small" else ()), *chosen.pairs]
    home = Home((chosen.directory / "home").absolute())
    results = {}
    for name, switch in (("without", OFF), ("with", ON)):
        home, _, settings = prepare_home(home, market, [*pairs, *switch])
        bring_up_to_date(home, settings, report=False)
        results[name] = net_results(home, settings)
    print_states(home)
    print_registry(home, settings)
    print_books(results, chosen.breaks, settings.seed)


if __name__ == "__main__":
    main()
