"""Small feature, label and truth frames with a known information coefficient, for tests that need one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import polars as pl

from aurora_pipeline.calendar import TIMESTAMP, session_calendar

CALENDAR = session_calendar()
BARS = (12, 38, 64)
HORIZON = 78


@dataclass(frozen=True)
class PlantedPanel:
    sessions: list[date]
    features: pl.DataFrame
    labels: pl.DataFrame
    truth: pl.DataFrame
    feature_names: list[str]

    @property
    def opens(self) -> dict[date, datetime]:
        return {session: CALENDAR.open(session) for session in self.sessions}


def planted_panel(
    sessions: int = 75, names: int = 30, features: int = 6, ic: float = 0.3, seed: int = 1
) -> PlantedPanel:
    """Three decision times a session; the first half of the features carry the label linearly, the others nothing."""
    generator = np.random.default_rng(seed)
    days = CALENDAR.sessions(date(2025, 1, 2), date(2026, 1, 2))[:sessions]
    ends = CALENDAR.grid(days).get_column("bar_end").to_list()
    position = {moment: k for k, moment in enumerate(ends)}
    times = [CALENDAR.bar_ends(day)[bar] for day in days for bar in BARS]
    matured = [ends[position[t] + HORIZON + 1] if position[t] + HORIZON + 1 < len(ends) else None for t in times]
    ranks = generator.random((len(times), names, features)).argsort(axis=1).argsort(axis=1) / (names - 1) - 0.5
    signal = ranks[:, :, : features // 2].sum(axis=2)
    truth = 0.02 * ic * signal / signal.std()
    label = truth + 0.02 * np.sqrt(1.0 - ic**2) * generator.standard_normal(truth.shape)
    feature_names = [f"feature_{k}" for k in range(features)]
    keys = pl.DataFrame(
        {
            "session": np.repeat(np.array(days, dtype="datetime64[D]"), len(BARS) * names),
            "symbol": [f"S{k:02d}" for k in range(names)] * len(times),
            "decision_time": pl.Series(times, dtype=TIMESTAMP).gather(np.repeat(np.arange(len(times)), names)),
            "matured_at": pl.Series(matured, dtype=TIMESTAMP).gather(np.repeat(np.arange(len(times)), names)),
        }
    )
    columns = [pl.Series(name, ranks[:, :, k].ravel(), dtype=pl.Float32) for k, name in enumerate(feature_names)]
    labels = keys.with_columns(pl.Series("label", label.ravel()), pl.lit(HORIZON, pl.Int32).alias("horizon_bars"))
    return PlantedPanel(
        days,
        keys.drop("matured_at").with_columns(columns),
        labels.filter(pl.col("matured_at").is_not_null()),
        keys.select("symbol", "decision_time", pl.Series("expected_residual_return", truth.ravel())),
        feature_names,
    )
