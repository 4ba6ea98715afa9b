"""Rank IC against the next day's return on a daily market, family by family, beside Qlib's LightGBM on the same rows.

    aurora run --market MARKET --home HOME --set horizon=1 --start 2019-10-01 --end 2026-03-06
    QLIB_PYTHON benchmarks/qlib_us100.py MARKET qlib.parquet
    .venv/bin/python benchmarks/next_day.py HOME --qlib qlib.parquet

Scores of session t meet the return from the close of t + 1 to the close of t + 2: raw (total return) and residual (the label).
Every row is compared on the stocks and sessions that both sides scored, and so is the paired difference of a family and Qlib.
Intervals are those of the scorecard: means over sessions under autocorrelation.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.monitoring.information_coefficient import (
    MeanEstimate,
    decision_time_correlations,
    mean_with_interval,
    session_means,
)

MEAN_SCORE = "mean score"
QLIB = "Qlib LightGBM, Alpha158"
OUTCOMES = ("raw", "residual")
AHEAD = 2
"""Sessions from the decision to the end of the return it is graded by."""


def outcomes(home: Home) -> pl.DataFrame:
    """Return `symbol`, `decision_time`, `raw` and `residual` of every decision whose next day has passed."""
    returns = home.lake.read("residual_returns").filter(pl.col("quarantined_at").is_null())
    returns = (
        returns.sort("known_at").unique(["symbol", "bar_end"], keep="last").select("symbol", "session", "bar_return")
    )
    days = home.sessions(home.settings())
    graded = dict(zip(days[AHEAD:], days, strict=False))
    raw = returns.with_columns(session=pl.col("session").replace_strict(graded, default=None, return_dtype=pl.Date))
    labels = home.lake.read("labels").select("session", "symbol", "decision_time", pl.col("label").alias("residual"))
    joined = labels.join(raw.rename({"bar_return": "raw"}).drop_nulls("session"), on=["session", "symbol"], how="left")
    return joined.select("symbol", "decision_time", *OUTCOMES)


def scores(home: Home, qlib: Path | None) -> pl.DataFrame:
    """Return `session`, `symbol`, `decision_time`, `model`, `score` of every family, their mean and, where given, Qlib."""
    columns = ["session", "symbol", "decision_time", "model", "score"]
    families = home.lake.read("predictions").select(columns)
    # Of all families, also of those the lifecycle had retired: their ensemble may be flat for years.
    within = ["model", "decision_time"]
    standardised = (pl.col("score") - pl.col("score").mean().over(within)) / pl.col("score").std(ddof=0).over(within)
    mean = (
        families.with_columns(score=standardised)
        .group_by("session", "symbol", "decision_time")
        .agg(pl.col("score").mean())
        .with_columns(model=pl.lit(MEAN_SCORE))
        .select(columns)
        .sort("decision_time", "symbol")
    )
    parts = [families, mean]
    if qlib is not None:
        theirs = pl.read_parquet(qlib).with_columns(session=pl.col("session").cast(pl.Date))
        times = mean.select("session", "symbol", "decision_time")
        theirs = times.join(theirs, on=["session", "symbol"]).with_columns(model=pl.lit(QLIB))
        shared = theirs.select("symbol", "decision_time")
        parts = [part.join(shared, on=["symbol", "decision_time"], how="semi") for part in parts]
        parts.append(theirs.with_columns(pl.col("score").cast(families.schema["score"])).select(columns))
    return pl.concat(parts)


def cell(estimate: MeanEstimate) -> str:
    """Mean, t and interval for a table."""
    if estimate.mean is None or estimate.t is None:
        return "-"
    return f"{estimate.mean:+.4f} (t {estimate.t:.1f}; {estimate.lower:+.4f} to {estimate.upper:+.4f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--qlib", type=Path, help="written by benchmarks/qlib_us100.py")
    arguments = parser.parse_args()
    home = Home(arguments.home)
    if home.frequency != "session" or home.settings().horizon_bars(home.frequency) != 1:
        sys.exit(f"{arguments.home}: needs a daily market and horizon=1")
    graded, scored = outcomes(home), scores(home, arguments.qlib)
    series = {
        outcome: session_means(decision_time_correlations(scored, graded, outcome=outcome, by=["model"]), by=["model"])
        for outcome in OUTCOMES
    }
    days = scored.get_column("session")
    print(
        f"sessions {days.min()} to {days.max()}, {scored.select('symbol', 'session').unique().height} scores a model\n"
    )
    print("| scores | raw return | residual return | less Qlib, raw | less Qlib, residual |")
    print("|---|---|---|---|---|")
    for model in scored.get_column("model").unique(maintain_order=True):
        cells = []
        for outcome in OUTCOMES:
            own = series[outcome].filter(model=model)
            cells.append(cell(mean_with_interval(own.get_column("ic").to_numpy())))
        for outcome in OUTCOMES:
            both = series[outcome].filter(model=model).join(series[outcome].filter(model=QLIB), on="session")
            difference = (both.get_column("ic") - both.get_column("ic_right")).to_numpy()
            cells.append("" if model == QLIB or not both.height else cell(mean_with_interval(difference)))
        print(f"| {model} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
