"""The arithmetic of residual returns on dense bars: carried closes, spans of equal length, market, sector and peers."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aurora_pipeline.features.windows import Panel


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def carried_forward(close: Panel) -> tuple[NDArray[np.int64], Panel]:
    """Row of the newest close at or before each row (-1 if none), and closes carried forward."""
    rows, columns = close.shape
    latest = np.full((rows, columns), -1, dtype=np.int64)
    filled = close.copy()
    for column in range(columns):
        last = -1
        for row in range(rows):
            if close[row, column] == close[row, column]:
                last = row
            elif last >= 0:
                filled[row, column] = close[last, column]
            latest[row, column] = last
    return latest, filled


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def bar_residuals(
    close: Panel,
    filled: Panel,
    latest: NDArray[np.int64],
    recent: int,
    first_row: int,
    members: NDArray[np.int64],
    sector: NDArray[np.int64],
    etfs: NDArray[np.int64],
    benchmark: int,
    beta_market: NDArray[np.float64],
    beta_sector: NDArray[np.float64],
    sector_to_market: NDArray[np.float64],
    minimum_peers: int,
) -> NDArray[np.float64]:
    """Return, market, orthogonal sector, sector beta, residual and market-only flag of each bar and stock.

    Returns
    -------
    ndarray of shape (6, bars of the session, stocks)
        NaN where there is no bar, no earlier close or no market price. Without a recent benchmark the other stocks' mean is the
        market, without a recent ETF the peers' mean is the sector.
    """
    rows = close.shape[0]
    out = np.full((6, rows - first_row, members.size), np.nan)
    for row in range(first_row, rows):
        for position in range(members.size):
            column = members[position]
            start = latest[row - 1, column]
            if start < 0 or close[row, column] != close[row, column]:
                continue
            own = close[row, column] / filled[start, column] - 1.0
            if benchmark >= 0 and _has_bars(latest[row, benchmark], recent, first_row - 1):
                market = filled[row, benchmark] / filled[start, benchmark] - 1.0
            else:
                market = _peer_mean(filled, row, start, column, members, sector, -1, 1)
            if market != market:
                continue
            move = np.nan
            code = sector[position]
            if code >= 0:
                etf = etfs[code]
                if etf >= 0 and _has_bars(latest[row, etf], recent, first_row - 1):
                    move = filled[row, etf] / filled[start, etf] - 1.0
                if move != move:
                    move = _peer_mean(filled, row, start, column, members, sector, code, minimum_peers)
            alone = move != move
            slope = 0.0 if alone else beta_sector[column]
            orthogonal = 0.0 if alone else move - sector_to_market[column] * market
            out[0, row - first_row, position] = own
            out[1, row - first_row, position] = market
            out[2, row - first_row, position] = orthogonal
            out[3, row - first_row, position] = slope
            out[4, row - first_row, position] = own - beta_market[column] * market - slope * orthogonal
            out[5, row - first_row, position] = 1.0 if alone else 0.0
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _has_bars(newest: int, recent: int, daily_row: int) -> bool:
    """Whether a fund's newest price is recent and a bar's: one with daily closes only would look as if it never moved."""
    return newest >= recent and newest != daily_row


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _peer_mean(
    filled: Panel,
    row: int,
    start: int,
    column: int,
    members: NDArray[np.int64],
    sector: NDArray[np.int64],
    code: int,
    minimum: int,
) -> float:
    """Mean return of the other stocks of a sector (of all, if `code` is -1) from row `start` to `row`; NaN if too few."""
    total, count = 0.0, 0
    for position in range(members.size):
        peer = members[position]
        if peer == column or (code >= 0 and sector[position] != code):
            continue
        move = filled[row, peer] / filled[start, peer] - 1.0
        if move == move:
            total += move
            count += 1
    return total / count if count >= minimum else np.nan
