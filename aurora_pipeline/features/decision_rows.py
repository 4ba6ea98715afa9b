"""Who gets features when: the rows of every view and of the panel."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.features.bar_panel import dense_bars
from aurora_pipeline.features.decision_epochs import decision_epochs, wanted_decision_times
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.rolling import rolling_sum

_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "session": pl.Date,
    "symbol": pl.String,
    "instrument_id": pl.String,
    "sector": pl.String,
    "decision_time": TIMESTAMP,
}


def decision_rows(inputs: FeatureInputs) -> pl.DataFrame:
    """List eligible symbols at each decision time at which they have a recent bar.

    A symbol counts at a decision time if one of the last `settings.quality.stale_bars` bars of this session exists, was known
    by then and had not been withdrawn.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `instrument_id`, `sector` (null if unknown), `decision_time`; sorted by decision time and
        instrument, none later than `inputs.until`.
    """
    return pl.concat([pl.DataFrame(schema=_SCHEMA), *(_session_rows(inputs, session) for session in inputs.sessions)])


def _session_rows(inputs: FeatureInputs, session: date) -> pl.DataFrame:
    names = (
        inputs.universe.filter(pl.col("session") == session, "eligible")
        .select("symbol", "instrument_id", "sector")
        .sort("instrument_id")
    )
    ends = wanted_decision_times(inputs, session)
    bars = inputs.bars.filter(pl.col("session") == session)
    recent = np.zeros((len(ends), names.height), dtype=np.bool_)
    axis = pl.Series(inputs.calendar.bar_ends(session, inputs.frequency), dtype=TIMESTAMP)
    for epoch in decision_epochs(inputs, session, [bars]):
        close = dense_bars(bars, epoch.moment, axis, names.get_column("instrument_id").to_list(), ("close",))["close"]
        counted = rolling_sum(close, inputs.settings.quality.stale_bars, 1, 0)
        recent[epoch.first : epoch.stop] = ~np.isnan(counted[epoch.first : epoch.stop])
    time, name = np.nonzero(recent)
    chosen = names[name]
    return chosen.select(
        pl.lit(session, pl.Date).alias("session"),
        "symbol",
        "instrument_id",
        "sector",
        pl.Series("decision_time", ends, dtype=TIMESTAMP).gather(time).alias("decision_time"),
    )
