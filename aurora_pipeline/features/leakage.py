"""Proofs that features look at nothing later than their decision time: recomputing, truncating and poisoning.

Each proof computes the same panel twice from inputs that differ only in what was not yet known, and lists every value that is
not the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import date, datetime

import numpy as np
import polars as pl

from aurora_pipeline.calendar import TIMESTAMP, Frequency, SessionCalendar
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.panel_builder import compute_panel
from aurora_pipeline.features.sector_neutralizer import compute_residual_returns
from aurora_pipeline.market.point_in_time import as_known_at

_KEY = ["symbol", "decision_time"]
_DIFFERENCES: dict[str, pl.DataType | type[pl.DataType]] = {
    "table": pl.String,
    "column": pl.String,
    "symbol": pl.String,
    "decision_time": TIMESTAMP,
    "stored": pl.Float64,
    "recomputed": pl.Float64,
}


def sample_decision_times(session: date, calendar: SessionCalendar, frequency: Frequency) -> list[datetime]:
    """Decision times worth checking: the session's first, one in the morning, one in its middle and its last."""
    ends = calendar.bar_ends(session, frequency)
    return [ends[index] for index in sorted({0, len(ends) // 6, len(ends) // 2, len(ends) - 1})]


def known_at_violations(
    inputs: FeatureInputs, stored: pl.DataFrame, decision_times: Sequence[datetime]
) -> pl.DataFrame:
    """Values that the rows known at their decision time do not give.

    Parameters
    ----------
    inputs : FeatureInputs
        Of the sessions of the decision times, rows that became known later included.
    stored : polars.DataFrame
        Table `features` at least at the decision times.
    decision_times : sequence of datetime
        Moments to recompute at.

    Returns
    -------
    polars.DataFrame
        `table` (`features` or `residual_returns`), `column` (`row` where only one side has the row), `symbol`,
        `decision_time`, `stored`, `recomputed`; empty if nothing is wrong.
    """
    found = [pl.DataFrame(schema=_DIFFERENCES)]
    for moment in decision_times:
        session = inputs.calendar.session_of(moment)
        seen = as_seen_at(replace(inputs, sessions=[session]), moment)
        at_moment = pl.col("decision_time") == moment
        found.append(differences("features", stored.filter(at_moment), compute_panel(seen).filter(at_moment)))
        found.append(_residual_differences(inputs, seen, session, moment))
    return pl.concat(found)


def as_seen_at(inputs: FeatureInputs, moment: datetime) -> FeatureInputs:
    """Inputs without the rows, and without the verdicts on rows, that became known after a moment."""

    def seen(frame: pl.DataFrame) -> pl.DataFrame:
        known = frame.filter(pl.col("known_at") <= moment)
        if "quarantined_at" not in frame.columns:
            return known
        verdict = pl.when(pl.col("quarantined_at") <= moment).then(pl.col("quarantined_at"))
        return known.with_columns(verdict.alias("quarantined_at"))

    return inputs.with_frames(**{name: seen(frame) for name, frame in _versioned(inputs).items()}, until=moment)


def truncation_differences(inputs: FeatureInputs, cut: datetime) -> pl.DataFrame:
    """Features at or before `cut` that change when every row known later is taken away.

    Columns as in :func:`known_at_violations`.
    """
    before = pl.col("decision_time") <= cut
    whole = compute_panel(inputs).filter(before)
    return differences("features", whole, compute_panel(as_seen_at(inputs, cut)).filter(before))


def poison_differences(inputs: FeatureInputs, cut: datetime, seed: int) -> pl.DataFrame:
    """Features at or before `cut` that change when every row known later is replaced by garbage.

    Every number of such a row is multiplied by its own log-normal draw; keys and times stay.
    """
    rng = np.random.default_rng(seed)

    def poisoned(frame: pl.DataFrame) -> pl.DataFrame:
        numbers = [name for name, dtype in frame.schema.items() if dtype.is_float()]
        late = pl.col("known_at") > cut
        return frame.with_columns(
            pl.when(late)
            .then(pl.col(name) * pl.Series(np.exp(rng.standard_normal(frame.height))))
            .otherwise(pl.col(name))
            for name in numbers
        )

    garbage = inputs.with_frames(**{name: poisoned(frame) for name, frame in _versioned(inputs).items()})
    before = pl.col("decision_time") <= cut
    return differences("features", compute_panel(inputs).filter(before), compute_panel(garbage).filter(before))


def differences(table: str, stored: pl.DataFrame, recomputed: pl.DataFrame) -> pl.DataFrame:
    """List every value in which two frames with `symbol` and `decision_time` differ, bit for bit; missing equals missing."""
    frame = stored.with_columns(pl.lit(value=True).alias("stored_row")).join(
        recomputed.with_columns(pl.lit(value=True).alias("recomputed_row")),
        on=_KEY,
        how="full",
        coalesce=True,
        suffix="_new",
    )
    both = pl.col("stored_row").is_not_null() & pl.col("recomputed_row").is_not_null()
    found = [pl.DataFrame(schema=_DIFFERENCES), _listed(frame.filter(~both), table, "row", pl.lit(None), pl.lit(None))]
    shared = frame.filter(both)
    for name, dtype in stored.schema.items():
        if dtype.is_float():
            old, new = pl.col(name), pl.col(f"{name}_new")
            found.append(_listed(shared.filter(old.ne_missing(new)), table, name, old, new))
    return pl.concat(found)


def _listed(rows: pl.DataFrame, table: str, column: str, stored: pl.Expr, recomputed: pl.Expr) -> pl.DataFrame:
    return rows.select(
        pl.lit(table).alias("table"),
        pl.lit(column).alias("column"),
        *_KEY,
        stored.cast(pl.Float64).alias("stored"),
        recomputed.cast(pl.Float64).alias("recomputed"),
    )


def _residual_differences(inputs: FeatureInputs, seen: FeatureInputs, session: date, moment: datetime) -> pl.DataFrame:
    """Residual returns of the session so far, against those the bars known at the moment give."""
    key = ["instrument_id", "bar_end"]

    def newest(rows: pl.DataFrame) -> pl.DataFrame:
        own = rows.filter(pl.col("session") == session, pl.col("bar_end") <= moment)
        return as_known_at(own, moment, key).rename({"bar_end": "decision_time"})

    stored, recomputed = newest(inputs.residual_returns), newest(compute_residual_returns(seen))
    return differences("residual_returns", stored, recomputed)


def _versioned(inputs: FeatureInputs) -> dict[str, pl.DataFrame]:
    """Frames of the inputs that say when a row was known."""
    frames = {field.name: getattr(inputs, field.name) for field in fields(inputs)}
    return {
        name: frame for name, frame in frames.items() if isinstance(frame, pl.DataFrame) and "known_at" in frame.columns
    }
