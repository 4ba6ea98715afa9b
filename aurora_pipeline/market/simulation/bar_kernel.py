"""The bars of one session, one after the other: drift, return, price path inside the bar, volume, order flow.

Bars must be simulated in order because the price signal of a bar depends on the residual returns before it.
Random numbers come in as arrays, states go in and out, nothing is allocated per bar.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NORMALS = 9  # normal draws per bar and symbol
REVERSAL_CLIP = 3.5
VOLATILITY_NOISE = 0.38  # log standard deviation of the volatility that lasts for one bar
VOLATILITY_SWING = 0.40  # log standard deviation of the volatility that lasts for hours
VOLUME_NOISE = 0.30
VOLUME_SURPRISE = 0.60  # effect of one standard deviation of the volume state on log volume
IMBALANCE_VOLUME = 0.45  # buying pressure puts volume into rising bars
IMBALANCE_VWAP = 0.35  # and moves the average price up within the range
IMBALANCE_NOISE = 0.50  # noise of the imbalance read from one bar, in standard deviations of the imbalance
PRODUCT_SCALE = 1.15  # gives reversal times volume surprise unit variance after clipping and demeaning
JUMP_PROBABILITY = 0.0004


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _demean(values: Floats, sector: NDArray[np.int64], active: NDArray[np.bool_], sums: Floats, counts: Floats) -> None:
    """Subtract the sector mean over active stocks in place; inactive stocks become 0."""
    n = values.shape[0]
    sums[:] = 0.0
    counts[:] = 0.0
    for i in range(n):
        if active[i]:
            sums[sector[i]] += values[i]
            counts[sector[i]] += 1.0
    for i in range(n):
        values[i] = values[i] - sums[sector[i]] / counts[sector[i]] if active[i] else 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def simulate_session(
    normals: Floats,
    uniforms: Floats,
    profile: Floats,
    usual: Floats,
    log_volume_profile: Floats,
    market: Floats,
    sectors: Floats,
    factor_variance: Floats,
    sector: NDArray[np.int64],
    active: NDArray[np.bool_],
    market_beta: Floats,
    sector_beta: Floats,
    sigma: Floats,
    overnight_residual: Floats,
    overnight_total: Floats,
    half_spread: Floats,
    log_volume: Floats,
    slow_drift: Floats,
    fast_drift: Floats,
    drift_scale: Floats,
    decays: Floats,
    reversal_scale: float,
    wick: float,
    gains: Floats,
    log_price: Floats,
    states: Floats,
    out: Floats,
    fast: Floats,
    attainable: Floats,
    residual: Floats,
) -> None:
    """Simulate one session.

    Parameters
    ----------
    normals : ndarray of shape (n_bars, NORMALS, n_symbols)
        Standard normal draws.
    uniforms : ndarray of shape (n_bars, 2, n_symbols)
        Uniform draws in (0, 1].
    profile, usual, log_volume_profile : ndarray of shape (n_bars,)
        Relative to the session's intraday volatility: that of each bar, and of its close-to-close return; log
        share of the usual session volume.
    market, sectors : ndarray of shape (n_bars,) and (n_bars, n_sectors)
        Factor returns of each bar.
    factor_variance : ndarray of shape (n_bars, 2)
        Variance of the market and of the typical sector factor in each bar.
    sigma : ndarray of shape (n_symbols,)
        Residual volatility of the session, intraday part.
    slow_drift : ndarray of shape (n_stocks,)
        Drift per bar of the slow signals in units of `drift_scale`.
    fast_drift : ndarray of shape (4,)
        Weights of reversal, imbalance, volume surprise and reversal times volume surprise in the drift per bar.
    reversal_scale : float
        Standard deviation of the reversal sum.
    gains : ndarray of shape (2,)
        Filter gains for imbalance and volume surprise.
    states : ndarray of shape (6, n_symbols)
        Changed in place: reversal sum, imbalance, volume, their two filters, volatility swing.
    out : ndarray of shape (n_bars, 6, n_symbols)
        Filled: open, high, low, close, volume, vwap.
    fast : ndarray of shape (n_bars, 4, n_stocks)
        Filled: the four fast signals at the end of each bar.
    attainable : ndarray of shape (n_bars, 4, n_stocks)
        Filled: the same as a trader can filter them from the bars.
    residual : ndarray of shape (n_bars, n_stocks)
        Filled: residual return from the close before to the close of each bar.
    """
    n_bars, n_symbols = profile.shape[0], log_price.shape[0]
    n_stocks = slow_drift.shape[0]
    n_sectors = sectors.shape[1]
    sums, counts = np.zeros(n_sectors), np.zeros(n_sectors)
    reversal, imbalance, surprise = np.zeros(n_stocks), np.zeros(n_stocks), np.zeros(n_stocks)
    product, drift = np.zeros(n_stocks), np.zeros(n_stocks)
    keep_imbalance, keep_volume = math.sqrt(1.0 - decays[1] ** 2), math.sqrt(1.0 - decays[2] ** 2)
    keep_swing = 0.975
    new_swing = math.sqrt(1.0 - keep_swing**2)
    for bar in range(n_bars + 1):
        # Signals at the end of the bar before (bar 0: at the last close) drive this bar.
        for source in range(2):
            for i in range(n_stocks):
                x = -states[0, i] / reversal_scale
                reversal[i] = min(max(x, -REVERSAL_CLIP), REVERSAL_CLIP)
                imbalance[i] = states[1 + 2 * source, i]
                surprise[i] = states[2 + 2 * source, i]
            _demean(reversal, sector, active, sums, counts)
            _demean(imbalance, sector, active, sums, counts)
            _demean(surprise, sector, active, sums, counts)
            for i in range(n_stocks):
                product[i] = PRODUCT_SCALE * reversal[i] * surprise[i]
            _demean(product, sector, active, sums, counts)
            if bar > 0:
                target = fast if source == 0 else attainable
                for i in range(n_stocks):
                    target[bar - 1, 0, i] = reversal[i]
                    target[bar - 1, 1, i] = imbalance[i]
                    target[bar - 1, 2, i] = surprise[i]
                    target[bar - 1, 3, i] = product[i]
            if source == 0:
                for i in range(n_stocks):
                    drift[i] = drift_scale[i] * (
                        slow_drift[i]
                        + fast_drift[0] * reversal[i]
                        + fast_drift[1] * imbalance[i]
                        + fast_drift[2] * surprise[i]
                        + fast_drift[3] * product[i]
                    )
                _demean(drift, sector, active, sums, counts)
        if bar == n_bars:
            break
        for i in range(n_symbols):
            own = sector[i]
            swing = keep_swing * states[5, i] + new_swing * normals[bar, 2, i]
            states[5, i] = swing
            loud = VOLATILITY_SWING * swing + VOLATILITY_NOISE * normals[bar, 1, i]
            loudness = math.exp(loud - VOLATILITY_SWING**2 - VOLATILITY_NOISE**2)
            shock = normals[bar, 0, i] * loudness
            if uniforms[bar, 0, i] < JUMP_PROBABILITY:
                shock *= 5.0
            own_sd = sigma[i] * profile[bar]
            e = own_sd * shock
            if i < n_stocks:
                e += drift[i]
            total = market_beta[i] * market[bar] + e
            variance = market_beta[i] ** 2 * factor_variance[bar, 0] + own_sd**2 * loudness**2
            if own >= 0:
                total += sector_beta[i] * sectors[bar, own]
                variance += sector_beta[i] ** 2 * factor_variance[bar, 1]
            start = log_price[i] + (overnight_total[i] if bar == 0 else 0.0)
            end = start + total
            log_price[i] = end
            since_close = e + (overnight_residual[i] if bar == 0 else 0.0)
            # What reverts is the surprise, not the drift: so the expectation of the signal decays exactly.
            surprising = since_close - drift[i] if i < n_stocks else since_close
            states[0, i] = decays[0] * states[0, i] + surprising / (sigma[i] * usual[bar])
            states[1, i] = decays[1] * states[1, i] + keep_imbalance * normals[bar, 3, i]
            states[2, i] = decays[2] * states[2, i] + keep_volume * normals[bar, 4, i]
            pressure = states[1, i]
            # Highest and lowest point of a Brownian bridge; trades see a little less of it than its full range.
            gap2 = (end - start) ** 2
            top, bottom = max(start, end), min(start, end)
            reach = 0.5 * (start + end + math.sqrt(gap2 - 1.6 * variance * math.log(uniforms[bar, 0, i]))) - top
            fall = bottom - 0.5 * (start + end - math.sqrt(gap2 - 1.6 * variance * math.log(uniforms[bar, 1, i])))
            tilt = math.exp(wick * pressure) if i < n_stocks else 1.0
            spread = half_spread[i]
            first = math.exp(start + (spread if normals[bar, 7, i] > 0 else -spread))
            last = math.exp(end + (spread if normals[bar, 8, i] > 0 else -spread))
            high = max(math.exp(top + reach / tilt + spread), first, last)
            low = min(math.exp(bottom - fall * tilt - spread), first, last)
            middle, width = 0.5 * (high + low), high - low
            lift = IMBALANCE_VWAP * math.tanh(0.5 * pressure) if i < n_stocks else 0.0
            vwap = 0.7 * middle + 0.15 * (first + last) + width * (lift + 0.05 * normals[bar, 6, i])
            vwap = min(max(vwap, low), high)
            strength = end - start
            direction = math.tanh(1.5 * strength / math.sqrt(variance))
            activity = (
                VOLUME_SURPRISE * states[2, i]
                + VOLUME_NOISE * normals[bar, 5, i]
                + 0.35 * loud
                + 0.30 * (abs(strength) / math.sqrt(variance) - 0.8)
                + (IMBALANCE_VOLUME * pressure * direction if i < n_stocks else 0.0)
            )
            volume = math.exp(log_volume[i] + log_volume_profile[bar] + activity - 0.25)
            out[bar, 0, i], out[bar, 1, i], out[bar, 2, i], out[bar, 3, i] = first, high, low, last
            out[bar, 4, i], out[bar, 5, i] = volume, vwap
            if i < n_stocks:
                residual[bar, i] = since_close
                # What a trader reads from this bar: imbalance from the bar's shape, the volume state from its volume.
                seen = pressure + IMBALANCE_NOISE * normals[bar, 6, i]
                states[3, i] = decays[1] * states[3, i]
                states[3, i] += gains[0] * (seen - states[3, i])
                heard = states[2, i] + VOLUME_NOISE / VOLUME_SURPRISE * normals[bar, 5, i]
                states[4, i] = decays[2] * states[4, i]
                states[4, i] += gains[1] * (heard - states[4, i])


def filter_gain(rho: float, noise: float) -> float:
    """Steady-state Kalman gain for a unit-variance AR(1) with decay `rho` seen through noise of this standard deviation."""
    variance = 1.0
    gain = 0.5
    for _ in range(500):
        predicted = rho**2 * variance + 1.0 - rho**2
        gain = predicted / (predicted + noise**2)
        variance = (1.0 - gain) * predicted
    return gain
