"""From ensemble score to expected residual return with intervals, on matured out-of-fold scores only.

1. Scores and labels that matured are brought to a common scale: u = label / volatility forecast of its session.
2. The IC of a session is the slope of u on the score z, the Pearson correlation of the two where the volatility
   forecast is right on average; sessions are averaged with exponential weights and shrunk to 0 as if `prior_sessions`
   sessions without any relation had been seen besides. A negative IC counts as 0: a signal that lost money is not
   traded backwards.
3. E[r] = shrunk IC * volatility * z (Grinold, "Alpha is Volatility Times IC Times Score", Journal of
   Portfolio Management 20(4), 1994).
4. Intervals are E[r] + volatility * adaptive conformal quantiles of (u - IC * z).

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
from aurora_pipeline.ensemble.conformal import LEVELS, AdaptiveConformal
from aurora_pipeline.ensemble.residual_volatility import bars_per_session, residual_volatility
from aurora_pipeline.errors import LeakageError
from aurora_pipeline.models.train_block import group_ends
from aurora_pipeline.settings import CalibrationSettings, Settings

BOUNDS = [f"{side}_{round(100 * level)}" for level in LEVELS for side in ("lower", "upper")]
STATE_SCHEMA = {
    "session": pl.Date,
    "information_coefficient": pl.Float64,
    "shrunk_ic": pl.Float64,
    "matured_sessions": pl.Int64,
    "evidence_through": TIMESTAMP,
    "calibrated": pl.Boolean,
    **{f"error_{bound}": pl.Float64() for bound in BOUNDS},
}


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
        Table `ensemble`, the whole history up to and with these sessions.
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
    states = calibration_states(opens, ensemble, labels, volatility, calibration)
    wanted = ensemble.filter(pl.col("session").is_in(list(sessions)))
    return apply_calibration(wanted, states, volatility, horizon_bars)


def calibration_states(
    opens: Mapping[date, datetime],
    ensemble: pl.DataFrame,
    labels: pl.DataFrame,
    volatility: pl.DataFrame,
    settings: CalibrationSettings,
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

    Returns
    -------
    polars.DataFrame
        One row per session: `information_coefficient` (null without evidence) and `shrunk_ic` (slopes of u on z),
        `matured_sessions`, `evidence_through`, `calibrated`, and the bounds of the error in volatilities
        (`error_lower_50` ...; null until calibrated).
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

    decay = 0.5 ** (1.0 / settings.half_life_sessions)
    conformal = AdaptiveConformal(decay, settings.conformal_step)
    moment = information = 0.0
    matured: set[int] = set()
    through: int | None = None
    shrunk_ic = np.zeros(len(sizes))
    issued: list[Any] = []
    states: list[tuple[Any, ...]] = []
    part = 0
    for index, session in enumerate(sessions):
        moment, information = moment * decay, information * decay
        conformal.age()
        while part < len(starts) and of_epoch[part] == index:
            begin, end, source = starts[part], ends[part], of_session[part]
            moment += products[part] / sizes[source]
            information += squares[part] / sizes[source]
            errors = u[begin:end] - shrunk_ic[source] * z[begin:end]
            conformal.observe(errors, (end - begin) / sizes[source], issued[source])
            matured.add(int(source))
            through = max(through or 0, int(latest[begin:end].max()))
            part += 1
        calibrated = len(matured) >= settings.minimum_sessions and information > 0.0
        shrunk_ic[index] = max(0.0, moment / (information + settings.prior_sessions)) if information > 0.0 else 0.0
        issued.append(conformal.quantiles() if calibrated else None)
        bounds = issued[-1].ravel().tolist() if calibrated else [None] * len(BOUNDS)
        ic = moment / information if information > 0.0 else None
        states.append((session, ic, shrunk_ic[index], len(matured), through, calibrated, *bounds))
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
    usable = pl.col("calibrated") & pl.col("volatility").is_not_null()
    expected = pl.col("shrunk_ic") * pl.col("volatility") * pl.col("score")
    return (
        joined.with_columns(pl.when(usable).then(expected).alias("expected_return"))
        .with_columns(
            *((pl.col("expected_return") + pl.col("volatility") * pl.col(f"error_{b}")).alias(b) for b in BOUNDS),
            pl.col("volatility").alias("residual_volatility"),
            usable.alias("calibrated"),
            pl.lit(horizon_bars, pl.Int32).alias("horizon_bars"),
        )
        .select(empty("signals").columns)
    )


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

    Ordered by epoch, session, decision time and symbol.
    """
    index = pl.DataFrame({"session": sessions}).with_row_index("session_index")
    moments = pl.Series([opens[session] for session in sessions], dtype=TIMESTAMP)
    rows = (
        ensemble.select("session", "symbol", "decision_time", "score")
        .join(labels.select("symbol", "decision_time", "label", "matured_at"), on=["symbol", "decision_time"])
        .join(volatility, on=["session", "symbol"])
        .join(index, on="session")
        .with_columns((pl.col("label") / pl.col("volatility")).alias("u"))
    )
    epoch = moments.search_sorted(rows.get_column("matured_at"), side="right")
    return (
        rows.with_columns(pl.Series("epoch", epoch).cast(pl.Int64), pl.col("session_index").cast(pl.Int64))
        .filter(pl.col("epoch") < len(sessions))
        .sort("epoch", "session_index", "decision_time", "symbol")
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
