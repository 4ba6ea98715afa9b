"""Chance is the residual return less the planted drift, exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.simulation.chance import chance_returns
from aurora_pipeline.market.simulation.price_path import PricePath


def test_residual_less_chance_is_the_drift_that_was_planted(simulated: tuple[Path, PricePath]) -> None:
    directory, path = simulated
    chance = chance_returns(directory)
    starts = np.flatnonzero(path.bar_of_session == 0)
    residual = np.add.reduceat(path.residual, starts, axis=0)
    found = chance.get_column("chance").to_numpy().reshape(residual.shape)
    drift = residual - found
    assert np.abs(drift).max() > 1e-5
    stocks = chance.head(residual.shape[1]).with_columns(drift=drift[0])
    universe = pl.read_parquet(directory / "universe.parquet").unique("symbol", keep="first")
    by_sector = (
        stocks.join(universe.select("symbol", "sector"), on="symbol").group_by("sector").agg(pl.col("drift").sum())
    )
    assert by_sector.get_column("drift").abs().max() < 1e-12, "the planted drift is sector-neutral; chance is not"
    chance_by_sector = (
        stocks.join(universe.select("symbol", "sector"), on="symbol").group_by("sector").agg(pl.col("chance").sum())
    )
    assert chance_by_sector.get_column("chance").abs().min() > 1e-6
    at_close = path.expected[np.append(starts[1:] - 1, len(path.expected) - 1)]
    forecast, following = at_close[:-1].ravel(), drift[1:].ravel()
    assert np.corrcoef(forecast, following)[0, 1] > 0.6
    assert abs(np.corrcoef(forecast, found[1:].ravel())[0, 1]) < 4.0 / np.sqrt(found[1:].size)


def test_a_renamed_stock_has_its_name_of_the_day(simulated: tuple[Path, PricePath]) -> None:
    directory, _ = simulated
    truth = pl.read_parquet(directory / "truth.parquet").select(
        pl.col("decision_time").dt.date().alias("session"), "symbol"
    )
    assert truth.unique().join(chance_returns(directory), on=["session", "symbol"], how="anti").is_empty()


def test_a_market_that_was_not_simulated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="no simulated market"):
        chance_returns(tmp_path)
