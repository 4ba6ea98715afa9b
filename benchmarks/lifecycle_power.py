"""How often the lifecycle's tests retire a good model, and how fast they retire a bad one or promote a better one.

Every history runs through the functions that decide in production: lanes, evidence, states. Session ICs are the true IC plus
noise with the spread, the autocorrelation of overlapping labels and the slow changes of spread that the reference market's
predictions show (`--home` prints them for a home).

``python benchmarks/lifecycle_power.py`` prints the tables of `docs/lifecycle-power.md`.
"""

from __future__ import annotations

import argparse
import math
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from aurora_pipeline.monitoring.lifecycle import model_states
from aurora_pipeline.monitoring.lifecycle_gates import Health
from aurora_pipeline.monitoring.model_evidence import Evidence, matured_session_ics
from aurora_pipeline.monitoring.sequential_tests import MeanTest, evidence_path, lane_count
from aurora_pipeline.monitoring.standings import Model
from aurora_pipeline.settings import LifecycleSettings

MONTH, YEAR = 21, 252
Floats = npt.NDArray[np.float64]
LANES = lane_count(78, 78)
FIRST = date(2000, 1, 1)


def noise(rng: np.random.Generator, histories: int, sessions: int, spread: float, correlation: float) -> Floats:
    """Moving average of order one with a spread that drifts by about a third; shape (histories, sessions)."""
    ratio = (1 - math.sqrt(1 - 4 * correlation**2)) / (2 * correlation)
    level = np.cumsum(rng.normal(0.0, 0.03, (histories, sessions + 1)), axis=1)
    scale = np.exp(level - level.mean(axis=1, keepdims=True))
    draws = rng.normal(size=(histories, sessions + 1)) * scale / np.sqrt((scale**2).mean(axis=1, keepdims=True))
    return spread * (draws[:, :-1] + ratio * draws[:, 1:]) / math.sqrt(1 + ratio**2)


def retirement_sessions(ics: Floats, rules: LifecycleSettings) -> Floats:
    """Session each history's model is retired at by the production test; infinite where it is not."""
    test = MeanTest(rules.worthwhile_ic, above=False, effect=rules.worthwhile_ic, restart=True)
    return _first(ics, test, rules.retirement_rate, rules.minimum_sessions)


def promotion_sessions(gains: Floats, trial: int, rules: LifecycleSettings) -> Floats:
    """Session each history's challenger, the i-th of the zoo, is promoted at; infinite where it is not."""
    test = MeanTest(0.0, above=True, effect=rules.least_gain)
    return _first(gains, test, rules.promotion_rate / (trial * (trial + 1)), rules.minimum_sessions)


def _first(series: Floats, test: MeanTest, rate: float, least: int) -> Floats:
    lanes = np.arange(series.shape[1]) % LANES
    found = np.full(len(series), np.inf)
    for place, row in enumerate(series):
        over = np.flatnonzero(evidence_path(row, lanes, LANES, test)[least - 1 :] >= math.log(1 / rate))
        if over.size:
            # Two sessions pass between a decision and its labels' maturity.
            found[place] = over[0] + least + LANES
    return found


def betting_sessions(ics: Floats, rules: LifecycleSettings) -> Floats:
    """The same retirement by betting that assumes no more than ICs in [-1, 1], for comparison."""
    limit = math.log(LANES * 4 / rules.retirement_rate)
    found = np.full(len(ics), np.inf)
    largest = 0.5 / (1.0 - rules.worthwhile_ic)
    for place, row in enumerate(ics):
        paths = []
        for lane in range(LANES):
            logs = np.zeros(len(row))
            logs[lane::LANES] = np.log1p(largest * (rules.worthwhile_ic - row[lane::LANES]))
            starts = range(0, len(row), YEAR // 4)
            paths += [np.concatenate([np.zeros(start), np.cumsum(logs[start:])]) for start in starts]
        over = np.flatnonzero(np.max(paths, axis=0) >= limit)
        if over.size:
            found[place] = over[0] + 1 + LANES
    return found


def calendar_rule(ics: Floats) -> Floats:
    """The rule the plan warns of: retired once the mean of three months is negative."""
    sums = np.cumsum(np.pad(ics, ((0, 0), (1, 0))), axis=1)
    negative = sums[:, 3 * MONTH :] - sums[:, : -3 * MONTH] < 0
    return np.where(negative.any(axis=1), negative.argmax(axis=1) + 3 * MONTH, np.inf)


def per_year(found: Floats, sessions: int) -> float:
    """Retirements per year of service."""
    served = np.minimum(found, sessions).sum() / YEAR
    return float(np.isfinite(found).sum() / served)


def months(found: Floats) -> str:
    """Median in months; `> n` where fewer than half got there."""
    middle = np.median(found)
    return f"{middle / MONTH:.0f}" if np.isfinite(middle) else "not within the span"


def broken_feed(histories: int, rng: np.random.Generator) -> tuple[float, float]:
    """Sessions from the first unsound session to retirement, by the states themselves: median and worst."""
    rules = LifecycleSettings()
    taken = []
    for _ in range(histories):
        count = int(rng.integers(30, 60))
        start = int(rng.integers(5, count - 10))
        days = [FIRST + timedelta(days=k) for k in range(count)]
        opens = {day: datetime.combine(day, time(14, 30), tzinfo=UTC) for day in days}
        # Health at an open is about the sessions before it: the feed broke during session `start`.
        health = {
            (days[k], "m"): Health(0, k - start, "features missing") if k > start else Health(k + 1, 0, None)
            for k in range(count)
        }
        nothing = Evidence(_session_ics({}, days), LANES, rules)
        states, _ = model_states(days, opens, [Model("m", "m", days[0], True)], nothing, health, [], rules)
        first = states.filter(pl.col("state") == "retired").get_column("session").min()
        taken.append((first - days[start]).days)  # type: ignore[operator]
    return float(np.median(taken)), float(np.max(taken))


def zoo_states(
    challenger_gain: float, challengers: int, histories: int, sessions: int, rng: np.random.Generator
) -> float:
    """Share of histories in which any of several challengers is promoted, through the states themselves."""
    rules = LifecycleSettings(retirement_rate=1e-9)
    days = [FIRST + timedelta(days=k) for k in range(sessions)]
    opens = {day: datetime.combine(day, time(14, 30), tzinfo=UTC) for day in days}
    models = [Model("champion", "f", days[0], True)]
    models += [Model(f"challenger{k}", "f", days[0], False) for k in range(challengers)]
    health = {(day, model.name): Health(10, 0, None) for day in days for model in models}
    promoted = 0
    for _ in range(histories):
        shared = noise(rng, 1, sessions, 0.07, 0.2)[0]
        own = noise(rng, challengers + 1, sessions, 0.035, 0.2)
        series = {
            model.name: 0.03 + shared + own[place] + (challenger_gain if place else 0.0)
            for place, model in enumerate(models)
        }
        evidence = Evidence(_session_ics(series, days), LANES, rules)
        states, _ = model_states(days, opens, models, evidence, health, [], rules)
        promoted += states.filter(pl.col("serves"), pl.col("model") != "champion").height > 0
    return promoted / histories


def _session_ics(series: dict[str, Floats], days: list[date]) -> pl.DataFrame:
    stamps = [datetime.combine(day, time(14, 35), tzinfo=UTC) for day in days]
    frames = [
        pl.DataFrame(
            {
                "session": days,
                "model": name,
                "ic": values,
                "decided_at": stamps,
                "matured_at": [stamp + timedelta(days=LANES) for stamp in stamps],
            }
        ).with_columns(pl.col("decided_at", "matured_at").cast(pl.Datetime("us", "UTC")))
        for name, values in series.items()
    ]
    return pl.concat(frames) if frames else _nothing()


def _nothing() -> pl.DataFrame:
    from aurora_pipeline.contracts import empty

    return matured_session_ics(empty("predictions"), empty("labels"))


def measured_noise(home: Path) -> None:
    """Print spread, autocorrelation, skewness and kurtosis of a home's session ICs."""
    from aurora_pipeline.adapters.home import Home

    opened = Home(home.absolute())
    ics = matured_session_ics(opened.read("predictions"), opened.read("labels"))
    print(
        "| model | sessions | mean | spread | autocorrelation 1, 2, 3 | skewness | kurtosis |\n|---|---|---|---|---|---|---|"
    )
    for (name,), rows in ics.partition_by("model", as_dict=True).items():
        values = rows.get_column("ic").to_numpy()
        centred = values - values.mean()
        lags = [float((centred[k:] * centred[:-k]).sum() / (centred**2).sum()) for k in (1, 2, 3)]
        skew, kurtosis = ((centred**power).mean() / centred.std() ** power for power in (3, 4))
        print(
            f"| {name} | {len(values)} | {values.mean():.3f} | {values.std():.3f} | "
            f"{', '.join(f'{lag:.2f}' for lag in lags)} | {skew:.2f} | {kurtosis:.2f} |"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--years", type=int, default=5)
    parser.add_argument("--home", type=Path, help="print the noise of this home's session ICs instead")
    arguments = parser.parse_args()
    if arguments.home:
        measured_noise(arguments.home)
        return
    rules, sessions = LifecycleSettings(), arguments.years * YEAR
    rng = np.random.default_rng(1)
    print(f"{arguments.histories} histories of {arguments.years} years each.\n\nRetirement:\n")
    print("| true IC | spread of a session IC | autocorrelation | retired per year | median months to retirement |")
    print("|---|---|---|---|---|")
    for spread, correlation in ((0.08, 0.2), (0.08, 0.4), (0.10, 0.2), (0.13, 0.2)):
        base = noise(rng, arguments.histories, sessions, spread, correlation)
        for ic in (0.0, 0.01, 0.02, 0.03):
            found = retirement_sessions(base + ic, rules)
            print(f"| {ic} | {spread} | {correlation} | {100 * per_year(found, sessions):.1f} % | {months(found)} |")
    base = noise(rng, arguments.histories, sessions, 0.08, 0.2)
    decayed = base + np.where(np.arange(sessions) < 2 * YEAR, 0.03, 0.0)
    found = retirement_sessions(decayed, rules)
    after = found[found >= 2 * YEAR] - 2 * YEAR
    print(f"| 0.03 for two years, then 0 | 0.08 | 0.2 | | {months(after)} after the decay |")
    print("\nWhat the choice costs (spread 0.08, autocorrelation 0.2):\n")
    print("| rule | IC 0.02 retired per year | IC 0: median months | IC 0.01 retired per year |\n|---|---|---|---|")
    for label, worthwhile in (
        ("as configured, boundary 0.02", 0.02),
        ("boundary 0.015", 0.015),
        ("boundary 0.01", 0.01),
    ):
        own = LifecycleSettings(worthwhile_ic=worthwhile)
        _rule(label, [retirement_sessions(base + ic, own) for ic in (0.02, 0.0, 0.01)], sessions)
    _rule(
        "betting on the range [-1, 1] only", [betting_sessions(base + ic, rules) for ic in (0.02, 0.0, 0.01)], sessions
    )
    _rule("mean of three months below 0", [calendar_rule(base + ic) for ic in (0.02, 0.0, 0.01)], sessions)
    print("\nPromotion of the first challenger (spread of the paired difference 0.05, autocorrelation 0.2):\n")
    print(
        "| true gain in IC | promoted within 6 / 12 / 24 / 60 months | median months | the same as fifth challenger, 24 months |"
    )
    print("|---|---|---|---|")
    paired = noise(rng, arguments.histories, sessions, 0.05, 0.2)
    for gain in (-0.01, 0.0, 0.005, 0.01, 0.02, 0.04):
        found = promotion_sessions(paired + gain, 1, rules)
        shares = " / ".join(f"{100 * (found < span * MONTH).mean():.1f} %" for span in (6, 12, 24, 60))
        fifth = (promotion_sessions(paired + gain, 5, rules) < 24 * MONTH).mean()
        print(f"| {gain} | {shares} | {months(found)} | {100 * fifth:.1f} % |")
    few = max(50, arguments.histories // 5)
    print(f"\nThrough the states themselves ({few} histories of 2 years, five challengers at once in one family):\n")
    for gain in (0.0, 0.02):
        share = zoo_states(gain, 5, few, 2 * YEAR, rng)
        print(f"- challengers {gain:g} better than the champion: any promoted in {100 * share:.1f} % of histories")
    middle, worst = broken_feed(arguments.histories, rng)
    print(f"- a broken feed: retired {middle:.0f} sessions after the first unsound one (median; worst {worst:.0f})")


def _rule(label: str, found: list[Floats], sessions: int) -> None:
    good, null, small = found
    print(
        f"| {label} | {100 * per_year(good, sessions):.1f} % | {months(null)} | {100 * per_year(small, sessions):.1f} % |"
    )


if __name__ == "__main__":
    main()
