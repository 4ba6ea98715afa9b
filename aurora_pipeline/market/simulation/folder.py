"""The one entry point: simulate a market and write its folder.

1. `presets.resolve_preset` checks the arguments, `timeline.build_timeline` lays out the sessions;
2. `population`, `signals` draw what exists before any price;
3. `price_path.simulate_path` simulates returns, bars and the truth;
4. `bar_files`, `company_feeds`, `positioning_feeds`, `truth` write the files;
5. the folder appears under its name at once, by a rename.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.simulation.bar_files import price_factors, write_bars, write_daily_bars, write_parquet
from aurora_pipeline.market.simulation.company_feeds import write_company_reports, write_corporate_actions
from aurora_pipeline.market.simulation.population import Events, Population, build_events, build_population
from aurora_pipeline.market.simulation.positioning_feeds import write_etf_flows, write_options, write_short_interest
from aurora_pipeline.market.simulation.presets import ALPHA_SCALE, BENCHMARK, PROFILES, SECTORS, resolve_preset
from aurora_pipeline.market.simulation.price_path import PricePath, simulate_path
from aurora_pipeline.market.simulation.signals import build_quarters, build_signals
from aurora_pipeline.market.simulation.timeline import Timeline, build_timeline
from aurora_pipeline.market.simulation.truth import write_truth

GENERATOR_FILE = "simulation.yaml"
DECOYS = [
    "corporate_actions.amount",
    "earnings.estimate_count",
    "fundamentals.capital_expenditure",
    "short_interest.avg_daily_volume",
    "etf_flows.gross_creations_usd",
    "options.put_open_interest",
    "options.call_open_interest",
]


def simulate_market(
    directory: Path,
    *,
    preset: str = "reference",
    seed: int = 1,
    alpha: float = 1.0,
    profile: str = "full",
    sessions: int | None = None,
    symbols: int | None = None,
    break_session: date | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Simulate a market and write it as a market folder. The same arguments give the same bytes.

    Parameters
    ----------
    directory : Path
        Folder to write; it may exist if it is empty or holds a simulated market, which is replaced.
    preset : {'reference', 'reference-long', 'small'}
        Size, span and frequency, see `presets.PRESETS`.
    alpha : float
        Strength of the planted alpha, 1 = the profile's; 0 plants none and the truth is 0.
    profile : {'full', 'modest'}
        Oracle rank IC of 0.15 or 0.045.
    sessions, symbols : int, optional
        Sessions with decisions and stocks at the start, instead of the preset's.
    break_session : date, optional
        From this session on other signals pay, at the same total IC.
    progress : callable, optional
        Called with a stage, the steps done and all steps.

    Raises
    ------
    MarketDataError
        An argument is impossible, or the directory holds something else.
    """
    write_market(
        directory,
        preset=preset,
        seed=seed,
        alpha=alpha,
        profile=profile,
        sessions=sessions,
        symbols=symbols,
        break_session=break_session,
        progress=progress,
    )


def write_market(
    directory: Path,
    *,
    preset: str,
    seed: int,
    alpha: float = 1.0,
    profile: str = "full",
    sessions: int | None = None,
    symbols: int | None = None,
    break_session: date | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> PricePath:
    """Do what `simulate_market` does and return the simulated path, which knows what no file says."""
    chosen = resolve_preset(preset, seed=seed, alpha=alpha, profile=profile, sessions=sessions, symbols=symbols)
    timeline = build_timeline(chosen)
    break_index = _break_index(timeline, break_session)
    _check_target(directory)
    population = build_population(timeline, seed)
    events = build_events(timeline, population, seed)
    signals = build_signals(timeline, population, seed)
    quarters = build_quarters(timeline, population, seed)
    path = simulate_path(
        timeline,
        population,
        events,
        signals,
        quarters,
        seed=seed,
        alpha_scale=ALPHA_SCALE[chosen.frequency] * PROFILES[profile] * alpha,
        break_index=break_index,
        progress=progress,
    )
    directory.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        price_factor, share_factor, actions = price_factors(timeline, population, events, path)
        factors = (price_factor, share_factor)
        report = progress or (lambda stage, done, total: None)
        report("files", 0, 4)
        write_daily_bars(building, timeline, population, events, path, factors, seed)
        if chosen.frequency == "5min":
            present = write_bars(building, timeline, population, events, path, factors, seed)
        else:
            present = np.ones((len(path.bars), len(population.symbols)), dtype=bool)
            present[path.session_of_bar >= events.delisted[1], events.delisted[0]] = False
        report("files", 1, 4)
        write_truth(building, timeline, population, events, path, present)
        report("files", 2, 4)
        write_corporate_actions(building, timeline, population, events, actions)
        write_company_reports(building, timeline, population, events, path, quarters, factors, seed)
        report("files", 3, 4)
        write_short_interest(building, timeline, population, events, signals, share_factor, seed)
        write_etf_flows(building, timeline, population, path, signals, seed)
        write_options(building, timeline, population, events, path, signals, seed)
        _write_universe(building, timeline, population, events)
        parameters: dict[str, str | int | float | None] = {
            "preset": preset,
            "seed": seed,
            "alpha": float(alpha),
            "profile": profile,
            "sessions": chosen.sessions,
            "symbols": chosen.stocks,
            "warmup_sessions": chosen.warmup,
            "first_session": timeline.days[timeline.warmup].isoformat(),
            "last_session": timeline.days[-1].isoformat(),
            "horizon_bars": chosen.horizon,
            "break_session": break_session.isoformat() if break_session else None,
        }
        _write_descriptions(building, timeline, population, parameters)
        _replace(building, directory)
        report("files", 4, 4)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return path


def _break_index(timeline: Timeline, break_session: date | None) -> int | None:
    if break_session is None:
        return None
    first, last = timeline.days[timeline.warmup], timeline.days[-1]
    if not first <= break_session <= last:
        raise MarketDataError(
            f"break_session {break_session} lies outside the sessions with decisions, {first} to {last}"
        )
    return timeline.index_from(break_session)


def _check_target(directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir():
        raise MarketDataError(f"directory {directory} is a file; expected a folder to write the market into")
    if any(directory.iterdir()) and not (directory / GENERATOR_FILE).exists():
        raise MarketDataError(
            f"directory {directory} is not empty and holds no simulated market (no {GENERATOR_FILE}); choose another one"
        )


def _replace(building: Path, directory: Path) -> None:
    """Move the finished folder to its name; an older simulated market there is removed afterwards."""
    building.chmod(0o755)
    if not directory.exists():
        os.rename(building, directory)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{directory.name}-old-", dir=directory.parent))
    os.rename(directory, old / directory.name)
    os.rename(building, directory)
    shutil.rmtree(old)


def _write_universe(directory: Path, timeline: Timeline, population: Population, events: Events) -> None:
    renamed, renamed_index, new_symbol = events.renamed
    gone, gone_index = events.delisted
    rows: list[tuple[str, str, str | None, date | None, date | None]] = []
    for position, symbol in enumerate(population.symbols):
        own = int(population.sector[position])
        sector = population.sectors[own] if own >= 0 else None
        kind = "stock" if position < population.n_stocks else "etf"
        until = timeline.days[gone_index] if position == gone else None
        if position == renamed:
            day = timeline.days[renamed_index]
            rows += [(symbol, kind, sector, None, day), (new_symbol, kind, sector, day, None)]
        else:
            rows.append((symbol, kind, sector, None, until))
    schema = {"symbol": pl.String, "kind": pl.String, "sector": pl.String, "valid_from": pl.Date, "valid_to": pl.Date}
    write_parquet(pl.DataFrame(rows, schema=schema, orient="row").sort("symbol"), directory / "universe.parquet")


def _write_descriptions(
    directory: Path, timeline: Timeline, population: Population, parameters: dict[str, str | int | float | None]
) -> None:
    preset = timeline.preset
    notes = (
        "SYNTHETIC: simulated by aurora, no real prices. "
        f"preset {parameters['preset']}, seed {parameters['seed']}, alpha {parameters['alpha']}, "
        f"profile {parameters['profile']}, break {parameters['break_session']}; "
        f"decisions {timeline.days[timeline.warmup]}..{timeline.days[-1]}, daily history from {timeline.days[0]}"
    )
    market = {
        "name": f"{parameters['preset']}-seed{parameters['seed']}",
        "calendar": "XNYS",
        "frequency": preset.frequency,
        "benchmark": BENCHMARK,
        "sector_etfs": {name: SECTORS[name][0] for name in population.sectors},
        "price_adjustment": "none",
        "survivorship": "none: the simulated universe is complete, the delisted stock included",
        "redistribution": "free: synthetic",
        "decoys": DECOYS,
        "notes": notes,
    }
    for name, content in (("market.yaml", market), (GENERATOR_FILE, parameters)):
        (directory / name).write_text(yaml.safe_dump(content, sort_keys=False, width=120), encoding="utf-8")
