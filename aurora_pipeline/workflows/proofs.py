"""Run the pipeline on synthetic markets of known alpha, several at a time, and measure what it finds in each."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.progress import report
from aurora_pipeline.adapters.worker_processes import worker_pool
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.fingerprints import code_hash
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.monitoring.calibration_quality import coverage, mincer_zarnowitz
from aurora_pipeline.monitoring.information_coefficient import (
    MeanEstimate,
    correlation_with_truth,
    information_coefficient,
)
from aurora_pipeline.monitoring.proof_verdicts import Alpha, ProofVerdict, ProvenMarket, judge
from aurora_pipeline.monitoring.scorer_null import (
    DESIGNS,
    REJECTION_RANGE,
    ScorerDesign,
    null_estimate,
    rejection_rate,
)
from aurora_pipeline.workflows.main_job import prepare_home

PLANTED: dict[str, dict[str, Any]] = {
    "none": {"alpha": 0.0},
    "modest": {"profile": "modest"},
    "full": {},
}
"""Arguments of the simulation for each strength of alpha."""
_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class MarketTask:
    """One market to make and run.

    Attributes
    ----------
    root : Path
        Folder for the market and its home; both are removed once measured.
    alpha : {"none", "modest", "full"}
        What is planted.
    seed : int
        Seed of the market.
    preset : str
        Preset of the simulation.
    sessions, symbols : int or None
        Size, the preset's if None.
    overrides : tuple of str
        `key=value` settings.
    """

    root: Path
    alpha: Alpha
    seed: int
    preset: str = "small"
    sessions: int | None = None
    symbols: int | None = None
    overrides: tuple[str, ...] = ()


def prove_market(task: MarketTask) -> ProvenMarket:
    """Make one market, run it up to calibrated signals, measure, and remove both."""
    from aurora_pipeline.defs.up_to_date import bring_up_to_date

    folder, path = (task.root / f"{kind}-{task.preset}-{task.alpha}-{task.seed}" for kind in ("market", "home"))
    try:
        simulate_market(
            folder,
            preset=task.preset,
            seed=task.seed,
            sessions=task.sessions,
            symbols=task.symbols,
            **PLANTED[task.alpha],
        )
        home, market, settings = prepare_home(Home(path), folder, ["threads=1", *task.overrides])
        bring_up_to_date(home, settings, trade=False)
        return measure_home(home, market, task.alpha, task.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(path, ignore_errors=True)


def measure_home(home: Home, market: MarketFolder, alpha: Alpha, seed: int) -> ProvenMarket:
    """Measure the stored signals of a home on a synthetic market."""
    ensemble, labels, signals = (home.lake.read(name) for name in ("ensemble", "labels", "signals"))
    ic = information_coefficient(ensemble, labels)
    truth = market.read_truth() if alpha != "none" else None
    found = {
        score: None if truth is None else correlation_with_truth(ensemble, truth, score).mean
        for score in ("score", "equal_weight_score")
    }
    fit = mincer_zarnowitz(signals, labels)
    spread = signals.get_column("expected_return").std()
    return ProvenMarket(
        alpha=alpha,
        seed=seed,
        rank_ic=ic.mean,
        t=ic.t,
        critical=ic.critical,
        p_value=ic.p_value,
        correlation_with_truth=found["score"],
        equal_weight_correlation=found["equal_weight_score"],
        slope=fit["slope"],
        slope_lower=fit["slope_lower"],
        slope_upper=fit["slope_upper"],
        coverage=coverage(signals, labels).get("overall", {}),
        expected_return_bps=None if spread is None else 1e4 * float(spread),  # type: ignore[arg-type]
        families=_of_families(home, labels),
    )


def _of_families(home: Home, labels: pl.DataFrame) -> dict[str, dict[str, float | None]]:
    """Rank IC, t and 5 % point of each family's own scores over the sessions it was scored."""
    found: dict[str, dict[str, float | None]] = {}
    for family in home.settings().models.families:
        ic = information_coefficient(home.lake.read("predictions", model=family), labels)
        found[family] = {"rank_ic": ic.mean, "t": ic.t, "critical": ic.critical}
    return found


def prove(
    tasks: Sequence[MarketTask], processes: int, kept: Path, tell: Callable[[ProvenMarket], None]
) -> tuple[list[ProvenMarket], list[ProofVerdict]]:
    """Run all markets and judge them; with one process everything runs in this one.

    Parameters
    ----------
    tasks : sequence of MarketTask
        Markets.
    processes : int
        How many run side by side.
    kept : Path
        Folder of finished markets: what the same code found in the same market before is taken from there.
    tell : callable
        Called with each market as soon as it is known.
    """
    files = [kept / f"{task.preset}-{task.alpha}-{task.seed}-{_identity(task)}.json" for task in tasks]
    done = {place: _read_market(file) for place, file in enumerate(files) if file.exists()}
    for market in done.values():
        tell(market)
    left = [place for place in range(len(tasks)) if place not in done]
    for place, market in _spread(prove_market, [tasks[place] for place in left], processes, "markets"):
        atomic_text(files[left[place]], json.dumps(asdict(market), indent=1) + "\n")
        done[left[place]] = market
        tell(market)
    markets = [done[index] for index in range(len(tasks))]
    return markets, judge(markets)


def _identity(task: MarketTask) -> str:
    """Hash of all that decides what is found in a market, the package's code included."""
    what = [task.sessions, task.symbols, PLANTED[task.alpha], sorted(task.overrides), code_hash((".",))]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]


def _read_market(file: Path) -> ProvenMarket:
    return ProvenMarket(**json.loads(file.read_text(encoding="utf-8")))


def prove_scorer(
    seeds: range, processes: int, designs: Sequence[ScorerDesign] = DESIGNS
) -> tuple[list[dict[str, Any]], bool]:
    """Rejection rate of the IC's test on simulated nulls, by design; the flag says that each lies in its range."""
    tasks = [(design, seed) for design in designs for seed in seeds]
    done = dict(_spread(_scorer_task, tasks, processes, "scorer nulls"))
    rows = []
    low, high = REJECTION_RANGE
    for place, design in enumerate(designs):
        estimates = [done[place * len(seeds) + k] for k in range(len(seeds))]
        rate = rejection_rate(estimates)
        rows.append(
            {
                "sessions": design.sessions,
                "names": design.names,
                "sectors": design.sectors,
                "score_half_life": design.score_half_life,
                "seeds": len(seeds),
                "rejection_rate": rate,
                "holds": low <= rate <= high,
            }
        )
    return rows, all(row["holds"] for row in rows)


def save_proof(home: Home, name: str, content: dict[str, Any]) -> Path:
    """Keep a proof's result below the home's reports, where the claim ledger finds it."""
    path = home.reports / name
    atomic_text(path, json.dumps(content, indent=1) + "\n")
    return path


def _scorer_task(task: tuple[ScorerDesign, int]) -> MeanEstimate:
    return null_estimate(*task)


def _spread(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], processes: int, what: str
) -> Iterator[tuple[int, _Result]]:
    """Results with the place of their task, as they are finished."""
    if processes == 1:
        finished: Iterable[tuple[int, _Result]] = ((place, work(task)) for place, task in enumerate(tasks))
        for count, one in enumerate(finished, start=1):
            report(what, count, len(tasks))
            yield one
        return
    with worker_pool(processes) as pool:
        places = {pool.submit(work, task): place for place, task in enumerate(tasks)}
        for count, future in enumerate(as_completed(places), start=1):
            report(what, count, len(tasks))
            yield places[future], future.result()
