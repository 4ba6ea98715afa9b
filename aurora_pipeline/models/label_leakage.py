"""Proofs that labels start after the decision could be traded and end when they say they mature.

Like :mod:`aurora_pipeline.features.leakage`, each check computes labels twice from residual returns that differ only in rows that
must not matter, and lists every label that is not the same to the last bit:

- `label_truncation`: labels that matured by the cut, from rows known by the cut;
- `label_poison`: the same labels, with garbage in every row known later;
- `entry`: labels decided at or after the cut, with garbage in every bar up to the one in which an order decided then fills.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import polars as pl

from aurora_pipeline.calendar import TIMESTAMP, Frequency, SessionCalendar
from aurora_pipeline.market.point_in_time import told_by
from aurora_pipeline.models.labels import compute_labels

_KEY = ["symbol", "decision_time"]
_FOUND: dict[str, pl.DataType | type[pl.DataType]] = {
    "check": pl.String,
    "cut": TIMESTAMP,
    "symbol": pl.String,
    "decision_time": TIMESTAMP,
    "stored": pl.Float64,
    "recomputed": pl.Float64,
}


@dataclass(frozen=True)
class LabelInputs:
    """What labels are computed from; attributes as the parameters of :func:`~aurora_pipeline.models.labels.compute_labels`."""

    sessions: Sequence[date]
    residual_returns: pl.DataFrame
    universe: pl.DataFrame
    calendar: SessionCalendar
    frequency: Frequency
    horizon_bars: int
    execution_lag_bars: int

    def labels(self) -> pl.DataFrame:
        """Compute table `labels` of the sessions."""
        return compute_labels(
            self.sessions,
            self.residual_returns,
            self.universe,
            self.calendar,
            self.frequency,
            self.horizon_bars,
            self.execution_lag_bars,
        )


@dataclass(frozen=True)
class LabelCheck:
    """One way of looking for a leak: its name, what holds if nothing is found, and the recomputation."""

    name: str
    description: str
    differences: Callable[[LabelInputs, pl.DataFrame, datetime, int], pl.DataFrame]


def label_leaks(
    inputs: LabelInputs, stored: pl.DataFrame, cuts: Sequence[datetime], seed: int, checks: Sequence[LabelCheck]
) -> pl.DataFrame:
    """Run checks at some cuts.

    Parameters
    ----------
    inputs : LabelInputs
        Residual returns of the sessions and of every session their labels reach, all versions.
    stored : polars.DataFrame
        Table `labels` of the sessions.
    cuts : sequence of datetime
        Bar ends, such as decision times of the sessions or moments of maturity.
    seed : int
        Of the garbage.
    checks : sequence of LabelCheck
        Some of :data:`LABEL_CHECKS`.

    Returns
    -------
    polars.DataFrame
        `check`, `cut`, `symbol`, `decision_time`, `stored`, `recomputed` (null where only one side has the label).
    """
    found = [pl.DataFrame(schema=_FOUND)]
    for cut in cuts:
        for check in checks:
            wrong = check.differences(inputs, stored, cut, seed)
            named = (pl.lit(check.name).alias("check"), pl.lit(cut, TIMESTAMP).alias("cut"))
            found.append(wrong.select(*named, *_KEY, "stored", "recomputed"))
    return pl.concat(found)


def label_cuts(inputs: LabelInputs, stored: pl.DataFrame) -> list[datetime]:
    """Cuts worth checking: the first session's middle decision time, and the middle of the moments at which labels mature."""
    ends = inputs.calendar.bar_ends(inputs.sessions[0], inputs.frequency)
    moments = stored.get_column("matured_at").unique().sort()
    return [ends[len(ends) // 2], *([moments[len(moments) // 2]] if len(moments) else [])]


def truncation_differences(inputs: LabelInputs, stored: pl.DataFrame, cut: datetime, seed: int) -> pl.DataFrame:
    """Labels matured by the cut that the rows known by then do not give."""
    del seed
    known = told_by(inputs.residual_returns, cut)
    return _matured_differences(replace(inputs, residual_returns=known), stored, cut)


def poison_differences(inputs: LabelInputs, stored: pl.DataFrame, cut: datetime, seed: int) -> pl.DataFrame:
    """Labels matured by the cut that change when every row known later is replaced by garbage."""
    rows = _poisoned(inputs.residual_returns, pl.col("known_at") > cut, seed)
    return _matured_differences(replace(inputs, residual_returns=rows), stored, cut)


def entry_differences(inputs: LabelInputs, stored: pl.DataFrame, cut: datetime, seed: int) -> pl.DataFrame:
    """Labels decided from the cut on that change with a return up to the bar in which an order of that moment fills."""
    calendar = inputs.calendar
    session = calendar.session_of(cut)
    ends = calendar.grid([session, calendar.shift(session, 1)], inputs.frequency).get_column("bar_end")
    filled = ends.filter(ends >= cut)[inputs.execution_lag_bars]
    rows = _poisoned(inputs.residual_returns, pl.col("bar_end") <= filled, seed)
    decided = pl.col("decision_time") >= cut
    return _differences(stored.filter(decided), replace(inputs, residual_returns=rows).labels().filter(decided))


LABEL_CHECKS = (
    LabelCheck("label_truncation", "Labels equal those of the rows known when they mature.", truncation_differences),
    LabelCheck("label_poison", "Garbage in rows known after a label matured does not change it.", poison_differences),
    LabelCheck("entry", "No label contains a return up to the bar in which its decision is filled.", entry_differences),
)


def _matured_differences(other: LabelInputs, stored: pl.DataFrame, cut: datetime) -> pl.DataFrame:
    matured = pl.col("matured_at") <= cut
    return _differences(stored.filter(matured), other.labels().filter(matured))


def _differences(stored: pl.DataFrame, recomputed: pl.DataFrame) -> pl.DataFrame:
    """Labels that are missing on one side or not the same."""
    sides = [
        frame.select(*_KEY, pl.col("label").alias(name))
        for frame, name in ((stored, "stored"), (recomputed, "recomputed"))
    ]
    joined = sides[0].join(sides[1], on=_KEY, how="full", coalesce=True)
    return joined.filter(pl.col("stored").ne_missing(pl.col("recomputed")))


def _poisoned(rows: pl.DataFrame, hit: pl.Expr, seed: int) -> pl.DataFrame:
    noise = pl.Series(np.exp(np.random.default_rng(seed).standard_normal(rows.height)) + 1.0, dtype=pl.Float64)
    value = pl.when(hit).then(pl.col("residual_return") * noise + 0.01).otherwise(pl.col("residual_return"))
    return rows.with_columns(value.alias("residual_return"))
