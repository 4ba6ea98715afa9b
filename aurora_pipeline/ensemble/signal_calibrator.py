"""From ensemble score to expected residual return with intervals, on matured out-of-fold scores only.

1. Scores and labels that matured are brought to a common scale: u = label / volatility forecast of its session.
2. The IC of a session is the slope of u on the score z, the Pearson correlation of the two where the volatility
   forecast is right on average; sessions are averaged with exponential weights and shrunk to 0 as if `prior_sessions`
   sessions without any relation had been seen besides, and once more by their signal-to-noise ratio
   (:mod:`~aurora_pipeline.ensemble.matured_mean`). A negative IC counts as 0: a signal that lost money is not traded
   backwards.
3. E[r] = shrunk IC * volatility * z (Grinold, "Alpha is Volatility Times IC Times Score", Journal of
   Portfolio Management 20(4), 1994). An isotonic map of z takes the place of IC * z, shrunk as much, in sessions before which
   it had forecast better out of time: both make a forecast each session from what had matured before its open, and once those
   forecasts have matured their squared errors are compared; the map serves where its advantage is significant at 5 %.
4. Intervals are E[r] + volatility * adaptive conformal quantiles of u less the forecast that was made.
5. Beside them stands how far the families' own forecasts lie apart: shrunk IC * volatility * disagreement of their scores.

The state of a session (:func:`calibration_states`) is a function of what had matured before its open and is computed
from the beginning of the history each time; nothing is stored, so a single session and a range agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numba import njit

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import empty
from aurora_pipeline.ensemble.calibration_state import BOUNDS, STATE_SCHEMA, RunningCalibration
from aurora_pipeline.ensemble.residual_volatility import bars_per_session, residual_volatility
from aurora_pipeline.errors import LeakageError
from aurora_pipeline.models.train_block import group_ends
from aurora_pipeline.settings import CalibrationSettings, Settings


def calibrate(
    sessions: Sequence[date],
    opens: Mapping[date, datetime],
    ensemble: pl.DataFrame,
    labels: pl.DataFrame,
    residual_returns: pl.DataFrame,
    settings: Settings,
    horizon_bars: int,
) -> pl.DataFrame:
    """Signals of some sessions.

    Parameters
    ----------
    sessions : sequence of date
        Sessions wanted.
    opens : mapping of date to datetime
        Opening moment of every session in `ensemble`.
    ensemble : polars.DataFrame
        Table `ensemble`, the whole history up to and with these sessions; `disagreement` is needed for these only.
    labels : polars.DataFrame
        Table `labels` of the same history. Rows not matured before a session's open do not count for it.
    residual_returns : polars.DataFrame
        Table `residual_returns` of the same history and of the volatility window before it.
    settings : Settings
        Section `calibration`.
    horizon_bars : int
        Length of the forecast.

    Returns
    -------
    polars.DataFrame
        Table `signals`, sorted by decision time and symbol. Expected return and bounds are null, and `calibrated`
        false, where fewer than `minimum_sessions` sessions had matured or the name has no volatility forecast.

    Raises
    ------
    LeakageError
        The opening moment of a session of the ensemble is not given, so what had matured by then cannot be told.
    """
    history = ensemble.get_column("session").unique().sort().to_list()
    unknown = [session for session in history if session not in opens]
    if unknown:
        raise LeakageError(
            f"calibration needs the opening moment of every session of the ensemble's history; {len(unknown)} of "
            f"{len(history)} are missing, the first is {unknown[0]}"
        )
    calibration = settings.calibration
    bars = bars_per_session(residual_returns)
    volatility = residual_volatility(
        history,
        opens,
        residual_returns,
        calibration.volatility_span(bars),
        horizon_bars,
        calibration.volatility_pull(bars),
    )
    reach = -(-(settings.execution_lag_bars + horizon_bars) // bars)
    states = calibration_states(opens, ensemble, labels, volatility, calibration, reach)
    wanted = ensemble.filter(pl.col("session").is_in(list(sessions)))
    return apply_calibration(wanted, states, volatility, horizon_bars)


def calibration_states(
    opens: Mapping[date, datetime],
    ensemble: pl.DataFrame,
    labels: pl.DataFrame,
    volatility: pl.DataFrame,
    settings: CalibrationSettings,
    label_sessions: int,
) -> pl.DataFrame:
    """Calibration in force during each session of the ensemble.

    Parameters
    ----------
    opens, ensemble, labels
        As in :func:`calibrate`.
    volatility : polars.DataFrame
        Result of :func:`~aurora_pipeline.ensemble.residual_volatility.residual_volatility` for the whole history.
    settings : CalibrationSettings
        Half-life, prior, fewest sessions, conformal step.
    label_sessions : int
        Sessions a label reaches over, its execution lag included: neighbouring evidence is correlated that far.

    Returns
    -------
    polars.DataFrame
        One row per session: `information_coefficient` with its `standard_error` (null without evidence) and `shrunk_ic`
        (slopes of u on z), `isotonic_t` (advantage of the isotonic map over its standard error), `calibrator`, the map's
        `knots` and `forecasts` where it serves, `matured_sessions`, `evidence_through`, `calibrated`, and the bounds of the
        error in volatilities (`error_lower_50` ...; null until calibrated).
    """
    size = ensemble.group_by("session").len("size").sort("session")
    sessions = size.get_column("session")
    rows = _matured_rows(opens, sessions, ensemble, labels, volatility)
    ends = group_ends(rows.select(pl.struct("epoch", "session_index").rle_id()).to_series().cast(pl.Int64).to_numpy())
    z, u = rows.get_column("score").to_numpy(), rows.get_column("u").to_numpy()
    products, squares = _moments(z, u, ends)
    sizes = size.get_column("size").to_numpy()
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(z) else np.empty(0, np.int64)
    of_epoch = rows.get_column("epoch").to_numpy()[starts]
    of_session = rows.get_column("session_index").to_numpy()[starts]
    latest = rows.get_column("matured_at").to_physical().to_numpy()

    running = RunningCalibration(settings, label_sessions)
    states: list[tuple[Any, ...]] = []
    part = 0
    for session in sessions:
        running.open_session()
        while part < len(starts) and of_epoch[part] == len(states):
            part_rows = slice(starts[part], ends[part])
            source = int(of_session[part])
            running.observe(source, z[part_rows], u[part_rows], sizes[source], products[part], squares[part])
            running.through = max(running.through or 0, int(latest[part_rows].max()))
            part += 1
        states.append((session, *running.issue()))
    return pl.DataFrame(states, schema=STATE_SCHEMA | {"evidence_through": pl.Int64}, orient="row").cast(STATE_SCHEMA)  # type: ignore[arg-type]


def apply_calibration(
    ensemble: pl.DataFrame, states: pl.DataFrame, volatility: pl.DataFrame, horizon_bars: int
) -> pl.DataFrame:
    """Signals of ensemble rows under the state of their session; see :func:`calibrate`."""
    joined = (
        ensemble.join(states, on="session", how="left")
        .join(volatility, on=["session", "symbol"], how="left")
        .sort("decision_time", "symbol")
    )
    forecast = _forecasts(joined)
    usable = pl.col("calibrated") & pl.col("volatility").is_not_null()
    return (
        joined.with_columns(pl.when(usable).then(pl.col("volatility") * forecast).alias("expected_return"))
        .with_columns(
            *((pl.col("expected_return") + pl.col("volatility") * pl.col(f"error_{b}")).alias(b) for b in BOUNDS),
            pl.col("volatility").alias("residual_volatility"),
            pl.when(usable)
            .then(pl.col("shrunk_ic") * pl.col("volatility") * pl.col("disagreement"))
            .alias("disagreement"),
            pl.when(usable).then("calibrator").alias("calibrator"),
            usable.alias("calibrated"),
            pl.lit(horizon_bars, pl.Int32).alias("horizon_bars"),
        )
        .select(empty("signals").columns)
    )


def _forecasts(joined: pl.DataFrame) -> pl.Series:
    """Forecast of each row in volatilities: slope times score, or the isotonic map where that serves."""
    linear = joined.select((pl.col("shrunk_ic") * pl.col("score")).alias("forecast")).to_series()
    mapped = joined.filter(pl.col("calibrator") == "isotonic")
    if mapped.is_empty():
        return linear
    values = linear.to_numpy().copy()
    rows = np.flatnonzero((joined.get_column("calibrator") == "isotonic").fill_null(value=False).to_numpy())
    of_session = mapped.get_column("session").rle_id().to_numpy()
    for first in np.unique(of_session, return_index=True)[1]:
        inside = of_session == of_session[first]
        knots, forecasts = (mapped.get_column(name)[int(first)].to_numpy() for name in ("knots", "forecasts"))
        values[rows[inside]] = np.interp(mapped.get_column("score").to_numpy()[inside], knots, forecasts)
    return pl.Series("forecast", values)


def interval_violations(signals: pl.DataFrame) -> pl.DataFrame:
    """Rows of `signals` not finite, not nested around the forecast, or given though uncalibrated."""
    nested = ["lower_90", "lower_80", "lower_50", "expected_return", "upper_50", "upper_80", "upper_90"]
    numbers = [pl.col(name) for name in nested]
    ordered = pl.all_horizontal(low <= high for low, high in pairwise(numbers))
    finite = pl.all_horizontal(number.is_finite() for number in numbers)
    absent = pl.all_horizontal(number.is_null() for number in numbers)
    sound = pl.when("calibrated").then(finite & ordered).otherwise(absent)
    return signals.filter(~sound.fill_null(value=False))


def _matured_rows(
    opens: Mapping[date, datetime],
    sessions: pl.Series,
    ensemble: pl.DataFrame,
    labels: pl.DataFrame,
    volatility: pl.DataFrame,
) -> pl.DataFrame:
    """Score, scaled label, and the first session (`epoch`) that opened after maturity.

    Ordered by epoch, session, decision time and symbol. History is long and every session goes through all of it, so rows are
    matched and ordered by one integer each instead of by name and time.
    """
    symbols = ensemble.get_column("symbol").unique().sort()
    moments = pl.Series([opens[session] for session in sessions], dtype=TIMESTAMP)
    code = pl.col("symbol").cast(pl.Enum(symbols), strict=False).to_physical().cast(pl.Int64)
    key = (pl.col("decision_time").dt.epoch("ms") * symbols.len() + code).alias("key")
    rows = (
        ensemble.select(key, code.alias("code"), "session", "score")
        .join(labels.select(key, "label", "matured_at").drop_nulls("key"), on="key")
        .sort("key")
    )
    place = sessions.search_sorted(rows.get_column("session")).cast(pl.Int64)
    forecast = np.full((sessions.len(), symbols.len()), np.nan)
    known = volatility.select("session", code.alias("code"), "volatility").drop_nulls("code")
    known = known.filter(pl.col("session").is_in(sessions.implode()))
    forecast[sessions.search_sorted(known.get_column("session")).to_numpy(), known.get_column("code").to_numpy()] = (
        known.get_column("volatility").to_numpy()
    )
    scale = pl.Series(forecast[place.to_numpy(), rows.get_column("code").to_numpy()])
    return (
        rows.select(
            moments.search_sorted(rows.get_column("matured_at"), side="right").cast(pl.Int64).alias("epoch"),
            place.alias("session_index"),
            "score",
            (pl.col("label") / scale).alias("u"),
            "matured_at",
        )
        .filter(pl.col("epoch") < sessions.len(), pl.col("u").is_not_nan())
        .sort("epoch", maintain_order=True)
    )


@njit(cache=True)  # type: ignore[untyped-decorator]
def _moments(z: Any, u: Any, ends: Any) -> Any:
    """Sums of z * u and z * z over consecutive segments, added from first to last."""
    products = np.zeros(len(ends))
    squares = np.zeros(len(ends))
    start = 0
    for segment in range(len(ends)):
        for i in range(start, ends[segment]):
            products[segment] += z[i] * u[i]
            squares[segment] += z[i] * z[i]
        start = ends[segment]
    return products, squares
