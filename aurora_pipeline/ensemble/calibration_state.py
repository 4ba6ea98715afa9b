"""State of the calibration: what had matured before a session's open, and what is forecast from it.

The method is told in :mod:`aurora_pipeline.ensemble.signal_calibrator`.

Per session: :meth:`RunningCalibration.open_session`, then :meth:`~RunningCalibration.observe` for each stretch of rows that
matured since the last, then :meth:`~RunningCalibration.issue`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.ensemble.conformal import LEVELS, AdaptiveConformal
from aurora_pipeline.ensemble.isotonic_map import IsotonicMap
from aurora_pipeline.ensemble.matured_mean import MaturedMean
from aurora_pipeline.settings import CalibrationSettings

Float64 = npt.NDArray[np.float64]

MINIMUM_ERRORS = 20
"""Matured rows below which a 90 % interval would need quantiles beyond the largest error seen."""
MINIMUM_COMPARED = 20
"""Sessions of forecasts by both methods before the isotonic map can take over."""
ADVANTAGE_T = 1.645
"""One-sided 5 % point its advantage must exceed."""
BOUNDS = [f"{side}_{round(100 * level)}" for level in LEVELS for side in ("lower", "upper")]
STATE_SCHEMA = {
    "session": pl.Date,
    "information_coefficient": pl.Float64,
    "standard_error": pl.Float64,
    "shrunk_ic": pl.Float64,
    "isotonic_t": pl.Float64,
    "calibrator": pl.String,
    "knots": pl.List(pl.Float64),
    "forecasts": pl.List(pl.Float64),
    "matured_sessions": pl.Int64,
    "evidence_rows": pl.Int64,
    "evidence_through": TIMESTAMP,
    "calibrated": pl.Boolean,
    **{f"error_{bound}": pl.Float64() for bound in BOUNDS},
}


@dataclass(frozen=True)
class Issued:
    """What was forecast in a session, in volatilities: slope, map (empty without evidence), which served, bounds."""

    slope: float
    knots: Float64
    forecasts: Float64
    isotonic: bool
    bounds: Float64 | None


class RunningCalibration:
    """The calibration's state, carried from session to session; a deterministic function of the evidence it was given.

    Parameters
    ----------
    settings : CalibrationSettings
        Half-life, prior, fewest sessions, conformal step.
    label_sessions : int
        Sessions a label reaches over.
    """

    def __init__(self, settings: CalibrationSettings, label_sessions: int) -> None:
        decay = 0.5 ** (1.0 / settings.half_life_sessions)
        self.settings = settings
        self.conformal = AdaptiveConformal(decay, settings.conformal_step)
        self.isotonic = IsotonicMap(decay)
        self.ic = MaturedMean(decay, label_sessions)
        self.advantage = MaturedMean(decay, label_sessions)
        self.issued: list[Issued] = []
        self.matured: set[int] = set()
        self.compared: set[int] = set()
        self.errors = 0
        self.through: int | None = None
        self._fresh = np.zeros(4)

    def open_session(self) -> None:
        """Let a session pass."""
        self.conformal.age()
        self.isotonic.age()
        self._fresh[:] = 0.0

    def observe(self, source: int, z: Float64, u: Float64, size: int, product: float, square: float) -> None:
        """Take in rows of session number `source` that matured since the session before opened."""
        made = self.issued[source]
        linear = made.slope * z
        self._fresh[:2] += (product / size, square / size)
        forecast = linear
        if made.knots.size:
            free = np.interp(z, made.knots, made.forecasts)
            self._fresh[2:] += (float(((u - linear) ** 2 - (u - free) ** 2).sum()) / size, len(z) / size)
            self.compared.add(source)
            forecast = free if made.isotonic else linear
        self.conformal.observe(u - forecast, len(z) / size, made.bounds)
        self.isotonic.observe(z, u, size)
        self.matured.add(source)
        self.errors += len(z)

    def issue(self) -> tuple[Any, ...]:
        """State of the session that opens now; columns of :data:`STATE_SCHEMA` after `session`."""
        self.ic.add(self._fresh[0], self._fresh[1])
        self.advantage.add(self._fresh[2], self._fresh[3])
        mean, information = self.ic.mean, self.ic.information
        calibrated = len(self.matured) >= self.settings.minimum_sessions and mean is not None
        calibrated &= self.errors >= MINIMUM_ERRORS
        kept = self.ic.believable_share * information / (information + self.settings.prior_sessions) if mean else 0.0
        slope = max(0.0, mean or 0.0) * kept
        knots, forecasts = self.isotonic.fit()
        forecasts = forecasts * (kept if slope > 0.0 else 0.0)
        t = self.advantage.t if len(self.compared) >= MINIMUM_COMPARED else None
        wins = t is not None and t > ADVANTAGE_T and slope > 0.0
        bounds = self.conformal.quantiles() if calibrated else None
        self.issued.append(Issued(slope, knots, forecasts, wins, bounds))
        name = ("isotonic" if wins else "grinold") if calibrated else None
        tables = (knots.tolist(), forecasts.tolist()) if calibrated and wins else (None, None)
        evidence = (len(self.matured), self.errors, self.through, calibrated)
        edges = [None] * len(BOUNDS) if bounds is None else bounds.ravel().tolist()
        return (mean, self.ic.standard_error, slope, t, name, *tables, *evidence, *edges)
