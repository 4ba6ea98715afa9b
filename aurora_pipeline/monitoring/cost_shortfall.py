"""What fills cost beside what their decisions expected of them: the implementation shortfall over the forecast cost.

    paid     = side * (price - reference price) * shares + spread, impact and fees charged beside the price - expected drift
    forecast = spread, impact and fees the cost model expected for what was filled
    ratio    = sum of paid / sum of forecast

The reference price is the close of the decision (Perold, *The implementation shortfall*, 1988). Drift is the move the signal
itself expects until the middle of the bar: what it takes from the fill is no fault of the broker. Between decision and fill
prices move by far more than a trade costs, so the ratio has an error; fills of one bar share its moves and count as one
observation of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

MINIMUM_BARS = 20
"""Bars with fills below which no error is given."""


@dataclass(frozen=True)
class CostShortfall:
    """Paid over forecast cost.

    Attributes
    ----------
    fills, bars : int
        Fills, and the bars they are from.
    ratio : float or None
        None where nothing was forecast.
    error : float or None
        Standard error of the ratio over bars; None with fewer than 20.
    """

    fills: int
    bars: int
    ratio: float | None
    error: float | None


def cost_shortfall(fills: pl.DataFrame) -> CostShortfall:
    """Measure paid over forecast cost.

    Parameters
    ----------
    fills : polars.DataFrame
        Table `fills` of one book.
    """
    side = pl.when(pl.col("side") == "buy").then(1.0).otherwise(-1.0)
    slipped = side * (pl.col("price") - pl.col("reference_price")) * pl.col("shares")
    charged = pl.col("spread_cost") + pl.col("impact_cost") + pl.col("fee_cost")
    expected = pl.col("forecast_spread") + pl.col("forecast_impact") + pl.col("forecast_fee")
    bars = fills.group_by("fill_time", maintain_order=True).agg(
        (slipped + charged - pl.col("forecast_drift")).sum().alias("paid"), expected.sum().alias("forecast")
    )
    paid, forecast = (bars.get_column(name).to_numpy() for name in ("paid", "forecast"))
    total = float(forecast.sum())
    if not total > 0.0:
        return CostShortfall(fills.height, bars.height, None, None)
    ratio = float(paid.sum()) / total
    error = None
    if bars.height >= MINIMUM_BARS:
        left = paid - ratio * forecast
        error = float(np.sqrt((left**2).sum() * bars.height / (bars.height - 1)) / total)
    return CostShortfall(fills.height, bars.height, ratio, error)
