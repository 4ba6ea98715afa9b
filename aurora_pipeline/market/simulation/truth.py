"""truth.parquet: the planted expected residual return at every decision time of every stock with a bar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.market.simulation.bar_files import write_parquet
from aurora_pipeline.market.simulation.population import Events, Population
from aurora_pipeline.market.simulation.price_path import PricePath
from aurora_pipeline.market.simulation.timeline import Timeline

TRUTH_DECIMALS = 9


def write_truth(
    directory: Path,
    timeline: Timeline,
    population: Population,
    events: Events,
    path: PricePath,
    present: NDArray[np.bool_],
) -> None:
    """Write the oracle and the attainable forecast; `present` has shape (n_bars, n_symbols)."""
    n = population.n_stocks
    grid = timeline.calendar.grid(timeline.days[timeline.warmup :], timeline.preset.frequency)
    rows, stocks = np.nonzero(present[:, :n])
    names = np.array(population.symbols[:n], dtype=object)[stocks]
    renamed, index, new_symbol = events.renamed
    names[(stocks == renamed) & (path.session_of_bar[rows] >= index)] = new_symbol
    frame = pl.DataFrame(
        {
            "symbol": pl.Series(names.tolist(), dtype=pl.String),
            "decision_time": grid["bar_end"].gather(rows).cast(TIMESTAMP),
            "expected_residual_return": np.round(path.expected[rows, stocks], TRUTH_DECIMALS) + 0.0,
            "attainable_residual_return": np.round(path.attainable[rows, stocks], TRUTH_DECIMALS) + 0.0,
        }
    ).with_columns(horizon_bars=pl.lit(timeline.preset.horizon, dtype=pl.Int32))
    write_parquet(frame.sort("decision_time", "symbol"), directory / "truth.parquet")
