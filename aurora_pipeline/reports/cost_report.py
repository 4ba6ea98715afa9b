"""A book's costs as its own fills show them, beside what was assumed: shortfall, and a fit of spread and impact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.errors import BookError
from aurora_pipeline.monitoring.cost_shortfall import cost_shortfall
from aurora_pipeline.policy.capital_schedule import LARGEST_COST_ERROR
from aurora_pipeline.policy.cost_fit import MINIMUM_FILLS, NORMAL_95, CostFit, fit_costs
from aurora_pipeline.settings import CostSettings
from aurora_pipeline.stages import book_name

SCHEMA = {"measure": pl.String, "estimate": pl.Float64, "lower": pl.Float64, "upper": pl.Float64, "says": pl.String}
AT_VWAP = "fills at VWAP before costs, of the simulated broker: expected 0, says nothing of costs"
IN_PRICE = "fills at prices that contain costs: sizing uses it, shrunk towards what is assumed"


def cost_report(home: Home, overrides: Sequence[str] = (), book: str | None = None) -> dict[str, pl.DataFrame]:
    """Tables on the costs of a book, by title.

    Parameters
    ----------
    home : Home
        The installation.
    overrides : sequence of str
        Settings.
    book : str, optional
        ``live`` or a backtest; the backtest of the settings in force if left out.

    Raises
    ------
    BookError
        The lake holds no fill of that book.
    """
    settings = home.settings(overrides)
    name = book or book_name(settings)
    fills = home.lake.read("fills", book=name)
    if fills.is_empty():
        books = ", ".join(home.lake.branch_values("fills", "book"))
        there = f"it has those of {books}" if books else "start with `aurora run`"
        raise BookError(f"home {home.path} holds no fill of book {name}; {there}")
    kinds = fills.with_columns(((pl.col("spread_cost") + pl.col("impact_cost")) == 0.0).alias("in_price"))
    tables = {"paid over forecast cost": _paid(fills)}
    for in_price, text in ((False, AT_VWAP), (True, IN_PRICE)):
        part = kinds.filter(pl.col("in_price") == in_price)
        if part.height:
            tables[f"fit to {part.height} fills ({text})"] = _fitted(part, settings.costs)
    return tables


def _paid(fills: pl.DataFrame) -> pl.DataFrame:
    found = cost_shortfall(fills)
    ratio, error = found.ratio, found.error
    margin = None if ratio is None or error is None else NORMAL_95 * error
    says = f"{found.fills} fills of {found.bars} bars"
    if error is not None and error > LARGEST_COST_ERROR:
        says += f"; takes about {round(found.fills * (error / LARGEST_COST_ERROR) ** 2)} for the gate"
    known = ratio is not None and margin is not None
    bounds = (ratio - margin, ratio + margin) if known else (None, None)  # type: ignore[operator]
    return pl.DataFrame([("ratio", ratio, *bounds, says)], SCHEMA, orient="row")


def _fitted(fills: pl.DataFrame, costs: CostSettings) -> pl.DataFrame:
    fit = regressed(fills, costs)
    if fit is None:
        return pl.DataFrame(
            [("none", None, None, None, f"takes {MINIMUM_FILLS} different fills")], SCHEMA, orient="row"
        )
    rows = [
        ("multiple of the assumed half-spread", *fit.spread_multiple, "assumed 1"),
        ("impact coefficient", *fit.impact_coefficient, f"assumed {costs.impact_coefficient:g}"),
    ]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def regressed(fills: pl.DataFrame, costs: CostSettings) -> CostFit | None:
    """Fit spread and impact to rows of table `fills`, less the drift their decisions expected.

    The assumed rates of each fill give its half-spread and, divided by the coefficient, the square-root term of its impact.
    """
    if costs.impact_coefficient == 0.0:
        return None
    value = pl.col("shares") * pl.col("reference_price")
    side = pl.when(pl.col("side") == "buy").then(1.0).otherwise(-1.0)
    parts = fills.select(
        side.alias("side"),
        (pl.col("price") - side * pl.col("forecast_drift") / pl.col("shares")).alias("price"),
        "reference_price",
        (pl.col("forecast_spread") / value / costs.stress).alias("half_spread"),
        (pl.col("forecast_impact") / value / costs.stress / costs.impact_coefficient).alias("root"),
    )
    columns = {name: parts.get_column(name).to_numpy() for name in parts.columns}
    root = columns.pop("root")
    return fit_costs(
        columns["side"],
        columns["price"],
        columns["reference_price"],
        columns["half_spread"],
        sigma=np.ones_like(root),
        share_of_volume=root**2,
    )
