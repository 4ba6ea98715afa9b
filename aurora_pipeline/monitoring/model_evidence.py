"""What had been measured about each model before a session opened: matured session ICs and the tests on them.

Evidence of a session is everything that had matured before its open, as for ensemble weights: what is decided from it is in
force from that open on, and never in the middle of a session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.information_coefficient import decision_time_correlations, segment_means
from aurora_pipeline.monitoring.sequential_tests import Float64, Int64, MeanTest, deal_lanes, evidence_path
from aurora_pipeline.settings import LifecycleSettings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Measured:
    """Evidence on one model at one open.

    Attributes
    ----------
    sessions : int
        Matured sessions with an IC.
    ic : float or None
        Their mean.
    skill, keep : float or None
        Evidence that the IC is above 0, and that it is below `lifecycle.worthwhile_ic`; natural logarithms. None before
        anything matured.
    through : datetime or None
        Latest maturity among it.
    """

    sessions: int
    ic: float | None
    skill: float | None
    keep: float | None
    through: datetime | None


NOTHING = Measured(0, None, None, None, None)


def matured_session_ics(predictions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Rank IC of each model and session, with the span its labels cover.

    Parameters
    ----------
    predictions : polars.DataFrame
        Table `predictions`, shadows included.
    labels : polars.DataFrame
        Table `labels`.

    Returns
    -------
    polars.DataFrame
        `session`, `model`, `ic`, `decided_at` (first decision time), `matured_at` (latest maturity), sorted by model and
        session. Decision times whose IC is undefined (ties throughout, too few names) are left out. A session counts once
        every decision time that was scored has a label: what has matured of it so far would be another number than what a
        backfill, which knows all of it, finds later.
    """
    complete = complete_sessions(predictions, labels)
    correlations = decision_time_correlations(complete, labels, by=["model"]).drop_nulls("ic")
    keys = ["model", "session"]
    ordered = correlations.sort("model", "decision_time")
    groups = ordered.group_by(keys, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("_times"),
        pl.col("decision_time").min().alias("decided_at"),
        pl.col("matured_at").max(),
    )
    ends = np.cumsum(groups.get_column("_times").to_numpy())
    ic = segment_means(ordered.get_column("ic").to_numpy(), ends)
    return (
        groups.with_columns(pl.Series("ic", ic, dtype=pl.Float64))
        .select("session", "model", "ic", "decided_at", "matured_at")
        .sort(keys)
    )


def complete_sessions(predictions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Predictions of the sessions in which every decision time that was scored has a label."""
    scored, labelled = (frame.get_column("decision_time").unique() for frame in (predictions, labels))
    pending = scored.filter(~scored.is_in(labelled.implode()))
    if pending.is_empty():
        return predictions
    waiting = predictions.filter(pl.col("decision_time").is_in(pending.implode())).get_column("session").unique()
    return predictions.filter(~pl.col("session").is_in(waiting.implode()))


class Evidence:
    """Tests on the matured ICs of all models, answered as of any moment.

    Parameters
    ----------
    session_ics : polars.DataFrame
        Result of :func:`matured_session_ics`.
    lanes : int
        From :func:`~aurora_pipeline.monitoring.sequential_tests.lane_count`.
    settings : LifecycleSettings
        Boundaries and effects of the tests.
    """

    def __init__(self, session_ics: pl.DataFrame, lanes: int, settings: LifecycleSettings) -> None:
        # A session matures when the last model's labels have: the same sessions count for every model.
        spans = (
            session_ics.group_by("session", maintain_order=True)
            .agg(pl.col("decided_at").min(), pl.col("matured_at").max())
            .sort("session")
        )
        self._decided = _microseconds(spans, "decided_at")
        self._matured: Int64 = np.maximum.accumulate(_microseconds(spans, "matured_at"))
        self._lane_count = lanes
        self._lanes = deal_lanes(self._decided, self._matured, lanes)
        self._settings = settings
        self._values = _wide(session_ics, spans.get_column("session"))
        self._skill = MeanTest(0.0, above=True, effect=settings.worthwhile_ic)
        self._keep = MeanTest(settings.worthwhile_ic, above=False, effect=settings.worthwhile_ic, restart=True)
        self._gain = MeanTest(0.0, above=True, effect=settings.least_gain)
        self._paths: dict[tuple[str, str], Float64] = {}

    def measured(self, model: str, moment: datetime) -> Measured:
        """Evidence on a model from what had matured before a moment."""
        count = self._matured_before(moment)
        values = self._values.get(model)
        if values is None or not count or np.isnan(values[:count]).all():
            return NOTHING
        seen = np.flatnonzero(~np.isnan(values[:count]))
        skill, keep = self._path(model, "skill", self._skill), self._path(model, "keep", self._keep)
        through = _EPOCH + timedelta(microseconds=int(self._matured[seen[-1]]))
        return Measured(len(seen), float(values[seen].mean()), float(skill[count - 1]), float(keep[count - 1]), through)

    def gain(self, challenger: str, champion: str, moment: datetime) -> float | None:
        """Evidence that a challenger's IC is above a champion's, on sessions both have; None before there is one."""
        count = self._matured_before(moment)
        ours, theirs = self._values.get(challenger), self._values.get(champion)
        if ours is None or theirs is None or not count or np.isnan(ours[:count] - theirs[:count]).all():
            return None
        key = (challenger, champion)
        if key not in self._paths:
            self._paths[key] = evidence_path(ours - theirs, self._lanes, self._lane_count, self._gain)
        return float(self._paths[key][count - 1])

    def ics(self, model: str, moment: datetime) -> Float64:
        """Session ICs of a model that had matured before a moment, in time order."""
        values = self._values.get(model)
        if values is None:
            return np.empty(0)
        before = values[: self._matured_before(moment)]
        return before[~np.isnan(before)]

    def _matured_before(self, moment: datetime) -> int:
        stamp = (moment - _EPOCH) // timedelta(microseconds=1)
        return int(np.searchsorted(self._matured, stamp, side="left"))

    def _path(self, model: str, name: str, test: MeanTest) -> Float64:
        key = (model, f"/{name}")
        if key not in self._paths:
            values = self._values[model]
            # A test begins with the model's first session, so that its quarters are the model's own.
            first = int(np.flatnonzero(~np.isnan(values))[0])
            own = evidence_path(values[first:], self._lanes[first:], self._lane_count, test)
            self._paths[key] = np.concatenate([np.full(first, -np.log(self._lane_count)), own])
        return self._paths[key]


def _microseconds(frame: pl.DataFrame, column: str) -> npt.NDArray[np.int64]:
    return frame.get_column(column).cast(TIMESTAMP).to_physical().to_numpy().astype(np.int64)


def _wide(session_ics: pl.DataFrame, sessions: pl.Series) -> Mapping[str, Float64]:
    axis = pl.DataFrame({"session": sessions})
    return {
        str(key[0]): axis.join(rows.select("session", "ic"), on="session", how="left", maintain_order="left")
        .get_column("ic")
        .fill_null(np.nan)
        .to_numpy()
        for key, rows in session_ics.partition_by("model", as_dict=True).items()
    }


def no_session_ics() -> pl.DataFrame:
    """Return what :func:`matured_session_ics` gives where nothing has matured."""
    return matured_session_ics(empty("predictions"), empty("labels"))


def stack(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Session ICs of several models under each other."""
    return pl.concat([no_session_ics(), *frames])
