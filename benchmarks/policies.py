"""The policy beside its baselines under the same limits and budgets, on one home or several: paired differences of net results.

    .venv/bin/python benchmarks/policies.py --home HOME                       on the signals the home holds
    .venv/bin/python benchmarks/policies.py --home HOME --attainable 0.4      on forecasts made from the planted truth
    .venv/bin/python benchmarks/policies.py --home HOME --home ANOTHER        every difference over the sessions of both
    .venv/bin/python benchmarks/policies.py --home HOME --attainable 0.4 --set book.turnover_hurdle=0.9

`--attainable R` needs a synthetic market, and only bars, residual returns and the universe in the home. The forecast is the best
one the feeds allow, seen through noise of half-life 10 sessions so that the two correlate R, and scaled to be calibrated against
it. It stands in for signals where only the policy is to be measured.

On a simulated market every difference is printed a second time, less chance: what the surprises of a session added to what was
held before it is taken off both sides, which leaves the expectation as it is and removes most of the noise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.execution.session_inputs import SessionInputs
from aurora_pipeline.market.simulation.chance import chance_returns
from aurora_pipeline.monitoring.book_quality import risk_quality, turnover_used
from aurora_pipeline.monitoring.bootstrap_interval import bootstrap_interval
from aurora_pipeline.monitoring.performance import book_performance, book_returns
from aurora_pipeline.reports.book_reports import replayed_book, stored_inputs
from aurora_pipeline.settings import Settings

POLICIES = ("cost_aware", "one_horizon", "cost_blind", "proportional")
NOISE_HALF_LIFE = 10.0
NOISE_SEED = 7
VOLATILITY = 0.02
BPS = 1e4


def attainable_signals(home: Home, settings: Settings, correlation: float) -> pl.DataFrame:
    """Signals from the planted truth, one per name and decision time after the warm-up."""
    truth = home.folder().read_truth()
    if truth is None:
        raise SystemExit("--attainable needs a synthetic market")
    scored = home.sessions(settings)[settings.warm_up(home.frequency) :]
    session_of = {end: day for day in scored for end in home.calendar.bar_ends(day, home.frequency)}
    known = truth.filter(pl.col("decision_time").is_in(list(session_of))).drop_nulls("attainable_residual_return")
    wide = known.pivot(on="symbol", index="decision_time", values="attainable_residual_return").sort("decision_time")
    symbols = [name for name in wide.columns if name != "decision_time"]
    best = wide.select(symbols).to_numpy()
    random, decay = np.random.default_rng(NOISE_SEED), 2.0 ** (-1.0 / NOISE_HALF_LIFE)
    noise = random.normal(size=best.shape)
    for row in range(1, len(noise)):
        noise[row] = decay * noise[row - 1] + np.sqrt(1.0 - decay**2) * noise[row]
    seen = correlation**2 * best + correlation * np.sqrt(1.0 - correlation**2) * np.nanstd(best) * noise
    score = (seen - np.nanmean(seen, axis=1, keepdims=True)) / np.nanstd(seen, axis=1, keepdims=True)
    rows = pl.DataFrame(
        {
            "decision_time": wide.get_column("decision_time").repeat_by(len(symbols)).explode(),
            "symbol": symbols * len(seen),
            "expected_return": seen.ravel(),
            "score": score.ravel(),
        }
    )
    sessions = pl.DataFrame({"decision_time": list(session_of), "session": list(session_of.values())})
    return (
        rows.drop_nans()
        .join(sessions.cast({"decision_time": rows.schema["decision_time"]}), on="decision_time")
        .with_columns(pl.lit(True).alias("calibrated"), pl.lit(VOLATILITY).alias("residual_volatility"))
    )


def simulated_chance(home: Home) -> pl.DataFrame | None:
    """What chance did on a simulated market; None on any other."""
    try:
        return chance_returns(home.folder().path)
    except MarketDataError:
        return None


def added_by_chance(positions: pl.DataFrame, chance: pl.DataFrame) -> pl.DataFrame:
    """What chance added to the weights held at the close before, by session, fraction of NAV."""
    sessions = chance.select("session").unique().sort("session")
    following = sessions.with_columns(pl.col("session").shift(-1).alias("following")).drop_nulls()
    closing = positions.filter(pl.col("decision_time") == pl.col("decision_time").max().over("session"))
    held = closing.join(following, on="session").select(
        "instrument_id", "symbol", "weight", pl.col("following").alias("session")
    )
    return (
        held.join(chance, on=["session", "symbol"])
        .group_by("session")
        .agg((pl.col("weight") * pl.col("chance")).sum().alias("by_chance"))
    )


def net_results(
    inputs: list[SessionInputs], settings: Settings, chance: pl.DataFrame | None
) -> dict[str, pl.DataFrame]:
    """Run every sizing, print what it came to, and return its net result by session, with chance and less it, fraction of NAV."""
    found = {}
    for name in POLICIES:
        chosen = settings.model_copy(update={"book": settings.book.model_copy(update={"sizing": name})})
        portfolio, positions = replayed_book(inputs, chosen)
        net = book_returns(portfolio).select("session", "net")
        print(
            f"{name}: net {BPS * net.get_column('net').mean():.3f} bps of NAV a session over {net.height}; "
            f"{book_performance(portfolio, settings.seed)}",
            flush=True,
        )
        if name == POLICIES[0]:
            print(turnover_used(portfolio, chosen.book))
            print(risk_quality(portfolio, net.select("session", pl.lit(None, pl.Float64).alias("return"))))
        if chance is not None:
            luck = added_by_chance(positions, chance)
            net = net.join(luck, on="session", how="left").with_columns(
                (pl.col("net") - pl.col("by_chance").fill_null(0.0)).alias("less_chance")
            )
            print(f"  less chance {BPS * net.get_column('less_chance').mean():.3f} bps", flush=True)
        found[name] = net
    return found


def print_differences(homes: list[dict[str, pl.DataFrame]], seed: int) -> None:
    """The policy less each baseline, session by session, over all homes one after the other."""
    measures = [name for name in ("net", "less_chance") if all(name in found[POLICIES[0]].columns for found in homes)]
    for name in POLICIES[1:]:
        pairs = [found[POLICIES[0]].join(found[name], on="session", suffix="_other").sort("session") for found in homes]
        for measure in measures:
            parts = [(both[measure] - both[f"{measure}_other"]).to_numpy() for both in pairs]
            difference = BPS * np.concatenate(parts)
            print(
                f"  {POLICIES[0]} over {name}{', less chance' if measure == 'less_chance' else ''}: {difference.mean():.3f} bps "
                f"over {len(difference)} sessions, {bootstrap_interval(difference, seed)}",
                flush=True,
            )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, action="append", help="repeatable")
    parser.add_argument("--attainable", type=float)
    parser.add_argument(
        "--stress", type=float, action="append", help="multiple of the costs, repeatable; 1 if left out"
    )
    parser.add_argument("--set", action="append", default=[], help="key=value, as for `aurora run`, repeatable")
    arguments = parser.parse_args()
    for stress in arguments.stress or [1.0]:
        print(f"costs times {stress:g}")
        found = []
        for path in arguments.home:
            home = Home(path.absolute())
            settings = home.settings(arguments.set)
            signals = None if arguments.attainable is None else attainable_signals(home, settings, arguments.attainable)
            stressed = settings.model_copy(update={"costs": settings.costs.model_copy(update={"stress": stress})})
            print(path.name)
            found.append(net_results(list(stored_inputs(home, settings, signals)), stressed, simulated_chance(home)))
            print_differences(found[-1:], settings.seed)
            if len(found) > 1:
                print(f"the {len(found)} homes so far")
                print_differences(found, settings.seed)


if __name__ == "__main__":
    main()
