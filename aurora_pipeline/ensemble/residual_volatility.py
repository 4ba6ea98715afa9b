"""Forecast of a label's standard deviation from past residual returns, through the session before.

A session's variance is the sum of its squared residual bar returns, the night included in the first bar (realised
variance; Andersen, Bollerslev, Diebold and Labys, "Modeling and Forecasting Realized Volatility", Econometrica 71(2),
2003). The forecast is their exponentially weighted mean over a finite window, drawn towards the median name's (a high
forecast is partly luck), scaled to the horizon by its number of bars.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
from numba import njit

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.models.versioned_panel import NEVER, version_known_at, versioned_panel

WINDOW_SPANS = 4.0
"""Length of the window in spans; what lies beyond would weigh less than 0.04 %."""
_END_OF_TIME = NEVER - 1
MINIMUM_SESSIONS = 5
"""Sessions with returns a name needs for a forecast."""


def residual_volatility(
    sessions: Sequence[date],
    opens: Mapping[date, datetime],
    residual_returns: pl.DataFrame,
    span: float,
    horizon_bars: int,
    shrinkage: float = 0.0,
) -> pl.DataFrame:
    """Volatility forecast of each name for each session, from what was known before its open.

    Parameters
    ----------
    sessions : sequence of date
        Sessions to forecast for.
    opens : mapping of date to datetime
        Opening moment of each of them.
    residual_returns : polars.DataFrame
        Table `residual_returns`, all versions, at least :data:`WINDOW_SPANS` spans of sessions before the first of
        `sessions`. Rows of the sessions themselves say only under which symbol a name trades.
    span : float
        Exponential span, sessions.
    horizon_bars : int
        Length of the forecast.
    shrinkage : float
        Share of the median variance in each name's forecast: of all names with returns in the window, delisted ones too.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `volatility` (fraction over the horizon); no row for a name with fewer than
        :data:`MINIMUM_SESSIONS` sessions of returns.
    """
    schema = {"session": pl.Date, "symbol": pl.String, "volatility": pl.Float64}
    if residual_returns.is_empty() or not sessions:
        return pl.DataFrame(schema=schema)
    grid = residual_returns.select("session", "bar_end").unique().sort("bar_end")
    panel = versioned_panel(residual_returns, "residual_return", grid.get_column("bar_end"))
    past = grid.group_by("session", maintain_order=True).len()
    stops = past.get_column("len").cum_sum().cast(pl.Int64).to_numpy()
    before = past.get_column("session").search_sorted(pl.Series(list(sessions), dtype=pl.Date), side="left").to_numpy()
    moments = pl.Series([opens[session] for session in sessions], dtype=TIMESTAMP).to_physical().to_numpy()
    window = math.ceil(WINDOW_SPANS * span)
    variance = _variance_kernel(
        panel.offsets,
        panel.values,
        panel.known,
        panel.withdrawn,
        len(grid),
        stops,
        before.astype(np.int64),
        moments,
        window,
        1.0 - 2.0 / (span + 1.0),
    )
    for k in range(len(variance)):
        known = variance[k][~np.isnan(variance[k])]
        if known.size:
            variance[k] += shrinkage * (np.median(known) - variance[k])
    volatility = np.sqrt(variance * (horizon_bars / bars_per_session(residual_returns)))
    forecast = pl.DataFrame(
        {
            "session": np.repeat(np.array(sessions, dtype="datetime64[D]"), len(panel.instruments)),
            "instrument_id": pl.concat([panel.instruments] * len(sessions)),
            "volatility": volatility.ravel(),
        }
    ).filter(pl.col("volatility").is_finite(), pl.col("volatility") > 0.0)
    names = residual_returns.select("instrument_id", "session", "symbol").unique().sort("session", "instrument_id")
    named = forecast.sort("session", "instrument_id").join_asof(
        names, on="session", by="instrument_id", strategy="backward", check_sortedness=False
    )
    return named.select(list(schema)).sort("session", "symbol")


def bars_per_session(residual_returns: pl.DataFrame) -> int:
    """Bars of a full session, counted in the data; 1 where there is nothing to count."""
    counts = residual_returns.group_by("session").agg(pl.col("bar_end").n_unique()).get_column("bar_end")
    return int(counts.max() or 1)  # type: ignore[arg-type]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _realised_variance(
    offsets: Any, values: Any, known: Any, withdrawn: Any, first: int, stop: int, moment: int
) -> float:
    """Sum of squares of the newest versions known at a moment in cells `first` to `stop` - 1; NaN if there is none."""
    variance, present = 0.0, False
    for cell in range(first, stop):
        row = version_known_at(known, withdrawn, offsets[cell], offsets[cell + 1], moment)
        if row >= 0:
            present = True
            variance += values[row] * values[row]
    return variance if present else np.nan


@njit(cache=True)  # type: ignore[untyped-decorator]
def _variance_kernel(
    offsets: Any,
    values: Any,
    known: Any,
    withdrawn: Any,
    bars: int,
    stops: Any,
    before: Any,
    moments: Any,
    window: int,
    decay: float,
) -> Any:
    """Weighted mean of realised variances, shape (n_sessions, n_instruments); NaN with too few sessions.

    The variance of a past session is added up once, from the newest versions, with the moment the last of them was
    known or withdrawn; only where that moment lies after a forecast's open is it added up again from the versions of the time.
    """
    instruments = (len(offsets) - 1) // bars
    settled = np.empty((len(stops), instruments), np.float64)
    known_by = np.empty((len(stops), instruments), np.int64)
    for k in range(len(stops)):
        for instrument in range(instruments):
            first, stop = instrument * bars + (stops[k - 1] if k > 0 else 0), instrument * bars + stops[k]
            settled[k, instrument] = _realised_variance(offsets, values, known, withdrawn, first, stop, _END_OF_TIME)
            known_by[k, instrument] = 0
            for row in range(offsets[first], offsets[stop]):
                known_by[k, instrument] = max(known_by[k, instrument], known[row])
                if withdrawn[row] <= _END_OF_TIME:
                    known_by[k, instrument] = max(known_by[k, instrument], withdrawn[row])
    out = np.full((len(moments), instruments), np.nan)
    for s in range(len(moments)):
        for instrument in range(instruments):
            found, weight, weights, total = 0, 1.0, 0.0, 0.0
            for k in range(before[s] - 1, max(-1, before[s] - 1 - window), -1):
                variance = settled[k, instrument]
                if known_by[k, instrument] >= moments[s]:
                    first, stop = instrument * bars + (stops[k - 1] if k > 0 else 0), instrument * bars + stops[k]
                    variance = _realised_variance(offsets, values, known, withdrawn, first, stop, moments[s] - 1)
                if not np.isnan(variance):
                    found += 1
                    weights += weight
                    total += weight * variance
                weight *= decay
            if found >= MINIMUM_SESSIONS:
                out[s, instrument] = total / weights
    return out
