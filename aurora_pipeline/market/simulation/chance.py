"""What chance alone did in a simulated market: its residual returns without the planted alpha.

The random draws do not depend on the alpha, so the same market with none of it has the same surprises: its true residual return
is that of the market less the planted drift. A portfolio chosen before a session cannot have known them, so what they added to
its result has expectation zero; taking it off leaves what the portfolio was good for, with a fraction of the noise (a control
variate: Glasserman, *Monte Carlo Methods in Financial Engineering*, 2003, section 4.1).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import yaml

from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.simulation.folder import GENERATOR_FILE
from aurora_pipeline.market.simulation.population import build_events, build_population, symbol_on
from aurora_pipeline.market.simulation.presets import resolve_preset
from aurora_pipeline.market.simulation.price_path import simulate_path
from aurora_pipeline.market.simulation.signals import build_quarters, build_signals
from aurora_pipeline.market.simulation.timeline import build_timeline


def chance_returns(directory: Path) -> pl.DataFrame:
    """Simulate a market folder's sessions again without alpha.

    Parameters
    ----------
    directory : Path
        A simulated market folder; only what it was simulated with is read.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `chance`: log residual return from close to close that no forecast could have known; sessions with
        decisions, stocks only.

    Raises
    ------
    MarketDataError
        The folder was not simulated.
    """
    described = directory / GENERATOR_FILE
    if not described.is_file():
        raise MarketDataError(f"{directory} is no simulated market: it has no {GENERATOR_FILE}")
    made = yaml.safe_load(described.read_text(encoding="utf-8"))
    seed = int(made["seed"])
    chosen = resolve_preset(
        made["preset"],
        seed=seed,
        alpha=0.0,
        profile=made["profile"],
        sessions=made["sessions"],
        symbols=made["symbols"],
    )
    timeline = build_timeline(chosen)
    population = build_population(timeline, seed)
    events = build_events(timeline, population, seed)
    path = simulate_path(
        timeline,
        population,
        events,
        build_signals(timeline, population, seed),
        build_quarters(timeline, population, seed),
        seed=seed,
        alpha_scale=0.0,
        break_index=None,
    )
    starts = np.flatnonzero(path.bar_of_session == 0)
    by_session = np.add.reduceat(path.residual, starts, axis=0)
    days = [timeline.days[index] for index in path.session_of_bar[starts]]
    rows = [
        (day, symbol_on(population, events, timeline, stock, day), float(by_session[place, stock]))
        for place, day in enumerate(days)
        for stock in range(population.n_stocks)
    ]
    schema = {"session": pl.Date, "symbol": pl.String, "chance": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")
