"""The lifecycle at work on a market that breaks, unattended, beside the same run without it.

    .venv/bin/python benchmarks/lifecycle_cycle.py --directory DIR

Two runs in one home, so that data, features and folds are made once: first with challengers and decisions by test switched off,
then with drift that trains challengers and tests that promote and retire. Each has a book of its own. Printed are every event
with its session, version and evidence, what MLflow and Dagster hold of it, and the two books from the break on, with the paired
difference.

The market is one of many names at frequency `session`: a challenger that learns from weeks alone needs the width, and a session
costs little. Every setting of `lifecycle` is the default, of `drift` all but `residual_sessions`. At this
frequency a family is refitted once a year, so without a lifecycle what was learnt before the break trades until the next fold.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.champion_set import served_directory
from aurora_pipeline.adapters.models.model_lifecycle import HISTORY
from aurora_pipeline.adapters.models.model_registry import ModelRegistry
from aurora_pipeline.defs.instances import instance_of
from aurora_pipeline.defs.up_to_date import bring_up_to_date
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.monitoring.bootstrap_interval import bootstrap_interval
from aurora_pipeline.monitoring.performance import book_returns
from aurora_pipeline.monitoring.served_states import state_changes
from aurora_pipeline.settings import Settings
from aurora_pipeline.stages import book_name
from aurora_pipeline.workflows.main_job import prepare_home

MARKET = ("warm_up_sessions=564", "models.families=[ridge]", "drift.residual_sessions=20")
"""A family that trains in a second, a first fold 60 sessions after alpha begins, and a look at drift over more of the ICs of
five-session labels, which overlap."""
OFF = ("drift.most_challengers=0", "lifecycle.approval=true")
ON = ("drift.most_challengers=3", "lifecycle.approval=false")
BPS = 1e4


def net_results(home: Home, settings: Settings) -> pl.DataFrame:
    """Net return of each session of the settings' book."""
    return book_returns(home.lake.read("portfolio", book=book_name(settings))).select("session", "net")


def print_events(home: Home, breaks: date) -> None:
    """Print what drifted, who was trained for it, and every change of state, each with version and evidence."""
    drift = home.lake.read("drift").filter("drifted", pl.col("session") >= breaks, pl.col("kind") == "residual")
    events = [
        (
            row["session"],
            f"IC of {row['subject']} fell",
            "",
            f"z {row['z']:.1f}: {row['reference']:.3f} to {row['value']:.3f}",
        )
        for row in drift.sort("session").unique("subject", keep="first", maintain_order=True).iter_rows(named=True)
    ]
    events += [
        (row["session"], f"{row['model']} trained", row["model_version"], row["reason"])
        for row in home.lake.read("challengers").iter_rows(named=True)
    ]
    for row in state_changes(home.lake.read("model_states")).iter_rows(named=True):
        says = f"{row['decided_by']}: {row['reason']}; {row['matured_sessions']} sessions matured"
        version = version_of(home, row["family"], row["model"], row["session"])
        events.append((row["session"], f"{row['model']} {row['state']}", version, says))
    print("\n| session | event | version | evidence |\n|---|---|---|---|")
    for event in sorted([*events, (breaks, "**what pays changes**", "", "")], key=lambda event: event[0]):
        print("| " + " | ".join(map(str, event)) + " |")


def version_of(home: Home, family: str, model: str, session: date) -> str:
    """Version of a model that serves a session."""
    manifest = home.models / str(served_directory(home, family, model, session)) / "manifest.json"
    return str(json.loads(manifest.read_text(encoding="utf-8"))["model_version"]) if manifest.is_file() else ""


def print_registry(home: Home, settings: Settings) -> None:
    """Print aliases and history as MLflow has them."""
    client = ModelRegistry(home.mlflow).client
    for family in settings.models.families:
        name = f"aurora-{family}"
        print(f"\nMLflow {name}: aliases {client.get_registered_model(name).aliases}")
        for version in client.search_model_versions(f"name='{name}'"):
            if version.tags.get(HISTORY):
                asked = version.tags.get("trained_because", "the walk-forward test")
                print(f"version {version.version}, {version.tags.get('model', family)}, trained because: {asked}")
                print("  " + version.tags[HISTORY].replace("\n", "\n  "))


def print_materialisations(home: Home) -> None:
    """Print where Dagster's UI shows the same: the newest materialisation of the states, and its run."""
    with instance_of(home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("model_states"))
        shown = event.asset_materialization.metadata["changes"].value.count("\n") - 1
        print(f"\nDagster: run {event.run_id} of model_states lists {shown} changes of state in its metadata")


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
    parser.add_argument("--preset", default="reference-long")
    parser.add_argument("--sessions", type=int, default=350)
    parser.add_argument("--symbols", type=int, default=240)
    parser.add_argument("--alpha", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--break", dest="breaks", type=date.fromisoformat, default=date(2024, 2, 5))
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
    pairs = [*MARKET, *chosen.pairs]
    home = Home((chosen.directory / "home").absolute())
    results = {}
    for name, switch in (("without", OFF), ("with", ON)):
        home, _, settings = prepare_home(home, market, [*pairs, *switch])
        bring_up_to_date(home, settings, report=False)
        results[name] = net_results(home, settings)
    print_events(home, chosen.breaks)
    print_registry(home, settings)
    print_materialisations(home)
    print_books(results, chosen.breaks, settings.seed)


if __name__ == "__main__":
    main()
