"""Measure the planted alpha: rank IC of the truth against realised residual returns, over seeds.

`python -m aurora_pipeline.market.simulation.calibrate --seeds 1-10` simulates each market in a temporary
directory and prints one row per preset and profile. `folder` is measured from the written prices with
rolling betas, `generator` against the simulated residual returns themselves.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from aurora_pipeline.market.simulation.folder import write_market
from aurora_pipeline.market.simulation.panel import Panel, read_panel
from aurora_pipeline.market.simulation.presets import PRESETS
from aurora_pipeline.market.simulation.price_path import PricePath
from aurora_pipeline.market.simulation.residuals import residual_returns
from aurora_pipeline.market.simulation.timeline import build_timeline

Floats = NDArray[np.float64]


def read_truth(directory: Path, panel: Panel) -> tuple[Floats, Floats, int]:
    """Expected and attainable residual return, shape (n_bars, n_symbols), NaN where there is none, and the horizon."""
    truth = pl.read_parquet(directory / "truth.parquet")
    rows = panel.bar_end.search_sorted(truth["decision_time"]).to_numpy()
    columns = truth["symbol"].replace_strict(panel.names, return_dtype=pl.Int64).to_numpy()
    out = []
    for name in ("expected_residual_return", "attainable_residual_return"):
        dense = np.full((len(panel.bar_end), len(panel.symbols)), np.nan)
        dense[rows, columns] = truth[name].to_numpy()
        out.append(dense)
    return out[0], out[1], int(truth["horizon_bars"][0])


def forward_sums(residual: Floats, horizon: int) -> Floats:
    """Residual return from the close of the next bar to the close `horizon` bars later; NaN at the end."""
    total = np.cumsum(residual, axis=0)
    out = np.full_like(total, np.nan)
    out[: -horizon - 1] = total[horizon + 1 :] - total[1:-horizon]
    return out


def mean_rank_correlation(left: Floats, right: Floats, every: int = 1) -> float:
    """Mean over rows of the Spearman correlation over the columns where both are finite."""
    found = []
    for row in range(0, len(left), every):
        both = np.isfinite(left[row]) & np.isfinite(right[row])
        if both.sum() < 5 or np.ptp(left[row][both]) == 0.0 or np.ptp(right[row][both]) == 0.0:
            continue
        found.append(np.corrcoef(rankdata(left[row][both]), rankdata(right[row][both]))[0, 1])
    return float(np.mean(found)) if found else float("nan")


def pooled_correlation(left: Floats, right: Floats) -> float:
    """Correlation of deviations from each row's mean, all rows pooled."""
    both = np.isfinite(left) & np.isfinite(right)
    count = np.maximum(both.sum(axis=1, keepdims=True), 1)
    a = np.where(both, left, 0.0)
    b = np.where(both, right, 0.0)
    a = np.where(both, a - a.sum(axis=1, keepdims=True) / count, 0.0)
    b = np.where(both, b - b.sum(axis=1, keepdims=True) / count, 0.0)
    return float(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b)))


def generator_information_coefficient(path: PricePath, horizon: int) -> float:
    """Rank IC of the oracle against the simulated residual returns themselves."""
    labels = forward_sums(path.residual, horizon)
    expected = np.where(path.expected == 0.0, np.nan, path.expected)
    return mean_rank_correlation(expected, labels, 1 if horizon < 10 else 3)


def measure(directory: Path) -> dict[str, float]:
    """Rank IC of oracle and attainable forecast from the written folder, and their correlation."""
    panel = read_panel(directory)
    expected, attainable, horizon = read_truth(directory, panel)
    labels = forward_sums(residual_returns(panel), horizon)
    every = 1 if panel.frequency == "session" else 3
    return {
        "oracle": mean_rank_correlation(expected, labels, every),
        "attainable": mean_rank_correlation(attainable, labels, every),
        "correlation": pooled_correlation(expected, attainable),
    }


def _seeds(text: str) -> list[int]:
    if "-" in text:
        first, last = text.split("-")
        return list(range(int(first), int(last) + 1))
    return [int(part) for part in text.split(",")]


def main(arguments: list[str] | None = None) -> None:
    """Print the calibration table."""
    parser = argparse.ArgumentParser(prog="python -m aurora_pipeline.market.simulation.calibrate", description=__doc__)
    parser.add_argument("--seeds", type=_seeds, default=_seeds("1-10"), help="1-10 or 1,2,5")
    parser.add_argument("--presets", default="reference:full,reference-long:full,small:full,reference:modest")
    parser.add_argument("--break-at-start", action="store_true", help="measure what pays after a break")
    options = parser.parse_args(arguments)
    write = sys.stdout.write
    write("| market | seeds | oracle IC, folder | sd over seeds | oracle IC, generator | attainable IC, folder ")
    write("| oracle-attainable correlation |\n|---|---|---|---|---|---|---|\n")
    for item in options.presets.split(","):
        preset, profile = item.split(":")
        found = []
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as parent:
                directory = Path(parent) / "market"
                start = build_timeline(PRESETS[preset]).days[PRESETS[preset].warmup] if options.break_at_start else None
                path = write_market(directory, preset=preset, profile=profile, seed=seed, break_session=start)
                row = measure(directory)
                row["generator"] = generator_information_coefficient(path, PRESETS[preset].horizon)
                found.append(row)
        oracle, generator, attainable, together = (
            np.array([row[name] for row in found]) for name in ("oracle", "generator", "attainable", "correlation")
        )
        write(
            f"| {preset} {profile} | {options.seeds[0]}-{options.seeds[-1]} | {oracle.mean():.4f} | {oracle.std():.4f} "
            f"| {generator.mean():.4f} | {attainable.mean():.4f} | {together.mean():.3f} (least {together.min():.3f}) |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
