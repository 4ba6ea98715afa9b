"""Compare a simulated market with a real one in a table.

`python -m aurora_pipeline.market.simulation.realism SIMULATED REAL` prints one row per statistic. Both folders
are read the same way; statistics of single stocks are medians over stocks, volatilities are annualised with 252
sessions.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.market.simulation.panel import Panel, forward_fill, read_panel

Floats = NDArray[np.float64]
HALF_HOUR = 6  # bars


def _log_returns(close: Floats) -> Floats:
    filled = np.log(forward_fill(close))
    return np.diff(filled, axis=0, prepend=np.full((1, close.shape[1]), np.nan))


def _median(values: Floats) -> float:
    return float(np.nanmedian(values))


def excess_kurtosis(values: Floats) -> Floats:
    """Excess kurtosis of each column."""
    centred = values - np.nanmean(values, axis=0)
    return np.asarray(np.nanmean(centred**4, axis=0) / np.nanmean(centred**2, axis=0) ** 2 - 3.0)


def absolute_autocorrelation(values: Floats, lag: int) -> float:
    """Median over columns of the autocorrelation of absolute values."""
    size = np.abs(values)
    size = size - np.nanmean(size, axis=0)
    return _median(np.nanmean(size[lag:] * size[:-lag], axis=0) / np.nanmean(size**2, axis=0))


def _correlations(values: Floats) -> Floats:
    masked = np.ma.masked_invalid(values)
    return np.asarray(np.ma.corrcoef(masked, rowvar=False).filled(np.nan))  # type: ignore[no-untyped-call]


def _correlation_rows(panel: Panel, returns: Floats, label: str) -> dict[str, float]:
    stocks = np.flatnonzero(panel.is_stock & np.isfinite(returns).any(axis=0))
    matrix = _correlations(returns)
    pairs = matrix[np.ix_(stocks, stocks)]
    upper = np.triu(np.ones_like(pairs, dtype=bool), 1)
    sector = np.array([panel.sectors[column] for column in stocks])
    same = sector[:, None] == sector[None, :]
    funded = stocks[panel.sector_fund[stocks] >= 0]
    return {
        f"{label}: mean pairwise correlation of stocks": float(np.nanmean(pairs[upper])),
        f"{label}: the same within sectors": float(np.nanmean(pairs[upper & same])),
        f"{label}: correlation of stock and sector fund": float(np.nanmean(matrix[funded, panel.sector_fund[funded]])),
        f"{label}: correlation of stock and SPY": float(np.nanmean(matrix[stocks, panel.benchmark])),
    }


def statistics(panel: Panel) -> dict[str, float]:
    """Every statistic of a market with 5-minute bars, by its label."""
    stocks = panel.is_stock
    daily = _log_returns(panel.daily["close"])
    close = panel.bars["close"]
    bars = np.log(close / panel.bars["open"])
    inside = panel.bar_of_day > 0
    bars[inside] = _log_returns(close)[inside]
    intraday = bars[:, stocks]
    # Only sessions of usual length, so that a bar's number says the time of day.
    sizes = np.bincount(panel.day_of_bar[panel.day_of_bar >= 0], minlength=len(panel.days))
    full = (sizes[panel.day_of_bar] == 78) & (panel.day_of_bar >= 0)
    spread = np.array([np.nanstd(intraday[full & (panel.bar_of_day == bar)]) for bar in range(78)])
    volume = panel.bars["volume"][:, stocks]
    relative = volume / np.nanmean(volume, axis=0)
    share = np.array([np.nanmean(relative[full & (panel.bar_of_day == bar)]) for bar in range(78)])
    level = float(np.sqrt(np.mean(spread**2)))
    deseasoned = intraday[full] / spread[panel.bar_of_day[full]][:, None]
    variance = np.nanvar(intraday, axis=0) * 78
    first = full & (panel.bar_of_day == 0)
    opening = np.log(panel.bars["open"] / _shifted(forward_fill(close)))[first][:, stocks]
    overnight = np.nanvar(opening, axis=0)
    busy = np.log(np.where(relative[full] > 0, relative[full], np.nan)) - np.log(share)[panel.bar_of_day[full]][:, None]
    rows = {
        "daily: volatility of stocks": _median(np.nanstd(daily[:, stocks], axis=0)) * 252**0.5,
        "daily: volatility of SPY": float(np.nanstd(daily[:, panel.benchmark])) * 252**0.5,
        "5 min: volatility of stocks": _median(np.nanstd(intraday, axis=0)) * (78 * 252) ** 0.5,
        "5 min: volatility of SPY": float(np.nanstd(bars[:, panel.benchmark])) * (78 * 252) ** 0.5,
        "overnight share of variance": _median(overnight / (overnight + variance)),
        "volatility, first half hour / session": float(np.sqrt(np.mean(spread[:HALF_HOUR] ** 2))) / level,
        "volatility, middle half hour / session": float(np.sqrt(np.mean(spread[36:42] ** 2))) / level,
        "volatility, last half hour / session": float(np.sqrt(np.mean(spread[-HALF_HOUR:] ** 2))) / level,
        "volume, first half hour / session": float(share[:HALF_HOUR].mean() / share.mean()),
        "volume, middle half hour / session": float(share[36:42].mean() / share.mean()),
        "volume, last half hour / session": float(share[-HALF_HOUR:].mean() / share.mean()),
        "daily: excess kurtosis of stocks": _median(excess_kurtosis(daily[:, stocks])),
        "5 min: excess kurtosis of stocks": _median(excess_kurtosis(intraday)),
        "5 min: the same, by time of day": _median(excess_kurtosis(deseasoned)),
    }
    for lag in (1, 5, 21):
        rows[f"daily: autocorrelation of absolute returns, lag {lag}"] = absolute_autocorrelation(daily[:, stocks], lag)
    for lag in (1, 6, 39, 78, 390):
        rows[f"5 min, by time of day: the same, lag {lag}"] = absolute_autocorrelation(deseasoned, lag)
    rows["5 min: correlation of log volume and absolute return"] = _column_correlation(busy, np.abs(deseasoned))
    rows["5 min: autocorrelation of log volume, lag 1"] = _column_correlation(busy[1:], busy[:-1])
    rows["5 min: autocorrelation of log volume, lag 78"] = _column_correlation(busy[78:], busy[:-78])
    rows |= _correlation_rows(panel, daily, "daily")
    rows |= _correlation_rows(panel, bars, "5 min")
    rows["spread by Roll (bps)"] = _median(roll_spread(intraday[inside])) * 1e4
    rows["spread by Corwin and Schultz (bps)"] = (
        _median(corwin_schultz_spread(panel.bars["high"][:, stocks], panel.bars["low"][:, stocks])) * 1e4
    )
    return rows


def _shifted(values: Floats) -> Floats:
    return np.concatenate([np.full((1, values.shape[1]), np.nan), values[:-1]])


def _column_correlation(left: Floats, right: Floats) -> float:
    both = np.isfinite(left) & np.isfinite(right)
    a, b = np.where(both, left, np.nan), np.where(both, right, np.nan)
    a, b = a - np.nanmean(a, axis=0), b - np.nanmean(b, axis=0)
    return _median(np.nanmean(a * b, axis=0) / np.sqrt(np.nanmean(a * a, axis=0) * np.nanmean(b * b, axis=0)))


def roll_spread(returns: Floats) -> Floats:
    """Effective spread of each column after Roll (1984), 0 where the serial covariance is positive."""
    centred = np.nan_to_num(returns - np.nanmean(returns, axis=0))
    return np.asarray(2.0 * np.sqrt(np.maximum(-np.mean(centred[1:] * centred[:-1], axis=0), 0.0)))


def corwin_schultz_spread(high: Floats, low: Floats) -> Floats:
    """Mean spread of each column after Corwin and Schultz (2012), from pairs of bars; negative pairs count as 0."""
    beta = np.log(high[1:] / low[1:]) ** 2 + np.log(high[:-1] / low[:-1]) ** 2
    gamma = np.log(np.maximum(high[1:], high[:-1]) / np.minimum(low[1:], low[:-1])) ** 2
    scale = 3.0 - 2.0 * np.sqrt(2.0)
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / scale - np.sqrt(gamma / scale)
    return np.asarray(np.nanmean(np.maximum(2.0 * np.expm1(alpha) / (2.0 + np.expm1(alpha)), 0.0), axis=0))


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m aurora_pipeline.market.simulation.realism", description=__doc__)
    parser.add_argument("simulated", type=Path)
    parser.add_argument("real", type=Path)
    options = parser.parse_args(arguments)
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (statistics(read_panel(path)) for path in (options.simulated, options.real))
    sys.stdout.write("| statistic | simulated | real |\n|---|---|---|\n")
    for label, value in left.items():
        sys.stdout.write(f"| {label} | {value:.3f} | {right[label]:.3f} |\n")


if __name__ == "__main__":
    main()
